"""What an endpoint demands of whoever posts to it: a client certificate, an OAuth client, or header fields.

Read from JSON or YAML as plain values, kept sealed as bytes, shown without what is secret. The one error that
leaves a reader here is `AccessError`, which never repeats what it refuses.

Source: RFC 6749, sections 2.3.1 and 4.4; RFC 9110, section 5.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from partners.access_material import fingerprints, read_chain_of_trust, read_client_certificate
from partners.endpoint import HostPattern, verify_url
from partners.errors import AccessError, PartnersError

Kind = Literal["none", "mtls", "oauth2", "headers"]
Sending = Literal["basic", "body"]

MAX_HEADERS: Final = 8
MAX_VALUE: Final = 4_096
MAX_TEXT: Final = 512
MAX_PEM: Final = 65_536

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_VISIBLE: Final = re.compile(r"[ -~]+")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")
_RESERVED: Final = re.compile(
    r"(?:webhook|ce|content|proxy|sec|x-forwarded)-.*|host|connection|keep-alive|te|trailer|transfer-encoding"
    r"|upgrade|expect|accept-encoding|cookie|forwarded|via|date|signature|signature-input|user-agent"
)
"""Fields that are the gateway's or the transport's own."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate of ours that the endpoint knows, with its chain; both PEM."""

    chain: str = field(repr=False)
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OauthGrant:
    """Client credentials at a token server. `sending`: the secret goes in `Authorization`, or in the body."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    audience: str = ""
    sending: Sending = "basic"


@dataclass(frozen=True, slots=True)
class StaticHeaders:
    """Fields that go with each POST; their values are secret."""

    fields: tuple[tuple[str, str], ...] = field(repr=False)


Demand = ClientCertificate | OauthGrant | StaticHeaders


@dataclass(frozen=True, slots=True)
class EndpointAccess:
    """What an endpoint demands; `demand` None: nothing.

    `authorities`: PEM of those that alone may have issued the endpoint's own certificate; empty: the public
    ones.
    """

    demand: Demand | None = None
    authorities: str = field(default="", repr=False)

    @property
    def kind(self) -> Kind:
        """The word for it."""
        match self.demand:
            case None:
                return "none"
            case ClientCertificate():
                return "mtls"
            case OauthGrant():
                return "oauth2"
            case StaticHeaders():
                return "headers"


def access_place(endpoint_id: str) -> str:
    """Name the place of what an endpoint demands, sealed: what `seal` and its counterpart bind it to."""
    return f"partners_endpoint_access/{endpoint_id}/sealed"


def parse_access(
    given: object, *, hosts: Sequence[HostPattern] = (), allow_insecure_loopback: bool = False
) -> EndpointAccess:
    """Read the member `auth` of an endpoint.

    It is an object of JSON or YAML, one of these:

        {"kind": "none"}
        {"kind": "mtls", "certificate": PEM with its chain, "private_key": PEM}
        {"kind": "oauth2", "token_url": ..., "client_id": ..., "client_secret": ...,
         "scope"?: ..., "audience"?: ..., "sending"?: "basic" or "body"}
        {"kind": "headers", "headers": {name: value}}

    Each may have `ca`, PEM of the authorities of the endpoint's own certificate. `hosts`: where a token
    server may be; empty: anywhere, on port 443.

    Raises:
        AccessError: it is none of these; `pointer` says where, and nothing is repeated.
    """
    form = _Form(given)
    kind, authorities = form.text("kind"), form.text("ca", most=MAX_PEM, default="")
    if authorities:
        authorities = _within("ca", read_chain_of_trust, authorities)
    demand: Demand | None = None
    if kind == "mtls":
        chain, key = form.text("certificate", most=MAX_PEM), form.text("private_key", most=MAX_PEM)
        demand = ClientCertificate(*_within("certificate", read_client_certificate, chain, key))
    elif kind == "oauth2":
        demand = _grant(form, hosts, allow_insecure_loopback=allow_insecure_loopback)
    elif kind == "headers":
        demand = StaticHeaders(_fields(form.mapping("headers")))
    elif kind != "none":
        raise AccessError("/kind", "is one of none, mtls, oauth2, headers")
    form.close()
    return EndpointAccess(demand, authorities)


def shown_access(access: EndpointAccess) -> dict[str, object]:
    """What may be shown of it, to its owner too: no secret, no key, no value of a field."""
    shown: dict[str, object] = {"kind": access.kind}
    match access.demand:
        case ClientCertificate(chain):
            shown["certificate_sha256"] = fingerprints(chain)[0]
        case OauthGrant() as grant:
            names = ("token_url", "client_id", "scope", "audience", "sending")
            shown |= {name: getattr(grant, name) for name in names if getattr(grant, name)}
        case StaticHeaders(fields):
            shown["headers"] = [name for name, _ in fields]
        case None:
            pass
    if access.authorities:
        shown["ca_sha256"] = list(fingerprints(access.authorities))
    return shown


def encode_access(access: EndpointAccess) -> bytes:
    """As it is sealed: JSON."""
    demand = None if access.demand is None else asdict(access.demand)
    whole = {"kind": access.kind, "demand": demand, "authorities": access.authorities}
    return json.dumps(whole, separators=(",", ":")).encode()


def decode_access(raw: bytes) -> EndpointAccess:
    """Read what `encode_access` wrote. What it says is not checked again.

    Raises:
        AccessError: it is something else: written by a later version, or damaged.
    """
    makers: dict[str, type[ClientCertificate | OauthGrant]] = {
        "mtls": ClientCertificate,
        "oauth2": OauthGrant,
    }
    try:
        whole = json.loads(raw)
        kind, demand, authorities = whole["kind"], whole["demand"], whole["authorities"]
        if kind == "none":
            return EndpointAccess(None, authorities)
        if kind == "headers":
            fields = tuple((name, value) for name, value in demand["fields"])
            return EndpointAccess(StaticHeaders(fields), authorities)
        return EndpointAccess(makers[kind](**demand), authorities)
    except (ValueError, KeyError, TypeError):
        # The cause may quote the text, so it is not chained.
        raise AccessError("", "what was kept of it cannot be read: set it again") from None


def _grant(form: "_Form", hosts: Sequence[HostPattern], *, allow_insecure_loopback: bool) -> OauthGrant:
    url = form.text("token_url", most=2_048)
    sending = form.text("sending", default="basic")
    if sending not in {"basic", "body"}:
        raise AccessError("/sending", "is basic or body")
    return OauthGrant(
        token_url=_within(
            "token_url", lambda: verify_url(url, hosts, allow_insecure_loopback=allow_insecure_loopback)
        ),
        client_id=form.shaped("client_id", _VISIBLE),
        client_secret=form.shaped("client_secret", _VISIBLE),
        scope=form.shaped("scope", _SCOPE, default=""),
        audience=form.shaped("audience", _VISIBLE, default=""),
        sending="basic" if sending == "basic" else "body",
    )


def _fields(given: Mapping[Any, Any]) -> tuple[tuple[str, str], ...]:
    if not 0 < len(given) <= MAX_HEADERS:
        raise AccessError("/headers", f"has 1 to {MAX_HEADERS} fields")
    found: dict[str, tuple[str, str]] = {}
    for number, (name, value) in enumerate(given.items(), 1):
        where = f"the field number {number}"
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise AccessError("/headers", f"{where} has a name that none may have (RFC 9110)")
        if _RESERVED.fullmatch(name.lower()) is not None:
            raise AccessError(f"/headers/{name}", "is a field that the gateway sets itself, or that none may")
        if name.lower() in found:
            raise AccessError(f"/headers/{name}", "stands twice, but for upper and lower case")
        if not isinstance(value, str) or len(value) > MAX_VALUE or _VALUE.fullmatch(value) is None:
            raise AccessError(
                f"/headers/{name}", f"has a value of 1 to {MAX_VALUE} printable characters of ASCII"
            )
        found[name.lower()] = (name, value)
    return tuple(found.values())


def _within(name: str, read: Any, *given: Any) -> Any:
    """Say of a refusal where it belongs."""
    try:
        return read(*given)
    except PartnersError as error:
        raise AccessError(f"/{name}", str(error)) from error


class _Form:
    """The members of one object, each asked for before `close`."""

    def __init__(self, given: object) -> None:
        if not isinstance(given, Mapping):
            raise AccessError("", "is an object with kind")
        self._given: Mapping[Any, Any] = given
        self._asked: set[str] = set()

    def text(self, name: str, *, most: int = MAX_TEXT, default: str | None = None) -> str:
        """A text of 1 to `most` characters; without a default it must be there."""
        self._asked.add(name)
        if name not in self._given and default is not None:
            return default
        value = self._given.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise AccessError(f"/{name}", f"is a text of 1 to {most} characters")
        return value

    def shaped(self, name: str, shape: re.Pattern[str], *, default: str | None = None) -> str:
        """A text of this shape."""
        value = self.text(name, default=default)
        if value != default and shape.fullmatch(value) is None:
            raise AccessError(f"/{name}", "holds characters that it must not hold")
        return value

    def mapping(self, name: str) -> Mapping[Any, Any]:
        """An object within."""
        self._asked.add(name)
        value = self._given.get(name)
        if not isinstance(value, Mapping):
            raise AccessError(f"/{name}", "is an object")
        return value

    def close(self) -> None:
        """Refuse what nobody asked for."""
        if set(self._given) - self._asked:
            known = ", ".join(sorted(self._asked))
            raise AccessError("", f"has a member that does not belong there; there are {known}")
