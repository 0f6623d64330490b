"""Columns made of many entries at once are the rows that each of them makes by itself."""

import pytest

from audit.evidence import Kind
from audit.pressing import press
from audit.ranges import Held
from gateway.exports.filling import _Taken
from tests.made_logs import KINDS, mixed


def held(number: int, *, is_erased: bool = False) -> Held:
    made = mixed(number)
    return (number, made.leaf(), None if is_erased else press(made.raw), None, made.kind.value)


def taken(*numbers: int, erased: frozenset[int] = frozenset()) -> _Taken:
    raws = [None if number in erased else mixed(number).raw for number in numbers]
    contents = ["base64:eA==" if number % 5 == 0 else None for number in numbers]
    return _Taken(1, [held(number, is_erased=number in erased) for number in numbers], raws, contents)


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_is_the_same_at_once_and_one_by_one(kind: Kind) -> None:
    some = taken(*(number for number in range(12 * len(KINDS)) if mixed(number).kind is kind))
    assert some.held, "the mixed log lacks this kind"
    together, alone = some.alike(), some.one_by_one()
    assert [tuple(column) for column in together[0]] == list(alone[0])
    assert together[1] == alone[1]


def test_so_are_all_kinds_with_some_of_them_erased() -> None:
    numbers = range(4 * len(KINDS))
    some = taken(*numbers, erased=frozenset(numbers[3::7]))
    together, alone = some.alike(), some.one_by_one()
    assert [tuple(column) for column in together[0]] == list(alone[0])
    assert together[1] == alone[1]
