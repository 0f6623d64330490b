"""Answers of the registry: bodies, media types, and refusals as `{"error_code", "message"}`.

Never answers 406: clients send no `Accept`, or one that names half a dozen types.
Source: Confluent Schema Registry API.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import StoreError
from gateway.http.catalogue import RETRY_AFTER_SECONDS
from gateway.http.problems import Trouble, trouble_of
from gateway.http.words import ProblemResponse, json_problem, json_response
from schemas.errors import SchemaError, SubjectError
from schemas.refusal import RegistryError, schema_invalid
from schemas.schema import Schema
from schemas.store import Link, Place, Stored

MEDIA_TYPES: Final = (
    "application/vnd.schemaregistry.v1+json",
    "application/vnd.schemaregistry+json",
    "application/json",
)
PREFIX: Final = "/registry"
_STORE_AWAY: Final = 50001
_UNAUTHENTICATED: Final = 401
_UNAUTHORIZED: Final = 'Basic realm="gateway"'


def answer(request: Request, content: object) -> Response:
    """A good answer. Members without content are to be left out before."""
    return json_response(content, 200, {"Content-Type": _media_type(request)})


def answer_text(request: Request, text: str) -> Response:
    """A good answer that is a schema text as it was registered."""
    return Response(text, 200, {"Cache-Control": "no-store", "Content-Type": _media_type(request)})


def schema_members(stored: Stored) -> dict[str, Any]:
    """A schema as every answer has it. No `schemaType`: without one it is AVRO."""
    members: dict[str, Any] = {"guid": str(stored.guid)}
    if stored.links:
        members["references"] = [_link(one) for one in stored.links]
    return {**members, "schema": stored.text}


def stored_of(schema_id: int, schema: Schema) -> Stored:
    """A parsed schema as the registry stores it."""
    links = tuple(Link(one.name, one.subject, one.version) for one in schema.references)
    return Stored(schema_id, schema.guid, schema.text, links)


def version_members(place: Place, stored: Stored) -> dict[str, Any]:
    """A version of a subject with its schema."""
    return {
        "subject": place.subject,
        "version": place.number,
        "id": stored.id,
        **schema_members(stored),
    }


def refusal(request: Request, error: Exception | Trouble, request_id: str) -> ProblemResponse:
    """What an error, or a request for what does not exist, is to a client of the registry."""
    del request_id  # goes out as a header, as on every route
    status, number, message, headers = _told(error)
    if status == _UNAUTHENTICATED:
        headers = {**headers, "WWW-Authenticate": _UNAUTHORIZED}
    body = {"error_code": number, "message": message}
    return json_problem(_code(error, number), body, status, {"Content-Type": _media_type(request), **headers})


def _code(error: Exception | Trouble, number: int) -> str:
    """What it is called in our own log: the catalogue's code, or the number where the registry refuses."""
    if isinstance(error, SchemaError | SubjectError | RegistryError):
        return str(number)
    return error.code if isinstance(error, Trouble) else trouble_of(error).code


def _told(error: Exception | Trouble) -> tuple[int, int, str, Mapping[str, str]]:
    """Status, error code, message and headers."""
    match error:
        case SchemaError() if error.rule == "size":
            return 422, 42209, f"The schema is too large: it {error.text}", {}
        case SchemaError():
            return _told(schema_invalid(str(error)))
        case SubjectError():
            return 422, 42208, f"The specified subject is not valid: {error}", {}
        case RegistryError():
            return _status(error.number), error.number, _with(error.text, error.details), {}
    trouble = error if isinstance(error, Trouble) else trouble_of(error)
    headers = dict(trouble.headers)
    if trouble.code in RETRY_AFTER_SECONDS:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS[trouble.code])
    number = _STORE_AWAY if isinstance(error, StoreError) else trouble.status
    hint = f" {trouble.hint}" if trouble.hint else ""
    return trouble.status, number, trouble.detail + hint, headers


def _status(number: int) -> int:
    """The first three digits."""
    while number > 999:  # noqa: PLR2004 - what has more than three digits is no status yet
        number //= 10
    return number


def _with(text: str, details: Sequence[str]) -> str:
    return f"{text}, details: [{', '.join(details)}]" if details else text


def _link(link: Link) -> dict[str, Any]:
    return {"name": link.name, "subject": link.subject, "version": link.number}


def _media_type(request: Request) -> str:
    """The first of ours that is asked for by name, else the usual one."""
    accept = request.headers.get("accept", "")
    return next((one for one in MEDIA_TYPES if one in accept), MEDIA_TYPES[0])
