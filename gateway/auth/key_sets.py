"""The keys of issuers: fetched when a token first needs them, kept for minutes, never guessed.

A key that an issuer takes away counts for ten minutes at most, or for an hour while the issuer cannot be
asked. After that, and for a key that is not among those known while it cannot be asked, there is no answer:
`issuer_unavailable`. Nothing but the issuer's own word says where its keys are, and then only at its own
origin or at a host that the settings name.

Source: OpenID Connect Discovery 1.0, section 4; RFC 8725, section 3.10.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

from gateway.auth.web_keys import WebKey, read_keys
from gateway.dialler import Fetched
from gateway.errors import AwayError
from gateway.logs import logger
from schemas.errors import SchemasError
from schemas.json_reader import read_json

KEEP_MS: Final = 600_000
"""After so long an issuer is asked again."""

STALE_MS: Final = 3_600_000
"""For so long its last answer counts while it cannot be asked."""

ASK_MS: Final = 30_000
"""Between two questions that a key nobody knows may cause."""

RETRY_MS: Final = 5_000
"""Between two questions where the last one failed."""

FETCH_SECONDS: Final = 5.0
BODY_BYTES: Final = 512 * 1024
_ISSUERS: Final = 4_096
_NOT_THERE: Final = frozenset({404, 410})


class Fetches(Protocol):
    """Who asks for what others' addresses hold: `gateway.dialler.Dialler`."""

    async def fetch(self, url: str, *, most: int) -> Fetched:
        """GET once; never raises for what the other side does."""
        ...


@dataclass(slots=True)
class _Held:
    """What is known of one issuer. Unix milliseconds; `fetched_at` None: its keys never came."""

    keys: tuple[WebKey, ...] = ()
    fetched_at: int | None = None
    tried_at: int | None = None
    is_away: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def named(self, kid: str | None, algorithm: str) -> WebKey | None:
        """The one key that fits; None where there is none, or more than one, since nobody guesses."""
        fitting = [
            one for one in self.keys if algorithm in one.algorithms and (kid is None or one.kid == kid)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def is_within(self, at: int | None, span: int, now: int) -> bool:
        return at is not None and 0 <= now - at < span


class KeySets:
    """See the module."""

    def __init__(self, fetches: Fetches, *, hosts: Sequence[str] = ()) -> None:
        """`hosts`: where keys may be, beside their issuers' own origins; names in lower case."""
        self._fetches = fetches
        self._hosts = frozenset(hosts)
        self._held: dict[str, _Held] = {}

    async def find(self, issuer: str, kid: str | None, algorithm: str, *, now: int) -> WebKey | None:
        """The issuer's key of this name, or its only one for the algorithm where `kid` is None.

        None: it has no such key. Only for issuers that a credential names: each is remembered.

        Raises:
            AwayError: `issuer_unavailable`: its keys are not known, and it cannot be asked now.
        """
        if issuer not in self._held and len(self._held) >= _ISSUERS:
            self._held.clear()
        held = self._held.setdefault(issuer, _Held())
        found = held.named(kid, algorithm)
        is_usable = found is not None and held.is_within(held.fetched_at, STALE_MS, now)
        if not held.turn.locked():
            if self._is_due(held, is_known=found is not None, now=now):
                async with held.turn:
                    await self._ask(issuer, held, now=now)
        elif not is_usable:
            async with held.turn:  # somebody asks already: what that brings is waited for
                pass
        found = held.named(kid, algorithm)
        if not held.is_within(held.fetched_at, STALE_MS, now) or (found is None and held.is_away):
            raise AwayError("issuer_unavailable", "the keys of the token's issuer cannot be fetched now")
        return found

    def _is_due(self, held: _Held, *, is_known: bool, now: int) -> bool:
        if is_known and held.is_within(held.fetched_at, KEEP_MS, now):
            return False
        return not held.is_within(held.tried_at, RETRY_MS if held.is_away else ASK_MS, now)

    async def _ask(self, issuer: str, held: _Held, *, now: int) -> None:
        held.tried_at, held.is_away = now, True
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                raw = await self._fetch_keys(issuer)
                # On a thread: a hundred keys take tens of milliseconds to read.
                keys = await asyncio.get_running_loop().run_in_executor(None, read_keys, raw)
        except (AwayError, TimeoutError) as error:
            why = str(error) or "it does not answer in time"
            logger("gateway.auth").warning("an issuer's keys were not fetched", issuer=issuer, reason=why)
            return
        held.keys, held.fetched_at, held.is_away = keys, now, False

    async def _fetch_keys(self, issuer: str) -> bytes:
        base = issuer.removesuffix("/")
        described = await self._fetches.fetch(f"{base}/.well-known/openid-configuration", most=BODY_BYTES)
        if described.status in _NOT_THERE:
            # Simple issuers, this gateway too, have no description: their keys are where everybody has them.
            return _body(await self._fetches.fetch(f"{base}/.well-known/jwks.json", most=BODY_BYTES))
        url = self._place_of_keys(issuer, _body(described))
        return _body(await self._fetches.fetch(url, most=BODY_BYTES))

    def _place_of_keys(self, issuer: str, raw: bytes) -> str:
        try:
            described = read_json(raw)
        except SchemasError as error:
            raise _unusable("its description is no JSON") from error
        if not isinstance(described, dict) or described.get("issuer") != issuer:
            raise _unusable("its description is of another issuer")
        url = described.get("jwks_uri")
        if not isinstance(url, str):
            raise _unusable("its description has no jwks_uri")
        try:
            is_own = _origin(urlsplit(url)) == _origin(urlsplit(issuer))
            is_listed = urlsplit(url).scheme == "https" and urlsplit(url).hostname in self._hosts
        except ValueError as error:
            raise _unusable("its jwks_uri is no URL") from error
        if not (is_own or is_listed):
            raise _unusable(
                "its jwks_uri is at another origin: add the host to oauth.key_hosts if it is right"
            )
        return url


def _origin(url: SplitResult) -> tuple[str, str, int]:
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.scheme, url.hostname or "", port


def _body(fetched: Fetched) -> bytes:
    if fetched.failure is not None:
        raise _unusable(f"{fetched.failure}, status {fetched.status}")
    return fetched.body


def _unusable(why: str) -> AwayError:
    return AwayError("issuer_unavailable", why)
