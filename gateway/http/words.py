"""Compact JSON answers."""

import json
from collections.abc import Mapping

import msgspec
from starlette.responses import Response

# Nothing that we answer holds itself: looking for that would cost a third of the time.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON that no cache keeps, unless `headers` say otherwise."""
    body = _ENCODER.encode(content).encode()
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def plain_response(content: Mapping[str, object], status: int, headers: Mapping[str, str]) -> Response:
    """The same answer in a tenth of the time: objects of texts, booleans and numbers of 64 bits at most."""
    body = msgspec.json.encode(content)
    return Response(body, status, {"Cache-Control": "no-store", **headers}, "application/json")
