"""The order of the tests on several workers: all of them run, and none of them twice."""

from pathlib import PurePath

from tests.dealing import dealt, takes_long

SHORT = [(PurePath(f"tests/unit/test_{file}.py"), number) for file in "abcd" for number in range(40)]
LONG = [(PurePath(f"tests/faults/test_{file}.py"), number) for file in "abcde" for number in range(7)]


def in_thirds(tests: list[tuple[PurePath, int]]) -> list[list[tuple[PurePath, int]]]:
    first = len(tests) // 3
    second = first + (len(tests) - first) // 2
    return [tests[:first], tests[first:second], tests[second:]]


def test_each_worker_begins_with_whole_files_of_long_tests() -> None:
    found = dealt(LONG + SHORT, 3, lambda one: one[0])
    assert sorted(found) == sorted(LONG + SHORT)
    seen: list[set[PurePath]] = []
    for third in in_thirds(found):
        lengths = [takes_long(path) for path, _ in third]
        assert lengths[0]
        assert lengths == sorted(lengths, reverse=True)
        seen.append({path for path, _ in third if takes_long(path)})
    assert [len(one) for one in seen] == [2, 2, 1]
    assert len(set.union(*seen)) == 5


def test_where_nearly_all_take_long_the_order_stays() -> None:
    few = LONG + SHORT[:1]
    assert dealt(few, 3, lambda one: one[0]) == few


def test_one_worker_has_the_long_ones_first() -> None:
    assert dealt(SHORT + LONG, 1, lambda one: one[0]) == LONG + SHORT
