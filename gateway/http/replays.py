"""Replays: jobs that hand events to their endpoints once more."""

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, cast

from starlette.responses import Response

from gateway import redelivery
from gateway.administration.desk import Administration
from gateway.administration.evidence import Author
from gateway.catalog import Snapshot
from gateway.egress import replay_store, traces
from gateway.egress.replay import MOST_RATE, WHICH, Replay, Stretch, Which, Wish
from gateway.egress.sources import origins
from gateway.egress.undelivered import find_holds
from gateway.errors import CallerError
from gateway.http import deliveries_told as telling
from gateway.http.delivery_items import replay_item
from gateway.http.guard import Call, find_surely, not_found
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.pages import newest_first, sealed_page
from gateway.http.parameters import flag, parse_instant
from gateway.http.reading import read_members
from gateway.http.shapes import ref
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, PAGED, Body, Reply, shows, tells
from gateway.http.words import json_response
from gateway.redelivery import Whose
from partners.contract import Direction
from partners.endpoint import OPERATIONAL, Endpoint, party_of

CREATE_OFFERED: Final = frozenset({"dry_run"})
CANCEL_OFFERED: Final = frozenset({"dry_run"})
_MEMBERS: Final = ("endpoint", "since", "until", "which", "types", "rate")
_MOST_TYPES: Final = 100
_ID: Final = re.compile(r"rpl_[a-z2-7]{26}", re.ASCII)


@tells(
    "createReplay",
    "Receive",
    "Replay the events of a time",
    Reply(
        202,
        "It is begun within a second or two.",
        {JSON: ref("Replay")},
        {"Location": "The replay.", "Idempotent-Replayed": REPLAYED},
    ),
    about=telling.CREATE,
    parameters=(DRY_RUN, KEY),
    body=Body({JSON: ref("ReplayWanted")}),
    errors=(*BODY_ERRORS, *ONCE_ERRORS, "limit_reached", "outcome_unknown", "state_conflict"),
)
async def create_replay(call: Call) -> Response:
    """Find out which records a replay has to read, and make it."""
    values = call.doors.values
    members = await read_members(call.request, _MEMBERS, seconds=values.body_seconds)
    replay_id = "rpl_" + base64.b32encode(call.doors.entropy(16)).decode().rstrip("=").lower()
    author, now, whose = _author(call), call.doors.honest(), _whose(call)

    async def begin(administration: Administration) -> Replay:
        # Here, since a repeat has its answer whatever became of endpoint or broker meanwhile.
        wish = await find_surely(call, lambda known: _wish(known, members))
        stretches = await _stretches(call, wish)
        return await administration.change(
            lambda session, scribe: redelivery.begin_replay(
                session, scribe, whose, (replay_id, wish, stretches), author, now=now
            )
        )

    return await once(
        call,
        members,
        begin,
        lambda made: _begun(replay_item(made, call.base, None)),
    )


@tells(
    "listReplays",
    "Receive",
    "The replays, newest first",
    shows(ref("ReplayPage"), "Those that have ended too.", Link="Next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_replays(call: Call) -> Response:
    """Replays of the owner, newest first."""
    owner = call.endpoints_owner
    bound = ("replays", owner)
    shown, following = await newest_first(
        call,
        bound,
        lambda session, after, most: replay_store.page(session, owner, after=after, limit=most),
    )
    slugs = [party_of(one.wish.owner)[0] for one in shown]
    waits = await _waits(call, set(slugs))
    items = [
        replay_item(one, call.base_of(slug), _why(one, waits[slug]))
        for one, slug in zip(shown, slugs, strict=True)
    ]
    return sealed_page(call, items, bound, following)


@tells(
    "showReplay",
    "Receive",
    "One replay",
    shows(ref("Replay"), "How far it is, and what it found."),
    parameters=(telling.REPLAY_ID,),
)
async def show_replay(call: Call) -> Response:
    """One replay."""
    found, slug = await _find(call), call.partner.slug
    waits = await _waits(call, {slug})
    return json_response(replay_item(found, call.base, _why(found, waits[slug])))


@tells(
    "cancelReplay",
    "Receive",
    "Cancel a replay",
    shows(
        ref("Replay"),
        "Cancelled, now or before; what was handed over is delivered all the same.",
        Idempotent_Replayed=REPLAYED,
    ),
    parameters=(telling.REPLAY_ID, DRY_RUN, KEY),
    errors=(*ONCE_ERRORS, "outcome_unknown", "state_conflict"),
)
async def cancel_replay(call: Call) -> Response:
    """Have a replay hand over no more."""
    found, author, now = await _find(call), _author(call), call.doors.honest()
    whose, dry_run = _whose(call), flag(call.query, "dry_run")
    return await once(
        call,
        {},
        lambda administration: administration.change(
            lambda session, scribe: redelivery.cancel_replay(
                session, scribe, whose, found.id, author, now=now
            ),
            dry_run=dry_run,
        ),
        lambda ended: Done(replay_item(ended, call.base, None)),
    )


def _wish(call: Call, members: Mapping[str, Any]) -> Wish:
    now, owner = call.doors.clock(), call.endpoints_owner
    since = _instant(members, "since", now)
    if since is None:
        raise CallerError("parameter_invalid", "The member since is missing: from when on to replay.")
    until = _instant(members, "until", now)
    until = now if until is None else min(until, now)
    endpoint, which = members.get("endpoint"), members.get("which", "undelivered")
    types, rate = members.get("types", []), members.get("rate")
    if since >= until:
        raise CallerError("parameter_invalid", "The member since must be before until, and before now.")
    if endpoint is not None and not any(one.id == endpoint for one in _mine(call)):
        raise CallerError("parameter_invalid", "The member endpoint must be the id of an endpoint, ep_....")
    if which not in WHICH:
        raise CallerError("parameter_invalid", f"The member which must be one of {', '.join(WHICH)}.")
    way: Direction = "inbound" if call.of_house else "outbound"
    known = [*call.snapshot.all_types(call.partner.slug, way), *OPERATIONAL]
    if not isinstance(types, list) or len(types) > _MOST_TYPES or not all(one in known for one in types):
        listed = ", ".join(sorted(known)[:20]) or "none"
        raise CallerError("parameter_invalid", f"The member types must list event types, of: {listed}.")
    if rate is not None and not (type(rate) is int and 1 <= rate <= MOST_RATE):
        text = f"The member rate must be a whole number from 1 to {MOST_RATE}, events a second."
        raise CallerError("parameter_invalid", text)
    is_dry = flag(call.query, "dry_run")
    return Wish(owner, endpoint, cast("Which", which), tuple(types), since, until, rate, is_dry)


def _instant(members: Mapping[str, Any], name: str, now: int) -> int | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise CallerError("parameter_invalid", f"The member {name} must be a text: an instant or a span.")
    return parse_instant(value, name, now)


async def _stretches(call: Call, wish: Wish) -> Sequence[Stretch]:
    """Which offsets of which partitions lie between the times, once for each endpoint that there is by now.

    Raises:
        AwayError, BrokerError: the broker cannot tell now, or the database is away.
    """
    await call.doors.catalog.follow()
    snapshot, whose = call.doors.catalog.current, _whose(call)
    there = [one for one in _endpoints(call, snapshot, call.partner.slug) if wish.endpoint in {None, one.id}]
    found: list[Stretch] = []
    for one in origins(snapshot, whose.partner, whose.side, there, wish.types):
        since = max(wish.since, one.since)
        for partition in one.partitions:
            place = (one.topic, partition)
            first = await call.doors.broker.offset_at(place, since)
            end = await call.doors.broker.offset_at(place, wish.until)
            found += [Stretch(each, one.topic, one.topic_id, partition, first, end) for each in one.endpoints]
    return found


async def _find(call: Call) -> Replay:
    replay_id = call.part("id")
    if not _ID.fullmatch(replay_id):
        raise not_found()
    owner = call.endpoints_owner
    found = await call.doors.database.read(lambda session: replay_store.find(session, replay_id, owner))
    if found is None:
        raise not_found()
    return found


async def _waits(call: Call, slugs: Collection[str]) -> Mapping[str, Mapping[str, str]]:
    """Of each of these partners which endpoints are sent nothing now, and why."""
    breakers = await call.doors.database.read(traces.load_breakers)
    directory = call.snapshot.directory
    known = {slug: directory.partner(slug) for slug in slugs}
    return {
        slug: {} if one is None else find_holds([(one, _endpoints(call, call.snapshot, slug))], breakers)
        for slug, one in known.items()
    }


def _why(replay: Replay, waits: Mapping[str, str]) -> str | None:
    """What an open replay waits for: what its endpoint is, or one of them."""
    wanted = replay.wish.endpoint
    return next((why for endpoint, why in waits.items() if wanted in {None, endpoint}), None)


def _mine(call: Call) -> Sequence[Endpoint]:
    return _endpoints(call, call.snapshot, call.partner.slug)


def _endpoints(call: Call, snapshot: Snapshot, slug: str) -> Sequence[Endpoint]:
    directory = snapshot.directory
    there = directory.house_endpoints if call.of_house else directory.endpoints
    return there(slug)


def _whose(call: Call) -> Whose:
    return Whose(call.partner, "house" if call.of_house else "partner")


def _begun(item: dict[str, Any]) -> Done:
    return Done(item, 202, {"Location": item["links"]["self"]})


def _author(call: Call) -> Author:
    return Author(call.known.role, call.known.credential.id)
