"""Offline verification: papers in files, keys pinned on the first day, no gateway asked."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from audit.bundle import Bundle, format_bundle
from audit.errors import VerificationError
from audit.note import VerifierKey, parse_verifier_key
from audit.papers import Keys
from audit.receipt import parse_jwks, parse_receipt
from audit.verify import Verdict, format_failure, format_verdict
from audit.whole import verify_files
from gateway.cli.demo_log import WholeLog, await_size, read_log
from gateway.cli.demo_material import Sendable
from gateway.cli.demo_scene import PARTNERS, Scene
from gateway.cli.demo_words import DemoError

SAMPLES: Final = 10
_KEYS: Final = "receipt-keys.json"
_WAIT_SECONDS: Final = 20
_PATIENCE_SECONDS: Final = 20.0
_LOOK_AGAIN_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Papers:
    """A folder of papers; everything in it was saved before, nothing is asked."""

    folder: Path

    def pins(self) -> Keys:
        """The keys that were pinned: of receipts, and of each partner's log."""
        logs = tuple(
            parse_verifier_key(path.read_text().strip()) for path in sorted(self.folder.glob("*.vkey"))
        )
        return Keys(parse_jwks((self.folder / _KEYS).read_bytes()), logs)

    def log_key(self, slug: str) -> VerifierKey:
        """The pinned key of one partner's log; its name is the log's origin."""
        return parse_verifier_key((self.folder / f"{slug}.vkey").read_text().strip())

    def log_path(self, slug: str) -> str:
        """Where the log is read, below the gateway's address."""
        return urlsplit(f"https://{self.log_key(slug).name}").path


def papers_of(scene: Scene) -> Papers:
    """Where this run keeps its papers."""
    folder = scene.stage.folder / "papers"
    folder.mkdir(exist_ok=True)
    return Papers(folder)


async def pin(scene: Scene) -> None:
    """Fetch the public keys once, as partners do on their first day; keep each log's first checkpoint."""
    papers = papers_of(scene)
    anybody = scene.partners["acme"]
    (papers.folder / _KEYS).write_bytes((await anybody.get("/.well-known/jwks.json")).expect(200).content)
    found = (await anybody.get("/.well-known/partner-gateway")).expect(200).document
    published = {base64.b64decode(key) for key in found["checkpoint_keys"]}
    for slug in PARTNERS:
        key = await _log_key(scene, slug)
        if key.public_key not in published:
            raise DemoError(f"the log of {slug} has a key that the gateway does not publish")
        (papers.folder / f"{slug}.vkey").write_text(f"{key}\n")
        path = papers.log_path(slug)
        await await_size(scene.partners[slug], path, 1, _PATIENCE_SECONDS, scene.ticks)
        raw = (await scene.partners[slug].get(f"{path}/checkpoint")).expect(200).content
        (papers.folder / f"{slug}.day-one.checkpoint").write_bytes(raw)
    scene.tell.command(f"curl --cacert CA {scene.stage.url}/.well-known/jwks.json > {_KEYS}")
    scene.tell.good("both partners pinned the public keys, and kept the first checkpoint of their log")


async def verify_offline(scene: Scene) -> None:
    """Save papers, then verify them from the files alone."""
    tell, papers = scene.tell, papers_of(scene)
    tell.say(
        "Each partner saves some receipts with their proofs. From here on only files are read: the gateway "
        "is not asked, and not trusted; the keys are those of the first day."
    )
    contents = await _save_samples(scene, papers)
    pinned = papers.pins()
    tell.command(f"gateway verify FILE --keys {_KEYS} --log-key KEY --content CONTENT")
    with tell.waiting("papers", len(contents)) as shown:
        for number, (path, content) in enumerate(contents.items(), 1):
            verdict = _proved(verify_files([path.read_bytes()], pinned, content=content))
            shown(number)
    tell.block(format_verdict(verdict))
    tell.good(f"{len(contents)} receipts and their places in the logs are proved")
    _show_forgery(scene, next(iter(contents)), pinned)
    for slug in PARTNERS:
        await verify_only_grew(scene, slug)


async def verify_only_grew(scene: Scene, slug: str) -> WholeLog:
    """Show that the log of today, which is returned, continues the one that the partner saw first."""
    papers = papers_of(scene)
    with scene.tell.waiting(f"log of {slug}", None) as shown:
        whole = await read_log(scene.partners[slug], papers.log_path(slug), papers.log_key(slug), shown)
    old, grown = papers.folder / f"{slug}.day-one.checkpoint", papers.folder / f"{slug}.consistency"
    grown.write_bytes(whole.growth_from(old.read_bytes()))
    scene.tell.command(f"gateway verify --old {old.name} --consistency {grown.name} --log-key KEY")
    verdict = verify_files([old.read_bytes(), grown.read_bytes()], papers.pins())
    scene.tell.good(next(text for text in verdict.proved if "only grew" in text))
    return whole


def _show_forgery(scene: Scene, path: Path, pinned: Keys) -> None:
    """Another content under a true receipt: it must fail."""
    try:
        verify_files([path.read_bytes()], pinned, content=b'{"asn_dn":"ASN-124","quantity":1}')
    except VerificationError as error:
        scene.tell.say("With another content than the one that was sent:")
        scene.tell.block(format_failure(error))
        return
    raise DemoError("a receipt was verified with a content that was never sent")


async def _save_samples(scene: Scene, papers: Papers) -> dict[Path, bytes]:
    """Bundles of receipt and proof in files, with the content that each sender still has."""
    contents: dict[Path, bytes] = {}
    for slug, events in (("acme", scene.material.shipments), ("globex", scene.material.prices)):
        sent = [one for one in events if (slug, "inbound", one.id) in scene.receipts]
        for number, event in enumerate(_spread(sent, SAMPLES)):
            token = scene.receipts[slug, "inbound", event.id].encode()
            ref = parse_receipt(token).evidence.text("ref")
            reply = await scene.partners[slug].get(f"/v1/history/{ref}/proof", wait=_WAIT_SECONDS)
            path = papers.folder / f"{slug}-{number}.bundle.json"
            path.write_bytes(format_bundle(Bundle(token, reply.expect(200).content)))
            contents[path] = event.content
    return contents


def _spread(events: Sequence[Sendable], count: int) -> list[Sendable]:
    """At most `count` of the events, from first to last."""
    step = max(1, (len(events) - 1) // max(1, count - 1))
    return list(events[::step][:count])


def _proved(verdict: Verdict) -> Verdict:
    if not any(said.startswith("the receipt is entry ") for said in verdict.proved):
        raise DemoError("a receipt was not found in its log")
    return verdict


async def _log_key(scene: Scene, slug: str) -> VerifierKey:
    """The key of the partner's log, once it has one: its first entry is its own contract."""
    deadline = scene.ticks() + _PATIENCE_SECONDS
    while scene.ticks() < deadline:
        logs = (await scene.partners[slug].get("/v1/me")).expect(200).document["logs"]
        if logs:
            return parse_verifier_key(str(logs[0]["keys"][0]))
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    raise DemoError(f"the log of {slug} did not begin")
