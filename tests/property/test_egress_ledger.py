"""Whatever the order of settling: the watermark never passes an unsettled offset, and a restart agrees."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.egress.ledger import Ledger, flatten, unflatten

Steps = list[tuple[str, int]]


@given(
    offsets=st.sets(st.integers(0, 60), max_size=40),
    parts=st.lists(st.integers(1, 3), min_size=61, max_size=61),
    order=st.randoms(use_true_random=False),
    share=st.floats(0, 1),
)
def test_any_order_of_settling_gives_the_right_watermark(
    offsets: set[int], parts: list[int], order: object, share: float
) -> None:
    ledger, waiting = Ledger(0), [n for n in sorted(offsets) for _ in range(parts[n])]
    for offset in sorted(offsets):
        ledger.open(offset, parts[offset])
    ledger.pass_to(61)
    order.shuffle(waiting)  # type: ignore[attr-defined]  # random.Random, which is banned by name
    cut = int(len(waiting) * share)
    for offset in waiting[:cut]:
        ledger.settle(offset)
    owed = set(waiting[cut:])
    assert ledger.watermark == min(owed, default=61)
    inside = {n for first, end in ledger.finished() for n in range(first, end)}
    assert inside == {n for n in range(ledger.watermark, 61) if n not in owed}
    again = Ledger(ledger.watermark, unflatten(flatten(ledger.finished())))
    assert {n for n in range(61) if not again.is_known(n)} == owed
    for offset in sorted(owed):
        again.open(offset, 1)
    for offset in owed:
        again.settle(offset)
    again.pass_to(61)
    assert (again.watermark, again.finished()) == (61, ())


@given(
    first=st.sets(st.integers(10, 30), max_size=12),
    again=st.sets(st.integers(0, 30), max_size=20),
    reached=st.integers(0, 31),
    order=st.randoms(use_true_random=False),
)
def test_what_is_read_from_further_back_is_settled_with_what_was_read_before(
    first: set[int], again: set[int], reached: int, order: object
) -> None:
    ledger = Ledger(10)
    for offset in sorted(first):
        ledger.open(offset, 1)
    ledger.pass_to(31)
    waiting = sorted(first)
    order.shuffle(waiting)  # type: ignore[attr-defined]  # random.Random, which is banned by name
    owed = set(waiting[len(waiting) // 2 :])
    for offset in waiting[: len(waiting) // 2]:
        ledger.settle(offset)
    ledger.go_back(0, 10)
    for offset in sorted(each for each in again if each < reached):
        if not ledger.is_known(offset):
            ledger.open(offset, 1)
            owed.add(offset)
    ledger.pass_to(reached)
    unread = set(range(reached, 10))
    assert ledger.watermark == min(owed | unread, default=31)
    inside = {n for start, end in ledger.finished() for n in range(start, end)}
    assert inside == {n for n in range(ledger.watermark, 31) if n not in owed | unread}
