# ruff: noqa: INP001 - a program by itself, in no package
"""A partner's webhook receiver: verifies every signature, then keeps each event once.

Standard library only, and nothing of the gateway: what a partner would write from the documentation alone.

    python examples/receiver.py --secret-file FILE [--port 8099] [--fail-first 2]

Prints one line of JSON with its port; serves `POST /webhooks`, `GET /counts`, `GET /failed` on loopback.

Source: Standard Webhooks 1.0.0.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

TOLERANCE_SECONDS = 300
LARGEST_BODY = 1 << 20
VERIFICATION = "gateway.endpoint.verification"
LONGEST_TIME = 12  # digits of Unix seconds, for some ten thousand years


def find_fault(headers: dict[str, str], body: bytes, secret: str, now: float) -> str | None:
    """Say what is wrong with a message, or None: it comes from a holder of the secret, and just now.

    1. The three headers are there. 2. The signature covers id, time and exactly these bytes; it is compared
    in constant time. 3. The time is near ours, so that an old message cannot be played again.
    """
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    listed = headers.get("webhook-signature", "")
    is_time = at.isascii() and at.isdigit() and len(at) <= LONGEST_TIME
    if not message_id or not listed or not is_time:  # 1
        return "a header is missing"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    wanted = b"v1," + base64.b64encode(mac)
    if not any(hmac.compare_digest(wanted, one.encode("latin-1")) for one in listed.split(" ")):  # 2
        return "the signature is wrong"
    return None if abs(now - int(at)) <= TOLERANCE_SECONDS else "the message is too old"  # 3


class Ledger:
    """What came: each event once, however often it was sent."""

    def __init__(self, fail_first: int) -> None:
        """Be out of order for the first `fail_first` messages that are signed well."""
        self._lock = threading.Lock()
        self._failures_left = fail_first
        self._kept: Counter[str] = Counter()
        self._events: set[tuple[str, str]] = set()
        self._failed: list[str] = []
        self._told = Counter[str]()

    def refuse(self) -> None:
        """Count a message whose signature does not hold."""
        with self._lock:
            self._told["bad_signatures"] += 1

    def take(self, message_id: str, event: dict[str, str]) -> int:
        """Keep a verified message; the status to answer with."""
        with self._lock:
            self._told["verified"] += 1
            if self._failures_left:
                self._failures_left -= 1
                self._failed.append(message_id)
                return 503
            self._kept[message_id] += 1
            self._events.add((event["source"], event["id"]))
            return 204

    def counts(self) -> dict[str, int]:
        """Everything counted. `repeats`: messages that had been kept before."""
        with self._lock:
            return {
                "unique": len(self._kept),
                "events": len(self._events),
                "repeats": self._kept.total() - len(self._kept),
                "verified": self._told["verified"],
                "bad_signatures": self._told["bad_signatures"],
                "answered_503": len(self._failed),
            }

    def failed(self) -> list[str]:
        """The ids of the messages that were answered 503, in their order."""
        with self._lock:
            return list(self._failed)


class Answering(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: small packets one by one would wait for each other
    ledger: ClassVar[Ledger]
    secret_file: ClassVar[Path]

    def do_POST(self) -> None:
        """Verify first, on the bytes as they came; read only then."""
        stated = self.headers.get("content-length", "")
        length = int(stated) if stated.isascii() and stated.isdigit() else 0
        if not 0 < length <= LARGEST_BODY:
            self.close_connection = True
            self._answer(413, b"")
            return
        body = self.rfile.read(length)
        headers = {name.lower(): text for name, text in self.headers.items()}
        secret = self.secret_file.read_text().split()[-1]  # alone, or as gateway apply writes it
        now = time.time()  # noqa: TID251 - a program of its own, with a clock of its own
        fault = find_fault(headers, body, secret, now)
        if fault is not None:
            self.ledger.refuse()
            self._answer(401, fault.encode())
            return
        event = json.loads(body)
        if event["type"] == VERIFICATION:
            # Only who gets what is sent here can know it: sent back, it proves that this is our URL.
            self._answer(200, json.dumps({"challenge": event["data"]["challenge"]}).encode())
            return
        self._answer(self.ledger.take(headers["webhook-id"], event), b"")

    def do_GET(self) -> None:
        """Tell what came so far."""
        told = {"ids": self.ledger.failed()} if self.path == "/failed" else self.ledger.counts()
        self._answer(200, json.dumps(told).encode())

    def log_message(self, *_: object) -> None:
        """Stay quiet: the counts say it."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            kind = "application/json" if status == HTTPStatus.OK else "text/plain"
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Receiver(ThreadingHTTPServer):
    """Serves until it is told to end, or the program that started it has ended."""

    daemon_threads = True
    request_queue_size = 64
    parent: int | None = None

    def service_actions(self) -> None:
        """Look after the parent twice a second."""
        if self.parent is not None and os.getppid() != self.parent:
            sys.exit(0)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="A webhook receiver that verifies every signature.")
    parser.add_argument("--secret-file", type=Path, required=True, help="ends in whsec_...; read each time")
    parser.add_argument("--port", type=int, default=8099, help="0: one that is free")
    parser.add_argument("--fail-first", type=int, default=0, help="answer 503 so often before it works")
    parser.add_argument("--with-parent", action="store_true", help="end when the starting program ends")
    given = parser.parse_args()
    Answering.ledger, Answering.secret_file = Ledger(given.fail_first), given.secret_file
    with Receiver(("127.0.0.1", given.port), Answering) as server:
        server.parent = os.getppid() if given.with_parent else None
        print(json.dumps({"port": server.server_address[1]}), flush=True)  # noqa: T201 - how it tells its port
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(130)


if __name__ == "__main__":
    main()
