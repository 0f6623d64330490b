"""How much is run: all of it, or a little of everything to try it out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds`: pairs of each case; `seconds`: of each load, `half_seconds` of that at half the rate.

    `deliveries`, `entries`: events of a round. `growth`: numbers of partners beside one; `growth_entries`:
    entries of a round there; `history`: events in the database for the last step of growth.
    """

    rounds: int
    seconds: float
    half_seconds: float
    deliveries: int
    entries: int
    growth: tuple[int, ...]
    growth_rounds: int
    growth_entries: int
    history: int


FULL = Plan(
    rounds=5,
    seconds=5,
    half_seconds=8,
    deliveries=5_000,
    entries=10_000,
    growth=(100, 1_000),
    growth_rounds=3,
    growth_entries=5_000,
    history=1_000_000,
)
QUICK = Plan(
    rounds=1,
    seconds=3,
    half_seconds=3,
    deliveries=1_000,
    entries=4_000,
    growth=(),
    growth_rounds=1,
    growth_entries=1_000,
    history=0,
)
