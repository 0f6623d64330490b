"""The use case: check, sign, claim, publish, for one event or a batch.

Crash order (each step may be the last): sign; commit the claim; produce; answer. A repeat of the same request
finds the claim and gets the first receipt, or takes the claim over. Never is anything published that is not
claimed, and never is a 2xx given for what the broker does not have.
"""

import asyncio
import difflib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, ParamSpec, TypeVar

from gateway.broker.port import Broker, Position
from gateway.catalog import Catalog, Snapshot
from gateway.channels import Channel
from gateway.errors import OverloadedError, StoreError
from gateway.event import Direction
from gateway.ingress.claim_book import ClaimBook, Unfit
from gateway.ingress.claims import Claim, Found
from gateway.ingress.content import Reading, Received, read_events
from gateway.ingress.draft import Draft, Unread
from gateway.ingress.outcome import Accepted, Failed, Outcome, Refused, Valid
from gateway.ingress.prepare import Circumstances, Prepared, pin, prepare, raw_key
from gateway.ingress.publish import Publisher
from gateway.ingress.refusals import Refusals
from gateway.ingress.takeover import TakeOvers
from gateway.ingress.turns import take_turns
from gateway.ingress.twins import match_twins
from gateway.ingress.wording import accepted, beyond_allowance, conflict, newly_accepted
from gateway.origin_evidence import Origin

_LARGE_BYTES = 8 * 1024
"""What is larger is read and prepared on a thread: it takes 0.1 to 1 ms a kilobyte."""

_MOST_HINTS = 10
"""Unknown types of one request for which the nearest known one is looked for."""


P = ParamSpec("P")
T = TypeVar("T")

_Checked = Prepared | Refused | Found
_Unfit = dict[int, Unfit]
"""By place in the request: events that today's contract refuses."""

_LOOKED_BACK: Final = frozenset(
    {"event_invalid", "event_too_large", "event_type_unknown", "schema_version_unknown"}
)
"""Refusals that an event may meet though it was accepted once, under an earlier contract."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What one request asks for.

    `strict`: any fault refuses the whole batch. `signed`: the sender's own signature over the request.
    `message_id`: what a signed webhook is called by its sender; `batch_key`: what a batch is. `channel`: of
    an event of our own, which no contract names; nobody else may send one. `send_types`: what the credential
    may send; None: all that the contract names.
    """

    partner: str
    direction: Direction
    items: tuple[Draft | Unread, ...]
    strict: bool
    dry_run: bool
    method: str
    credential: str | None
    idempotency_key: str | None
    signed: Origin | None = None
    message_id: str | None = None
    batch_key: str | None = None
    channel: Channel | None = None
    send_types: frozenset[str] | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Ingress:
    """Takes submissions while it runs; see the module for the order of things.

    `circumstances`: what a request adds to its events; `answer_seconds`: cap. `distrust`: why our clock is
    not to be trusted now, empty where it is: nothing is signed then.
    """

    catalog: Catalog
    broker: Broker
    book: ClaimBook
    publisher: Publisher
    takeovers: TakeOvers
    refusals: Refusals
    circumstances: Callable[[Submission], Circumstances]
    answer_seconds: float
    step: Callable[[str], None]
    distrust: Callable[[], str] = field(default=lambda: "")
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="ingress"), init=False, repr=False
    )

    async def run(self, stop: asyncio.Event) -> None:
        """Own the background work until `stop`; returns once all of it has ended."""
        async with asyncio.TaskGroup() as tasks:
            self.publisher.spawn = tasks.create_task
            sweeper = tasks.create_task(self.refusals.run(stop))
            try:
                await stop.wait()
            finally:
                # Nothing is begun in a group that ends, by its owner's wish or by a failure.
                self.publisher.spawn = None
            await sweeper

    async def read(self, received: Received) -> Reading | Refused:
        """As `read_events`."""
        return await self._compute(len(received.body), read_events, received)

    async def accept(self, submission: Submission) -> list[Outcome]:
        """What became of each item, in order. Answers within the cap, whatever is away."""
        if self.publisher.spawn is None:
            return [Failed("overloaded", "The gateway is stopping; repeat the same request.")] * len(
                submission.items
            )
        if not self.broker.is_taking():
            away = Failed("broker_unavailable", "The broker is away; repeat the same request later.")
            return [away] * len(submission.items)
        if words := self.distrust():
            return [Failed("clock_untrusted", f"{words}.")] * len(submission.items)
        snapshot = await self._snapshot(submission)
        outcomes: list[Outcome]
        try:
            checked, unfit = await self._check(submission, snapshot)
            # What this host computes is not waited for: the cap is on broker and database.
            deadline = asyncio.get_running_loop().time() + self.answer_seconds
            async with asyncio.timeout_at(deadline + 0.1):
                await self._look_back(checked, unfit)
                outcomes = await self._decide(submission, snapshot, checked, deadline)
        except TimeoutError:
            late = Failed(
                "store_unavailable", "The database has not answered in time; repeat the same request."
            )
            return [late] * len(submission.items)
        except (StoreError, OverloadedError) as error:
            failed = Failed(error.code, f"{error}; repeat the same request.")
            return [failed] * len(submission.items)
        if not submission.dry_run and any(isinstance(one, Refused) for one in outcomes):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline + 0.1):
                    await self.refusals.note(submission, outcomes, self.circumstances(submission))
        return outcomes

    async def _snapshot(self, submission: Submission) -> Snapshot:
        """By what the events are judged: where a type is not known, by a new look, before it is refused."""
        known = self.catalog.current
        types = {one.type for one in submission.items if isinstance(one, Draft) and one.type is not None}
        if submission.channel is not None:
            return known
        whose = (submission.partner, submission.direction)
        is_known = all(known.channel(whose[0], one, whose[1]) is not None for one in types)
        return known if is_known else await self.catalog.look_again()

    async def _check(self, submission: Submission, snapshot: Snapshot) -> tuple[list[_Checked], _Unfit]:
        """Prepare each item; beside that, those that are refused but have an id: they may have a claim."""
        loop = asyncio.get_running_loop()
        begun, circumstances = loop.time(), self.circumstances(submission)
        checked: list[_Checked] = []
        unfit: _Unfit = {}
        unknown = 0
        has_places = submission.signed is not None or submission.batch_key is not None
        for number, item in enumerate(submission.items):
            if begun != (begun := await take_turns(begun)):
                circumstances = self.circumstances(submission)
            at = replace(circumstances, place=number) if has_places else circumstances
            if isinstance(item, Unread):
                checked.append(item.refusal)
                continue
            channel = _channel(item, submission, snapshot, with_hint=unknown < _MOST_HINTS)
            one: _Checked
            if isinstance(channel, Channel):
                one = await self._compute(len(item.data), prepare, item, channel, at)
            else:
                unknown += 1
                one = channel
            if isinstance(one, Refused) and one.code in _LOOKED_BACK:
                known = channel if isinstance(channel, Channel) else None
                whose = (submission.partner, submission.direction)
                find = partial(raw_key, item, *whose, channel=known, at=at)
                key = await self._compute(len(item.data), find)
                if key is not None:
                    one = replace(one, key=key)
                    unfit[number] = _unfit(key.ref(), item, known, one)
            checked.append(one)
        self.step("inbound.1.signed")
        return checked, unfit

    async def _compute(self, size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if size <= _LARGE_BYTES:
            return work(*args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *args, **kwargs))

    async def _look_back(self, checked: list[_Checked], unfit: _Unfit) -> None:
        """Put the claims of events that no longer validate, where they are those same events, in place."""
        if not unfit:
            return
        for number, found in zip(unfit, await self.book.find_same(list(unfit.values())), strict=True):
            if found is not None:
                checked[number] = found

    async def _decide(
        self,
        submission: Submission,
        snapshot: Snapshot,
        checked: Sequence[_Checked],
        deadline: float,
    ) -> list[Outcome]:
        whole = submission.strict and len(checked) > 1
        outcomes: list[Outcome | Prepared | Found] = list(checked)
        twins = await match_twins(outcomes, self.book, is_strict=whole)
        if whole and any(isinstance(one, Refused) for one in outcomes):
            return _held_back(outcomes)
        topics = {one.claim.topic for one in outcomes if isinstance(one, Prepared)}
        if topics - snapshot.topic_ids.keys():
            return [Failed("broker_unavailable", "The topic is not ready yet; try again.")] * len(outcomes)
        if submission.dry_run:
            return _as_one(await self._only_look(outcomes, twins), whole=whole)
        return await self._claim(outcomes, twins, whole=whole, deadline=deadline)

    async def _only_look(
        self, outcomes: Sequence[Outcome | Prepared | Found], twins: dict[int, int]
    ) -> list[Outcome]:
        prepared = [one for one in outcomes if isinstance(one, Prepared)]
        held = await self.book.look(prepared)
        answers: list[Outcome] = []
        for number, one in enumerate(outcomes):
            if isinstance(one, Found):
                answers.append(accepted(one.claim, duplicate=True))
            elif not isinstance(one, Prepared):
                answers.append(one)
            elif one.claim.ref not in held:
                answers.append(
                    Valid(one.claim.ref, one.claim.key, one.claim.type, number in twins, one.schema)
                )
            else:
                found, same = held[one.claim.ref]
                answers.append(accepted(found, duplicate=True) if same else conflict(found))
        return answers

    async def _claim(
        self,
        outcomes: list[Outcome | Prepared | Found],
        twins: dict[int, int],
        *,
        whole: bool,
        deadline: float,
    ) -> list[Outcome]:
        prepared = {
            number: one
            for number, one in enumerate(outcomes)
            if isinstance(one, Prepared) and number not in twins
        }
        since = asyncio.get_running_loop().time()
        taken = await self.book.take(list(prepared.values()), whole=whole)
        if isinstance(taken, Failed):
            return [taken] * len(outcomes)
        if any(isinstance(one, Found) and one.mine for one in taken):
            self.step("inbound.2.claimed")
        for number, found in zip(prepared, taken, strict=True):
            outcomes[number] = found
        if whole and any(isinstance(one, Refused) for one in taken):
            return _held_back(outcomes)
        claims = {number: one for number, one in enumerate(outcomes) if isinstance(one, Found)}
        settled = await self._settle(claims, prepared, since, deadline)
        for number, outcome in settled.items():
            outcomes[number] = outcome
        for number, first in twins.items():
            if isinstance(outcomes[number], Prepared):
                outcomes[number] = _repeated(outcomes[first])
        failed = next((one for one in settled.values() if isinstance(one, Failed)), None)
        final = [one for one in outcomes if not isinstance(one, Prepared | Found)]
        return [failed] * len(final) if failed is not None else final

    async def _settle(
        self, claims: dict[int, Found], prepared: Mapping[int, Prepared], since: float, deadline: float
    ) -> dict[int, Outcome]:
        mine = [one for one in claims.values() if one.mine]
        # They were made in one transaction, with one lease.
        until = mine[0].lease_until if mine else 0
        waiting = [one for one in claims.values() if not one.mine and one.claim.state == "unconfirmed"]
        fates = {
            **await self.publisher.publish(
                [one.claim for one in mine], deadline, since=since, own_until=until
            ),
            **(await self.takeovers.settle(waiting, deadline) if waiting else {}),
        }
        outcomes: dict[int, Outcome] = {}
        begun = asyncio.get_running_loop().time()
        for number, one in claims.items():
            begun = await take_turns(begun)
            fate = fates.get(one.claim.ref)
            if isinstance(fate, Failed | Refused):
                outcomes[number] = fate
            elif one.mine:
                outcomes[number] = newly_accepted(prepared[number], fate)
            else:
                outcomes[number] = accepted(_placed(one.claim, fate), duplicate=True)
        return outcomes


def _channel(
    draft: Draft, submission: Submission, snapshot: Snapshot, *, with_hint: bool
) -> Channel | Refused:
    if draft.type is None:
        return Refused("event_type_missing", "The event has no type: name it in the path, or as ce-type.")
    if submission.send_types is not None and draft.type not in submission.send_types:
        return beyond_allowance(draft.type, submission.send_types)
    channel = submission.channel or snapshot.channel(submission.partner, draft.type, submission.direction)
    if channel is not None:
        return channel
    known = sorted(snapshot.types(submission.partner, submission.direction))
    near = difflib.get_close_matches(draft.type, known, 1) if with_hint else []
    hint = f"Did you mean {near[0]}?" if near else None
    listed = ", ".join(known[:20]) if known else "none"
    return Refused(
        "event_type_unknown", f"The contract knows no such type; the types are: {listed}.", hint=hint
    )


def _unfit(ref: bytes, draft: Draft, channel: Channel | None, refused: Refused) -> Unfit:
    if channel is None:
        return Unfit(ref, draft, "plain", frozenset())
    tried = {one.schema_id for one in channel.versions if draft.form.kind == "json"}
    if refused.schema is not None:
        tried.add(refused.schema[2])
    is_tried = refused.code == "event_invalid"
    return Unfit(ref, pin(draft, channel), channel.line.terms.json, frozenset(tried if is_tried else ()))


def _held_back(outcomes: Sequence[Outcome | Prepared | Found]) -> list[Outcome]:
    """A strict batch in which something is refused: all of it is."""
    rest = Refused("batch_refused", "Nothing of this batch was taken, since another event in it is refused.")
    return [one if isinstance(one, Refused) else rest for one in outcomes]


def _as_one(outcomes: list[Outcome], *, whole: bool) -> list[Outcome]:
    is_refused = whole and any(isinstance(one, Refused) for one in outcomes)
    return _held_back(outcomes) if is_refused else outcomes


def _repeated(first: Outcome | Prepared | Found) -> Outcome:
    if isinstance(first, Accepted):
        return replace(first, duplicate=True)
    if isinstance(first, Prepared | Found):
        raise TypeError("the first of twins is settled before the second")
    return first


def _placed(claim: Claim, fate: Position | None) -> Claim:
    return claim if fate is None else replace(claim, position=fate)
