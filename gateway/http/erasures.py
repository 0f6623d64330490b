"""Erasures: events of a partner whose evidence, content and claim go, and how far that is."""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from audit.ref import format_ref, parse_ref
from gateway.administration.desk import Administration
from gateway.administration.evidence import Author
from gateway.erasing import steps, store
from gateway.erasing.job import MOST_REFS, Erasure, Means, Wish
from gateway.errors import CallerError
from gateway.http import erasures_told as telling
from gateway.http.guard import Call, not_found
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.pages import newest_first, sealed_page
from gateway.http.parameters import flag, parse_instant
from gateway.http.reading import read_members
from gateway.http.shapes import ref
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, PAGED, Body, Reply, shows, tells
from gateway.http.words import json_response
from gateway.instants import format_instant

CREATE_OFFERED: Final = frozenset({"dry_run"})
_MEMBERS: Final = ("refs", "since", "until", "basis", "when_held")
_ID: Final = re.compile(r"ers_[a-z2-7]{26}", re.ASCII)
_HEADERS: Final = {"Location": "The erasure.", "Idempotent-Replayed": REPLAYED}


@tells(
    "createErasure",
    "Operator",
    "Erase events of a partner",
    Reply(201, "All of them are erased.", {JSON: ref("Erasure")}, _HEADERS),
    Reply(202, "It is begun within a second or two.", {JSON: ref("Erasure")}, _HEADERS),
    about=telling.CREATE,
    parameters=(DRY_RUN, KEY),
    body=Body({JSON: ref("ErasureWanted")}),
    errors=(*BODY_ERRORS, *ONCE_ERRORS, "held", "limit_reached", "outcome_unknown"),
)
async def create_erasure(call: Call) -> Response:
    """Make an erasure; a few events are erased at once."""
    members = await read_members(call.request, _MEMBERS, seconds=call.doors.values.body_seconds)
    erasure_id = "ers_" + base64.b32encode(call.doors.entropy(16)).decode().rstrip("=").lower()
    partner, now, is_dry = call.partner, call.doors.clock(), flag(call.query, "dry_run")
    means = Means(call.doors.values.log_host)

    async def begin(administration: Administration) -> Erasure:
        asked = erasure_id, _wish(call, members, now)
        return await administration.change(
            lambda session, scribe: steps.begin(session, scribe, partner, asked, means, now=now),
            dry_run=is_dry,
        )

    def answer(made: Erasure) -> Done:
        item = erasure_item(made, call.base)
        if is_dry:
            return Done({**item, "dry_run": True}, 202)
        status = 202 if made.ended_at is None else 201
        return Done(item, status, {"Location": f"{call.base}/erasures/{made.id}"})

    return await once(call, members, begin, answer)


@tells(
    "listErasures",
    "Operator",
    "The erasures of a partner, newest first",
    shows(ref("ErasurePage"), "Those that have ended too.", Link="Next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_erasures(call: Call) -> Response:
    """Erasures of the partner, newest first."""
    slug = call.slug
    bound = ("erasures", slug)
    shown, following = await newest_first(
        call, bound, lambda session, after, most: store.page(session, slug, after=after, limit=most)
    )
    items = [erasure_item(one, call.base_of(one.wish.partner)) for one in shown]
    return sealed_page(call, items, bound, following)


@tells(
    "showErasure",
    "Operator",
    "One erasure",
    shows(ref("Erasure"), "How far it is, and what waits for the end of a hold."),
    parameters=(telling.ERASURE_ID,),
)
async def show_erasure(call: Call) -> Response:
    """One erasure."""
    erasure_id, slug = call.part("id"), call.partner.slug
    if not _ID.fullmatch(erasure_id):
        raise not_found()
    found = await call.doors.database.read(lambda session: store.find(session, erasure_id, slug))
    if found is None:
        raise not_found()
    return json_response(erasure_item(found, call.base))


def erasure_item(job: Erasure, base: str) -> dict[str, object]:
    """An erasure as it stands; of the events that it names, how many: the log names none of them either."""
    wish, counts = job.wish, job.counts
    return {
        "id": job.id,
        "partner": wish.partner,
        "state": job.state,
        "refs": len(wish.refs),
        "since": None if wish.since is None else format_instant(wish.since),
        "until": None if wish.until is None else format_instant(wish.until),
        "basis": wish.basis,
        "by": {"role": wish.by.role, "credential": wish.by.credential},
        "total": counts.total,
        "done": counts.done,
        "erased": counts.erased,
        "held": counts.held,
        "absent": counts.absent,
        "pending": counts.pending,
        "created_at": format_instant(job.created_at),
        "ended_at": None if job.ended_at is None else format_instant(job.ended_at),
        "links": {"self": f"{base}/erasures/{job.id}"},
    }


def read_basis(members: Mapping[str, Any]) -> str:
    """The reason that somebody gives, which the log keeps for ever.

    Raises:
        CallerError: `parameter_invalid`.
    """
    basis = members.get("basis")
    if not isinstance(basis, str) or not basis.isprintable() or not 0 < len(basis) <= telling.MOST_BASIS:
        text = f"The member basis must say why, in 1 to {telling.MOST_BASIS} printable characters."
        raise CallerError("parameter_invalid", text, hint="It stays in the log for ever: name no person.")
    return basis


def read_refs(members: Mapping[str, Any], most: int) -> tuple[bytes, ...]:
    """The events that are named; none where the member is missing.

    Raises:
        CallerError: `parameter_invalid`.
    """
    refs = members.get("refs")
    if refs is None:
        return ()
    text = f"The member refs must list 1 to {most} refs, evt_..."
    if (
        not isinstance(refs, list)
        or not 0 < len(refs) <= most
        or not all(isinstance(one, str) for one in refs)
    ):
        raise CallerError("parameter_invalid", text)
    found = [parse_ref(one) for one in refs]
    if any(one is None for one in found):
        raise CallerError("parameter_invalid", text)
    return tuple(dict.fromkeys(one for one in found if one is not None))


def read_span(members: Mapping[str, Any], now: int) -> tuple[int | None, int | None]:
    """From when, and until when; None where it is not said.

    Raises:
        CallerError: `parameter_invalid`.
    """
    since, until = (_instant(members, name, now) for name in ("since", "until"))
    if since is not None and until is not None and since >= until:
        raise CallerError("parameter_invalid", "The member since must be before until.")
    return since, until


def _wish(call: Call, members: Mapping[str, Any], now: int) -> Wish:
    refs = read_refs(members, MOST_REFS)
    since, until = read_span(members, now)
    by = Author(call.known.role, call.known.credential.id)
    if bool(refs) == (since is not None or until is not None):
        text = "Name either refs, or a time by since and until."
        raise CallerError("parameter_invalid", text)
    when_held = members.get("when_held", "refuse" if refs else "wait")
    if when_held not in ("refuse", "wait") or (when_held == "refuse" and not refs):
        text = "The member when_held must be refuse or wait; of a time it is always wait."
        raise CallerError("parameter_invalid", text)
    if not refs and (since is None or until is None or until > now):
        raise CallerError("parameter_invalid", "A time needs both since and until, and is over by now.")
    slug, basis = call.partner.slug, read_basis(members)
    return Wish(slug, refs, since, until, basis, by, may_wait=when_held == "wait")


def _instant(members: Mapping[str, Any], name: str, now: int) -> int | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise CallerError("parameter_invalid", f"The member {name} must be a text: an instant or a span.")
    return parse_instant(value, name, now)


def refs_shown(refs: Sequence[bytes]) -> list[str]:
    """Refs as text, sorted."""
    return sorted(format_ref(one) for one in refs)
