"""What processes tell each other of what partners send, in SQL: demand of the last seconds, bytes a day."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, select, text
from sqlmodel import Session, col

from gateway.ingress.quota import DAY_MS
from gateway.rows import DemandRow, UsageRow

FRESH_MS: Final = 5_000
"""What a process has told is believed this long."""

SKEW_MS: Final = 5_000
"""By which the clocks of two database servers may differ: a demand that seems too old may be fresh."""

SharedClock = Callable[[Session], int]
"""Unix milliseconds that all processes agree on: the database's."""

_KEPT_DAYS: Final = 35
_TELL: Final = text(
    "INSERT INTO gateway_demand (partner, owner, wanted, until) VALUES (:partner, :owner, :wanted, :until)"
    " ON CONFLICT (partner, owner) DO UPDATE SET wanted = excluded.wanted, until = excluded.until"
)
_ADD: Final = text(
    "INSERT INTO gateway_usage (partner, day, bytes) VALUES (:partner, :day, :bytes)"
    " ON CONFLICT (partner, day) DO UPDATE SET bytes = gateway_usage.bytes + excluded.bytes"
)


@dataclass(frozen=True, slots=True)
class Told:
    """What one process has seen since it told last, by partner: events wanted a second; bytes taken."""

    wanted: Mapping[str, float]
    taken: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the others want now, by partner: events a second, and how many they are; bytes of all today."""

    others: Mapping[str, tuple[float, int]]
    used: Mapping[str, int]


def exchange_now(session: Session, owner: str, told: Told, clock: SharedClock) -> tuple[Heard, int]:
    """As `exchange`, and the day of UTC that it was for."""
    now = clock(session)
    return exchange(session, owner, told, now=now), now // DAY_MS


def sweep_now(session: Session, clock: SharedClock) -> None:
    """As `sweep`."""
    sweep(session, now=clock(session))


def exchange(session: Session, owner: str, told: Told, *, now: int) -> Heard:
    """Tell, and hear of the same partners. Rows are locked in the order of their keys.

    `now`: of the database's clock, Unix milliseconds: what one host's says wrongly would be believed by all.
    """
    day = now // DAY_MS
    if told.wanted:
        until = now + FRESH_MS
        demand = [
            {"partner": partner, "owner": owner, "wanted": wanted, "until": until}
            for partner, wanted in sorted(told.wanted.items())
        ]
        session.execute(_TELL, demand)
    taken = [
        {"partner": partner, "day": day, "bytes": count}
        for partner, count in sorted(told.taken.items())
        if count
    ]
    if taken:
        session.execute(_ADD, taken)
    return _hear(session, owner, sorted({*told.wanted, *told.taken}), now)


def sweep(session: Session, *, now: int) -> None:
    """Forget what nobody believes any more, and the bytes of days long past."""
    session.execute(delete(DemandRow).where(col(DemandRow.until) < now - 2 * SKEW_MS))
    session.execute(delete(UsageRow).where(col(UsageRow.day) < now // DAY_MS - _KEPT_DAYS))


def _hear(session: Session, owner: str, partners: list[str], now: int) -> Heard:
    wanted = (
        select(col(DemandRow.partner), func.sum(col(DemandRow.wanted)), func.count())
        .where(
            col(DemandRow.partner).in_(partners),
            col(DemandRow.owner) != owner,
            # One of a time that was never is not believed until that time has come.
            col(DemandRow.until).between(now - SKEW_MS, now + FRESH_MS + SKEW_MS),
        )
        .group_by(col(DemandRow.partner))
    )
    used = select(col(UsageRow.partner), col(UsageRow.bytes)).where(
        col(UsageRow.partner).in_(partners), col(UsageRow.day) == now // DAY_MS
    )
    others = {partner: (float(total), count) for partner, total, count in session.execute(wanted)}
    return Heard(others, {partner: int(count) for partner, count in session.execute(used)})
