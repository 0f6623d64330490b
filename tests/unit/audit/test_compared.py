"""Checkpoints that people hold beside each other."""

import pytest

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import InconsistentError, MalformedError, UnpinnedKeyError
from audit.judging import verify_papers
from audit.papers import Keys
from audit.verify import Verdict
from tests.unit.audit.builders import LOG, LOG_SIGNER, ORIGIN, OTHER_SIGNER, papers

HONEST = papers()


def signed(size: int, root: bytes = bytes(32), origin: str = ORIGIN) -> bytes:
    return sign_checkpoint(Checkpoint(origin, size, root), LOG_SIGNER)


def verify(*files: bytes, keys: Keys = HONEST.keys) -> Verdict:
    return verify_papers(files, keys)[0]


def test_two_roots_at_one_size_are_a_fork() -> None:
    with pytest.raises(InconsistentError, match=f"fork: two histories, by the root of 7 entries of {ORIGIN}"):
        verify(signed(7), signed(7, b"\x01" * 32))


def test_two_signatures_of_one_root_are_none() -> None:
    note = signed(7)
    more = note + "\u2014 somebody.example AAAAAAAAAAAAAAAA\n".encode()
    assert verify(note, note, more).proved == verify(note).proved


def test_of_two_sizes_growth_is_not_proved() -> None:
    verdict = verify(signed(9), signed(7), signed(3, origin=f"{LOG}/2"))
    assert f"that {ORIGIN} only grew from 7 to 9 entries" in verdict.not_proved
    assert len([one for one in verdict.proved if one.startswith("checkpoint of ")]) == 3
    assert not any(LOG + "/2 only grew" in one for one in verdict.not_proved)


def test_they_are_compared_with_what_other_papers_show() -> None:
    with pytest.raises(InconsistentError, match="by the root of 11 entries"):
        verify(HONEST.receipt, HONEST.proof, signed(7), signed(11))


def test_a_checkpoint_by_a_key_that_nobody_pinned_is_refused() -> None:
    stranger = sign_checkpoint(Checkpoint(ORIGIN, 7, b"\x01" * 32), OTHER_SIGNER)
    with pytest.raises(UnpinnedKeyError):
        verify(signed(7), stranger)


def test_beside_a_consistency_proof_there_is_one() -> None:
    with pytest.raises(MalformedError, match="two different ones"):
        verify(signed(7), signed(9), b"old 7\n\n" + signed(12))
