"""A log read by an outsider: only entries that make the signed root are taken."""

from collections import Counter

import pytest

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import InconsistentError, VerificationError
from audit.evidence import Kind
from audit.note import VerifierKey
from audit.papers import Keys
from audit.tree import Head
from gateway.cli.demo_log import rebuild
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, OTHER_SIGNER, evidence, verify_growth

KEY = VerifierKey(ORIGIN, LOG_SIGNER.public_key)
LEAVES = [evidence(0, kind=Kind.REFUSED).leaf(), *(evidence(number).leaf() for number in range(1, 300))]


def checkpoint(leaves: list[bytes]) -> bytes:
    head, _ = Head(ORIGIN).append(leaves)
    return sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), LOG_SIGNER)


def test_a_whole_log_is_rebuilt_and_its_kinds_are_counted() -> None:
    whole = rebuild(checkpoint(LEAVES), KEY, LEAVES)
    assert whole.checkpoint.size == 300
    assert whole.kinds() == Counter({"event.accepted": 299, "event.refused": 1})


@pytest.mark.parametrize(
    "leaves",
    [LEAVES[:-1], [*LEAVES, LEAVES[-1]], LEAVES[::-1], [*LEAVES[:-1], b"gateway-leaf/v1\nevent.accepted\n"]],
    ids=["short", "long", "turned", "changed"],
)
def test_entries_that_do_not_make_the_signed_root_are_refused(leaves: list[bytes]) -> None:
    with pytest.raises(InconsistentError):
        rebuild(checkpoint(LEAVES), KEY, leaves)


def test_a_checkpoint_of_another_signer_is_refused() -> None:
    with pytest.raises(VerificationError):
        rebuild(checkpoint(LEAVES), VerifierKey(ORIGIN, OTHER_SIGNER.public_key), LEAVES)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 299, 300])
def test_growth_since_an_older_checkpoint_is_proved(size: int) -> None:
    old = checkpoint(LEAVES[:size])
    grown = rebuild(checkpoint(LEAVES), KEY, LEAVES).growth_from(old)
    verdict = verify_growth(old, grown, Keys(logs=(KEY,)))
    assert f"{ORIGIN} only grew from {size} to 300 entries" in verdict.proved


def test_a_log_that_was_rewritten_is_found_out() -> None:
    old = checkpoint([evidence(900).leaf(), *LEAVES[1:40]])
    grown = rebuild(checkpoint(LEAVES), KEY, LEAVES).growth_from(old)
    with pytest.raises(InconsistentError):
        verify_growth(old, grown, Keys(logs=(KEY,)))
