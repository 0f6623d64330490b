"""The document of one reader: the routes that it may call, typed by the contract of one partner.

Source: OpenAPI 3.1.1.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.channels import Channel
from gateway.http.doors import Listener
from gateway.http.guard import Gate
from gateway.http.openapi.components import SCHEMAS
from gateway.http.openapi.operations import describe, may_call, operation_ids, path_of
from gateway.http.openapi.security import SCHEMES
from gateway.http.openapi.typed import TypedEvents, describe_types
from partners.credential import Role

VERSION: Final = "3.1.1"
TYPED_PATH: Final = "/v1/openapi.json"
_TAGS: Final[Mapping[str, str]] = {
    "Send": "Events to the other side.",
    "Receive": "Events from the other side, pulled.",
    "Endpoints": "Where events from the other side are sent, signed.",
    "History": "What happened to events, and the proofs.",
    "Log": "The Merkle log, for monitors and verifiers.",
    "Contract and types": "Who calls, what was agreed, and how data must look.",
    "Credentials": "Keys: list, make, revoke.",
    "Operator": "Partners, contracts, status.",
    "Signing keys": "Our own keys: rotated with an overlap, retired, frozen.",
    "Registry": "The schema registry, for Confluent's clients. Its errors have a shape of their own.",
    "Open": "For anybody.",
    "Machines": "Alive, ready, metrics; on the private listener.",
}
_ABOUT: Final = (
    "Events between partners: validated against agreed schemas, receipted, delivered, provable. "
    "Every refusal is a problem document (RFC 9457): branch on its `code`; each code has a page at "
    "`/errors/{code}`. Names of operations and of schemas are stable."
)
_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Request-Id": {"description": "Names this request, for questions to us.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Come again after so many seconds.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "How to show a credential.", "schema": {"type": "string"}},
}


@dataclass(frozen=True, slots=True)
class Place:
    """Of which gateway, and where it is read. `has_registry`: the registry is its own."""

    origin: str
    version: str
    has_registry: bool = True
    listener: Listener = "only"


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom: `role` None for everybody. `channels`: what it may send, at paths that begin with `base`."""

    role: Role | None = None
    base: str = "/v1"
    partner: str | None = None
    revision: int | None = None
    channels: tuple[Channel, ...] = ()


def compose(gates: Sequence[Gate], place: Place, reader: Reader) -> dict[str, Any]:
    """Make the document; what a role reads at one of two listeners names what that one serves."""
    shown = [one for one in gates if _is_shown(one, place, reader)]
    ids = operation_ids(gates)
    paths: dict[str, dict[str, Any]] = {}
    for gate in shown:
        if gate.told is not None:
            operation = describe(gate, gate.told, ids[gate.method, gate.path])
            paths.setdefault(path_of(gate), {})[gate.method.lower()] = operation
    typed = _typed(paths, reader, ids.values())
    used = {tag for item in paths.values() for operation in item.values() for tag in operation["tags"]}
    return {
        "openapi": VERSION,
        "info": _title(place, reader, typed),
        "servers": [_server(place)],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items() if name in used],
        "paths": {**typed.paths, **paths},
        "components": {
            "schemas": {**SCHEMAS, **typed.schemas},
            "headers": _HEADERS,
            "securitySchemes": SCHEMES,
        },
        "x-typed-document": {
            "url": place.origin + TYPED_PATH,
            "how": "Ask with your own credential: it names the event types of your contract, with schemas.",
        },
    }


def _server(place: Place) -> dict[str, str]:
    """Where the routes of the document are: our origin leads to the public listener, which has not all."""
    if place.listener == "private":
        return {"url": "/", "description": "The private listener, where this document was read."}
    return {"url": place.origin}


def _is_shown(gate: Gate, place: Place, reader: Reader) -> bool:
    if place.listener == "public" and reader.role is not None and not gate.is_public:
        return False
    if gate.side == "registry" and not place.has_registry:
        return False
    if gate.side == "private" and reader.role not in {None, "operator"}:
        return False
    return may_call(gate, reader.role)


def _typed(paths: Mapping[str, Mapping[str, Any]], reader: Reader, taken: Collection[str]) -> TypedEvents:
    is_named = reader.base != "/v1"
    generic = paths.get("/v1/partners/{p}/events/{type}" if is_named else "/v1/events/{type}")
    if generic is None or not reader.channels:
        return TypedEvents()
    return describe_types(reader.channels, generic["post"], reader.base, taken=taken)


def _title(place: Place, reader: Reader, typed: TypedEvents) -> dict[str, Any]:
    told = _ABOUT
    if reader.partner is not None:
        told += f" Typed from the contract of {reader.partner}"
        told += "." if reader.revision is None else f", revision {reader.revision}."
    if typed.left_out:
        told += f" Too large to be typed here: {', '.join(typed.left_out[:100])}."
    return {"title": "Partner gateway", "version": place.version or "0", "description": told}
