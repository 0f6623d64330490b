"""Random bytes that are drawn many at a time."""

import os

from gateway.drawn import Drawn


def test_no_byte_is_handed_out_twice_and_the_system_is_asked_seldom() -> None:
    asked: list[int] = []

    def entropy(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    drawn = Drawn(entropy)
    parts = [drawn.some(16) for _ in range(512)]
    assert {len(part) for part in parts} == {16}
    assert len(set(parts)) == len(parts)
    assert asked == [4_096, 4_096]


def test_every_count_is_given_in_full() -> None:
    drawn = Drawn(bytes)
    assert [len(drawn.some(count)) for count in (4_000, 200, 0, 5_000, 4_096)] == [
        4_000,
        200,
        0,
        5_000,
        4_096,
    ]
