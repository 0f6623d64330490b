"""Thousands of papers that were changed: none verifies, all end in one family of errors, none does worse."""

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from audit.bundle import write_tar
from audit.bundled import read_tar
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import VerificationError
from audit.papers import Keys
from audit.proof import ConsistencyProof, format_consistency
from audit.tree import Head, prove_consistency
from audit.whole import verify_files
from tests.dossier import CONTENT, Dossier, dossier
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, evidence, papers, reader

HONEST = papers()
WHOLE = dossier()
ERASED = dossier(erased=True)


def growth() -> tuple[bytes, bytes]:
    leaves = [b"leaf %d" % number for number in range(13)]
    new, nodes = Head(ORIGIN).append(leaves)
    old = Head(ORIGIN).append(leaves[:6])[0]
    notes = [sign_checkpoint(Checkpoint(ORIGIN, one.size, one.root()), LOG_SIGNER) for one in (old, new)]
    return notes[0], format_consistency(
        ConsistencyProof(6, prove_consistency(6, 13, reader(nodes)), notes[1])
    )


OLD, GROWTH = growth()
CASES: Mapping[str, tuple[bytes, Callable[[bytes], list[bytes]], int]] = {
    # what is changed, what it is given with, and how many changes
    "receipt": (HONEST.receipt, lambda raw: [raw], 600),
    "receipt with proof": (HONEST.receipt, lambda raw: [raw, HONEST.proof], 200),
    "proof": (HONEST.proof, lambda raw: [HONEST.receipt, raw], 600),
    "checkpoint": (OLD, lambda raw: [raw], 300),
    "older checkpoint": (OLD, lambda raw: [raw, GROWTH], 200),
    "consistency": (GROWTH, lambda raw: [OLD, raw], 300),
    "bundle": (WHOLE.raw, lambda raw: [raw], 900),
    "bundle with an erased entry": (ERASED.raw, lambda raw: [raw], 300),
}


def changes(raw: bytes, count: int, *, seed: int) -> Iterator[bytes]:
    """Other bytes than the given ones: a bit flipped, bytes lost, doubled, put in, swapped, cut off."""
    chance = random.Random(seed)  # noqa: S311 - the same changes in every run
    for number in range(count):
        yield change(raw, number % 7, chance)


def change(raw: bytes, way: int, chance: random.Random) -> bytes:
    place, size = chance.randrange(len(raw)), chance.randint(1, 8)
    before, after = raw[:place], raw[place:]
    return (
        before + bytes([raw[place] ^ 1 << chance.randrange(8)]) + after[1:],
        before + bytes([chance.randrange(256)]) + after[1:],
        before + after[size:],
        before + after[:size] + after,
        before + chance.choice([b"\n", b" ", b"A", b"=", b"\0", b"0"]) + after,
        before + after[:2][::-1] + after[2:],
        raw[: max(1, place)],
    )[way]


@pytest.mark.parametrize("name", CASES)
def test_no_changed_paper_verifies(name: str) -> None:
    raw, beside, count = CASES[name]
    keys = replace(WHOLE.keys, parties=()) if "bundle" not in name else WHOLE.keys
    assert verify_files(beside(raw), keys).proved
    tried = 0
    for changed in changes(raw, count, seed=7):
        # White space around a receipt's letters is the file's, not the receipt's.
        if changed.strip() == raw.strip():
            continue
        with pytest.raises(VerificationError) as raised:
            verify_files(beside(changed), keys)
        assert str(raised.value)
        tried += 1
    assert tried > count * 0.8


@pytest.mark.parametrize("member", ["receipt", "proof"])
def test_no_changed_member_of_a_json_bundle_verifies(member: str) -> None:
    whole = {"receipt": HONEST.receipt.decode(), "proof": HONEST.proof.decode()}
    for changed in changes(whole[member].encode(), 150, seed=8):
        text = changed.decode("utf-8", "replace")
        if text.strip() == whole[member].strip():
            continue
        with pytest.raises(VerificationError):
            verify_files([json.dumps(whole | {member: text}).encode()], HONEST.keys)


def exchanged(one: str, other: str) -> dict[str, bytes]:
    files = dict(WHOLE.files)
    files[one], files[other] = files[other], files[one]
    return files


def with_file(name: str, raw: bytes) -> dict[str, bytes]:
    return {**WHOLE.files, name: raw}


def without(name: str) -> dict[str, bytes]:
    return {one: raw for one, raw in WHOLE.files.items() if one != name}


def renamed(one: str, other: str) -> dict[str, bytes]:
    return {other if name == one else name: raw for name, raw in WHOLE.files.items()}


STRANGER = evidence(9).raw
FORGED: Mapping[str, dict[str, bytes]] = {
    "evidence of two entries exchanged": exchanged("entries/1/2.json", "entries/1/4.json"),
    "proofs of two entries exchanged": exchanged("entries/1/2.tlog-proof", "entries/1/4.tlog-proof"),
    "keys exchanged": exchanged("keys/crd_sender.der", "keys/crd_receiver.der"),
    "evidence of another event": with_file("entries/1/2.json", STRANGER),
    "a proof without its evidence": without("entries/1/2.json"),
    "evidence without its proof": without("entries/1/2.tlog-proof"),
    "another contract without its entry": {
        name: raw + b" " * (name == "contract-7")
        for name, raw in WHOLE.files.items()
        if not name.startswith("entries/1/0")
    },
    "an entry at another place": renamed("entries/1/2.tlog-proof", "entries/1/9.tlog-proof"),
    "an entry of another epoch": renamed("entries/1/2.tlog-proof", "entries/2/2.tlog-proof"),
    "another contract": with_file("contract-7", WHOLE.files["contract-7"] + b" "),
    "a contract of another revision": renamed("contract-7", "contract-8"),
    "another schema": with_file("schema.json", b"{}"),
    "another receipt": with_file("receipt.jws", papers(4).receipt),
    "another receipt key": with_file("keys/receipt.der", WHOLE.files["keys/receipt.der"][:-1] + b"\0"),
    "another log key": with_file("keys/log.vkey", b"gw.example/log/k3v9q2/1+00000000+AQ==\n"),
    "something that nothing vouches for": with_file("readme.txt", b"believe me"),
    "a leaf beside its evidence": with_file("entries/1/2.leaf", WHOLE.evidence[2].leaf()),
    "a content that came along": with_file("content", b"another"),
    "another signed request": with_file("sender", WHOLE.files["sender"][:-1] + b"x"),
}


@pytest.mark.parametrize("how", FORGED)
def test_no_bundle_put_together_otherwise_verifies(how: str) -> None:
    assert FORGED[how] != WHOLE.files
    with pytest.raises(VerificationError):
        verify_files([write_tar(FORGED[how])], WHOLE.keys)


def test_a_digest_that_a_sender_chose_vouches_for_nothing() -> None:
    """What stands in an event's id or source is the sender's word, not a digest of the gateway's."""
    fake = b"another contract"
    named = dossier()
    files = {**named.files, "contract-9": fake}
    told = evidence(3, id=hashlib.sha256(fake).hexdigest())
    assert hashlib.sha256(fake).hexdigest().encode() in told.raw
    with pytest.raises(VerificationError):
        verify_files([write_tar(files)], named.keys)


@pytest.mark.parametrize("of", [WHOLE, ERASED], ids=["whole", "erased"])
def test_what_was_not_changed_is_proved_to_the_last_file(of: Dossier) -> None:
    verdict = verify_files([of.raw], of.keys, content=CONTENT)
    for words in (
        "receipt signed by",
        "the receipt is entry 1 of the 11",
        "entry 2 of the 11",
        "contract-7 is what the evidence names",
        "schema.json is what the evidence names",
        "sender is what the evidence names",
        "the content is your copy",
        "key that you gave signed it, as crd_sender",
        "key that you gave signed that it has the event, as crd_receiver",
    ):
        assert any(words in said for said in verdict.proved), words
    assert any("entry 4 said: its evidence was erased" in one for one in verdict.not_proved) == (of is ERASED)
    unknown = verify_files([of.raw], replace(of.keys, parties=()))
    assert any("the sender's key crd_sender signed it" in said for said in unknown.word)
    assert any("the receiver's key crd_receiver signed that" in said for said in unknown.word)


def test_a_bundle_is_read_as_it_was_written() -> None:
    assert read_tar(WHOLE.raw) == WHOLE.files
    assert list(read_tar(WHOLE.raw)) == list(WHOLE.files)


def test_a_bundle_is_an_archive_for_everybody() -> None:
    with tarfile.open(fileobj=io.BytesIO(WHOLE.raw)) as archive:
        assert archive.getnames() == list(WHOLE.files)
        found = archive.extractfile("contract-7")
        assert found is not None
        assert found.read() == WHOLE.files["contract-7"]
        assert {(one.mode, one.uid, one.mtime, one.isreg()) for one in archive} == {(0o644, 0, 0, True)}


def test_without_pins_no_bundle_verifies() -> None:
    with pytest.raises(VerificationError, match="you have not pinned"):
        verify_files([WHOLE.raw], Keys())
