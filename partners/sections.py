"""The sections of a contract file beside its event types: one reader each, from a slot to a value."""

import ipaddress
from collections.abc import Callable
from functools import partial
from typing import Final, Literal, get_args

from partners import form
from partners.contract import (
    Authentication,
    Authority,
    DeliveryTerms,
    EndpointRules,
    Framing,
    Keep,
    Limits,
    Oauth,
)
from partners.credential import Method
from partners.credential_material import MAX_MATCH, verify_issuer
from partners.endpoint import DeclaredEndpoint, HostPattern, Order, parse_host_pattern
from partners.endpoint_form import NAME, Bounds, delays, read_declared
from partners.errors import SlotError
from partners.form import Slot, each
from partners.yaml_tree import Members

SIGNING: Final[frozenset[Method]] = frozenset({"message_signature", "hmac"})
"""Methods by which an event can have its sender's own signature."""

MAX_CERTIFICATES: Final = 16
MAX_ADDRESSES: Final = 64
MAX_NETWORK: Final = 43
"""Characters of an IPv6 address and the length of its prefix."""

MAX_HOSTS: Final = 64
MAX_ID_POINTERS: Final = 8
MAX_SEARCH: Final = 16
VERIFICATIONS: Final[tuple[Literal["required", "none"], ...]] = ("required", "none")

_DAY: Final = 86_400
_CENTURY: Final = 36_500 * _DAY
MAX_CONTACTS: Final = 16
_MAX_EVENT_BYTES: Final = 16 * 2**20
MAX_DECLARED: Final = 100


def contacts(slot: Slot) -> tuple[tuple[str, str], ...]:
    """Read `contacts`: role and e-mail address, in the order of the file."""
    slots = slot.form().slots()
    if len(slots) > MAX_CONTACTS:
        raise SlotError("length", f"names {len(slots)} contacts; at most {MAX_CONTACTS} are allowed")
    found = []
    for role, one in slots:
        address = one.read(_email, None)
        if NAME.fullmatch(role.replace("_", "-")) is None:
            detail = "a contact's role is a-z, 0-9, '-' and '_', such as technical"
            one.sink.add(one.line, one.pointer, "format", detail)
        elif address is not None:
            found.append((role, address))
    return tuple(found)


def _email(slot: Slot) -> str:
    address = form.text(slot, limit=254)
    name, _, domain = address.rpartition("@")
    if not name or not domain or " " in address:
        raise SlotError("format", "write an e-mail address: edi@acme.example")
    return address


def authentication(slot: Slot) -> Authentication:
    """Read `authentication`: how the partner may identify itself."""
    section = slot.form()
    methods: tuple[Method, ...] = get_args(Method)
    certificates = section.take("certificates", each(_certificate, limit=MAX_CERTIFICATES), ())
    value = Authentication(
        accept=section.take("accept", each(form.choice(methods), limit=len(methods)), ("api_key",)),
        require_signature=section.take("require_signature", form.flag, False),  # noqa: FBT003 - the default
        certificates=tuple(one for one in certificates if isinstance(one, str)),
        oauth=section.take("oauth", _oauth, None),
        authorities=tuple(one for one in certificates if isinstance(one, Authority)),
        addresses=section.take("addresses", _networks, ()),
    )
    section.close()
    if not value.accept and not slot.sink.problems:
        raise SlotError("length", "accepts nothing, so that nobody can call; name a method, such as api_key")
    if value.require_signature and not SIGNING & {*value.accept} and not slot.sink.problems:
        text = "demands signatures (require_signature) and accepts none, so that no event can be sent: name "
        raise SlotError(
            "reference", f"{text}message_signature in accept, or hmac for a sender of webhooks (v1a)"
        )
    return value


def _networks(slot: Slot) -> tuple[str, ...]:
    if not slot.items(MAX_ADDRESSES):
        raise SlotError("length", "names none, so that nobody can call: leave it out for any address")
    return each(_network, limit=MAX_ADDRESSES)(slot)


def _network(slot: Slot) -> str:
    """Read a network or an address, into its one form: `203.0.113.0/24`, `2001:db8::/32`."""
    text = form.text(slot, limit=MAX_NETWORK)
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        hint = "write an address or a network, such as 203.0.113.0/24 or 2001:db8::/32, host bits zero"
        raise SlotError("format", hint) from error
    if "%" in text:
        raise SlotError("format", "has a zone id, which means something on one machine only: leave it out")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise SlotError("format", "is IPv4-mapped: write the IPv4 network itself")
    if not network.prefixlen:
        raise SlotError("range", "is every address: leave 'addresses' out if callers may come from anywhere")
    return str(network)


def _certificate(slot: Slot) -> str | Authority:
    """Read the path of a certificate, or `{ca: path, uri: SAN URI}` for all that an authority issues."""
    if not isinstance(slot.node, Members):
        return form.path(slot)
    section = slot.form()
    value = Authority(
        path=section.need("ca", form.path, ""),
        uri=section.need("uri", lambda one: form.text(one, limit=MAX_MATCH), ""),
    )
    section.close()
    return value


def _oauth(slot: Slot) -> Oauth:
    section = slot.form()
    value = Oauth(
        issuer=section.need("issuer", lambda one: verify_issuer(form.text(one, limit=MAX_MATCH)), ""),
        audience=section.need("audience", form.text, ""),
        subject=section.need("subject", form.text, ""),
    )
    section.close()
    return value


def limits(slot: Slot) -> Limits:
    """Read `limits`. What is absent is left to the settings of the gateway."""
    section = slot.form()
    value = Limits(
        events_per_second=section.take("events_per_second", form.integer(1, 1_000_000), None),
        bytes_per_day=section.take("bytes_per_day", form.size(1, 2**50), None),
        event_bytes=section.take("event_bytes", form.size(1, _MAX_EVENT_BYTES), None),
        endpoints=section.take("endpoints", form.integer(0, 1_000), None),
        streams=section.take("streams", form.integer(0, 1_000), None),
    )
    section.close()
    return value


def delivery(slot: Slot) -> DeliveryTerms:
    """Read `delivery`: what holds for endpoints that say nothing else."""
    section = slot.form()
    orders: tuple[Order, ...] = get_args(Order)
    usual = DeliveryTerms()
    value = DeliveryTerms(
        delays=section.take("retry", delays, usual.delays),
        order=section.take("order", form.choice(orders), usual.order),
        hold_seconds=section.take("hold", form.duration(0, _CENTURY), usual.hold_seconds),
    )
    section.close()
    return value


def endpoints(
    slot: Slot, *, received: frozenset[str], delivery: DeliveryTerms, limit: int | None, is_exempt: bool
) -> EndpointRules:
    """Read `endpoints`.

    `received` are the types that the partner receives, `delivery` and `limit` what the file says elsewhere.
    `is_exempt`: plain HTTP to loopback is allowed.
    """
    section = slot.form()
    hosts = section.take("hosts", each(_host, limit=MAX_HOSTS), ())
    usual = EndpointRules()
    verification = section.take("verification", form.choice(VERIFICATIONS), usual.verification)

    bounds = Bounds(hosts, received, delivery, is_exempt=is_exempt)
    read = partial(read_declared, bounds=bounds)
    declared = section.take("declared", partial(_all_declared, read=read, limit=limit), ())
    section.close()
    return EndpointRules(tuple(host.text for host in hosts), verification, declared)


def _host(slot: Slot) -> HostPattern:
    return parse_host_pattern(form.text(slot, limit=300))


def _all_declared(
    slot: Slot, *, read: Callable[[Slot], DeclaredEndpoint], limit: int | None
) -> tuple[DeclaredEndpoint, ...]:
    found: dict[str, DeclaredEndpoint] = {}
    slots = slot.items(MAX_DECLARED)
    if limit is not None and len(slots) > limit:
        raise SlotError(
            "range", f"declares {len(slots)} endpoints, but limits.endpoints is {limit}: raise it"
        )
    for one in slots:
        endpoint = one.read(read, None)
        if endpoint is not None and endpoint.name in found:
            detail = f"another endpoint is called '{endpoint.name}' too: names are unique within a contract"
            one.sink.add(one.line, one.pointer + "/name", "duplicate_key", detail)
        elif endpoint is not None:
            found[endpoint.name] = endpoint
    return tuple(found.values())


def framing(slot: Slot) -> Framing:
    """Read `topics`: how schema ids travel with records."""
    section = slot.form()
    framings: tuple[Framing, ...] = get_args(Framing)
    usual: Framing = "prefix"
    value = section.take("framing", form.choice(framings), usual)
    section.close()
    return value


def keep(slot: Slot) -> Keep:
    """Read `keep`: for how long."""
    section = slot.form()
    usual = Keep()
    value = Keep(
        content_days=section.take("content", _days, usual.content_days),
        evidence_days=section.take("evidence", _days, usual.evidence_days),
    )
    section.close()
    if value.content_days > value.evidence_days:
        raise SlotError(
            "range", "keeps content longer than its evidence: lengthen evidence, or shorten content"
        )
    return value


def _days(slot: Slot) -> int:
    seconds = form.duration(0, _CENTURY)(slot)
    if seconds % _DAY:
        raise SlotError("range", "is not a number of whole days: write it in days, such as 90d")
    return seconds // _DAY
