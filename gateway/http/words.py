"""Compact JSON answers."""

import json
from collections.abc import Mapping

import msgspec
from starlette.responses import Response

# Nothing that we answer holds itself: looking for that would cost a third of the time.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


class ProblemResponse(Response):
    """A refusal as an answer. `code`: of the error catalogue, or a number of the registry's."""

    def __init__(self, code: str, body: bytes, status: int, headers: Mapping[str, str], media: str) -> None:
        """Keep the code beside the answer, for the log and the metrics."""
        super().__init__(body, status, headers, media)
        self.code = code


def json_problem(code: str, content: object, status: int, headers: Mapping[str, str]) -> ProblemResponse:
    """A refusal in JSON, of a media type that `headers` may name."""
    body = _ENCODER.encode(content).encode()
    return ProblemResponse(code, body, status, {"Cache-Control": "no-store", **headers}, "application/json")


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON that no cache keeps, unless `headers` say otherwise."""
    body = _ENCODER.encode(content).encode()
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def plain_response(content: Mapping[str, object], status: int, headers: Mapping[str, str]) -> Response:
    """The same answer in a tenth of the time: objects of texts, booleans and numbers of 64 bits at most."""
    body = msgspec.json.encode(content)
    return Response(body, status, {"Cache-Control": "no-store", **headers}, "application/json")
