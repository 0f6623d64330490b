"""What a POST needs beside its signature, since its endpoint demands it: fields, a token, a certificate.

Opened where it is used and kept in memory only. A token is fetched through the dialler, once at a time, kept
until shortly before it ends, and forgotten when the endpoint refuses it; the next one comes RETRY_MS after
that one was asked for at the earliest, so that who refuses every token makes few questions. Never logged,
never in an error: a secret, a token, or what a token server says.

Source: RFC 6749, sections 2.3.1, 4.4 and 5.1; RFC 6750, section 2.1.
"""

import asyncio
import base64
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol
from urllib.parse import quote_plus, urlencode

from gateway.dialler import Fetched, Outgoing, default_tls
from gateway.egress.client_tls import client_tls
from gateway.errors import SealError
from gateway.logs import logger
from partners.access import (
    ClientCertificate,
    EndpointAccess,
    OauthGrant,
    StaticHeaders,
    access_place,
    decode_access,
)
from partners.endpoint import Endpoint
from partners.errors import AccessError

TOKEN_SECONDS: Final = 5.0
"""For a token to come; what it took is taken from the attempt's own deadline."""

RETRY_MS: Final = 5_000
"""A token server that gave none, or one that was refused, is asked again after so long at the earliest.

However many deliveries wait.
"""

UNSAID_SECONDS: Final = 300
"""How long a token is good whose server does not say."""

LONGEST_SECONDS: Final = 86_400
_EARLY_SECONDS: Final = 60
_MOST: Final = 4_096
_BODY_BYTES: Final = 64 * 1024
_TOKEN_CHARACTERS: Final = 8_192
_TOKEN: Final = re.compile(r"[!-~]+")
_REFUSED: Final = 401

_log = logger(__name__)


class TokenServers(Protocol):
    """Who asks what others' addresses hold: `gateway.dialler.Dialler`."""

    async def ask(self, outgoing: Outgoing, *, most: int) -> Fetched:
        """POST once; never raises for what the other side does."""
        ...


@dataclass(eq=False, slots=True)
class _Opened:
    """What one endpoint demands, in clear. Unix milliseconds; `token` empty: there is none.

    `asked_at`: when a token was asked for last. `failed_at`: as that, where none came or it was refused.
    """

    sealed: bytes = field(repr=False)
    access: EndpointAccess
    tls: ssl.SSLContext | None
    token: str = field(default="", repr=False)
    until: int = 0
    asked_at: int = 0
    failed_at: int | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class AccessBook:
    """See the module. `unseal` opens what was sealed for a place; `clock`: Unix milliseconds."""

    def __init__(
        self, unseal: Callable[[bytes, str], bytes], servers: TokenServers, clock: Callable[[], int]
    ) -> None:
        self._unseal = unseal
        self._servers = servers
        self._clock = clock
        self._opened: dict[str, _Opened] = {}

    async def dress(self, outgoing: Outgoing, endpoint: Endpoint) -> Outgoing | None:
        """Add what the endpoint demands to a POST; None: it demands a token, and none comes.

        The POST goes over connections of the endpoint's owner alone.

        Raises:
            SealError: what it demands cannot be opened; nothing is to be sent.
        """
        outgoing = replace(outgoing, pool=endpoint.owner)
        opened = await self._open(endpoint)
        if opened is None:
            return outgoing
        outgoing = replace(outgoing, tls=opened.tls)
        match opened.access.demand:
            case StaticHeaders(fields):
                taken = {name.lower() for name, _ in fields}
                others = (one for one in outgoing.headers if one[0].lower() not in taken)
                return replace(outgoing, headers=(*others, *fields))
            case OauthGrant() as grant:
                loop = asyncio.get_running_loop()
                begun = loop.time()
                token = await self._token(endpoint, opened, grant)
                spent_ms = int((loop.time() - begun) * 1000)
                shown = _shown(token)
                dressed = replace(outgoing, headers=(*outgoing.headers, shown), spent_ms=spent_ms)
                return dressed if token else None
            case _:
                return outgoing

    def hear(self, endpoint: Endpoint, dressed: Outgoing | None, status: int) -> None:
        """What the endpoint answered to what `dress` gave: a token that it refuses is not shown to it again.

        One that was fetched meanwhile stays.
        """
        opened = self._opened.get(endpoint.id)
        if status != _REFUSED or opened is None or dressed is None or not opened.token:
            return
        if _shown(opened.token) in dressed.headers:
            opened.token, opened.failed_at = "", opened.asked_at

    async def _open(self, endpoint: Endpoint) -> _Opened | None:
        if endpoint.access is None:
            self._opened.pop(endpoint.id, None)
            return None
        known = self._opened.get(endpoint.id)
        if known is not None and known.sealed == endpoint.access:
            return known
        try:
            access = decode_access(self._unseal(endpoint.access, access_place(endpoint.id)))
            # On a thread: to read all public authorities takes tens of milliseconds.
            tls = await asyncio.get_running_loop().run_in_executor(None, _tls_of, access)
        except (AccessError, ssl.SSLError):
            # The cause may quote what was opened, so it is not chained.
            raise SealError(f"what endpoint {endpoint.id} demands cannot be used: set it again") from None
        known = self._opened.get(endpoint.id)
        if known is not None and known.sealed == endpoint.access:
            return known  # another attempt was faster: what it fetched counts
        if len(self._opened) >= _MOST:
            self._opened.clear()
        opened = self._opened[endpoint.id] = _Opened(endpoint.access, access, tls)
        return opened

    async def _token(self, endpoint: Endpoint, opened: _Opened, grant: OauthGrant) -> str:
        """A token that is good now; empty: none comes."""
        if not opened.token or self._clock() >= opened.until:
            async with opened.turn:
                now = self._clock()
                is_resting = opened.failed_at is not None and 0 <= now - opened.failed_at < RETRY_MS
                if (not opened.token or now >= opened.until) and not is_resting:
                    await self._fetch(endpoint, opened, grant)
        return opened.token

    async def _fetch(self, endpoint: Endpoint, opened: _Opened, grant: OauthGrant) -> None:
        opened.token = ""
        opened.asked_at = opened.failed_at = self._clock()
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                asked = _question(grant, pool=endpoint.owner, tls=opened.tls)
                fetched = await self._servers.ask(asked, most=_BODY_BYTES)
        except TimeoutError:
            fetched = Fetched(0, "timed_out", b"")
        found = None if fetched.failure else _read(fetched.body)
        if found is None:
            why = fetched.failure or "response_invalid"
            _log.warning("relay.no_token", endpoint=endpoint.id, reason=why, status=fetched.status)
            return
        token, seconds = found
        early = min(_EARLY_SECONDS, seconds // 5)
        opened.token, opened.failed_at = token, None
        opened.until = self._clock() + (seconds - early) * 1000


def _shown(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


def _tls_of(access: EndpointAccess) -> ssl.SSLContext | None:
    if isinstance(access.demand, ClientCertificate):
        return client_tls(access.demand.chain, access.demand.private_key, access.authorities or None)
    return default_tls(access.authorities) if access.authorities else None


def _question(grant: OauthGrant, *, pool: str, tls: ssl.SSLContext | None) -> Outgoing:
    form = {"grant_type": "client_credentials"}
    form |= {name: value for name in ("scope", "audience") if (value := getattr(grant, name))}
    headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
    if grant.sending == "basic":
        pair = f"{quote_plus(grant.client_id)}:{quote_plus(grant.client_secret)}"
        headers.append(("Authorization", "Basic " + base64.b64encode(pair.encode()).decode("ascii")))
    else:
        form |= {"client_id": grant.client_id, "client_secret": grant.client_secret}
    return Outgoing(grant.token_url, tuple(headers), urlencode(form).encode(), pool, tls)


def _read(body: bytes) -> tuple[str, int] | None:
    """Token and seconds; None: it is no answer of a token server, or a token of another type."""
    try:
        whole = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(whole, dict):
        return None
    token, kind, seconds = whole.get("access_token"), whole.get("token_type"), whole.get("expires_in")
    if not isinstance(token, str) or len(token) > _TOKEN_CHARACTERS or _TOKEN.fullmatch(token) is None:
        return None
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return None
    return token, _seconds(seconds)


def _seconds(given: Any) -> int:
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 10:  # noqa: PLR2004 - digits of what an int would hold
        given = int(given)  # some servers say it as a text
    if not isinstance(given, int) or isinstance(given, bool):
        return UNSAID_SECONDS
    return min(max(given, 0), LONGEST_SECONDS)
