"""How the gateway is doing, for an operator: roles, logs, lag, broker, what waits, what to worry about."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, text
from sqlmodel import Session, col

from audit import log as audit_log
from gateway.broker.port import Broker, BrokerError
from gateway.catalog import Catalog, Snapshot
from gateway.database import Database
from gateway.errors import AwayError
from gateway.instants import format_instant
from gateway.positions import Progress, load_all, share
from gateway.readers import find_begin, left_in, readings, ways
from gateway.rows import BacklogRow, ClaimRow, DeliveryRow
from partners.endpoint import party_of

ROLES = ("relay", "sequence")
_INBOUND_ROLES = ("sequence",)
_MOST_WARNINGS = 50
"""Troubles of topics that are named."""

_MOST_ASKED = 500
"""Topics that are asked for one by one, where one request for all of them fails."""

_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class _Place:
    """A partition that somebody reads. `is_own`: the gateway writes to it, too."""

    partner: str
    topic: str
    partition: int
    roles: tuple[str, ...]
    is_open: bool
    is_own: bool


@dataclass(slots=True)
class _Topics:
    """What the broker says of the partners' topics."""

    broker: dict[str, Any]
    lag: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True, eq=False)
class Status:
    """Looks at everything once. `problems`: what the roles of this process say is wrong, by role.

    `warnings`: what an operator has to see to, though requests are served. `own_topic`: asked for where no
    partner has a topic yet. `anchor`: how it stands with the anchor, as a document and as warnings.
    """

    database: Database
    broker: Broker
    catalog: Catalog
    clock: Callable[[], int]
    roles: Sequence[str]
    problems: Callable[[], Mapping[str, str]]
    warnings: Callable[[], Sequence[str]] = tuple
    own_topic: str | None = None
    anchor: Callable[[Session], tuple[Mapping[str, Any], Sequence[str]]] = lambda _: ({}, ())

    async def look(self) -> dict[str, Any]:
        """The document of `GET /v1/status`.

        Raises:
            AwayError: the database is away.
        """
        snapshot = self.catalog.current
        found = await self.database.read(_look)
        anchor, anchor_warnings = await self.database.read(self.anchor)
        topics = await self._look_at_topics(snapshot, found.progress)
        problems = [f"{role}: {text}" for role, text in self.problems().items() if text]
        problems += [*self.warnings(), *anchor_warnings, *_suspended(snapshot)]
        problems += [*_silenced(snapshot), *topics.warnings]
        return {
            "at": format_instant(self.clock()),
            "revision": snapshot.directory.revision,
            "partners": len(snapshot.directory.partners()),
            "roles": list(self.roles),
            "broker": topics.broker,
            "logs": found.logs,
            "lag": topics.lag,
            "claims": {"unconfirmed": found.unconfirmed},
            "deliveries": found.deliveries,
            **({"anchor": anchor} if anchor else {}),
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
        if not self.catalog.current.is_read:
            waits.append("the partners have not been read from the database yet")
        return waits + [f"{role}: {text}" for role, text in self.problems().items() if text]

    async def _look_at_topics(
        self, snapshot: Snapshot, progress: Mapping[str, Mapping[tuple[str, int], Progress]]
    ) -> _Topics:
        places = _places(snapshot)
        ready = [place for place in places if snapshot.is_ready(place.topic)]
        topics = _Topics({"state": "up", "away_ms": 0})
        topics.warnings += _missing([place for place in places if place.is_open and place not in ready])
        try:
            there = await self._bounds(ready, topics.warnings)
        except BrokerError as error:
            state = "refuses" if error.code == "broker_refused" else "away"
            return _Topics({"state": state, "away_ms": self.broker.away_for_ms(), "reason": str(error)})
        away = self.broker.away_for_ms()
        if away and not ready:
            # Without a topic there is nothing to ask for; what the broker's connection knows must do.
            return _Topics({"state": "away", "away_ms": away, "reason": "the broker has not answered yet"})
        for place, (first, end) in there.items():
            spot = (snapshot.topic_ids[place.topic], place.partition)
            behind = {}
            for role in place.roles:
                done = progress[role].get(spot)
                reached = first if done is None else done.next
                behind[role] = end - max(first, reached)
                topics.warnings += _oddity(place, role, reached, (first, end))
            named = {"partner": place.partner, "topic": place.topic, "partition": place.partition}
            topics.lag.append({**named, "end": end, **behind})
        await self._add_shared(topics, snapshot, progress["relay"], there)
        del topics.warnings[_MOST_WARNINGS:]
        return topics

    async def _add_shared(
        self,
        topics: _Topics,
        snapshot: Snapshot,
        progress: Mapping[tuple[str, int], Progress],
        there: Mapping[_Place, tuple[int, int]],
    ) -> None:
        """How far the relay is with what partners send: for each of those who get it, by itself."""
        bounds = {(place.topic, place.partition): (place, found) for place, found in there.items()}
        asked = 0
        left = left_in(progress)
        for owner, sender in readings(snapshot, snapshot.directory.partners(), ways(snapshot), left):
            spot = (sender.topics.inbound, sender.topics.inbound_partition)
            if spot not in bounds:
                continue  # said already
            place, (first, end) = bounds[spot]
            done = progress.get((share(snapshot.topic_ids[place.topic], owner), place.partition))
            reached = None if done is None else done.next
            if reached is None and asked < _MOST_ASKED:
                asked += 1
                with suppress(BrokerError):
                    reached = await find_begin(self.broker, snapshot, owner, sender, left)
            if reached is None:
                continue
            slug, side = party_of(owner)
            named = {"partner": place.partner, "topic": place.topic, "partition": place.partition}
            reader = "house" if side == "house" else slug
            topics.lag.append({**named, "reader": reader, "end": end, "relay": end - max(first, reached)})
            if done is not None:
                topics.warnings += _oddity(place, "relay", reached, (first, end))

    async def measure(self) -> Mapping[tuple[str, str], int] | None:
        """How many records each role has yet to read, by role and direction; None: it cannot be told now."""
        snapshot = self.catalog.current
        try:
            progress = await self.database.read(
                lambda session: {role: load_all(session, role) for role in ROLES}
            )
            topics = await self._look_at_topics(snapshot, progress)
        except AwayError:
            return None
        if topics.broker["state"] != "up":
            return None
        inbound = {one.topics.inbound for one in snapshot.directory.partners()}
        found = {(role, way): 0 for role in ROLES for way in ("inbound", "outbound")}
        for one in topics.lag:
            way = "inbound" if one["topic"] in inbound else "outbound"
            for role in ROLES:
                found[role, way] += max(0, one.get(role, 0))
        return found

    async def _bounds(self, places: Sequence[_Place], warnings: list[str]) -> dict[_Place, tuple[int, int]]:
        """Of those places that have bounds; words on the others go to `warnings`."""
        if not places:
            if self.own_topic is not None:
                await self.broker.describe([self.own_topic])
            return {}
        try:
            found = await self.broker.bounds([(place.topic, place.partition) for place in places])
            return dict(zip(places, found, strict=True))
        except BrokerError as error:
            if error.code == "broker_refused" or self.broker.away_for_ms():
                raise
        # One topic of many is in trouble: the others are told of all the same.
        turns = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            asked = {place: tasks.create_task(self._ask(place, turns)) for place in places[:_MOST_ASKED]}
        told: dict[_Place, tuple[int, int]] = {}
        silent: dict[_Place, BrokerError] = {}
        for place, task in asked.items():
            answer = task.result()
            if not isinstance(answer, BrokerError):
                told[place] = answer
            elif answer.code == "topic_unknown":
                warnings += _missing([place])
            else:
                silent[place] = answer
        if silent and not told:
            # None answers: the broker is away, and nobody has noticed yet.
            raise next(iter(silent.values()))
        warnings += [_leaderless(place, error) for place, error in silent.items()]
        return told

    async def _ask(self, place: _Place, turns: asyncio.Semaphore) -> tuple[int, int] | BrokerError:
        async with turns:
            try:
                return (await self.broker.bounds([(place.topic, place.partition)]))[0]
            except BrokerError as error:
                return error


def _places(snapshot: Snapshot) -> list[_Place]:
    places = []
    for partner in snapshot.directory.partners():
        topics, is_open = partner.topics, partner.state != "closed"
        inbound = (partner.slug, topics.inbound, topics.inbound_partition, _INBOUND_ROLES)
        places.append(_Place(*inbound, is_open=is_open, is_own=True))
        own = topics.outbound_partition
        numbers = (
            snapshot.partitions_of(topics.outbound, own) if snapshot.is_ready(topics.outbound) else [own]
        )
        places += [
            _Place(partner.slug, topics.outbound, number, ROLES, is_open=is_open, is_own=number == own)
            for number in numbers
        ]
    return places


def _suspended(snapshot: Snapshot) -> list[str]:
    """Silence must not look like peace."""
    found = [one.slug for one in snapshot.directory.partners() if one.state == "suspended"]
    words = [f"{slug} is suspended: nothing is taken from it or sent to it" for slug in found]
    return words[:_MOST_WARNINGS]


def _silenced(snapshot: Snapshot) -> list[str]:
    """Of the house's endpoints no partner is told, and by events only who gets them: so it is said here."""
    found = [
        (slug, one)
        for slug in (each.slug for each in snapshot.directory.partners())
        for one in snapshot.directory.house_endpoints(slug)
        if one.state == "disabled"
    ]
    words = [
        f"the house's endpoint {one.name} ({one.id}) of {slug} is disabled, and what is for it waits: mend "
        f"it, then gateway endpoints resume {one.id} --partner {slug} --house"
        for slug, one in found
    ]
    return words[:_MOST_WARNINGS]


def _missing(places: Sequence[_Place]) -> list[str]:
    return [
        f"{place.topic} [{place.partition}]: the broker has no such topic, or no such partition of it: "
        f"events of {place.partner} get 503 until it is there. The gateway makes missing topics by itself, "
        "where it may; has somebody deleted it, or was it made elsewhere with fewer partitions?"
        for place in places
        if place.is_own
    ]


def _leaderless(place: _Place, error: BrokerError) -> str:
    failing = f"events of {place.partner} get 503, and " if place.is_own else ""
    return (
        f"{place.topic} [{place.partition}]: {error}: while the partition has no leader, {failing}"
        "nothing of it is delivered or logged. Start the broker that has its "
        "replica, and look whether that broker's disk failed or is full"
    )


def _oddity(place: _Place, role: str, reached: int, bounds: tuple[int, int]) -> list[str]:
    first, end = bounds
    where = f"{place.topic} [{place.partition}]"
    if reached > end:
        words = (
            f"{where} ends at {end}, and {role} has read up to {reached}: the broker has lost records that "
            "it had acknowledged (a replica that was behind became leader, or a disk was lost or restored)"
        )
        return [words]
    if reached < first:
        words = (
            f"{where}: retention took {first - reached} records, from offset {reached} to {first}, before "
            f"{role} read them. Is {role} running? Raise broker.retention, and the topic's retention.ms and "
            "retention.bytes; the loss becomes a `retention_hole` entry of the partner's log"
        )
        return [words]
    return []


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
    unconfirmed = select(func.count()).select_from(ClaimRow).where(text("state = 'unconfirmed'"))
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
