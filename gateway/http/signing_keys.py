"""For operators: our signing keys, their history, and what is done with them."""

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from gateway.administration.evidence import Author
from gateway.administration.key_changes import (
    MOST_DELAY_MS,
    MOST_OVERLAP_MS,
    USUAL_DELAY_MS,
    USUAL_OVERLAP_MS,
    Freeze,
    KeyChange,
    Rotation,
)
from gateway.errors import CallerError
from gateway.http.guard import Call, not_found
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.pages import page_response
from gateway.http.parameters import flag, parse_instant
from gateway.http.reading import read_members
from gateway.http.shapes import ref, text, word
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, PAGED, Body, Parameter, shows, tells
from gateway.instants import format_instant
from gateway.keys import PURPOSES, PublicKey, Purpose

OFFERED: Final = frozenset({"dry_run"})
MOST_REASON: Final = 1_000
MOST_LABEL: Final = 255
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DAY_MS: Final = 86_400_000
_KEY_ID: Final = "[A-Za-z0-9_-]{43}"
_PURPOSE: Final = Parameter(
    "purpose", "What the key signs.", word(*PURPOSES), place="path", example="checkpoint"
)
_KID: Final = Parameter(
    "kid",
    "A key, by the thumbprint that receipts name it by (RFC 7638).",
    text(_KEY_ID),
    place="path",
    example="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
)
_ERRORS: Final = (*ONCE_ERRORS, "key_unavailable", "outcome_unknown", "state_conflict")


@tells(
    "listSigningKeys",
    "Signing keys",
    "Our signing keys, those that have ended too",
    shows(ref("SigningKeyPage"), "By id; never a private half.", Link="The next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_keys(call: Call) -> Response:
    """Every key of ours, with its history."""
    ring = call.doors.keys()
    return page_response(
        call,
        ring.known,
        key=lambda one: one.id,
        item=lambda one: key_item(one, call.doors.clock()),
        bound=("signing keys",),
    )


@tells(
    "rotateSigningKey",
    "Signing keys",
    "Put another key in a key's place",
    shows(
        ref("SigningKeyChange"),
        "The key that was published (a dry run makes one and throws it away), and those that end for it.",
        Idempotent_Replayed=REPLAYED,
    ),
    shows(
        ref("SigningKeyChange"),
        "The key that is published from now on, and those that end for it.",
        status=201,
        Idempotent_Replayed=REPLAYED,
    ),
    about="It signs once `starts_in` is over (10m unless said otherwise), so that caches of the JWK set know "
    "it by then. From then on, for as long as `overlap` says (7d), those before it sign too: checkpoints and "
    "webhooks bear both signatures; receipts bear that of the newest alone. `label` names a key in the token "
    "(PKCS#11), for checkpoints.",
    parameters=(_PURPOSE, DRY_RUN, KEY),
    body=Body({JSON: ref("RotationWanted")}),
    errors=(*BODY_ERRORS, *_ERRORS),
)
async def rotate_key(call: Call) -> Response:
    """Publish a key that is to sign in the place of another. A dry run publishes none."""
    purpose, is_dry = _purpose_of(call), flag(call.query, "dry_run")
    members = await read_members(
        call.request, ("overlap", "starts_in", "label"), seconds=call.doors.values.body_seconds
    )
    wanted = Rotation(
        purpose,
        _span(members, "starts_in", USUAL_DELAY_MS, MOST_DELAY_MS),
        _span(members, "overlap", USUAL_OVERLAP_MS, MOST_OVERLAP_MS),
    )
    label, author = _text(members, "label", MOST_LABEL), _author(call)
    return await once(
        call,
        members,
        lambda desk: call.doors.signing.rotate(desk, wanted, label, by=author, dry_run=is_dry),
        lambda change: _done(change, is_dry=is_dry, status=201),
    )


@tells(
    "retireSigningKey",
    "Signing keys",
    "Let a key sign nothing more",
    shows(
        ref("SigningKeyChange"),
        "`others`: it, and the key that goes on where it was withdrawn before it signed.",
        Idempotent_Replayed=REPLAYED,
    ),
    about="At once, wherever it signs; it stays published, so that what it signed can be checked.",
    parameters=(_KID, DRY_RUN, KEY),
    errors=_ERRORS,
)
async def retire_key(call: Call) -> Response:
    """End an overlap, or withdraw a key that was published and does not sign yet."""
    key_id, is_dry, author = call.part("kid"), flag(call.query, "dry_run"), _author(call)
    return await once(
        call,
        {},
        lambda desk: call.doors.signing.retire(desk, key_id, by=author, dry_run=is_dry),
        lambda change: _done(change, is_dry=is_dry),
    )


@tells(
    "freezeSigningKey",
    "Signing keys",
    "Freeze a key that somebody else may have",
    shows(
        ref("SigningKeyChange"),
        "The successor, which signs at once (null: another one signs), and those that are frozen.",
        Idempotent_Replayed=REPLAYED,
    ),
    about="It signs nothing more, in any process, within seconds, and is marked as compromised since `since` "
    "(now, unless said otherwise) in the JWK set and in every log. Without `key` all that sign for the "
    "purpose are frozen. What to do besides stands in docs/key-compromise.md.",
    parameters=(_PURPOSE, DRY_RUN, KEY),
    body=Body({JSON: ref("FreezeWanted")}),
    errors=(*BODY_ERRORS, *_ERRORS),
)
async def freeze_key(call: Call) -> Response:
    """Mark keys as compromised; a successor signs at once. A dry run freezes none."""
    purpose, is_dry = _purpose_of(call), flag(call.query, "dry_run")
    members = await read_members(
        call.request, ("reason", "since", "key", "label"), seconds=call.doors.values.body_seconds
    )
    reason = _text(members, "reason", MOST_REASON)
    if reason is None:
        raise CallerError("parameter_invalid", "Say why, in the member reason.")
    since = _text(members, "since", 64)
    wanted = Freeze(
        purpose,
        reason,
        None if since is None else parse_instant(since, "since", call.doors.clock()),
        _text(members, "key", 64),
    )
    label, author = _text(members, "label", MOST_LABEL), _author(call)
    return await once(
        call,
        members,
        lambda desk: call.doors.signing.freeze(desk, wanted, label, by=author, dry_run=is_dry),
        lambda change: _done(change, is_dry=is_dry),
    )


def key_item(key: PublicKey, now: int) -> dict[str, object]:
    """A key as it is listed."""
    end = key.retires_at if key.retired_at is None else key.retired_at
    compromised = key.compromised_at
    return {
        "id": key.id,
        "purpose": key.purpose,
        "state": key.state(now),
        "public_key": base64.b64encode(key.public_key).decode(),
        "created_at": format_instant(key.created_at),
        "signs_from": format_instant(key.signs_from),
        "ends_at": None if end is None else format_instant(end),
        "compromised_at": None if compromised is None else format_instant(compromised),
        "reason": key.reason or None,
        "held_in": "pkcs11" if key.label else "database",
        "label": key.label or None,
    }


def changed_keys(change: KeyChange, *, is_dry: bool) -> dict[str, Any]:
    """What a change came to, as it is told."""
    body: dict[str, Any] = {
        "key": None if change.made is None else key_item(change.made, change.now),
        "others": [key_item(one, change.now) for one in change.others],
    }
    return {**body, "dry_run": True} if is_dry else body


def _done(change: KeyChange, *, is_dry: bool, status: int = 200) -> Done:
    body = changed_keys(change, is_dry=is_dry)
    return Done(body) if is_dry else Done(body, status)


def _author(call: Call) -> Author:
    return Author(call.known.role, call.known.credential.id)


def _purpose_of(call: Call) -> Purpose:
    said = call.part("purpose")
    for purpose in PURPOSES:
        if purpose == said:
            return purpose
    raise not_found()


def _span(members: Mapping[str, Any], name: str, usual_ms: int, most_ms: int) -> int:
    given = members.get(name)
    if given is None:
        return usual_ms
    found = _SPAN.fullmatch(given) if isinstance(given, str) else None
    span = -1 if found is None else int(found[1]) * _UNITS_MS[found[2]]
    if not 0 <= span <= most_ms:
        text = f"The member {name} must be a span up to {most_ms // _DAY_MS}d, such as 24h."
        raise CallerError("parameter_invalid", text)
    return span


def _text(members: Mapping[str, Any], name: str, most: int) -> str | None:
    given = members.get(name)
    if given is None:
        return None
    if not isinstance(given, str) or not given.strip() or len(given) > most or "\x00" in given:
        raise CallerError("parameter_invalid", f"The member {name} must be a text of 1 to {most} characters.")
    return given.strip()
