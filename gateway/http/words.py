"""Compact JSON answers."""

import json
from collections.abc import Mapping

from starlette.responses import Response


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON that no cache keeps, unless `headers` say otherwise."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")
