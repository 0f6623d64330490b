"""Witnesses meet bytes of anybody: they raise their family alone, and cosign one history, whatever comes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.anchor import format_anchor_proof, parse_anchor_proof, verify_anchor_proof
from audit.checkpoint import Checkpoint
from audit.cosignature import parse_cosigner_key
from audit.errors import MalformedError, VerificationError
from audit.heads import Roll, commit_head
from audit.merkle import hash_leaf, verify_inclusion
from audit.policy import parse_policy
from audit.witness import Refused, compare, read_submission
from tests.property.test_audit_parsers import ANY_TEXT, changed, fails_only_as
from tests.unit.audit.anchors import WITNESSES, Anchor, policy
from tests.unit.gateway.witness.submissions import FORGED, HONEST, LOGS, checkpoint_of, submission

ANCHOR = Anchor()
PAPER = format_anchor_proof(ANCHOR.proof())
POLICY = (
    f"witness a {WITNESSES[0].key} https://w.example\nwitness b {WITNESSES[1].key}\n"
    "group g all a b\nquorum g\n"
).encode()
GOOD: dict[Callable[[bytes], Any], bytes] = {parse_policy: POLICY, parse_anchor_proof: PAPER}
SENT = submission(6, 20)


@pytest.mark.parametrize("parse", GOOD, ids=lambda parse: str(parse.__name__))
@given(drawn=st.data())
@settings(max_examples=150, deadline=None)
def test_readers_of_bytes_raise_malformed_alone(parse: Callable[[bytes], Any], drawn: st.DataObject) -> None:
    raw = drawn.draw(st.one_of(st.binary(max_size=200), changed(GOOD[parse])))
    fails_only_as(MalformedError, lambda: parse(raw))


@given(ANY_TEXT, st.integers(0, 80))
@settings(max_examples=200, deadline=None)
def test_a_cosigners_key_has_one_spelling(text: str, place: int) -> None:
    good = str(WITNESSES[0].key)
    for each in (text, good[:place] + text + good[place:], good[:place] + text + good[place + 1 :]):
        fails_only_as(MalformedError, partial(parse_cosigner_key, each))


@given(changed(PAPER))
@settings(max_examples=300, deadline=None)
def test_a_changed_proof_of_anchoring_never_says_another_thing(raw: bytes) -> None:
    """Unknown members and white space may change; what is shown may not."""
    honest = verify_anchor_proof(ANCHOR.proof(), ANCHOR.leaf, policy())
    try:
        found = verify_anchor_proof(parse_anchor_proof(raw), ANCHOR.leaf, policy())
    except VerificationError:
        return
    # A line may have been damaged so that it names nobody any more.
    assert (found.head, found.at, found.checkpoint) == (honest.head, honest.at, honest.checkpoint)
    assert set(found.seen) <= set(honest.seen)


@given(st.one_of(st.binary(max_size=300), changed(SENT)))
@settings(max_examples=300, deadline=None)
def test_a_submission_is_read_or_refused_whatever_it_is(raw: bytes) -> None:
    read = read_submission(raw, LOGS)
    if not isinstance(read, Refused):
        # What is signed cannot be changed; the proof is judged by itself.
        assert read.checkpoint == checkpoint_of(20)
        refused = compare(read, checkpoint_of(6))
        assert (refused is None) == (read.hashes == read_hashes() and read.old == 6)


def read_hashes() -> tuple[bytes, ...]:
    read = read_submission(SENT, LOGS)
    assert not isinstance(read, Refused)
    return read.hashes


SIZES = st.integers(0, len(HONEST))


@given(st.lists(st.tuples(SIZES, SIZES, st.booleans()), max_size=12))
@settings(max_examples=150, deadline=None)
def test_whatever_it_is_sent_in_whatever_order_it_cosigns_one_history(
    sent: list[tuple[int, int, bool]],
) -> None:
    held: Checkpoint | None = None
    cosigned: list[Checkpoint] = []
    for old, size, is_forged in sent:
        # As a log that knows what the witness holds would ask, or one that does not.
        start = held.size if held is not None and old % 2 else old
        read = read_submission(submission(start, size, FORGED if is_forged else HONEST), LOGS)
        if not isinstance(read, Refused) and compare(read, held) is None:
            held = read.checkpoint
            cosigned.append(held)
    assert [one.size for one in cosigned] == sorted(one.size for one in cosigned)
    honest, forged = ([checkpoint_of(one.size, leaves) for one in cosigned] for leaves in (HONEST, FORGED))
    assert cosigned in (honest, forged)


@given(st.sets(st.integers(0, 1 << 40), min_size=1, max_size=150), st.binary(min_size=32, max_size=32))
@settings(max_examples=40, deadline=None)
def test_each_head_of_a_roll_is_opened_and_no_other_fits(numbers: set[int], secret: bytes) -> None:
    heads = [Checkpoint(f"gw.example/log/{number}/1", number, number.to_bytes(32)) for number in numbers]
    roll = Roll(heads, secret)
    for head in heads[:5]:
        found, opening = roll.open(head.origin)
        leaf = hash_leaf(commit_head(opening.salt, found))
        verify_inclusion(leaf, opening.place, roll.width, opening.path, roll.root)
        other = Checkpoint(head.origin, head.size + 1, head.root)
        with pytest.raises(VerificationError):
            verify_inclusion(
                hash_leaf(commit_head(opening.salt, other)),
                opening.place,
                roll.width,
                opening.path,
                roll.root,
            )
