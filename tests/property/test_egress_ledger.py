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
