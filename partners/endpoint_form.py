"""An endpoint as it is asked for: one reader for contract files and for the bodies of requests."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, get_args

from partners import form
from partners.contract import DeliveryTerms
from partners.endpoint import (
    ALL_OPERATIONAL,
    DEFAULT_CONCURRENCY,
    MAX_CONCURRENCY,
    MAX_URL_BYTES,
    OPERATIONAL,
    SCHEDULES,
    DeclaredEndpoint,
    Endpoint,
    Format,
    HostPattern,
    Order,
    verify_url,
)
from partners.errors import EndpointTermsError, SlotError
from partners.event_type import MAX_TYPES
from partners.filter import written
from partners.filter_form import read_filter
from partners.form import Sink, Slot, did_you_mean, each, shown
from partners.yaml_tree import Items, Scalar, tree_of

MAX_ATTEMPTS: Final = 32
MAX_HEADERS: Final = 16
MAX_HEADER_TEXT: Final = 1_024
NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
RATE: Final = re.compile(r"([1-9][0-9]{0,5})(?:/s)?")
HEADER: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
ORDERS: Final[tuple[Order, ...]] = get_args(Order)

DENIED_HEADERS: Final = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "cookie",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
"""Of the transport, or of whoever proves itself by them."""

DENIED_PREFIXES: Final = ("ce-", "content-", "proxy-", "sec-", "webhook-")
"""Of the transport and of the event: what is signed, or says what is signed, nobody else writes."""

_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Bounds:
    """What endpoints of a contract may be.

    `hosts`: patterns; none: any. `received`: the event types that the partner receives. `delivery`: what
    holds where an endpoint says nothing else. `is_exempt`: plain HTTP to loopback is allowed.
    """

    hosts: Sequence[HostPattern]
    received: frozenset[str]
    delivery: DeliveryTerms
    is_exempt: bool = False


def read_declared(slot: Slot, *, bounds: Bounds, name: str = "") -> DeclaredEndpoint:
    """Read one endpoint. `name`: what it is called where nothing is said; empty: its name must be said."""

    def url(one: Slot) -> str:
        text = form.text(one, limit=MAX_URL_BYTES)
        return verify_url(text, bounds.hosts, allow_insecure_loopback=bounds.is_exempt)

    section = slot.form()
    usual = bounds.delivery
    plain: Format = "cloudevents"
    received = partial(_received, received=bounds.received)
    value = DeclaredEndpoint(
        name=section.take("name", _name, name) if name else section.need("name", _name, ""),
        url=section.need("url", url, ""),
        types=frozenset(section.take("events", each(received, limit=MAX_TYPES), ())),
        order=section.take("order", form.choice(ORDERS), usual.order),
        concurrency=section.take("concurrency", form.integer(1, MAX_CONCURRENCY), DEFAULT_CONCURRENCY),
        per_second=section.take("rate", _rate, None),
        delays=section.take("retry", delays, usual.delays),
        filter=section.take("filter", read_filter, None),
        format=section.take("format", form.choice(FORMATS), plain),
        headers=section.take("headers", _headers, ()),
    )
    section.close()
    return value


def read_body(members: Mapping[str, Any], *, bounds: Bounds, name: str) -> DeclaredEndpoint:
    """Read the body of a request, JSON values. A member that is null is as if it were not there.

    Raises:
        EndpointTermsError: with every fault.
    """
    sink = Sink("", [])
    given = {key: value for key, value in members.items() if value is not None}
    found: DeclaredEndpoint | None = None
    try:
        slot = Slot(tree_of(given), "", 1, sink)
        found = slot.read(partial(read_declared, bounds=bounds, name=name), None)
    except SlotError as error:
        sink.add(1, "", error.problem, error.detail)
    if found is None or sink.problems:
        raise EndpointTermsError(sink.problems)
    return found


def written_terms(endpoint: Endpoint) -> dict[str, Any]:
    """What is asked of an endpoint, as the body of a request would have it; `read_body` reads it again."""
    return {
        "name": endpoint.name,
        "url": endpoint.url,
        "events": sorted(endpoint.types),
        "filter": None if endpoint.filter is None else written(endpoint.filter),
        "format": endpoint.format,
        "headers": dict(endpoint.headers),
        "order": endpoint.order,
        "concurrency": endpoint.concurrency,
        "rate": endpoint.per_second,
        "retry": [f"{delay}s" for delay in endpoint.delays],
    }


def delays(slot: Slot) -> tuple[int, ...]:
    """Read a schedule by name, or as a list of the waits before each attempt."""
    if isinstance(slot.node, Items):
        wait = form.duration(0, 30 * _DAY)
        found = [item.read(wait, 0) for item in slot.items(MAX_ATTEMPTS)]
        if not found or found[0] != 0:
            raise SlotError("range", "the first attempt is made at once: begin the list with 0s")
        return tuple(found)
    return SCHEDULES[form.choice(tuple(SCHEDULES))(slot)]


def _name(slot: Slot) -> str:
    name = form.text(slot)
    if NAME.fullmatch(name) is None:
        raise SlotError("format", "a name is 1 to 63 characters of a-z, 0-9 and '-', such as orders-hook")
    return name


def _received(slot: Slot, *, received: frozenset[str]) -> str:
    word = form.text(slot)
    known = received | {ALL_OPERATIONAL, *OPERATIONAL}
    if word not in known:
        detail = f"'{shown(word)}' is not among the event types under 'receives'{did_you_mean(word, known)}"
        raise SlotError("reference", detail)
    return word


def _rate(slot: Slot) -> int:
    value = slot.node.value if isinstance(slot.node, Scalar) else None
    found = RATE.fullmatch(str(value))
    if found is None:
        raise SlotError("format", "write a rate as a number of events per second: 50/s")
    return int(found[1])


def _headers(slot: Slot) -> tuple[tuple[str, str], ...]:
    """Read the headers that are sent with each POST, in the order given."""
    slots = slot.form().slots()
    if len(slots) > MAX_HEADERS:
        raise SlotError("length", f"names {len(slots)} headers; at most {MAX_HEADERS} are allowed")
    found: dict[str, tuple[str, str]] = {}
    for name, one in slots:
        value = one.read(partial(_header, name), None)
        if value is not None and name.lower() in found:
            one.sink.add(
                one.line, one.pointer, "duplicate_key", "stands here twice: case makes no difference"
            )
        elif value is not None:
            found[name.lower()] = (name, value)
    return tuple(found.values())


def _header(name: str, slot: Slot) -> str:
    if HEADER.fullmatch(name) is None:
        raise SlotError("format", "a header's name is 1 to 64 letters, digits and '-', such as X-Team")
    if name.lower() in DENIED_HEADERS or name.lower().startswith(DENIED_PREFIXES):
        raise SlotError(
            "not_allowed", "is a header of the transport, of the event or of a proof: leave it out"
        )
    value = form.text(slot, limit=MAX_HEADER_TEXT)
    if not value.isascii() or value != value.strip():
        raise SlotError("format", "a header's value is printable ASCII without blanks around it")
    return value
