"""The gateway as the demo's parties call it: a key each, the certificate verified, batches repeated blindly.

The only module of the demo that opens a connection.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from gateway.cli.demo_words import DemoError

_TIMEOUT: Final = httpx.Timeout(40.0, connect=5.0)
_MOST_TRIES: Final = 40
_PAUSE_SECONDS: Final = 0.5
_AWAY: Final = (429, 503)
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status, JSON document where it is one, raw content."""

    status: int
    document: Mapping[str, Any]
    content: bytes = field(repr=False)

    @property
    def is_away(self) -> bool:
        """Whether the gateway asks to come again."""
        return self.status in _AWAY

    def expect(self, *statuses: int) -> "Reply":
        """The reply itself, if its status is one of these.

        Raises:
            DemoError: it is another; with what the gateway says about it.
        """
        if self.status not in statuses:
            wanted = " or ".join(map(str, statuses))
            words = self.document.get("detail", "")
            code = self.document.get("code", "")
            raise DemoError(f"expected HTTP {wanted}, got {self.status} {code}: {words}")
        return self


class Party:
    """One caller: a partner, or our own side. `key` empty: nobody in particular."""

    def __init__(
        self,
        url: str,
        ca_file: Path | None,
        key: str = "",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        """Dial nothing yet. `ca_file` None: plain HTTP. `pause_seconds`: before a repeat."""
        self._pause_seconds = pause_seconds
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=_TIMEOUT,
            trust_env=False,
            transport=transport,
            verify=False if ca_file is None else ssl.create_default_context(cafile=str(ca_file)),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, **params: str | int) -> Reply:
        """Read, again where the gateway asks for it. Raises DemoError where no answer comes, as all do."""
        for _ in range(_MOST_TRIES):
            reply = await self._ask("GET", path, params=params)
            if not reply.is_away:
                break
            await asyncio.sleep(self._pause_seconds)
        return reply

    async def put(self, path: str, document: object, **params: str) -> Reply:
        """Replace."""
        return await self._ask("PUT", path, json=document, params=params)

    async def post(self, path: str, document: object) -> Reply:
        """Send a JSON document."""
        return await self._ask("POST", path, json=document)

    async def send(self, path: str, content: bytes, media_type: str) -> Reply | None:
        """Send events once, exactly these bytes; None where no answer came."""
        try:
            return await self._ask("POST", path, content=content, headers={"Content-Type": media_type})
        except DemoError:
            return None

    async def send_surely(self, path: str, content: bytes, media_type: str) -> Reply:
        """Send events until there is an answer that is not "come again". Repeating is always safe.

        Raises:
            DemoError: there was none, after many tries.
        """
        last: object = ""
        for _ in range(_MOST_TRIES):
            reply = await self.send(path, content, media_type)
            if reply is not None and not reply.is_away:
                return reply
            last = "none at all" if reply is None else reply.document.get("code", reply.status)
            await asyncio.sleep(self._pause_seconds)
        raise DemoError(f"no answer to POST {path} after {_MOST_TRIES} tries; the last was {last}")

    async def is_ready(self) -> bool:
        """Whether the gateway takes events now."""
        try:
            reply = await self._ask("GET", "/readyz")
        except DemoError:
            return False
        return reply.status == httpx.codes.OK

    async def history(self, path: str, **params: str | int) -> list[dict[str, Any]]:
        """All rows of a list, page after page."""
        rows: list[dict[str, Any]] = []
        page: str | None = None
        while True:
            extra = {} if page is None else {"cursor": page}
            reply = (await self.get(path, limit=_PAGE, **params, **extra)).expect(200)
            rows += reply.document["items"]
            page = reply.document["next"]
            if page is None:
                return rows

    async def topic(self, path: str, direction: str) -> list[tuple[str, str]]:
        """Source and id of every record of a topic, in its order, from the first to the end."""
        found: list[tuple[str, str]] = []
        place: dict[str, str] = {"from": "earliest"}
        while True:
            reply = (await self.get(path, limit=_PAGE, direction=direction, **place)).expect(200)
            found += [(one["source"], one["id"]) for one in reply.document["items"]]
            if reply.document["caught_up"]:
                return found
            place = {"cursor": reply.document["cursor"]}

    async def _ask(self, method: str, path: str, **more: Any) -> Reply:
        try:
            return _reply(await self._http.request(method, path, **more))
        except httpx.HTTPError as error:
            raise DemoError(f"no answer to {method} {path}: {type(error).__name__} {error}") from error


def _reply(response: httpx.Response) -> Reply:
    document: object = None
    if "json" in response.headers.get("content-type", ""):
        document = response.json()
    return Reply(response.status_code, document if isinstance(document, dict) else {}, response.content)
