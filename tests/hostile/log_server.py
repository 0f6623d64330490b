"""A gateway as a monitor sees it, over a real log, that lies where it is told to."""

import gzip
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool
from sqlmodel import Session, SQLModel

from audit import log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import MalformedError, NotInLogError
from audit.evidence import Evidence, Kind, make_evidence
from audit.freshness import freshness_key, make_line
from audit.note import VerifierKey
from audit.proof import InclusionProof, format_proof
from audit.receipt import format_jwk, issue
from audit.ref import format_ref
from audit.tile import parse_tile_path
from tests.unit.audit.builders import LOG, LOG_SIGNER, RECEIPT_SIGNER, SeedSigner, append, evidence

URL = "http://127.0.0.1:8080"
"""Without TLS: a context for it takes longer than a look."""

FRESHNESS = SeedSigner(b"\x21" * 32)
FRESHNESS_KEY = freshness_key("gw.example/freshness", FRESHNESS.public_key)
Answers = Callable[[httpx.Request, httpx.Response], httpx.Response]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def events(first: int, end: int, *, age_ms: int = 0, log_name: str = LOG) -> list[Evidence]:
    """Accepted events, by number."""
    at = now_ms() - age_ms
    return [evidence(number, at=at, log=log_name) for number in range(first, end)]


def opening(epoch: int, previous: dict[str, Any] | None) -> Evidence:
    members = {"origin": f"{LOG}/{epoch}", "previous": previous, "reason": "a test"}
    return make_evidence(Kind.EPOCH_OPENED, members, iss=URL, log=LOG, at=now_ms(), salt=bytes([epoch]) * 32)


@dataclass
class Tree:
    """A log of one epoch, in a database of its own."""

    origin: str = f"{LOG}/1"
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        SQLModel.metadata.create_all(engine)
        self.session = Session(engine)
        log.open_log(self.session, self.origin)

    def grow(self, some: Sequence[Evidence]) -> "Tree":
        append(self.session, self.origin, some)
        note = sign_checkpoint(self.checkpoint(), LOG_SIGNER)
        log.publish_all(self.session, {self.origin: note})
        return self

    def checkpoint(self) -> Checkpoint:
        head = log.state(self.session, self.origin).head
        return Checkpoint(self.origin, head.size, head.root())

    def read(self, path: str) -> bytes:
        tile = parse_tile_path(path)
        if tile.level is None:
            return log.entries(self.session, self.origin, tile.index, tile.width)
        return log.tile(self.session, self.origin, tile.level, tile.index, tile.width)

    def proof(self, ref: str, note: bytes) -> bytes:
        size = self.checkpoint().size
        for index in range(size):
            found = log.entry(self.session, self.origin, index)
            if found.ref is not None and format_ref(found.ref) == ref:
                hashes = log.prove(self.session, self.origin, index, size)
                return format_proof(InclusionProof(index, hashes, note))
        raise NotInLogError(ref)


@dataclass
class LogServer(httpx.BaseTransport):
    """Serves trees by their origin. `lie`: what becomes of an honest answer. `asked`: paths, in order.

    `signer`, `vouches`: what checkpoints are signed with, and whether they are vouched for; `off`: of the
    time of that, in seconds. `unlogged`: receipts that the history knows of, and the log does not.
    """

    trees: list[Tree] = field(default_factory=lambda: [Tree()])
    lie: Answers = field(default=lambda _request, answer: answer)
    signer: SeedSigner = LOG_SIGNER
    vouches: bool = True
    off: int = 0
    unlogged: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    partner: str = "acme"

    @property
    def tree(self) -> Tree:
        return self.trees[-1]

    def grow(self, some: Sequence[Evidence]) -> None:
        self.tree.grow(some)

    def note(self, tree: Tree | None = None, checkpoint: Checkpoint | None = None) -> bytes:
        """The checkpoint as it is served."""
        shown = checkpoint or (tree or self.tree).checkpoint()
        note = sign_checkpoint(shown, self.signer)
        if not self.vouches:
            return note
        text = note.decode().rpartition("\n\n")[0] + "\n"
        line = make_line(text, FRESHNESS_KEY.name, FRESHNESS, now_ms() // 1_000 + self.off)
        return note + line.encode()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        try:
            answer = self._answer(request.url.path)
        except (NotInLogError, MalformedError, StopIteration):
            answer = httpx.Response(404, json={"code": "not_found"})
        return streamed(self.lie(request, answer))

    def _answer(self, path: str) -> httpx.Response:
        fixed: dict[str, Callable[[], Any]] = {
            "/v1/me": self._me,
            "/.well-known/partner-gateway": lambda: {
                "freshness_keys": [str(FRESHNESS_KEY)],
                "merge_delay_seconds": 60,
            },
            "/.well-known/jwks.json": lambda: {"keys": [format_jwk(RECEIPT_SIGNER.public_key)]},
            "/v1/history": lambda: {"items": [{"ref": ref, "log": None} for ref in self._unlogged()]},
        }
        if path in fixed:
            return httpx.Response(200, json=fixed[path]())
        if found := re.fullmatch(r"/v1/history/(evt_\w+)(/proof)?", path):
            if found[2]:
                return _bytes(self._proof(found[1]), "text/plain")
            return httpx.Response(200, json={"ref": found[1], "receipt": self._unlogged()[found[1]]})
        match = re.fullmatch(r"/log/(\w+/\d+)/(checkpoint|tile/.+|evidence/\d+)", path)
        if match is None:
            raise NotInLogError(path)
        tree = next(one for one in self.trees if one.origin == f"gw.example/log/{match[1]}")
        if match[2] == "checkpoint":
            return _bytes(self.note(tree), "text/plain; charset=utf-8")
        if match[2].startswith("evidence"):
            raw = log.entry(tree.session, tree.origin, int(match[2].partition("/")[2])).raw
            return _bytes(raw or b"", "application/json")
        return _bytes(tree.read(match[2]), "application/octet-stream")

    def _proof(self, ref: str) -> bytes:
        """As a gateway does it: in whichever epoch the entry is."""
        for tree in reversed(self.trees):
            with suppress(NotInLogError):
                return tree.proof(ref, self.note(tree))
        raise NotInLogError(ref)

    def _me(self) -> dict[str, Any]:
        logs = [
            {"origin": one.origin, "keys": [str(VerifierKey(one.origin, LOG_SIGNER.public_key))]}
            for one in self.trees
        ]
        return {"partner": {"slug": self.partner}, "logs": logs}

    def _unlogged(self) -> dict[str, str]:
        return {ref_of(token): token for token in self.unlogged}


def receipt(one: Evidence) -> str:
    return issue(one, RECEIPT_SIGNER).token


def ref_of(token: str) -> str:
    from audit.receipt import parse_receipt  # noqa: PLC0415 - of this one helper

    return format_ref(parse_receipt(token.encode()).evidence.ref or b"")


def _bytes(raw: bytes, media: str) -> httpx.Response:
    return httpx.Response(200, content=raw, headers={"content-type": media})


def on(path: str, make: Callable[[httpx.Response], httpx.Response]) -> Answers:
    """Lie where a path matches."""

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return make(answer) if re.search(path, request.url.path) and answer.status_code == 200 else answer

    return lie


def changed(change: Callable[[bytes], bytes]) -> Callable[[httpx.Response], httpx.Response]:
    """Lie about the content."""
    return lambda answer: httpx.Response(200, content=change(answer.content))


def streamed(answer: httpx.Response) -> httpx.Response:
    """As it comes from a network: not read yet."""
    if not answer.is_stream_consumed:
        return answer
    return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(65_536)


def bomb() -> httpx.Response:
    """Ten kilobytes that are ten megabytes."""
    return zipped(bytes(10 * 2**20))


def as_gzip(answer: httpx.Response) -> httpx.Response:
    return zipped(answer.content)


def zipped(content: bytes) -> httpx.Response:
    headers = {"content-encoding": "gzip"}
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(gzip.compress(content)))
