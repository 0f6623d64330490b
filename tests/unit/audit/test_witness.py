"""What a witness may cosign, case by case."""

import pytest

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import MalformedError
from audit.merkle import EMPTY_ROOT
from audit.note import VerifierKey, format_line
from audit.proof import ConsistencyProof, format_consistency
from audit.tree import Head, prove_consistency
from audit.witness import Fault, Refused, Submission, compare, read_submission, trim
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, OTHER_SIGNER, SeedSigner, reader

LOGS = {ORIGIN: [VerifierKey(ORIGIN, LOG_SIGNER.public_key)]}
LEAVES = [b"leaf %d" % number for number in range(20)]
FORK = [b"leaf %d" % number for number in range(6)] + [b"forged %d" % number for number in range(14)]


def at(size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
    return Checkpoint(ORIGIN, size, Head(ORIGIN).append(leaves[:size])[0].root())


def sent(old: int, size: int, leaves: list[bytes] = LEAVES, signer: SeedSigner = LOG_SIGNER) -> bytes:
    _, nodes = Head(ORIGIN).append(leaves)
    hashes = prove_consistency(old, size, reader(nodes)) if old <= size else ()
    return format_consistency(ConsistencyProof(old, hashes, sign_checkpoint(at(size, leaves), signer)))


def judged(raw: bytes, held: Checkpoint | None) -> Refused | None:
    read = read_submission(raw, LOGS)
    return read if isinstance(read, Refused) else compare(read, held)


@pytest.mark.parametrize(
    ("old", "size"), [(0, 0), (0, 1), (0, 20), (1, 20), (6, 7), (8, 16), (7, 20), (20, 20)]
)
def test_a_log_that_only_grew_is_cosigned(old: int, size: int) -> None:
    held = at(old) if old else None
    assert judged(sent(old, size), held) is None


def test_an_empty_log_may_be_cosigned_again() -> None:
    assert judged(sent(0, 0), at(0)) is None
    assert judged(sent(0, 5), at(0)) is None


@pytest.mark.parametrize(("old", "held"), [(0, 7), (6, 7), (8, 7), (7, 0), (7, 8)])
def test_another_old_size_than_the_one_held_hears_that(old: int, held: int) -> None:
    found = judged(sent(old, 20), at(held) if held else None)
    assert found is not None
    assert (found.fault, found.held) == (Fault.CONFLICT, held)


def test_a_fork_is_not_cosigned_with_whatever_proof() -> None:
    """The same size with another root; a larger tree that is another; the honest tree's proof under it."""
    for raw in (sent(10, 10, FORK), sent(10, 20, FORK)):
        found = judged(raw, at(10))
        assert found is not None
        assert found.fault is Fault.INCONSISTENT
    honest = sent(10, 20).partition(b"\n\n")[0]
    forged = sent(10, 20, FORK).partition(b"\n\n")[2]
    found = judged(honest + b"\n\n" + forged, at(10))
    assert found is not None
    assert found.fault is Fault.INCONSISTENT


def test_a_shorter_tree_is_no_continuation() -> None:
    found = judged(sent(10, 6), at(10))
    assert found is not None
    assert found.fault is Fault.SHRUNK


def test_from_nothing_there_is_nothing_to_prove() -> None:
    raw = sent(3, 20)
    head, _, note = raw.partition(b"\n\n")
    hashes = head.partition(b"\n")[2]
    found = judged(b"old 0\n" + hashes + b"\n\n" + note, None)
    assert found is not None
    assert found.fault is Fault.INCONSISTENT


def test_an_empty_log_has_the_empty_root() -> None:
    shown = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), LOG_SIGNER)
    found = judged(format_consistency(ConsistencyProof(0, (), shown)), None)
    assert found is not None
    assert found.fault is Fault.INCONSISTENT
    assert at(0).root == EMPTY_ROOT


def test_a_log_that_is_not_known_and_one_that_did_not_sign_are_told_apart() -> None:
    other = "gw.example/log/other/1"
    shown = sign_checkpoint(Checkpoint(other, 0, EMPTY_ROOT), LOG_SIGNER)
    found = judged(format_consistency(ConsistencyProof(0, (), shown)), None)
    assert found is not None
    assert found.fault is Fault.UNKNOWN_LOG
    found = judged(sent(0, 5, signer=OTHER_SIGNER), None)
    assert found is not None
    assert found.fault is Fault.UNSIGNED


def test_a_wrong_signature_by_a_known_key_is_refused() -> None:
    raw = sent(0, 5)
    found = judged(raw.replace(b"\n5\n", b"\n6\n"), None)
    assert found is not None
    assert found.fault is Fault.UNSIGNED


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"old 0\n\n",
        b"old 00\n\n" + sent(0, 5).partition(b"\n\n")[2],
        b"old -1\n\n" + sent(0, 5).partition(b"\n\n")[2],
        b"old 9223372036854775808\n\n" + sent(0, 5).partition(b"\n\n")[2],
        sent(0, 5).replace(b"old 0\n", b"old 0"),
        sent(0, 5).replace(b"\n", b"\r\n"),
        sent(0, 5)[:-1],
        b"old 5\n" + b"A" * 43 + b"=\n" * 1 + b"x\n\n" + sent(0, 5).partition(b"\n\n")[2],
        b"old 5\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + sent(0, 5).partition(b"\n\n")[2],
        b"\xff" + sent(0, 5),
    ],
)
def test_what_is_no_submission_is_refused(raw: bytes) -> None:
    found = judged(raw, None)
    assert found is not None
    assert found.fault is Fault.MALFORMED


def test_either_key_of_a_log_will_do_while_it_rotates() -> None:
    keys = [VerifierKey(ORIGIN, OTHER_SIGNER.public_key), *LOGS[ORIGIN]]
    assert isinstance(read_submission(sent(0, 5), {ORIGIN: keys}), Submission)
    assert isinstance(read_submission(sent(0, 5, signer=OTHER_SIGNER), {ORIGIN: keys}), Submission)


def crowded(raw: bytes, count: int) -> bytes:
    """With so many more lines of nobody's."""
    lines = (format_line(f"nobody{number}", b"aaaa", bytes(64)).encode() for number in range(count))
    return raw + b"".join(lines)


def test_of_what_was_sent_the_lines_of_the_log_alone_are_kept() -> None:
    read = read_submission(crowded(sent(0, 5), 99), LOGS)
    assert isinstance(read, Submission)
    assert read.note == sign_checkpoint(at(5), LOG_SIGNER)


def test_a_line_that_stands_there_twice_is_kept_once() -> None:
    raw = sent(0, 5)
    line = raw.splitlines(keepends=True)[-1]
    read = read_submission(raw + line, LOGS)
    assert isinstance(read, Submission)
    assert read.note == sign_checkpoint(at(5), LOG_SIGNER)


def test_what_is_kept_with_too_many_lines_is_trimmed_to_those_that_count() -> None:
    signed, own = sign_checkpoint(at(5), LOG_SIGNER), ("witness.example/w1", b"abcd")
    mine = format_line(*own, bytes(72)).encode()
    assert trim(crowded(signed, 120) + mine, LOGS, own) == signed + mine
    assert trim(crowded(signed, 120) + mine, {}, own) == signed.rpartition(b"\n\n")[0] + b"\n\n" + mine
    for raw in (b"", b"text\n\nno line\n", crowded(signed, 3).rpartition(b"\n\n")[0], crowded(signed, 3)):
        with pytest.raises(MalformedError):
            trim(raw, {}, own)
