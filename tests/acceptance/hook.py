"""A partner's receiver in the test's own process: it keeps every POST and answers 204."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Hook:
    """All that was posted to it, headers and body, in the order of arrival."""

    url: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def webhook_ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.posts]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in list(self.posts)]


@contextmanager
def listening() -> Iterator[Hook]:
    """A receiver on a free port; it ends with the block."""
    hook = Hook()

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.posts.append(({name.lower(): text for name, text in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Post)
    server.daemon_threads = True
    hook.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
