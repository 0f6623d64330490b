"""Blinded heads: known answers, openings, and what nobody learns."""

import pytest

from audit.checkpoint import Checkpoint
from audit.errors import VerificationError
from audit.heads import LEAST_WIDTH, Roll, commit_head, pack_heads, unpack_heads
from audit.merkle import hash_leaf, verify_inclusion
from tests.unit.audit.builders import load_vectors

VECTOR = load_vectors("formats.json")["anchor"]
SECRET = bytes.fromhex(VECTOR["secret"])
HEADS = [Checkpoint(one["origin"], one["size"], bytes.fromhex(one["root"])) for one in VECTOR["heads"]]


def many(count: int) -> list[Checkpoint]:
    return [
        Checkpoint(f"gw.example/log/{number:04x}/1", number + 1, bytes([number % 256]) * 32)
        for number in range(count)
    ]


def check(roll: Roll, head: Checkpoint) -> None:
    found, opening = roll.open(head.origin)
    assert found == head
    leaf = hash_leaf(commit_head(opening.salt, head))
    verify_inclusion(leaf, opening.place, roll.width, opening.path, roll.root)


def test_the_vector_is_reproduced() -> None:
    roll = Roll(HEADS, SECRET)
    assert (roll.width, roll.root.hex()) == (VECTOR["width"], VECTOR["root"])
    for one in VECTOR["heads"]:
        head, opening = roll.open(one["origin"])
        assert commit_head(opening.salt, head).hex() == one["commitment"]
        assert (opening.salt.hex(), opening.place) == (one["salt"], one["place"])
        assert [value.hex() for value in opening.path] == one["path"]


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200])
def test_every_head_is_opened_whatever_their_number(count: int) -> None:
    heads = many(count)
    roll = Roll(heads, SECRET)
    assert roll.width == max(LEAST_WIDTH, 1 << (count - 1).bit_length())
    for head in heads:
        check(roll, head)


def test_an_opening_shows_no_other_head() -> None:
    roll = Roll(HEADS, SECRET)
    head, opening = roll.open(HEADS[0].origin)
    for other in (
        Checkpoint(head.origin, head.size + 1, head.root),
        Checkpoint(head.origin, head.size, bytes(32)),
        Checkpoint(head.origin + "0", head.size, head.root),
    ):
        leaf = hash_leaf(commit_head(opening.salt, other))
        with pytest.raises(VerificationError):
            verify_inclusion(leaf, opening.place, roll.width, opening.path, roll.root)


def test_neither_places_nor_width_tell_of_the_others() -> None:
    """One more partner changes nothing that an opening of another shows but hashes."""
    few, more = Roll(many(3), SECRET), Roll(many(4), SECRET)
    assert few.width == more.width
    places = {Roll(many(3), bytes([salt]) * 32).open(many(1)[0].origin)[1].place for salt in range(32)}
    assert len(places) > 8


def test_another_secret_is_another_root_and_the_same_one_the_same() -> None:
    assert Roll(HEADS, SECRET).root == Roll(HEADS[::-1], SECRET).root
    assert Roll(HEADS, bytes(32)).root != Roll(HEADS, SECRET).root


def test_a_roll_of_two_heads_of_one_log_is_not_made() -> None:
    with pytest.raises(ValueError, match="one head of each"):
        Roll([HEADS[0], HEADS[0]], SECRET)
    with pytest.raises(ValueError, match="32 bytes"):
        Roll(HEADS, b"short")


def test_a_log_that_is_not_in_it_is_not_opened() -> None:
    with pytest.raises(KeyError):
        Roll(HEADS, SECRET).open("gw.example/log/nobody/1")


def test_packed_heads_read_back() -> None:
    packed = pack_heads(HEADS, "gw.example")
    assert unpack_heads(packed, "gw.example") == sorted(HEADS, key=lambda one: one.origin)
    assert packed == pack_heads(HEADS[::-1], "gw.example")
    assert unpack_heads(b"", "gw.example") == []
    with pytest.raises(ValueError, match="cut short"):
        unpack_heads(packed[:-1], "gw.example")
    with pytest.raises(ValueError, match="begin with"):
        pack_heads(HEADS, "other.example")
