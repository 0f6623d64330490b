"""Bundles whose papers contradict each other, and bundles of a rotation's overlap."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from audit.bundle import write_tar
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import InconsistentError, MalformedError, VerificationError
from audit.evidence import Evidence, Kind, leaf_of
from audit.merkle import hash_leaf
from audit.note import VerifierKey
from audit.papers import Keys
from audit.proof import InclusionProof, format_proof
from audit.receipt import issue
from audit.tree import Head, prove_inclusion
from audit.verify import Verdict
from audit.whole import verify_files
from tests.dossier import dossier
from tests.unit.audit.builders import (
    AT,
    LOG,
    LOG_SIGNER,
    ORIGIN,
    OTHER_SIGNER,
    RECEIPT_SIGNER,
    evidence,
    load_vectors,
    papers,
    proof_of,
    reader,
)

ERASED = dossier(erased=True)

OLD, NEW = (VerifierKey(ORIGIN, one.public_key) for one in (LOG_SIGNER, OTHER_SIGNER))
SAID, CHANGED = evidence(3), evidence(3, contract=8)
"""The same event, once under another contract."""


def entry(index: int, raw: bytes, proof: bytes) -> Mapping[str, bytes]:
    return {f"entries/1/{index}.json": raw, f"entries/1/{index}.tlog-proof": proof}


def verify(files: Mapping[str, bytes], *logs: VerifierKey, beside: tuple[bytes, ...] = ()) -> Verdict:
    pinned = Keys({RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key}, logs)
    return verify_files([write_tar(files), *beside], pinned)


# Two histories


def test_two_histories_in_one_bundle_are_a_fork_that_is_named() -> None:
    one = entry(3, SAID.raw, proof_of(SAID, 3))
    other = entry(4, CHANGED.raw, proof_of(CHANGED, 4, others="other"))
    assert verify(one, OLD).proved
    assert verify(other, OLD).proved
    with pytest.raises(
        InconsistentError, match=f"fork: two histories, by the root of 11 entries of {ORIGIN}"
    ):
        verify({**one, **other}, OLD)


def test_two_histories_cannot_hide_behind_two_sizes() -> None:
    """Nothing in a bundle shows that the larger one goes on from the smaller one."""
    one = entry(3, SAID.raw, proof_of(SAID, 3))
    other = entry(4, CHANGED.raw, proof_of(CHANGED, 4, 12, others="other"))
    with pytest.raises(VerificationError, match="entries of epoch 1 lie under checkpoints of two sizes"):
        verify({**one, **other}, OLD)


def test_two_entries_at_one_place_are_a_fork_under_checkpoints_of_two_sizes() -> None:
    receipt = issue(SAID, RECEIPT_SIGNER).token.encode()
    other = entry(3, CHANGED.raw, proof_of(CHANGED, 3, 12))
    with pytest.raises(InconsistentError, match=f"fork: two histories, by entry 3 of {ORIGIN}"):
        verify(other, OLD, beside=(receipt, proof_of(SAID, 3)))
    # The receipt's own entry may lie in the bundle under a newer checkpoint.
    assert verify(entry(3, SAID.raw, proof_of(SAID, 3, 12)), OLD, beside=(receipt, proof_of(SAID, 3))).proved


# Keys that came along


def overlapping(*keys: VerifierKey) -> dict[str, bytes]:
    """A bundle of an overlap: its checkpoint is signed by the new key and by the old one."""
    proof = proof_of(SAID, 3, signers=(OTHER_SIGNER, LOG_SIGNER))
    lines = "".join(f"{key}\n" for key in keys)
    return {"keys/log.vkey": lines.encode(), **entry(3, SAID.raw, proof)}


@pytest.mark.parametrize(("pinned", "other"), [(OLD, NEW), (NEW, OLD)], ids=["old", "new"])
def test_who_pinned_one_key_of_an_overlap_verifies_and_hears_of_the_other(
    pinned: VerifierKey, other: VerifierKey
) -> None:
    verdict = verify(overlapping(NEW, OLD), pinned)
    assert f"checkpoint of 11 entries signed by {pinned}" in verdict.proved
    assert f"that {other} is a key of the log too: you have not pinned it" in verdict.not_proved
    assert not any(str(other) in one for one in verdict.proved)


def test_who_pinned_both_hears_nothing_of_them() -> None:
    assert not any(
        "a key of the log too" in one for one in verify(overlapping(NEW, OLD), NEW, OLD).not_proved
    )


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param((NEW,), id="none is pinned"),
        pytest.param((OLD, VerifierKey(f"{LOG}/2", OTHER_SIGNER.public_key)), id="none of another epoch is"),
        pytest.param((OLD, VerifierKey("gw.example/log/x/1", LOG_SIGNER.public_key)), id="none of a log is"),
    ],
)
def test_of_each_log_one_key_that_came_along_must_be_pinned(keys: tuple[VerifierKey, ...]) -> None:
    with pytest.raises(VerificationError, match="bundle: another key of the log"):
        verify(overlapping(*keys), OLD)


@pytest.mark.parametrize("more", [b"x", b"\n", b"\x0b", str(OLD).encode()])
def test_nothing_but_keys_stands_among_the_keys(more: bytes) -> None:
    files = overlapping(OLD)
    with pytest.raises(MalformedError):
        verify({**files, "keys/log.vkey": files["keys/log.vkey"] + more}, OLD)


def test_a_key_that_came_along_verifies_nothing_by_itself() -> None:
    honest = papers()
    files = {"keys/log.vkey": f"{NEW}\n{OLD}\n".encode(), "receipt.jws": honest.receipt}
    verdict = verify({**files, **entry(3, SAID.raw, proof_of(SAID, 3))}, OLD)
    assert any("receipt signed by" in one for one in verdict.proved)
    with pytest.raises(VerificationError, match="you have not pinned"):
        verify({**files, **entry(3, SAID.raw, proof_of(SAID, 3, signers=(OTHER_SIGNER,)))}, OLD)


ATTEMPTED = evidence(4, kind=Kind.ATTEMPTED)
LONG_AGO = load_vectors("formats.json")["evidence"]["earlier"][0]
"""An attempt that was written down before attempts named contract, schema and record."""


def tried(raw: bytes, **files: bytes) -> str:
    """What a bundle of one attempt proves: nobody has accepted the event."""
    leaf = leaf_of(raw, Kind.ATTEMPTED, AT)
    head, nodes = Head(ORIGIN).append([leaf])
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, head.root()), LOG_SIGNER)
    proof = format_proof(InclusionProof(0, prove_inclusion(0, 1, reader(nodes)), note))
    named = {name.replace("_", "."): part for name, part in files.items()}
    return "\n".join(verify({**entry(0, raw, proof), **named}, OLD).proved)


def test_an_attempt_says_by_what_the_event_went_out() -> None:
    told = tried(ATTEMPTED.raw)
    assert "attempt att_1 says: https://gw.example sent 'A-4' under revision 7 of the contract" in told
    assert f"and schema SHA-256 {'44' * 32}" in told
    assert (
        f"read 'A-4' at offset 4711 of partners.acme.outbound [0], with data of SHA-256 {'55' * 32}" in told
    )


def test_an_attempt_vouches_for_its_schema() -> None:
    text = b'{"name":"com.acme.Accepted","type":"record","fields":[]}'
    schema = {"subject": "s", "version": 1, "id": 1, "fingerprint": hashlib.sha256(text).hexdigest()}
    raw = evidence(4, kind=Kind.ATTEMPTED, schema=schema).raw
    assert "schema.json is what the evidence names, byte for byte" in tried(raw, schema_json=text)
    with pytest.raises(VerificationError, match="the evidence is for another schema"):
        tried(raw, schema_json=text + b" ")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(
            evidence(4, kind=Kind.ATTEMPTED, schema=None, record=None, contract=None).raw, id="null"
        ),
        pytest.param(LONG_AGO["evidence"].encode(), id="before"),
    ],
)
def test_an_attempt_that_names_none_vouches_for_none(raw: bytes) -> None:
    told = tried(raw)
    assert "in attempt 2, and was answered 503 (retry)" in told
    assert "att_1 says" not in told
    with pytest.raises(VerificationError, match="the evidence is for another schema"):
        tried(raw, schema_json=b"{}")


def test_of_a_record_whose_data_is_not_named_the_place_is_told() -> None:
    record = {**ATTEMPTED.members["record"], "sha256": None}
    told = tried(evidence(4, kind=Kind.ATTEMPTED, record=record).raw)
    assert "at offset 4711 of partners.acme.outbound [0], at 2026-" in told


@pytest.mark.parametrize(
    "change", [("schema", b"[]"), ("schema", b'"x"'), ("schema", b"{}"), ("record", b"7"), ("record", b"{}")]
)
def test_an_attempt_with_other_members_is_refused(change: tuple[str, bytes]) -> None:
    name, other = change
    was = json.dumps(ATTEMPTED.members[name], separators=(",", ":")).encode()
    assert was in ATTEMPTED.raw
    with pytest.raises(MalformedError, match="has other members than it should"):
        tried(ATTEMPTED.raw.replace(was, other))


def unproved(files: Mapping[str, bytes], keys: Keys = ERASED.keys) -> str:
    return "\n".join(verify_files([write_tar(files)], keys).not_proved)


def test_evidence_is_erased_where_an_entry_of_the_log_says_so() -> None:
    assert "what entry 4 said: its evidence was erased\n" in unproved(ERASED.files) + "\n"
    verdict = verify_files([ERASED.raw], ERASED.keys)
    assert any("entry 5 of" in one and "erased the evidence of an entry" in one for one in verdict.proved)


def test_evidence_that_is_missing_is_not_called_erased_by_itself() -> None:
    """Whoever makes a bundle can leave out what an entry says."""
    silent = {name: raw for name, raw in ERASED.files.items() if not name.startswith("entries/1/5.")}
    assert "what entry 4 said: its evidence was erased, or was left out of this bundle" in unproved(silent)
    files = dict(ERASED.files)
    # That one entry was erased says nothing of another.
    files["entries/1/2.leaf"] = ERASED.evidence[2].leaf()
    del files["entries/1/2.json"]
    told = unproved(files)
    assert "what entry 2 said: its evidence was erased, or was left out of this bundle" in told
    assert "what entry 4 said: its evidence was erased\n" in f"{told}\n"


GONE = evidence(3, kind=Kind.PARKED)


def expired(origin: str, ranges: list[dict[str, int]], before: int = AT + 5) -> Evidence:
    count = sum(one["to"] - one["from"] for one in ranges)
    members: dict[str, Any] = {"origin": origin, "ranges": ranges, "entries": count, "before": before}
    return evidence(9, kind=Kind.EXPIRED, **members)


@pytest.mark.parametrize(
    ("ranges", "is_said"),
    [
        ([{"from": 1, "to": 2}], True),
        ([{"from": 0, "to": 2}, {"from": 3, "to": 9}], True),
        ([{"from": 0, "to": 1}], False),
        ([{"from": 2, "to": 9}], False),
    ],
)
def test_what_expired_is_told_by_ranges_of_its_epoch(ranges: list[dict[str, int]], *, is_said: bool) -> None:
    assert ("or was left out" not in told_of(expired(ORIGIN, ranges), 3)) == is_said
    assert "or was left out" in told_of(expired(f"{LOG}/2", ranges), 3)


ALL = [{"from": 0, "to": 10**9}]


@pytest.mark.parametrize(
    ("said", "at"),
    [
        pytest.param(expired(ORIGIN, ALL), 0, id="an entry behind it"),
        pytest.param(expired(ORIGIN, ALL, before=1), 3, id="an entry of a later time"),
        pytest.param(expired(ORIGIN, ALL, before=AT + 10**9), 3, id="of a time that had not come"),
        pytest.param(
            evidence(9, kind=Kind.ERASED, leaf_sha256=hash_leaf(GONE.leaf()).hex()), 0, id="erased before"
        ),
    ],
)
def test_what_nobody_can_have_erased_is_not_called_erased(said: Evidence, at: int) -> None:
    """One entry of long ago would else excuse whatever is left out for ever after."""
    assert "or was left out of this bundle" in told_of(said, at)


def told_of(said: Evidence, at: int, gone: bytes = GONE.leaf()) -> str:
    """What is not proved of entry 1, which has no evidence, beside an entry that speaks of it."""
    leaves = [said.leaf() if number == at else b"leaf %d" % number for number in range(4)]
    leaves[1] = gone
    head, nodes = Head(ORIGIN).append(leaves)
    note = sign_checkpoint(Checkpoint(ORIGIN, 4, head.root()), LOG_SIGNER)
    proofs = {n: InclusionProof(n, prove_inclusion(n, 4, reader(nodes)), note) for n in (1, at)}
    files = {f"entries/1/{n}.tlog-proof": format_proof(proof) for n, proof in proofs.items()}
    files |= {f"entries/1/{at}.json": said.raw, "entries/1/1.leaf": gone}
    return unproved(files, Keys({}, ERASED.keys.logs))


def test_an_hour_that_no_calendar_has_is_not_called_expired() -> None:
    """Whoever signs the log may put any leaf into it."""
    leaf = GONE.leaf().replace(GONE.leaf().split(b"\n")[2], b"9999-99-99T00Z")
    assert "or was left out of this bundle" in told_of(expired(ORIGIN, ALL), 3, leaf)
