"""An HTTP server on loopback that takes POSTs, for receivers of every sort."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

NO_CONTENT = 204

Take = Callable[[str, Mapping[str, str], bytes], tuple[int, float]]
"""Path, headers (names in lower case) and body to a status and the seconds until it is answered."""

Sign = Callable[[str, Mapping[str, str], bytes, int], Mapping[str, str]]
"""Path, headers and body of a request, and the status of its answer, to further headers of that."""


class _Listening(ThreadingHTTPServer):
    """Takes many connections at once, and shrugs at a sender that was killed."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing: a killed relay leaves its connections broken."""


@contextmanager
def taking_posts(take: Take, sign: Sign = lambda *_: {}) -> Iterator[str]:
    """The URL of a server on a free port, without a path; it ends with the block."""

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): text for name, text in self.headers.items()}
            status, seconds = take(self.path, headers, body)
            time.sleep(seconds)
            self.send_response(status)
            for name, text in sign(self.path, headers, body, status).items():
                self.send_header(name, text)
            if status != NO_CONTENT:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = _Listening(("127.0.0.1", 0), Post)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
