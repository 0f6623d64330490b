"""Receivers of webhooks for `bench.lanes`, one process: some that answer, and some that mean harm.

By path: `/well...` answers 204 at once; `/hole` takes the request and never answers; `/slow` answers after 30
seconds; `/drip` sends a byte a second; `/no...` answers 400 at once. While `well` is on all answer at once
(GET /well/on, /well/off). GET /seen: percentiles of what `/well...` received, from the time in its event's
id; how many came to each kind of path, and when the last did (monotonic seconds); and it begins anew.
"""

import asyncio
import json
import re
import sys
import time
from typing import ClassVar, Final

import uvloop

from bench.evenly import percentile
from bench.peer import Peer

_DUE: Final = re.compile(rb"due@([0-9]+)")
_DONE: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_NO: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
_SLOW_SECONDS: Final = 30.0


class _Peer(Peer):
    is_well: ClassVar[bool] = False
    late: ClassVar[list[float]] = []
    posts: ClassVar[dict[str, int]] = {}
    last: ClassVar[dict[str, float]] = {}

    def request(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1].decode("latin-1")
        if head.startswith(b"GET "):
            self._transport.write(_get(path))
        else:
            self._post(path, body)

    def _post(self, path: str, body: bytes) -> None:
        kind = path.strip("/").split("-", 1)[0]
        _Peer.posts[kind] = _Peer.posts.get(kind, 0) + 1
        _Peer.last[kind] = time.monotonic()
        if kind == "well" and (due := _DUE.search(body)):
            _Peer.late.append(max(0.0, time.monotonic() - int(due[1]) / 1e6))
        if kind == "well" or _Peer.is_well:
            self._transport.write(_DONE)
        elif kind == "no":
            self._transport.write(_NO)
        elif kind == "slow":
            asyncio.get_running_loop().call_later(_SLOW_SECONDS, self._answer)
        elif kind == "drip":
            self._drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1_000)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_DONE)

    def _drip(self, left: bytes) -> None:
        if left and not self._transport.is_closing():
            self._transport.write(left[:1])
            asyncio.get_running_loop().call_later(1.0, self._drip, left[1:])


def _get(path: str) -> bytes:
    if path.startswith("/well/"):
        _Peer.is_well = path == "/well/on"
    ordered = sorted(_Peer.late)
    shown = {f"p{rank}_ms": percentile(ordered, rank) * 1_000 for rank in (50, 95, 99)} if ordered else {}
    body = json.dumps({"count": len(ordered), "posts": _Peer.posts, "last": _Peer.last, **shown}).encode()
    _Peer.late, _Peer.posts, _Peer.last = [], {}, {}
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Peer, "127.0.0.1", 0)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
