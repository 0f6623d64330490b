"""The bundle of an event, from the route to the verifier that trusts nobody."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import delete, update
from sqlmodel import col

from audit import log
from audit.bundle import write_tar
from audit.bundled import read_tar
from audit.entry import draft_entry
from audit.errors import VerificationError
from audit.evidence import Evidence, Kind, make_evidence
from audit.note import parse_verifier_key
from audit.papers import Keys
from audit.receipt import parse_jwks
from audit.ref import format_ref, parse_ref
from audit.rows import EntryRow
from audit.store import Pending
from audit.verify import Verdict
from audit.whole import verify_files
from gateway.bootstrap.ground import clock
from gateway.bundling import Whose, gather
from gateway.rows import ClaimRow
from partners import store
from tests.acknowledging import statement
from tests.builders import House, open_house
from tests.signing import credential_of, private_key, public_der

SIGNS = private_key("ed25519")
PEM = SIGNS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
CONTENT = b'{"order_id": "E-1", "qty": 1}'
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("evidence")) as opened:
        key = credential_of("crd_receiver", "message_signature", public_der(SIGNS))

        def insert(session: Any) -> None:
            store.lock(session)
            store.insert_credential(session, replace(key, not_before=1), now=clock())

        await opened.world.parts.ground.database.write(insert)
        yield opened


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def send(house: House, number: str, path: str = "/v1/events/order.placed", by: str = "acme") -> str:
    body = CONTENT.replace(b"E-1", number.encode())
    async with house.client(by) as client:
        sent = await client.post(path, content=body, headers=JSON)
        assert sent.status_code == 201, sent.text
        return str(sent.json()["ref"])


async def pins(house: House, *parties: bytes) -> Keys:
    async with house.client("acme") as client:
        receipts = parse_jwks((await client.get("/.well-known/jwks.json")).content)
        (one,) = (await client.get("/v1/me")).json()["logs"]
    return Keys(receipts, (parse_verifier_key(one["keys"][0]),), parties)


async def bundle(house: House, ref: str, *, entries: int = 1, by: str = "acme", path: str = "/v1") -> bytes:
    """The bundle, once it has so many entries of the event."""
    async with house.client(by) as client:
        for _ in range(500):
            answer = await client.get(f"{path}/history/{ref}/evidence?wait=10")
            assert answer.status_code == 200, answer.text
            names = [one for one in read_tar(answer.content) if one.endswith(".tlog-proof")]
            if len(names) > entries:  # and the contract's
                return answer.content
            await asyncio.sleep(0.02)
    raise AssertionError(f"{entries} entries did not come")


async def note(house: House, ref: str, *records: tuple[Kind, dict[str, Any]]) -> None:
    """Let the log tell more of an event."""
    parts = house.world.parts
    partner = parts.catalog.current.directory.partner("acme")
    assert partner is not None
    name = f"{parts.ground.host}/log/{partner.log}"
    about = {"partner": "acme", "ref": ref, "source": "/house", "id": "E", "type": "order.accepted"}
    made: list[Evidence] = []
    for number, (kind, members) in enumerate(records):
        named = {"partner": "acme", "ref": ref} if kind is Kind.ACKNOWLEDGED else about
        salt = (parse_ref(ref) or b"")[:31] + bytes([number])
        made.append(make_evidence(kind, named | members, iss="http://gw", log=name, at=clock(), salt=salt))
    waiting = [Pending(one.commitment()[:16], one) for one in made]
    await parts.ground.database.write(lambda session: log.submit_all(session, waiting))


def attempted(
    digest: str, *, outcome: str = "delivered", number: int = 1, **names: Any
) -> tuple[Kind, dict[str, Any]]:
    return Kind.ATTEMPTED, {
        "schema": None,
        "record": None,
        "contract": None,
        **names,
        "endpoint": "ep_1",
        "url": "https://hooks.acme.example/in",
        "attempt": f"att_{number}",
        "number": number,
        "content_sha256": digest,
        "content_length": 2,
        "status": 200,
        "reason": None,
        "ms": 3,
        "answer_sha256": None,
        "outcome": outcome,
    }


def has(said: Sequence[str], *words: str) -> bool:
    return any(all(word in one for word in words) for one in said)


async def test_everything_about_an_event_is_proved_under_pinned_keys(house: House) -> None:
    ref = await send(house, "E-1")
    raw = await bundle(house, ref)
    verdict = verify_files([raw], await pins(house), content=CONTENT)
    assert has(verdict.proved, "accepted order.placed 'E-1' from '/partners/acme'", "receipt signed by")
    assert has(verdict.proved, "the receipt is entry")
    assert has(verdict.proved, "put revision 1 of the contract into force")
    assert has(verdict.proved, "contract-1 is what the evidence names, byte for byte")
    assert has(verdict.proved, "schema.json is what the evidence names, byte for byte")
    assert has(verdict.proved, "the content is your copy, byte for byte")
    assert has(verdict.word, "took '/partners/acme' for the sender, by api_key")
    assert has(verdict.not_proved, "everybody is shown this same log")
    files = read_tar(raw)
    assert b"order.placed: " in files["contract-1"]
    assert json.loads(files["schema.json"])["name"]
    with pytest.raises(VerificationError, match="another content"):
        verify_files([raw], await pins(house), content=CONTENT + b" ")


async def test_the_same_papers_are_the_same_bytes_for_whoever_may_ask(house: House) -> None:
    ref = await send(house, "E-2")
    first = await bundle(house, ref)
    assert await bundle(house, ref) == first
    assert await bundle(house, ref, by="operator", path="/v1/partners/acme") == first


async def test_nothing_is_proved_by_keys_that_came_along_or_by_others(house: House) -> None:
    raw, pinned = await bundle(house, await send(house, "E-3")), await pins(house)
    other = bytes(32)
    for keys in (
        Keys(),
        Keys(pinned.receipts),
        Keys(logs=pinned.logs),
        replace(pinned, receipts=dict.fromkeys(pinned.receipts, other)),
        replace(pinned, parties=(PEM,)),
    ):
        with pytest.raises(VerificationError):
            verify_files([raw], keys)


async def test_what_was_sent_to_a_receiver_who_acknowledged_it_is_proved(house: House) -> None:
    """You never sent it: the attempts are our word, the receiver's signature is not."""
    ref = await send(house, "E-4", "/v1/partners/acme/events/order.accepted", "team")
    digest = hashlib.sha256(b"{}").hexdigest()
    token = statement(SIGNS, "ed25519", "crd_receiver", {"webhook_id": ref, "content_sha256": digest})
    said = {"endpoint": "ep_1", "key": "crd_receiver", "token": token.decode()}
    await note(house, ref, attempted(digest), (Kind.ACKNOWLEDGED, said))
    raw = await bundle(house, ref, entries=3)
    verdict = verify_files([raw], await pins(house, PEM), content=b"{}")
    assert has(
        verdict.proved,
        f"sent 2 bytes with SHA-256 {digest}",
        "in attempt 1, and was answered 200 (delivered)",
    )
    assert has(verdict.proved, "what was sent is your copy, byte for byte")
    assert has(verdict.proved, "the holder of the ed25519 key that you gave signed that it has the event")
    assert has(verdict.proved, "what was signed names the content", digest)
    assert has(verdict.not_proved, "whose key it is that you gave")
    without: Verdict = verify_files([raw], await pins(house))
    assert has(without.word, "that the receiver's key crd_receiver signed that it has the event")
    assert not has(without.proved, "signed that it has the event, as")


async def test_what_nobody_accepted_is_under_the_contract_and_schema_that_an_attempt_names(
    house: House,
) -> None:
    """A team's own producer put it on the topic: there is no receipt, and no claim."""
    ref = format_ref(hashlib.sha256(b"produced").digest())
    channel = house.world.parts.catalog.current.channel("acme", "order.accepted", "outbound")
    assert channel is not None
    version, digest = channel.versions[0], hashlib.sha256(b"{}").hexdigest()
    fingerprint = version.schema.fingerprint.hex()
    schema = {
        "subject": channel.line.subject,
        "version": version.number,
        "id": version.schema_id,
        "fingerprint": fingerprint,
    }
    place = {"topic": channel.topic, "topic_id": "id", "partition": 0, "offset": 17}
    # The first was taken up from its row, after a restart say.
    await note(
        house,
        ref,
        attempted(digest, outcome="retry", record={**place, "sha256": None}),
        attempted(digest, number=2, schema=schema, record={**place, "sha256": "ab" * 32}, contract=1),
    )
    raw = await bundle(house, ref, entries=2)
    files = read_tar(raw)
    assert "receipt.jws" not in files
    assert hashlib.sha256(files["schema.json"]).hexdigest() == fingerprint
    assert b"order.accepted: " in files["contract-1"]
    verdict = verify_files([raw], await pins(house), content=b"{}")
    assert has(verdict.proved, "attempt att_2 says: http://gw sent 'E' under revision 1", fingerprint)
    assert has(verdict.proved, f"read 'E' at offset 17 of {channel.topic} [0], with data of SHA-256 abab")
    assert has(verdict.proved, "put revision 1 of the contract into force")
    assert has(verdict.proved, "contract-1 is what the evidence names, byte for byte")
    assert has(verdict.proved, "schema.json is what the evidence names, byte for byte")
    assert has(verdict.proved, "what was sent is your copy, byte for byte")
    for spoiled in (b"{}", files["schema.json"] + b" "):
        with pytest.raises(VerificationError, match="the evidence is for another schema"):
            verify_files([write_tar({**files, "schema.json": spoiled})], await pins(house))


async def test_what_was_erased_is_told_as_such_and_not_by_the_receipt_either(house: House) -> None:
    ref = await send(house, "E-5")
    async with house.client("acme") as client:
        receipt = (await client.get(f"/v1/history/{ref}")).json()["receipt"]
    await bundle(house, ref)

    def erase(session: Any) -> None:
        change = update(EntryRow).where(col(EntryRow.ref) == parse_ref(ref))
        session.execute(change.values(evidence=None))

    await house.world.parts.ground.database.write(erase)
    async with house.client("acme") as client:
        raw = (await client.get(f"/v1/history/{ref}/evidence")).content
    files = read_tar(raw)
    assert [name for name in files if not name.startswith(("entries/", "keys/"))] == []
    verdict = verify_files([raw], await pins(house))
    assert has(verdict.proved, "is of the kind event.accepted and of the hour")
    # Nothing in the log says so: it may as well have been left out.
    assert has(verdict.not_proved, "its evidence was erased, or was left out of this bundle")
    # Who has kept the receipt can prove it still.
    kept = verify_files([raw, receipt.encode()], await pins(house))
    assert has(kept.proved, "the receipt is entry")


async def test_an_erasure_is_shown_by_the_entry_that_says_so(house: House) -> None:
    ref = await send(house, "E-9")
    await bundle(house, ref)
    async with house.client("operator") as client:
        body = {"refs": [ref], "basis": "asked for"}
        made = await client.post("/v1/partners/acme/erasures", json=body)
        assert (made.status_code, made.json()["erased"]) == (201, 1), made.text
    raw = await bundle(house, ref, entries=1)  # the acceptance, and what says that it was erased
    verdict = verify_files([raw], await pins(house))
    assert has(verdict.proved, "erased the evidence of an entry", "('asked for')")
    (said,) = [one for one in verdict.not_proved if "its evidence was erased" in one]
    assert "left out" not in said
    files = read_tar(raw)
    (told,) = [name for name in files if b"evidence.erased" in files[name] and name.endswith(".json")]
    less = {name: part for name, part in files.items() if name.partition(".")[0] != told.partition(".")[0]}
    assert has(verify_files([write_tar(less)], await pins(house)).not_proved, "left out of this bundle")


async def test_without_its_claim_an_event_is_proved_by_the_log_alone(house: House) -> None:
    """Claims go with their time, and receipts with them; what the log says of an event stays."""
    ref = await send(house, "E-7")
    await bundle(house, ref)
    gone = delete(ClaimRow).where(col(ClaimRow.ref) == parse_ref(ref))
    await house.world.parts.ground.database.write(lambda session: session.execute(gone))
    raw = await bundle(house, ref)
    assert "receipt.jws" not in read_tar(raw)
    verdict = verify_files([raw], await pins(house), content=CONTENT.replace(b"E-1", b"E-7"))
    assert has(verdict.proved, "says: http://127.0.0.1:8080 accepted order.placed 'E-7'")
    assert has(verdict.proved, "the content is your copy, byte for byte")
    assert has(verdict.proved, "schema.json is what the evidence names")
    assert has(verdict.proved, "contract-1 is what the evidence names")


async def test_an_event_of_an_earlier_epoch_is_proved_by_the_keys_of_a_later_one(house: House) -> None:
    ref = await send(house, "E-6")
    raw, pinned = await bundle(house, ref), await pins(house)
    (key,) = pinned.logs
    later = parse_verifier_key(str(replace(key, name=key.name.replace("/1", "/7"))))
    assert has(verify_files([raw], replace(pinned, logs=(later,))).proved, "the receipt is entry")


async def test_entries_of_an_epoch_of_which_nothing_is_published_yet_are_left_out(house: House) -> None:
    ref = await send(house, "E-8")
    expected = read_tar(await bundle(house, ref))
    parts = house.world.parts
    partner = parts.catalog.current.directory.partner("acme")
    assert partner is not None
    name = f"{parts.ground.host}/log/{partner.log}"
    kind, members = attempted("00" * 32)
    about = {"partner": "acme", "ref": ref, "source": "/house", "id": "E", "type": "order.accepted"}
    made = make_evidence(kind, about | members, iss="http://gw", log=name, at=clock(), salt=bytes(32))

    class UndoneError(Exception):
        pass

    with suppress(UndoneError), parts.ground.database.begin() as session:
        log.open_log(session, f"{name}/2")
        log.append_all(session, {f"{name}/2": [draft_entry(made)]})
        found = gather(session, Whose("acme", name), parse_ref(ref) or b"", parts.keys.current, lambda *_: ())
        assert found.is_known
        assert found.files.keys() == {one for one in expected if one != "anchor.json"}
        raise UndoneError


async def test_a_bundle_that_is_not_there_yet_says_when_to_ask_again(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client("acme") as client:
        ref = (await client.post("/v1/events/order.placed", content=CONTENT, headers=JSON)).json()["ref"]
        answers = [await client.get(f"/v1/history/{ref}/evidence")]
        while answers[-1].status_code != 200:
            assert answers[-1].json()["code"] == "proof_pending"
            assert int(answers[-1].headers["retry-after"]) >= 1
            await asyncio.sleep(0.02)
            answers.append(await client.get(f"/v1/history/{ref}/evidence"))
        assert answers[-1].headers["content-type"] == "application/x-tar"
        assert answers[-1].headers["content-disposition"] == f'attachment; filename="{ref}.tar"'
        for unknown in ("evt_" + "b" * 51 + "a", "evt_x", ".."):
            assert (await client.get(f"/v1/history/{unknown}/evidence")).status_code == 404
