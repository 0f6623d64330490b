"""Deliveries: whether what waits and what the logs say of it agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Area, Finding

DELIVERIES: Final = Area("deliver")
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class DeliveriesSeen:
    """What was found to disagree, in words (None: nobody could tell), of how many partners of how many."""

    disagreements: tuple[str, ...] | None
    looked: int
    partners: int


def judge(seen: DeliveriesSeen) -> Iterator[Finding]:
    """Judge what was found."""
    if seen.disagreements is None:
        yield DELIVERIES.not_asked("more evidence is on its way to the logs than can be compared: ask later")
        return
    rest = "" if seen.looked == seen.partners else f" (of {seen.looked} of {seen.partners} partners)"
    if not seen.disagreements:
        yield DELIVERIES.ok(f"deliveries and their newest entries agree{rest}")
        return
    for words in seen.disagreements[:_SHOWN]:
        yield DELIVERIES.fault(words, "report this as our bug; see `gateway deliveries show`")
    if len(seen.disagreements) > _SHOWN:
        yield DELIVERIES.fault(f"and {len(seen.disagreements) - _SHOWN} more like these", "as above")
