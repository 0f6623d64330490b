"""The topics of partners as the broker has them: made where they are missing, compared, told to an operator.

A topic is made before anything is written to it or read of it: `there` holds those that are known to exist.
A broker that is away leaves yesterday's topics usable and new ones waiting; the next turn tries again.

What contracts have topics keep (`delivery.hold`) is compared with what they keep at each turn, too, so that
a process that ends between a contract and its topics leaves that to the next one.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from gateway.broker.port import Broker, BrokerError, Topic, TopicSpec
from gateway.logs import logger
from gateway.units import format_duration
from partners.contract import Contract
from partners.directory import Directory
from partners.holding import asks_alike, held_seconds
from partners.partner import Partner

_COMPARE_SECONDS: Final = 30.0
"""How often topics are compared with what they should be; while there is something to mend, sooner.

That one keeps its records longer than wanted, as after a shorter `delivery.hold`, may stay so for good.
"""

_FRESH_SECONDS: Final = 2 * _COMPARE_SECONDS
"""What was found of a topic so lately is told again without asking."""

_SOON_SECONDS: Final = 3.0
_MOST_WARNINGS: Final = 50
_KNOWN_SPECS: Final = 65_536


@dataclass(frozen=True, slots=True)
class There:
    """Topics that are known to exist, by name: the broker's id, and how many partitions there are."""

    ids: Mapping[str, str] = field(default_factory=dict)
    partitions: Mapping[str, int] = field(default_factory=dict)


def held_spec(spec: TopicSpec, held: Mapping[str, int]) -> TopicSpec:
    """What a topic should be like where contracts have it keep its records; `held`: seconds, by topic."""
    least_ms = held.get(spec.name, 0) * 1_000
    if not least_ms:
        return spec
    kept_ms = None if spec.retention_ms is None else max(spec.retention_ms, least_ms)
    return replace(spec, retention_ms=kept_ms, least_ms=least_ms)


class PartnerTopics:
    """See the module. `there`: replaced as a whole. `problem`: what the broker refuses, in words."""

    def __init__(
        self,
        broker: Broker,
        topics: Callable[[Partner], Iterable[TopicSpec]],
        *,
        directory: Callable[[], Directory],
        changed: Callable[[There], None],
        ticks: Callable[[], float],
    ) -> None:
        """`topics`: what a partner's topics should be like, but for holds. `directory`: today's.

        `changed` is told of a new `there`. `ticks`: seconds of a clock that nobody sets.
        """
        self._broker = broker
        self._specs = lru_cache(_KNOWN_SPECS)(lambda partner: tuple(topics(partner)))
        self._directory = directory
        self._changed = changed
        self._ticks = ticks
        self._turn = asyncio.Lock()
        self._found: dict[str, Topic] = {}
        self._compared: dict[str, float] = {}
        self._ensured: dict[str, TopicSpec] = {}
        self._held: tuple[Directory | None, Mapping[str, int]] = None, {}
        self._gone: set[str] = set()
        self._compare_at = 0.0
        self._complete: Directory | None = None
        self.problem = ""
        self.there = There()

    def warnings(self) -> list[str]:
        """How topics differ from what they should be, in words for an operator, and what Kafka refuses."""
        differ = [words for _, found in sorted(self._found.items()) for words in found.mismatches]
        return [*([self.problem] if self.problem else []), *differ[:_MOST_WARNINGS]]

    async def make(self) -> None:
        """Make the topics that are missing; now and then, see how the others differ.

        Raises:
            BrokerError: the broker is away or refuses; what it did not refuse is there.
        """
        async with self._turn:
            now = self._ticks()
            is_due = now >= self._compare_at
            directory = self._directory()
            if directory is self._complete and not is_due:
                return
            specs = [
                spec
                for partner in directory.partners()
                if partner.state != "closed"
                for spec in self._wanted(partner)
            ]
            known = self.there.ids.keys() & self._compared.keys()
            asked = [
                spec
                for spec in specs
                if is_due or spec.name not in known or self._ensured.get(spec.name) != spec
            ]
            if not asked and not is_due:
                self._complete = directory
                return
            if is_due:
                self._compare_at = now + _COMPARE_SECONDS
            try:
                if is_due:
                    await self._find_closed()
                await self._take_in_parts(self._broker.ensure, asked)
            except BrokerError as error:
                self._note_refusal(error)
                raise
            if is_due:
                self.problem = ""
            if self.problem or any(one.is_to_mend() for one in self._found.values()):
                self._compare_at = min(self._compare_at, now + _SOON_SECONDS)

    async def compare(self, partner: Partner) -> tuple[str, ...]:
        """How those of a partner's topics differ that are there already, whoever has made them.

        The broker is asked about those that were not compared within the last minute: of a thousand partners
        each would else be asked about again, though all are compared twice a minute.

        Raises:
            BrokerError: the broker is away or refuses.
        """
        if self._broker.away_for_ms():
            raise BrokerError("broker_unavailable", "the broker is away")
        specs = self._wanted(partner)
        found = await self._look(specs)
        return tuple(words for spec in specs if spec.name in found for words in found[spec.name].mismatches)

    async def foresee(self, partner: Partner, contract: Contract) -> tuple[str, ...]:
        """What becomes of how long topics keep their records, were this the partner's contract; a line each.

        Raises:
            BrokerError: the broker is away or refuses.
        """
        directory, before = self._directory(), self._holds()
        in_force = directory.contract(partner.slug)
        if in_force is not None and asks_alike(in_force, contract):
            return ()
        after = held_seconds(directory, {partner.slug: (partner, contract)})
        if after == before:
            return ()
        if self._broker.away_for_ms():
            raise BrokerError("broker_unavailable", "the broker is away")
        others = [one for one in directory.partners() if one.slug != partner.slug and one.state != "closed"]
        changed = [
            (held_spec(spec, before), held_spec(spec, after))
            for one in (partner, *others)
            for spec in self._specs(one)
            if after.get(spec.name) != before.get(spec.name)
        ]
        found = await self._look([now for _, now in changed])
        told = (_becomes(was, now, found[now.name]) for was, now in changed if now.name in found)
        return tuple(line for line in told if line)

    def remarks(self, partner: Partner) -> tuple[str, ...]:
        """How a partner's topics differed when they were last compared; the broker is not asked."""
        found = (self._found.get(spec.name) for spec in self._specs(partner))
        return tuple(words for each in found if each is not None for words in each.mismatches)

    def change(self, topic: str, topic_id: str | None, *, was: str | None) -> None:
        """Take note that the topic `was` was deleted, or made again, as a reader found.

        Where another one is known by now, that is told late, and changes nothing.
        """
        ids = dict(self.there.ids)
        self._gone.add(topic)
        if ids.get(topic) != was:
            return
        self._compared.pop(topic, None)
        if topic_id is None:
            ids.pop(topic, None)
        else:
            ids[topic] = topic_id
        self._replace(There(ids, self.there.partitions))

    def _holds(self) -> Mapping[str, int]:
        """What today's contracts have topics keep, in seconds."""
        directory = self._directory()
        known, held = self._held
        if known is not directory:
            held = held_seconds(directory)
            self._held = directory, held
        return held

    def _wanted(self, partner: Partner) -> tuple[TopicSpec, ...]:
        held = self._holds()
        return tuple(held_spec(spec, held) for spec in self._specs(partner))

    async def _look(self, specs: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Those that are there: as they were found within the last minute, or are found now."""
        since = self._ticks() - _FRESH_SECONDS
        asked = [spec for spec in specs if self._compared.get(spec.name, -math.inf) < since]
        found = await self._broker.compare(asked) if asked else {}
        fresh = {spec.name: self._found.get(spec.name) for spec in specs if spec not in asked}
        return {**{name: topic for name, topic in fresh.items() if topic is not None}, **found}

    async def _find_closed(self) -> None:
        """Note the topics that closed partners have left, and make none: what they hold is still read."""
        closed = [one for one in self._directory().partners() if one.state == "closed"]
        specs = {spec.name: spec for partner in closed for spec in self._specs(partner)}
        unknown = [specs[name] for name in sorted(specs.keys() - self.there.ids.keys())]
        try:
            await self._take_in_parts(
                lambda some: self._broker.describe([spec.name for spec in some]), unknown
            )
        except BrokerError as error:
            if error.code != "broker_refused":
                raise
            logger(__name__).warning("topics of closed partners are not looked at", reason=str(error))

    async def _take_in_parts(
        self,
        ask: Callable[[Sequence[TopicSpec]], Awaitable[Mapping[str, Topic]]],
        asked: Sequence[TopicSpec],
    ) -> None:
        """Ask for all at once; where one is refused, one by one, so that it holds up no other partner's."""
        parts, refusals = [asked] if asked else [], list[BrokerError]()
        while parts:
            some = parts.pop(0)
            self._gone.clear()
            try:
                found = await ask(some)
                # Of a topic that went meanwhile the answer may be of before that.
                self._take_over({name: one for name, one in found.items() if name not in self._gone})
                self._ensured.update({spec.name: spec for spec in some})
            except BrokerError as error:
                if error.code == "broker_refused" and len(some) > 1:
                    parts = [[one] for one in some]
                else:
                    refusals.append(error)
        if refusals:
            raise refusals[0]

    def _take_over(self, found: Mapping[str, Topic]) -> None:
        """Note what there is; an id that is known changes by `change` alone, in step with readers."""
        for name, topic in found.items():
            known = self._found.get(name)
            for words in set(topic.mismatches).difference(() if known is None else known.mismatches):
                logger(__name__).warning("a topic is not as it should be", reason=words)
        self._found.update(found)
        self._compared.update(dict.fromkeys(found, self._ticks()))
        counts = {name: topic.partitions for name, topic in found.items()}
        ids = {**{name: topic.id for name, topic in found.items()}, **self.there.ids}
        there = There(ids, {**self.there.partitions, **counts})
        if there != self.there:
            self._replace(there)

    def _replace(self, there: There) -> None:
        self.there, self._complete = there, None
        self._changed(there)

    def _note_refusal(self, error: BrokerError) -> None:
        if error.code != "broker_refused":
            return
        self._compare_at = 0.0
        if self.problem != str(error):
            self.problem = str(error)
            logger(__name__).error("a topic cannot be made or looked at", reason=str(error))


def _becomes(was: TopicSpec, now: TopicSpec, found: Topic) -> str:
    """What an apply does about how long a topic keeps its records, as a line of a plan; empty: nothing."""
    keeps_ms = found.keeps_ms
    if keeps_ms is None:
        return ""
    kept, wanted = format_duration(keeps_ms), _time(now.retention_ms)
    if now.is_short(keeps_ms):
        return f"~ topic {now.name}  keeps its records {kept} -> {wanted}"
    if _time(was.retention_ms) != wanted and now.retention_ms is not None and keeps_ms > now.retention_ms:
        return (
            f"? topic {now.name}  keeps its records {kept} as before, {wanted} would do: no topic is ever "
            "shortened by the gateway"
        )
    return ""


def _time(retention_ms: int | None) -> str:
    return "for ever" if retention_ms is None else format_duration(retention_ms)
