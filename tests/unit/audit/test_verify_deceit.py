"""What a dishonest operator writes into its log: its signatures are true, and prove less than one thinks."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from audit.bundle import write_tar
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import MalformedError, VerificationError
from audit.evidence import Kind
from audit.judging import verify_papers
from audit.note import VerifierKey
from audit.papers import Keys, leaf_of
from audit.proof import InclusionProof, format_proof
from audit.sender import sender_paper
from audit.tree import Head, prove_inclusion
from audit.verify import Verdict, format_failure, format_verdict
from gateway.origin_evidence import Origin
from tests.acknowledging import statement
from tests.dossier import SENDER, pem
from tests.signing import Draft, private_key, raw_signature
from tests.unit.audit.builders import (
    AT,
    LOG,
    LOG_SIGNER,
    ORIGIN,
    RECEIPT_SIGNER,
    evidence,
    load_vectors,
    papers,
    proof_of,
    reader,
)

MINE, OTHER = b'{"id":"A-3"}', b'{"id":"A-3","price":1}'
BEFORE, AFTER = b"pay within 30 days", b"pay within 3 days"
KEYS = Keys({RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key}, (VerifierKey(ORIGIN, LOG_SIGNER.public_key),))
EARLIER = next(
    one for one in load_vectors("formats.json")["evidence"]["earlier"] if one["kind"] == "event.accepted"
)


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def record(kind: Kind, **members: Any) -> bytes:
    """Evidence of event 3 as an operator can write it: with whatever it likes in it; None: left out."""
    made = json.loads(evidence(3, kind=kind).raw) | members
    kept = {name: value for name, value in made.items() if value is not None or name not in members}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()


def accepted(raw: bytes = MINE, **members: Any) -> bytes:
    content = {"sha256": digest(raw), "length": len(raw), "type": "application/json", "encoding": "identity"}
    return record(Kind.ACCEPTED, content=content, contract=7, **members)


def terms(text: bytes, revision: Any = 7, **members: Any) -> bytes:
    return record(Kind.CONTRACT_CHANGED, revision=revision, after_sha256=digest(text), **members)


def receipt(raw: bytes) -> bytes:
    head = json.dumps(
        {"alg": "EdDSA", "kid": RECEIPT_SIGNER.key_id, "typ": "gateway-receipt+json"}, separators=(",", ":")
    )
    signed = b".".join(base64.urlsafe_b64encode(one).rstrip(b"=") for one in (head.encode(), raw))
    return signed + b"." + base64.urlsafe_b64encode(RECEIPT_SIGNER.sign(signed)).rstrip(b"=")


def entries(said: Sequence[bytes], shown: Sequence[int], origin: str = ORIGIN) -> dict[str, bytes]:
    """Some of the entries of a log, as a bundle has them."""
    head, nodes = Head(origin).append([leaf_of(one, json.loads(one)) for one in said])
    note = sign_checkpoint(Checkpoint(origin, head.size, head.root()), LOG_SIGNER)
    files: dict[str, bytes] = {}
    for index in shown:
        stem = f"entries/{origin.rpartition('/')[2]}/{index}"
        proof = InclusionProof(index, prove_inclusion(index, head.size, reader(nodes)), note)
        files |= {f"{stem}.json": said[index], f"{stem}.tlog-proof": format_proof(proof)}
    return files


def verify(files: Mapping[str, bytes], content: bytes | None = None, *parties: bytes) -> Verdict:
    pinned = Keys(KEYS.receipts, KEYS.logs, parties)
    return verify_papers([write_tar(files)], pinned, content=content)[0]


# A sentence is one line, and its values are no words of it

FORGED = "\n  + the holder of the ed25519 key that you gave signed that it has the event"


def test_no_value_begins_a_line() -> None:
    attempt = record(Kind.ATTEMPTED, url=f"https://h/{FORGED}")
    verdict = verify(entries([accepted(), attempt], [0, 1]))
    text = format_verdict(verdict)
    assert len(text.splitlines()) == sum(map(len, verdict)) + 3
    assert not any(line.startswith("  + the holder") for line in text.splitlines())
    failed = format_failure(VerificationError(f"proof: it is of x{FORGED}"))
    assert len(failed.splitlines()) == 2


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u2003", "\u3164", "\u2800", "\uffa0"])
def test_no_value_is_pushed_into_the_next_line_of_a_terminal(blank: str) -> None:
    attempt = record(Kind.ATTEMPTED, url="https://h" + 70 * blank + FORGED.strip())
    assert blank * 3 not in format_verdict(verify(entries([accepted(), attempt], [0, 1])))


@pytest.mark.parametrize("is_given", [True, False])
def test_the_name_of_a_senders_key_is_no_words_of_the_sentence(*, is_given: bool) -> None:
    """Nobody has signed it: the sender signs what is before it in the paper."""
    name = "crd_sender: and the receiver has signed that it has the event"
    base = Draft(body=MINE).base("crd_sender")
    made = Origin(SENDER, name, base, raw_signature(private_key(SENDER), base))
    paper = dict([sender_paper(made.to_json())])
    files = {"receipt.jws": receipt(accepted(origin=made.sha256())), **paper}
    verdict = verify(files, MINE, *([pem(SENDER)] if is_given else []))
    (told,) = [one for one in (*verdict.proved, *verdict.word) if name in one]
    assert repr(name) in told
    assert (told in verdict.proved) == is_given


def test_what_could_be_words_of_the_sentence_is_quoted() -> None:
    url = "https://hooks.example/a in attempt 1, and was answered 200 (delivered)"
    said = "\n".join(verify(entries([accepted(), record(Kind.ATTEMPTED, url=url)], [0, 1])).proved)
    assert f"to {url!r} in attempt" in said
    said = "\n".join(verify({"receipt.jws": receipt(accepted(type="a 'B-1' from"))}).proved)
    assert """accepted "a 'B-1' from" 'A-3' from""" in said


# Terms


def contract(changes: Sequence[int], said: Sequence[bytes], text: bytes, index: int) -> Verdict:
    """A bundle of a receipt, its entry, and some entries of contracts, with the text of revision 7."""
    files = {"receipt.jws": receipt(said[index]), **entries(said, [*changes, index]), "contract-7": text}
    return verify(files)


def is_named(verdict: Verdict) -> bool:
    return any(one.startswith("contract-7 is what the evidence names") for one in verdict.proved)


def test_the_receipt_names_the_text_of_the_contract() -> None:
    said = [terms(BEFORE), accepted(contract_sha256=digest(BEFORE)), terms(AFTER)]
    assert is_named(contract([0], said, BEFORE, 1))
    assert is_named(contract([], said, BEFORE, 1))
    for changes, text in (([0], AFTER), ([], AFTER), ([2], AFTER), ([2], BEFORE), ([0, 2], BEFORE)):
        with pytest.raises(VerificationError):
            contract(changes, said, text, 1)


@pytest.mark.parametrize("revision", [7, "7"])
def test_two_texts_of_one_revision_contradict_each_other(revision: Any) -> None:
    said = [terms(BEFORE), accepted(contract_sha256=None), terms(AFTER, revision)]
    with pytest.raises(VerificationError, match="contract-7"):
        contract([0, 2], said, AFTER, 1)


def test_for_a_receipt_of_before_a_contract_counts_that_stands_before_it() -> None:
    said = [terms(BEFORE), accepted(contract_sha256=None), terms(AFTER)]
    assert is_named(contract([0], said, BEFORE, 1))
    verdict = contract([2], said, AFTER, 1)
    assert not is_named(verdict)
    assert any("that contract-7 was in force then: entry 2" in one for one in verdict.not_proved)


def test_an_earlier_receipt_as_it_was_made_verifies_still() -> None:
    said = [terms(BEFORE, ref=None), EARLIER["evidence"].encode(), terms(AFTER)]
    assert is_named(contract([0], said, BEFORE, 1))
    assert not is_named(contract([2], said, AFTER, 1))


def test_in_another_epoch_it_may_have_been_added_when_that_was_over() -> None:
    was = accepted(contract_sha256=None)
    files = entries([terms(BEFORE)], [0]) | entries([was], [0], origin=f"{LOG}/2")
    verdict = verify({"receipt.jws": receipt(was), **files, "contract-7": BEFORE})
    assert not is_named(verdict)


def test_an_attempt_names_a_contract_that_stands_before_it() -> None:
    said = [terms(BEFORE), record(Kind.ATTEMPTED, contract=7), terms(AFTER)]
    assert is_named(verify({**entries(said, [0, 1]), "contract-7": BEFORE}))
    assert not is_named(verify({**entries(said, [1, 2]), "contract-7": AFTER}))


# One event, of one partner, and one of each


@pytest.mark.parametrize("is_with_receipt", [True, False])
def test_a_second_acceptance_makes_no_other_content_yours(*, is_with_receipt: bool) -> None:
    said = [accepted(MINE), accepted(OTHER)]
    files = entries(said, [0, 1]) | ({"receipt.jws": receipt(said[0])} if is_with_receipt else {})
    for content in (MINE, OTHER, None):
        with pytest.raises(VerificationError, match=r"acceptance of evt_.*: two entries contradict"):
            verify(files, content)


@pytest.mark.parametrize("is_with_receipt", [True, False])
def test_what_was_accepted_anew_with_the_same_content_contradicts_nothing(*, is_with_receipt: bool) -> None:
    """Once the claim is over, an honest gateway accepts a repeat under the same ref."""
    again = accepted(at=AT + 10**9, event_sha256=digest(AFTER))
    said = [accepted(), again, accepted(at=AT + 2 * 10**9)]
    files = entries(said, [0, 1, 2]) | ({"receipt.jws": receipt(said[0])} if is_with_receipt else {})
    verdict = verify(files, MINE)
    assert sum("more than one, all of the same content" in one for one in verdict.proved) == 1
    assert sum("that it was posted once" in one for one in verdict.not_proved) == 1


@pytest.mark.parametrize("change", [{"type": "order.paid"}, {"attributes": {"subject": "another"}}])
def test_what_was_accepted_anew_as_another_event_contradicts(change: dict[str, Any]) -> None:
    said = [accepted(), accepted(at=AT + 10**9, **change)]
    with pytest.raises(VerificationError, match=r"acceptance of evt_.*: two entries contradict"):
        verify(entries(said, [0, 1]))


def test_the_receipt_alone_speaks_for_the_content() -> None:
    said = [accepted(MINE), accepted(OTHER)]
    with pytest.raises(VerificationError):
        verify({"receipt.jws": receipt(said[0]), **entries(said, [1])}, OTHER)


def test_one_attempt_has_one_end() -> None:
    said = [record(Kind.ATTEMPTED, status=503, outcome="retry"), record(Kind.ATTEMPTED, status=200)]
    with pytest.raises(VerificationError, match=r"attempt att_.*: two entries contradict"):
        verify(entries(said, [0, 1]))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(record(Kind.ATTEMPTED, partner="globex"), id="of another partner"),
        pytest.param(terms(AFTER, partner="globex"), id="a contract of another partner"),
        pytest.param(record(Kind.ATTEMPTED, ref="evt_" + "a" * 52), id="of another event"),
        pytest.param(record(Kind.ATTEMPTED, ref=None), id="of no event"),
        pytest.param(record(Kind.ATTEMPTED, ref=""), id="of an empty one"),
        pytest.param(record(Kind.REFUSED, ref=None), id="refused, of no event"),
    ],
)
def test_what_is_about_something_else_is_no_paper_of_the_event(other: bytes) -> None:
    with pytest.raises(VerificationError, match="two events"):
        verify({"receipt.jws": receipt(accepted()), **entries([accepted(), other], [0, 1])})


# What a receiver signed for


def acknowledged(named: bytes, key: str = "crd_receiver") -> bytes:
    ref = json.loads(accepted())["ref"]
    members = {"webhook_id": ref, "content_sha256": digest(named)}
    token = statement(private_key("ed25519"), "ed25519", "crd_receiver", members)
    return record(Kind.ACKNOWLEDGED, key=key, token=token.decode())


@pytest.mark.parametrize(("named", "is_sent"), [(MINE, True), (OTHER, False)])
def test_a_receiver_who_signed_for_another_content_than_was_sent_is_remarked_on(
    named: bytes, *, is_sent: bool
) -> None:
    said = [accepted(OTHER), record(Kind.ATTEMPTED, content_sha256=digest(MINE)), acknowledged(named)]
    verdict = verify(entries(said, [0, 1, 2]), MINE, pem("ed25519"))
    assert "what was sent is your copy" in "\n".join(verdict.proved)
    remarks = [one for one in verdict.not_proved if one.startswith("that what was signed for was sent")]
    assert (remarks == []) == is_sent
    assert is_sent or digest(named) in remarks[0]


def test_an_entry_gives_a_receivers_key_no_other_name_than_was_signed() -> None:
    with pytest.raises(VerificationError, match="names another key"):
        verify(entries([acknowledged(MINE, "crd_other")], [0]))


# What else hung, or went unsaid


@pytest.mark.parametrize("between", [b".", b"x.", b"..\n"])
def test_a_file_of_dots_is_refused_at_once(between: bytes) -> None:
    raw = b"eyJYXRld2F5LXJlY2VpcHQranNvbiJ9." + between * 50_000 + b"\nx"
    with pytest.raises(MalformedError):
        verify_papers([raw], KEYS)


def test_a_proof_beside_a_checkpoint_of_another_size_shows_no_growth() -> None:
    honest = papers()
    later = sign_checkpoint(Checkpoint(ORIGIN, 19, bytes(32)), LOG_SIGNER)
    remark = f"that {ORIGIN} only grew from 11 to 19 entries"
    assert remark in verify_papers([honest.receipt, honest.proof, later], KEYS)[0].not_proved
    assert remark not in verify_papers([honest.receipt, honest.proof], KEYS)[0].not_proved
    bundle = write_tar({"receipt.jws": honest.receipt, "checkpoint": later, "event.tlog-proof": honest.proof})
    assert remark in verify_papers([bundle], KEYS)[0].not_proved
    second = proof_of(honest.evidence, 3, 19)
    tar = write_tar({"entries/1/3.json": honest.evidence.raw, "entries/1/3.tlog-proof": second})
    assert remark in verify_papers([honest.receipt, honest.proof, tar], KEYS)[0].not_proved
