"""How the gateway is doing, for an operator: roles, logs, lag, broker, what waits, what to worry about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from audit import log as audit_log
from gateway.broker.port import Broker, BrokerError
from gateway.catalog import Catalog, Snapshot
from gateway.database import Database
from gateway.instants import format_instant
from gateway.positions import Progress, load_all
from gateway.rows import BacklogRow, ClaimRow, DeliveryRow

ROLES = ("relay", "sequence")
_INBOUND_ROLES = ("sequence",)


@dataclass(slots=True, kw_only=True, eq=False)
class Status:
    """Looks at everything once. `problems`: what the roles of this process say is wrong, by role.

    `warnings`: what an operator has to see to, though requests are served.
    """

    database: Database
    broker: Broker
    catalog: Catalog
    clock: Callable[[], int]
    roles: Sequence[str]
    problems: Callable[[], Mapping[str, str]]
    warnings: Callable[[], Sequence[str]] = tuple

    async def look(self) -> dict[str, Any]:
        """The document of `GET /v1/status`.

        Raises:
            AwayError: the database is away.
        """
        snapshot = self.catalog.current
        found = await self.database.read(_look)
        lag, broker = await self._lag(snapshot, found.progress)
        problems = [f"{role}: {text}" for role, text in self.problems().items() if text]
        problems += self.warnings()
        return {
            "at": format_instant(self.clock()),
            "revision": snapshot.directory.revision,
            "partners": len(snapshot.directory.partners()),
            "roles": list(self.roles),
            "broker": broker,
            "logs": found.logs,
            "lag": lag,
            "claims": {"unconfirmed": found.unconfirmed},
            "deliveries": found.deliveries,
            "warnings": problems,
        }

    async def ready(self) -> list[str]:
        """What stands in the way of taking events, in words; empty when nothing does.

        Raises:
            AwayError: the database is away.
        """
        await self.database.read(lambda session: session.execute(select(1)).scalar_one())
        away = self.broker.away_for_ms()
        waits = [f"the broker has been away for {away} ms"] if away else []
        return waits + [f"{role}: {text}" for role, text in self.problems().items() if text]

    async def _lag(
        self, snapshot: Snapshot, progress: Mapping[str, Mapping[tuple[str, int], Progress]]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        places = [
            (partner.slug, topic, partition, roles)
            for partner in snapshot.directory.partners()
            for topic, partition, roles in (
                (partner.topics.inbound, partner.topics.inbound_partition, _INBOUND_ROLES),
                (partner.topics.outbound, partner.topics.outbound_partition, ROLES),
            )
            if snapshot.is_ready(topic)
        ]
        away = self.broker.away_for_ms()
        if away and not places:
            # Without a topic there is nothing to ask for; what the broker's connection knows must do.
            return [], {"state": "away", "away_ms": away, "reason": "the broker has not answered yet"}
        try:
            bounds = await self.broker.bounds([(topic, partition) for _, topic, partition, _ in places])
        except BrokerError as error:
            return [], {"state": "away", "away_ms": self.broker.away_for_ms(), "reason": str(error)}
        lag = []
        for (slug, topic, partition, roles), (first, end) in zip(places, bounds, strict=True):
            spot = (snapshot.topic_ids[topic], partition)
            behind = {
                role: end - max(first, done.next if (done := progress[role].get(spot)) else first)
                for role in roles
            }
            lag.append({"partner": slug, "topic": topic, "partition": partition, "end": end, **behind})
        return lag, {"state": "up", "away_ms": 0}


@dataclass(frozen=True, slots=True)
class _Found:
    progress: Mapping[str, Mapping[tuple[str, int], Progress]]
    logs: list[dict[str, Any]]
    unconfirmed: int
    deliveries: dict[str, Any]


def _look(session: Session) -> _Found:
    waiting = session.execute(
        select(col(DeliveryRow.state), func.count(), func.min(DeliveryRow.created_at)).group_by(
            col(DeliveryRow.state)
        )
    ).all()
    unconfirmed = select(func.count()).where(col(ClaimRow.state) == "unconfirmed")
    held = select(func.coalesce(func.sum(BacklogRow.to_offset - BacklogRow.from_offset), 0))
    return _Found(
        {role: load_all(session, role) for role in ROLES},
        [
            {"origin": one.head.origin, "size": one.head.size, "published": one.checkpoint_size}
            for one in audit_log.heads(session)
        ],
        session.execute(unconfirmed).scalar_one(),
        {
            "states": {state: count for state, count, _ in waiting},
            "oldest_at": min((format_instant(oldest) for _, _, oldest in waiting), default=None),
            "backlog": int(session.execute(held).scalar_one()),
        },
    )
