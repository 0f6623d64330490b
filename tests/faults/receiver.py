"""Partners' receivers on loopback: keep what arrives, by webhook-id, and now and then say 503 first."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from gateway.dialler import Outgoing
from tests.acknowledging import signed_fields
from tests.faults.acknowledged import digest
from tests.post_server import taking_posts

OK, GONE, UNAVAILABLE = 204, 410, 503
REFUSALS = (503, 302, 500, 503, 404, 503, 500, 429, 503, 302, 500, 503, 403, 503, 500, 502)
"""How it refuses: some answers slow the endpoint down, some say nothing of it, most are its own trouble."""


@dataclass
class Receiver:
    """What came, and whether we took it.

    `refuses`: one webhook-id in so many is refused first, so that a kill finds retries under way.
    `stalls`: one in so many (0: none) is answered too late at first, after `stall_seconds`.
    `is_out`: everything gets a 503. `gone`: paths at which everything gets a 410. `signer`: a key, and the id
    of its credential, that sign each answer.
    Kept: `bodies` and `events` (path and event id) to the first digest and webhook-id; `torn` and `split`
    what came with another one later; `arrivals`: for each path the webhook-ids in the order of first sight.
    """

    refuses: int = 5
    stalls: int = 0
    stall_seconds: float = 0.0
    is_out: bool = False
    gone: set[str] = field(default_factory=set)
    signer: tuple[Any, str] | None = field(default=None, repr=False)
    url: str = ""
    posts: int = 0
    bodies: dict[str, bytes] = field(default_factory=dict)
    events: dict[tuple[str, str], str] = field(default_factory=dict)
    torn: set[str] = field(default_factory=set)
    split: set[tuple[str, str]] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    arrivals: dict[str, list[str]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock, repr=False)

    def take(self, path: str, webhook_id: str, body: bytes) -> tuple[int, float]:
        """The status, and how long to wait before it is said."""
        event = (path, str(json.loads(body)["id"]))
        number = int.from_bytes(digest(webhook_id.encode())[:4])
        with self.lock:
            self.posts += 1
            is_new = webhook_id not in self.bodies
            if self.bodies.setdefault(webhook_id, digest(body)) != digest(body):
                self.torn.add(webhook_id)
            if self.events.setdefault(event, webhook_id) != webhook_id:
                self.split.add(event)
            if is_new:
                self.arrivals.setdefault(path, []).append(webhook_id)
            if path in self.gone:
                return GONE, 0.0
            if self.is_out:
                return UNAVAILABLE, 0.0
            if is_new and number % self.refuses == 0:
                return REFUSALS[number // self.refuses % len(REFUSALS)], 0.0
            if is_new and self.stalls and number % self.stalls == 1:
                return UNAVAILABLE, self.stall_seconds
            self.taken.add(webhook_id)
            return OK, 0.0

    def sign(self, path: str, headers: Mapping[str, str], body: bytes, status: int) -> dict[str, str]:
        """What signs an answer."""
        if self.signer is None:
            return {}
        url = f"{self.url.removesuffix('/hook')}{path}"
        key, keyid = self.signer
        signed = signed_fields(
            key,
            keyid,
            Outgoing(url, tuple(headers.items()), body),
            created=int(time.time()),
            status=status,
            covered=('"@status"', '"webhook-id";req', '"content-digest";req'),
        )
        return {name: text for name, text in signed if name.startswith("signature")}


@contextmanager
def receiving(receiver: Receiver | None = None) -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    made = receiver or Receiver()

    def take(path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        return made.take(path, headers["webhook-id"], body)

    with taking_posts(take, made.sign) as url:
        made.url = f"{url}/hook"
        yield made
