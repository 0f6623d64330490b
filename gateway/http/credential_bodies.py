"""What a caller asks of a credential, read from the body of a request: to make one, or to narrow one."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast, get_args

from gateway.errors import CallerError
from gateway.http.guard import Call
from gateway.http.parameters import parse_instant
from gateway.instants import format_instant
from partners.allowance import is_slower, is_within, shown_types
from partners.credential import DAY_MS, MAX_LIFE_MS, METHODS, ROLE_SCOPES, Kind, Method, Role, Scope
from partners.credential_material import (
    IssuedCertificates,
    Material,
    PinnedCertificate,
    read_authorities,
    read_certificate,
    read_oauth_client,
    read_public_key,
    read_webhook_key,
    read_webhook_secret,
)
from partners.errors import CredentialMaterialError
from partners.issuing import Narrowing, WantedCredential
from partners.minting import Fresh

MAX_NAME: Final = 100
_PARTNER_ROLES: Final[tuple[Role, ...]] = ("partner", "auditor")
_HOUSE_ROLES: Final[tuple[Role, ...]] = ("team", "operator")
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([smhdy])", re.ASCII)
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "y": 31_536_000_000}

OF_ALL: Final = ("kind", "role", "name", "scopes", "expires_at", "send_types", "events_per_second")
OF_KIND: Final[Mapping[Kind, tuple[str, ...]]] = {
    "api_key": (),
    "certificate": ("certificate", "ca", "uri"),
    "public_key": ("public_key",),
    "oauth_client": ("issuer", "subject", "audience"),
    "webhook_secret": ("secret", "public_key"),
}
CREATE_MEMBERS: Final = (*OF_ALL, *dict.fromkeys(name for names in OF_KIND.values() for name in names))
CHANGE_MEMBERS: Final = ("name", "scopes", "expires_at", "send_types", "events_per_second")


def read_wanted(call: Call, members: Mapping[str, Any]) -> WantedCredential:
    """The credential that a caller asks for; nobody gives one that may do more than its own.

    Raises:
        CallerError: `parameter_invalid`, `scope_missing`.
    """
    roles = _HOUSE_ROLES if call.owner is None else _PARTNER_ROLES
    kind = members.get("kind", "api_key")
    role = members.get("role", None if call.owner is None else "partner")
    if not isinstance(kind, str) or kind not in METHODS:
        raise _wrong("kind", f"one of {', '.join(METHODS)}")
    if role not in roles:
        raise _wrong("role", f"one of {', '.join(roles)}")
    name, scopes = _name(members) or "", _scopes(members)
    material = _material(call, kind, members)
    if scopes is None:
        most = frozenset[Scope]({"send"}) if kind == "webhook_secret" else ROLE_SCOPES[role]
        scopes = most & call.known.scopes
    if not scopes or not scopes <= call.known.scopes:
        # Whoever may make credentials must not come by a wider one that way.
        own = ", ".join(sorted(call.known.scopes))
        text = f"A new credential may have only scopes that yours has ({own}), and that its role may have."
        raise CallerError("scope_missing", text)
    not_after = _expiry(members.get("expires_at"), call.doors.clock())
    partner = None if call.owner is None else call.owner.slug
    types, rate = _send_types(members), _rate(members)
    wanted = WantedCredential(partner, role, name, scopes, not_after, material, types, rate)
    return _outlived(call, _bounded(call, wanted, scopes), METHODS[kind])


def _bounded(call: Call, wanted: WantedCredential, scopes: frozenset[Scope]) -> WantedCredential:
    """What is wanted, so that it may send no more than the credential that makes it, nor faster.

    Where nothing is said it is bounded as that one is.
    """
    own_types, own_rate = call.known.send_types, call.known.events_per_second
    if "send" not in scopes:
        return wanted
    types = own_types if wanted.send_types is None else wanted.send_types
    if not is_within(types, own_types):
        text = f"A new credential may send only types that yours may: {shown_types(own_types or ())}."
        raise CallerError("scope_missing", text)
    rate = own_rate if wanted.events_per_second is None else wanted.events_per_second
    if not is_slower(rate, own_rate):
        text = f"A new credential may have at most the rate of yours: {own_rate} events a second."
        raise CallerError("scope_missing", text)
    return replace(wanted, send_types=types, events_per_second=rate)


def _outlived(call: Call, wanted: WantedCredential, method: Method) -> WantedCredential:
    """What is wanted, ended with the credential that makes it, unless it is the successor of that very one.

    Of its own side: what an operator makes for a partner ends when the partner's terms say so.
    """
    own = call.known.credential
    # A day less, for a year that is asked for with a key made this morning.
    latest = call.doors.clock() + MAX_LIFE_MS - DAY_MS
    is_successor = (wanted.role, wanted.name, method) == (own.role, own.name, own.method)
    if wanted.partner != own.partner or is_successor or own.not_after >= latest:
        return wanted
    if wanted.not_after is None:
        material = wanted.material
        if (
            isinstance(material, PinnedCertificate | IssuedCertificates)
            and material.not_after < own.not_after
        ):
            return wanted
        return replace(wanted, not_after=own.not_after)
    if wanted.not_after > own.not_after:
        text = (
            f"A new credential may last as long as yours, which ends at {format_instant(own.not_after)}; "
            "only the successor of yours, of its kind, role and name, may last longer."
        )
        raise CallerError("parameter_invalid", text)
    return wanted


def read_narrowing(call: Call, members: Mapping[str, Any]) -> Narrowing:
    """What a caller asks to be changed.

    Raises:
        CallerError: `parameter_invalid`.
    """
    if not members:
        raise CallerError("parameter_invalid", f"Say what changes: {', '.join(CHANGE_MEMBERS)}.")
    not_after = _expiry(members.get("expires_at"), call.doors.clock())
    return Narrowing(_name(members), _scopes(members), not_after, _send_types(members), _rate(members))


def _material(call: Call, kind: Kind, members: Mapping[str, Any]) -> Material | Fresh:
    strange = [name for name in members if name not in OF_ALL and name not in OF_KIND[kind]]
    if strange:
        known = ", ".join((*OF_ALL, *OF_KIND[kind]))
        text = f"The member {strange[0]} is not of the kind {kind}; its members are: {known}."
        raise CallerError("parameter_invalid", text)
    try:
        return _READERS[kind](call, members)
    except CredentialMaterialError as error:
        raise CallerError("parameter_invalid", f"{error}.") from error


def _certificate(call: Call, members: Mapping[str, Any]) -> Material:
    given = {name for name in OF_KIND["certificate"] if name in members}
    if given == {"certificate"}:
        found: Material = read_certificate(_text(members, "certificate"))
    elif given == {"ca", "uri"}:
        found = read_authorities(_text(members, "ca"), _text(members, "uri"))
    else:
        text = (
            "Send certificate (PEM, the one that is taken), or ca (PEM) and uri (SAN URI of those it issues)."
        )
        raise CallerError("parameter_invalid", text)
    if call.known.role != "operator":
        # Certificates are no secrets: whoever came first with another company's would pass for it.
        text = "Whose certificates are taken is for an operator to say: ask, or have them in the contract."
        raise CallerError("scope_missing", text)
    return found


def _public_key(_: Call, members: Mapping[str, Any]) -> Material:
    given = members.get("public_key")
    return read_public_key(json.dumps(given) if isinstance(given, dict) else _text(members, "public_key"))


def _oauth_client(call: Call, members: Mapping[str, Any]) -> Material:
    if call.known.role != "operator":
        text = "Whose tokens are taken is for an operator to say: ask for it, or have it in the contract."
        raise CallerError("scope_missing", text)
    return read_oauth_client(*(_text(members, name) for name in OF_KIND["oauth_client"]))


def _webhook_secret(_: Call, members: Mapping[str, Any]) -> Material | Fresh:
    if "secret" in members and "public_key" in members:
        raise CallerError("parameter_invalid", "Send secret or public_key, or neither to have one made.")
    if "secret" in members:
        return read_webhook_secret(_text(members, "secret"))
    if "public_key" in members:
        return read_webhook_key(_text(members, "public_key"))
    return "webhook_secret"


def _api_key(_: Call, _members: Mapping[str, Any]) -> Fresh:
    return "api_key"


_READERS: Final = {
    "api_key": _api_key,
    "certificate": _certificate,
    "public_key": _public_key,
    "oauth_client": _oauth_client,
    "webhook_secret": _webhook_secret,
}


def _text(members: Mapping[str, Any], name: str) -> str:
    text = members.get(name)
    if not isinstance(text, str):
        raise _wrong(name, "a text")
    return text


def _name(members: Mapping[str, Any]) -> str | None:
    if "name" not in members:
        return None
    name = members["name"]
    if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable():
        raise _wrong("name", f"a text of at most {MAX_NAME} printable characters")
    return name


def _scopes(members: Mapping[str, Any]) -> frozenset[Scope] | None:
    scopes, offered = members.get("scopes"), get_args(Scope)
    if scopes is None:
        return None
    if not isinstance(scopes, list) or not scopes or any(one not in offered for one in scopes):
        raise _wrong("scopes", f"a list of {', '.join(offered)}")
    return frozenset(cast("list[Scope]", scopes))


def _send_types(members: Mapping[str, Any]) -> frozenset[str] | None:
    types = members.get("send_types")
    if types is None:
        return None
    if not isinstance(types, list) or not all(isinstance(one, str) for one in types):
        raise _wrong("send_types", "a list of event types")
    return frozenset(types)


def _rate(members: Mapping[str, Any]) -> int | None:
    rate = members.get("events_per_second")
    if rate is not None and type(rate) is not int:
        raise _wrong("events_per_second", "a whole number, events a second")
    return rate


def _expiry(text: object, now: int) -> int | None:
    """A time as RFC 3339, or a span from now on (`30d`; a year has 365 days)."""
    if text is None:
        return None
    span = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if span:
        return now + int(span[1]) * _UNITS_MS[span[2]]
    try:
        return parse_instant(str(text), "expires_at", now)
    except CallerError as error:
        wanted = "an RFC 3339 time such as 2026-11-22T13:00:00Z, or a span from now such as 30d or 1y"
        raise _wrong("expires_at", wanted) from error


def _wrong(member: str, wanted: str) -> CallerError:
    return CallerError("parameter_invalid", f"The member {member} must be {wanted}.")
