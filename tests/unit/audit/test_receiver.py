"""A receiver's acknowledgement in a file of its own: what its key proves, and every way it must not."""

import base64
import hashlib
import json
from typing import Any

import pytest

from audit.bundle import write_tar
from audit.errors import MalformedError, UnpinnedKeyError, VerificationError
from audit.papers import Keys
from audit.ref import format_ref
from audit.verify import Verdict
from audit.whole import verify_files
from gateway.dialler import Outgoing
from gateway.egress.acknowledgement import digest_header
from tests import dossier
from tests.acknowledging import COVERED, lines_of, pem_of, statement
from tests.signing import KINDS, private_key, raw_signature
from tests.unit.audit.builders import papers

REF = format_ref(b"\x07" * 32)
BODY = b'{"id": 1}'
CONTENT = hashlib.sha256(BODY).hexdigest()
OUT = Outgoing("https://hooks.acme.example/in", (("webhook-id", REF), digest_header(BODY)), BODY)
KEY = private_key("ed25519")
PINNED = Keys(parties=(pem_of(KEY),))
CLAIMS = {"webhook_id": REF, "content_sha256": CONTENT}


def stated(kind: str = "ed25519", **claims: object) -> bytes:
    return statement(private_key(kind), kind, "crd_ack", {**CLAIMS, **claims})


def answered(
    kind: str = "ed25519",
    *,
    status: int = 200,
    covered: tuple[str, ...] = COVERED,
    created: str = "1800000000",
) -> str:
    """A signed answer as evidence keeps it, and as whoever has the key would make it."""
    key, values = private_key(kind), lines_of(OUT, status, b"")
    lines = [f"{name}: {values[name]}" for name in covered]
    described = f'({" ".join(covered)});created={created};keyid="crd_ack"'
    base = "\n".join([*lines, f'"@signature-params": {described}']).encode()
    made = {"base": base, "signature": raw_signature(key, base)}
    texts = {name: base64.b64encode(raw).decode() for name, raw in made.items()}
    return json.dumps({"algorithm": kind, "key_id": "crd_ack", **texts})


def document(token: str, **changes: object) -> bytes:
    told = {
        "delivery": "dlv_1",
        "ref": REF,
        "endpoint": "ep_1",
        "key": "crd_ack",
        "at": "2027-01-15T08:00:00Z",
    }
    return json.dumps({**told, "token": token, "log": None, **changes}).encode()


def has(said: tuple[str, ...], *words: str) -> bool:
    return any(all(word in one for word in words) for one in said)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["statement", "answer", "bare", "delivery"])
def test_it_is_proved_by_the_key_of_the_receiver_alone(form: str, kind: str) -> None:
    paper = {
        "statement": document(stated(kind).decode()),
        "answer": document(answered(kind)),
        "bare": stated(kind) + b"\n",
        "delivery": json.dumps(
            {"state": "x", "acknowledgement": json.loads(document(answered(kind)))}
        ).encode(),
    }[form]
    pinned = Keys(parties=(pem_of(private_key(kind)),))
    verdict: Verdict = verify_files([paper], pinned, content=BODY)
    assert has(
        verdict.proved, f"holder of the {kind} key that you gave signed that it has the event", "crd_ack"
    )
    assert has(verdict.proved, REF)
    assert has(verdict.proved, "what the receiver signed for is your copy, byte for byte", CONTENT)
    assert has(verdict.proved, "2027-01-15T08:00:00Z, by its own clock") == (form in {"answer", "delivery"})
    assert has(verdict.word, "it was for ep_1", "nobody has signed that") == (form != "bare")
    for words in ("whose key it is", "signed by the gateway", "that a log holds it", "anybody has read it"):
        assert has(verdict.not_proved, words), words


def test_a_bare_answer_names_no_content_of_its_own() -> None:
    covered = ('"@status"', '"webhook-id";req')
    paper = document(answered(covered=covered))
    verdict = verify_files([paper], PINNED)
    assert has(verdict.not_proved, "that the receiver's signature names this very content")
    with pytest.raises(VerificationError, match="names no content"):
        verify_files([paper], PINNED, content=BODY)


@pytest.mark.parametrize("paper", [stated(), document(stated().decode()), document(answered())])
def test_without_its_key_or_by_another_one_nothing_is_proved(paper: bytes) -> None:
    with pytest.raises(UnpinnedKeyError, match="signed by a key you have not pinned"):
        verify_files([paper], Keys())
    with pytest.raises(UnpinnedKeyError, match="not by the key that you gave"):
        verify_files([paper], Keys(parties=(pem_of(private_key("ecdsa-p256-sha256")),)))


def test_another_content_than_was_signed_for_fails() -> None:
    for paper in (stated(), document(answered())):
        with pytest.raises(VerificationError, match="your copy has SHA-256"):
            verify_files([paper], PINNED, content=BODY + b" ")


@pytest.mark.parametrize("status", [199, 300, 404, 500])
def test_a_signed_answer_that_was_no_success_is_no_acknowledgement(status: int) -> None:
    with pytest.raises(VerificationError, match=f"what was signed has status {status}"):
        verify_files([document(answered(status=status))], PINNED)
    with pytest.raises(VerificationError, match="what was signed has status none"):
        verify_files([document(answered(covered=COVERED[1:]))], PINNED)


def test_of_another_event_than_the_document_says_it_fails() -> None:
    for token in (stated().decode(), answered()):
        with pytest.raises(VerificationError, match="names another event"):
            verify_files([document(token, ref=format_ref(b"\x08" * 32))], PINNED)


def test_under_another_name_of_the_key_than_was_signed_it_fails() -> None:
    for token in (stated().decode(), answered()):
        with pytest.raises(VerificationError, match="names another key"):
            verify_files([document(token, key="crd_other")], PINNED)


def test_it_is_about_the_event_of_the_papers_beside_it() -> None:
    honest = papers()
    pinned = Keys(honest.keys.receipts, honest.keys.logs, PINNED.parties)
    with pytest.raises(VerificationError, match="and other papers of"):
        verify_files([honest.receipt, honest.proof, stated()], pinned)
    mine = stated(webhook_id=honest.evidence.text("ref"))
    verdict = verify_files([honest.receipt, honest.proof, mine], pinned)
    assert has(verdict.proved, "the receipt is entry 3")
    assert has(verdict.proved, "signed that it has the event")
    assert not has(verdict.not_proved, "nothing in here is signed by the gateway")


def test_every_changed_byte_of_a_statement_fails() -> None:
    honest = stated()
    for place in range(len(honest)):
        changed = honest[:place] + bytes([honest[place] ^ 1]) + honest[place + 1 :]
        with pytest.raises(VerificationError):
            verify_files([changed], PINNED)


@pytest.mark.parametrize("times", ["", "x", "99999999999999"])
def test_a_time_that_is_none_is_not_told(times: str) -> None:
    verdict = verify_files([document(answered(created=times))], PINNED)
    assert not has(verdict.proved, "by its own clock")


STRANGE: tuple[bytes, ...] = (
    b"{}",
    b'{"acknowledgement": null}',
    b'{"acknowledgement": {"ref": 1, "key": "a", "token": "b"}}',
    document("{}"),
    document("a.b.c"),
    document(""),
    b"a.b",
    b"..",
    b"e30.e30.e30",
)


@pytest.mark.parametrize("paper", STRANGE)
def test_what_is_none_is_malformed_whatever_it_is(paper: bytes) -> None:
    with pytest.raises(VerificationError):
        verify_files([paper], PINNED)


def test_a_document_without_members_says_which_it_should_have() -> None:
    with pytest.raises(MalformedError, match="expected ref, key, token"):
        verify_files([b"{}"], PINNED)


def test_a_statement_about_no_content_names_none() -> None:
    claims: dict[str, Any] = {"webhook_id": REF}
    paper = statement(KEY, "ed25519", "crd_ack", claims)
    assert has(verify_files([paper], PINNED).not_proved, "names this very content")


@pytest.mark.parametrize("kind", ["delivery.attempted", "event.accepted", "contract.changed"])
def test_what_nobody_signed_in_a_document_vouches_for_no_copy(kind: str) -> None:
    made, forged = dossier.dossier(), b'{"order_id":"A-3","qty":9999}'
    digest = hashlib.sha256(forged).hexdigest()
    token = json.loads(made.evidence[3].raw)["token"]
    claims = {
        "kind": kind,
        "content_sha256": digest,
        "content": {"sha256": digest},
        "schema": {"fingerprint": hashlib.sha256(dossier.SCHEMA).hexdigest()},
        "origin": "x",
        "revision": 7,
        "after_sha256": digest,
    }
    told = {**claims, "ref": dossier.REF, "key": "crd_receiver", "token": token}
    files = {
        name: raw for name, raw in made.files.items() if not name.startswith(("sender", "keys/crd_sender"))
    }
    pinned = Keys(made.keys.receipts, made.keys.logs, (made.keys.parties[1],))
    papers_of_both = [write_tar(files), json.dumps(told).encode()]
    verify_files(papers_of_both, pinned, content=dossier.CONTENT)
    with pytest.raises(VerificationError, match="your copy has SHA-256"):
        verify_files(papers_of_both, pinned, content=forged)
