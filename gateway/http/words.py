"""Values as they stand in JSON answers: times, compact JSON."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.responses import Response


def rfc3339(at: int) -> str:
    """Unix milliseconds as `2026-11-22T13:05:00.000Z`."""
    seconds, ms = divmod(at, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON that no cache keeps, unless `headers` say otherwise."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")
