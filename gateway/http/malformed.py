"""What is wrong with the head of a request, and the answer to whoever sent what is no HTTP/1.1."""

import json
import re
from collections.abc import Sequence
from typing import Final

from gateway.http.catalogue import CATALOGUE

HSTS: Final = "max-age=31536000"
MALFORMED: Final = "The request is not well-formed HTTP/1.1."
_HOST: Final = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_VERSIONS: Final = frozenset({"1.0", "1.1"})


def fault_of(
    headers: Sequence[tuple[bytes, bytes]], target: bytes, version: str, *, is_upgrade: bool
) -> str | None:
    """What is wrong with a whole head, beyond what its parser refuses; None: nothing."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return "A request has exactly one Host field, with a host and perhaps a port."
    if version not in _VERSIONS:
        return "Only HTTP/1.1 and HTTP/1.0 are spoken here."
    if not target.startswith((b"/", b"http://", b"https://")):
        return "The request target must be a path, or an http URL."
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [codings[0]] or codings[0].strip().lower() != b"chunked"):
        return "The only transfer coding taken is chunked, once."
    if is_upgrade and (
        codings or any(name == b"content-length" and value.strip(b"0") for name, value in headers)
    ):
        # The parser would drop the body without a word, and the app would see an empty one.
        return "No upgrade is offered here; send a body without it (curl: --http1.1)."
    return None


def document(text: str, *, origin: str = "", request_id: str = "", is_tls: bool = False) -> bytes:
    """The answer, whole, with which a connection ends.

    `text`: what was wrong. `origin`: what URLs of ours begin with. `request_id`: empty where nobody knows it.
    `is_tls`: clients know us by TLS.
    """
    meaning = CATALOGUE["request_malformed"]
    body = {
        "type": f"{origin}/errors/request_malformed",
        "title": meaning.title,
        "status": meaning.status,
        "detail": text,
        "code": "request_malformed",
        "retry": meaning.retry,
        **({"request_id": request_id} if request_id else {}),
    }
    raw = json.dumps(body, separators=(",", ":")).encode()
    lines = [
        f"HTTP/1.1 {meaning.status} Bad Request",
        "content-type: application/problem+json",
        f"content-length: {len(raw)}",
        "cache-control: no-store",
        "connection: close",
        "x-content-type-options: nosniff",
        *([f"request-id: {request_id}"] if request_id else []),
        *([f"strict-transport-security: {HSTS}"] if is_tls else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw
