"""A partner's receiver on loopback: keeps what arrives, by webhook-id, and now and then says 503 first."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


class Receiver:
    """What came: for each webhook-id the digests of all bodies, the event's id, and whether we took it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.bodies: dict[str, set[str]] = {}
        self.events: dict[str, set[str]] = {}
        self.taken: set[str] = set()
        self.posts = 0
        self.url = ""

    def take(self, webhook_id: str, body: bytes) -> int:
        """The status: one event in five is refused once, so that a kill finds retries under way."""
        with self._lock:
            self.posts += 1
            is_new = webhook_id not in self.bodies
            self.bodies.setdefault(webhook_id, set()).add(hashlib.sha256(body).hexdigest())
            self.events.setdefault(webhook_id, set()).add(str(json.loads(body)["id"]))
            if is_new and hashlib.sha256(webhook_id.encode()).digest()[0] % 5 == 0:
                return 503
            self.taken.add(webhook_id)
            return 204


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    receiver = Receiver()

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(receiver.take(self.headers["webhook-id"], body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Post)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
