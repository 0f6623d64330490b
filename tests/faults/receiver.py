"""Partners' receivers on loopback: keep what arrives, by webhook-id, and now and then say 503 first."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from tests.faults.acknowledged import digest

OK, UNAVAILABLE = 204, 503


@dataclass
class Receiver:
    """What came, and whether we took it.

    `refuses`: one webhook-id in so many gets a 503 first, so that a kill finds retries under way.
    `stalls`: one in so many (0: none) is answered too late at first, after `stall_seconds`.
    `is_out`: everything gets a 503.
    Kept: `bodies` and `events` (path and event id) to the first digest and webhook-id; `torn` and `split`
    what came with another one later; `arrivals`: for each path the webhook-ids in the order of first sight.
    """

    refuses: int = 5
    stalls: int = 0
    stall_seconds: float = 0.0
    is_out: bool = False
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
            if self.is_out or (is_new and number % self.refuses == 0):
                return UNAVAILABLE, 0.0
            if is_new and self.stalls and number % self.stalls == 1:
                return UNAVAILABLE, self.stall_seconds
            self.taken.add(webhook_id)
            return OK, 0.0


@contextmanager
def receiving(receiver: Receiver | None = None) -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    made = receiver or Receiver()

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, seconds = made.take(self.path, self.headers["webhook-id"], body)
            time.sleep(seconds)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = Listening(("127.0.0.1", 0), Post)
    made.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Listening(ThreadingHTTPServer):
    """Takes many connections at once, and shrugs at a sender that was killed."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing: a killed relay leaves its connections broken."""
