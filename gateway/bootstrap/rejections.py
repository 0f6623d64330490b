"""What the log says of refused requests: the first of a sort with their request ids, of the others how many.

A client that hammers must not fill the log, and nobody may hide among the lines of others: what callers that
are proved bring about has room of its own, and each partner a part of it. Counted is everything (`metrics`).
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from gateway.http.rejection import Rejection
from gateway.logs import logger

WINDOW_SECONDS: Final = 60.0
"""After so long the sums are told, and all begins anew."""
LINES: Final = 5
"""Of one sort within a window that have a line each."""
SORTS: Final = 20
"""Of one partner that are told apart within a window, and of strangers all together."""
ALL_SORTS: Final = 1_000
"""Of all partners, and of our own side."""
_STRANGERS: Final = ""
_HANDSHAKES: Final = "tls"
_IPV6_HOME: Final = 64
"""Bits of an IPv6 address that one subscriber has."""

_log = logger("gateway.http")


@dataclass(slots=True, eq=False)
class _Sort:
    """What is told together. `more`: how many had no line; `last`: the fields of the latest of them."""

    many: str
    lines: int = 0
    more: int = 0
    last: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Rejections:
    """A role that tells of who is refused; `stop` ends it, and what is left to say is said."""

    window_seconds: float = WINDOW_SECONDS
    _sorts: dict[Hashable, _Sort] = field(default_factory=dict, init=False)
    _of: Counter[str] = field(default_factory=Counter, init=False)
    _codes: Counter[str] = field(default_factory=Counter, init=False)

    def __call__(self, one: Rejection) -> None:
        """Tell of a refused request, or count it."""
        who = f"{one.partner}/" if one.credential else _STRANGERS
        sort = self._sort(who, one.credential or _home(one.address), one.code, "requests refused")
        self._tell(sort, "request refused", one.code, _fields(one))

    def handshake(self, reason: str, detail: str, address: str) -> None:
        """Tell of a handshake of TLS that came to nothing, or count it. `detail`: OpenSSL's own words."""
        sort = self._sort(_HANDSHAKES, _home(address), reason, "handshakes refused")
        told = {"reason": reason, "detail": detail, "address": address}
        self._tell(sort, "handshake refused", f"tls: {reason}", told)

    async def run(self, stop: asyncio.Event) -> None:
        """Tell the sums, window after window."""
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self.window_seconds):
                    await stop.wait()
            self.fold()

    def fold(self) -> None:
        """Tell of all that had no line of its own, and begin anew."""
        for sort in self._sorts.values():
            if sort.more:
                _log.info(sort.many, more=sort.more, **sort.last)
        if self._codes:
            _log.info("requests refused", more=self._codes.total(), codes=dict(self._codes))
        self._sorts, self._of, self._codes = {}, Counter(), Counter()

    def _sort(self, who: str, name: str, code: str, many: str) -> _Sort | None:
        """The sort that it is of; None where there are too many."""
        key = (who, name, code)
        found = self._sorts.get(key)
        if found is not None:
            return found
        if self._of[who] >= SORTS or len(self._sorts) >= ALL_SORTS:
            return None
        self._of[who] += 1
        made = self._sorts[key] = _Sort(many)
        return made

    def _tell(self, sort: _Sort | None, event: str, code: str, told: Mapping[str, object]) -> None:
        if sort is None:
            self._codes[code] += 1
        elif sort.lines < LINES:
            sort.lines += 1
            _log.info(event, **told)
        else:
            sort.more, sort.last = sort.more + 1, told


def _fields(one: Rejection) -> Mapping[str, object]:
    told: dict[str, object] = {
        "request_id": one.request_id,
        "status": one.status,
        "code": one.code,
        "method": one.method,
        "route": one.route,
        "address": one.address,
        "credential": one.credential or "unknown",
    }
    return told | ({"partner": one.partner} if one.partner else {})


@lru_cache(1_024)
def _home(address: str) -> str:
    """What one stranger can choose of his address does not tell him apart."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if read.version == 4:  # noqa: PLR2004 - of the Internet Protocol
        return str(read)
    return str(ipaddress.ip_network((int(read), _IPV6_HOME), strict=False))
