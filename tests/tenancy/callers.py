"""Callers for the matrix of tenants: one of each kind and standing, and how each shows itself on a request.

A new kind of credential is a new line in `KINDS`: it gets every route, every standing and every owner.
"""

import base64
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.bootstrap.ground import clock
from gateway.standard_webhooks import sign
from partners.credential import DAY_MS, Scope
from partners.credential_material import (
    Material,
    read_certificate,
    read_oauth_client,
    read_public_key,
    read_webhook_secret,
)
from partners.issuing import WantedCredential
from partners.minting import Fresh
from tests.authorities import CLIENT, make
from tests.builders import ORIGIN, House
from tests.issuers import Issuer, ec_signer, issuing
from tests.signing import Draft
from tests.world import OPERATOR

PROXY, ANYBODY = "10.0.0.1", "203.0.113.9"
AUTHORITY: Final = ORIGIN.removeprefix("http://")
LATER_MS: Final = 2 * DAY_MS
"""When what is called `expired` has ended, and nothing else has."""


@dataclass(frozen=True)
class Standing:
    """Whose a credential is and how it stands: one of them for each kind."""

    name: str
    partner: str
    scopes: frozenset[Scope] | None = None
    is_short: bool = False
    is_revoked: bool = False


STANDINGS: Final = (
    # First, since a partner has two of a kind at most that are in force.
    Standing("revoked", "acme", is_revoked=True),
    Standing("valid", "acme"),
    Standing("other", "globex"),
    Standing("expired", "dated", is_short=True),
    Standing("audit", "bolt", frozenset({"audit"})),
    Standing("send", "cedar", frozenset({"send"})),
)


@dataclass(frozen=True)
class Sent:
    """A request before anybody has proved anything by it. `path`: escaped, as it goes over the wire."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    peer: str = ANYBODY

    def plus(self, peer: str | None = None, query: str | None = None, **headers: str) -> "Sent":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(
            self,
            peer=self.peer if peer is None else peer,
            query=self.query if query is None else query,
            headers={**self.headers, **named},
        )


Show = Callable[[Sent, int], Sent]
"""Shows a credential on a request that is sent at an instant (Unix milliseconds)."""


def _bearer(key: str) -> Show:
    return lambda sent, _now: sent.plus(authorization=f"Bearer {key}")


def _basic(key: str) -> Show:
    shown = base64.b64encode(f"{key}:".encode()).decode()
    return lambda sent, _now: sent.plus(authorization=f"Basic {shown}")


class Certificate:
    """Pinned, and handed on by a proxy that is believed."""

    def __init__(self, name: str, _issuer: Issuer) -> None:
        self.made = make(name, at=clock(), days=(-1, 300), extensions=(CLIENT,))

    def material(self) -> Material:
        return read_certificate(self.made.pem.decode())

    def show(self, _credential: str) -> Show:
        text = f":{base64.b64encode(self.made.der).decode()}:"
        return lambda sent, _now: sent.plus(peer=PROXY, client_cert=text)


class Token:
    """By an issuer that all partners share: subjects alone tell them apart."""

    signer = ec_signer("k")

    def __init__(self, name: str, issuer: Issuer) -> None:
        self.name, self.url = name, issuer.url
        issuer.has(self.signer)

    def material(self) -> Material:
        return read_oauth_client(self.url, self.name, "gw")

    def show(self, _credential: str) -> Show:
        def shown(sent: Sent, now: int) -> Sent:
            claims = {"iss": self.url, "sub": self.name, "aud": "gw", "exp": now // 1_000 + 900}
            return sent.plus(authorization=f"Bearer {self.signer.token(claims)}")

        return shown


class Signature:
    """RFC 9421, over all that it has to cover."""

    def __init__(self, _name: str, _issuer: Issuer) -> None:
        self.key = Ed25519PrivateKey.generate()

    def material(self) -> Material:
        pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return read_public_key(pem.decode())

    def show(self, credential: str) -> Show:
        def shown(sent: Sent, now: int) -> Sent:
            draft = Draft(
                sent.method,
                AUTHORITY,
                sent.path,
                sent.query,
                body=sent.body,
                created=now // 1_000,
                parameters=f';nonce="{secrets.token_hex(16)}"',
                headers={name: text for name, text in sent.headers.items() if name == "content-type"},
            )
            return replace(sent, headers={**sent.headers, **draft.signed(self.key, credential)})

        return shown


class Webhook:
    """Standard Webhooks: on routes of events alone, elsewhere it is none."""

    def __init__(self, _name: str, _issuer: Issuer) -> None:
        self.secret = secrets.token_bytes(32)

    def material(self) -> Material:
        return read_webhook_secret(f"whsec_{base64.b64encode(self.secret).decode()}")

    def show(self, credential: str) -> Show:
        def shown(sent: Sent, now: int) -> Sent:
            message, at = f"msg_{secrets.token_hex(8)}", now // 1_000
            signature = sign([self.secret], message, at, sent.body)
            query = "&".join(part for part in (sent.query, f"credential={credential}") if part)
            return sent.plus(
                query=query, webhook_id=message, webhook_timestamp=str(at), webhook_signature=signature
            )

        return shown


KINDS: Final[Mapping[str, Callable[[str, Issuer], Any]]] = {
    "certificate": Certificate,
    "token": Token,
    "signature": Signature,
    "webhook": Webhook,
}
"""All but API keys, whose texts are made here and not by their owners."""

NAMES: Final = ("bearer", "basic", *KINDS)


@dataclass
class Callers:
    """A house, and everybody who calls it.

    `now`, `later`: its application, and the same by a clock that is `LATER_MS` ahead. `shows`: by kind and
    standing. `statements`: of the last answer. `secrets`: what nobody may be told, by kind and standing.
    """

    house: House
    now: Any
    later: Any
    shows: dict[tuple[str, str], Show] = field(default_factory=dict)
    statements: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    async def answer(self, sent: Sent, app: Any) -> httpx.Response:
        """What is answered to a request, without a client's own work."""
        self.statements.clear()
        headers = {"host": AUTHORITY, "content-length": str(len(sent.body)), **sent.headers}
        if sent.body:
            headers.setdefault("content-type", "application/json")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": sent.method,
            "scheme": "http",
            "path": unquote(sent.path),
            "raw_path": sent.path.encode(),
            "query_string": sent.query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": (sent.peer, 4_711),
            "server": ("127.0.0.1", 8080),
        }
        told: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": sent.body, "more_body": False}

        async def send(message: Any) -> None:
            told.append(message)

        await app(scope, receive, send)
        body = b"".join(one.get("body", b"") for one in told[1:])
        return httpx.Response(told[0]["status"], headers=told[0]["headers"], content=body)

    async def ask(self, sent: Sent, *shown: tuple[str, str], is_later: bool = False) -> httpx.Response:
        """The answer to a request with these credentials, by kind and standing."""
        at = clock() + (LATER_MS if is_later else 0)
        for one in shown:
            sent = self.shows[one](sent, at)
        return await self.answer(sent, self.later if is_later else self.now)


async def _issue(house: House, callers: Callers, issuer: Issuer, standing: Standing) -> None:
    ends = clock() + DAY_MS if standing.is_short else None
    administration = house.world.parts.administration
    made: list[tuple[str, str, str | None, Any]] = []
    for kind in ("bearer", *KINDS):
        name = f"{kind} {standing.name}"
        of = KINDS[kind](name, issuer) if kind in KINDS else None
        scopes = None if kind == "webhook" else standing.scopes
        material: Material | Fresh = "api_key" if of is None else of.material()
        wanted = WantedCredential(standing.partner, "partner", name, scopes, ends, material)
        change = await administration.create_credential(wanted, by=OPERATOR)
        made.append((kind, change.credential.id, change.text, of))
        house.credentials[name] = change.credential
    for kind, credential, text, of in made:
        if standing.is_revoked:
            await administration.revoke_credential(credential, owner=None, reason="", by=OPERATOR)
        if text is not None:
            callers.secrets[f"{kind} {standing.name}"] = text.split("_")[2]
            callers.shows["bearer", standing.name] = _bearer(text)
            callers.shows["basic", standing.name] = _basic(text)
        else:
            callers.shows[kind, standing.name] = of.show(credential)
            if isinstance(of, Webhook):
                callers.secrets[f"{kind} {standing.name}"] = base64.b64encode(of.secret).decode()
                callers.secrets[f"{kind} {standing.name}, bytes"] = repr(of.secret)[2:-1]


@asynccontextmanager
async def all_callers(house: House, now: Any, later: Any) -> AsyncIterator[Callers]:
    """Make every credential of every kind and standing; the issuer of tokens lives as long as the block."""
    callers = Callers(house, now, later)
    async with issuing() as issuer, house.world.parts.dialler:
        for standing in STANDINGS:
            await _issue(house, callers, issuer, standing)
        yield callers
