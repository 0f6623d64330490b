"""Refusals of a registry, ours or another, as the errors that commands end with."""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from gateway.cli.errors import ProblemError

_BY_NUMBER: Final[Mapping[int, str]] = {
    401: "credential_invalid",
    403: "scope_missing",
    404: "not_found",
    409: "schema_incompatible",
    413: "body_too_large",
    42201: "schema_invalid",
    42205: "state_conflict",
    42206: "state_conflict",
    42207: "state_conflict",
    42209: "schema_invalid",
    50001: "store_unavailable",
}
_LATER: Final = {429, 503}
_BY_STATUS: Final[Mapping[int, str]] = {
    401: "credential_invalid",
    403: "scope_missing",
    404: "not_found",
    409: "schema_incompatible",
    422: "parameter_invalid",
    429: "quota_exceeded",
    503: "overloaded",
}


def registry_problem(response: httpx.Response) -> ProblemError | None:
    """The error of an answer in a registry's shape; None where it has another.

    `registry`: the registry's own number, among the members of its document.
    """
    try:
        body = response.json()
    except ValueError:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("error_code"), int):
        return None
    number = int(body["error_code"])
    code = _BY_NUMBER.get(number) or _BY_STATUS.get(response.status_code, "internal")
    document: dict[str, Any] = {
        "code": code,
        "status": response.status_code,
        "detail": str(body.get("message", "")),
        "registry": number,
        "retry": "later" if response.status_code in _LATER else "no",
    }
    after = response.headers.get("retry-after", "")
    seconds = int(after) if after.isascii() and after.isdigit() else None
    return ProblemError(
        document, status=response.status_code, retry_after_seconds=seconds, path=response.request.url.path
    )


def registry_number(error: ProblemError) -> int:
    """The registry's own number of a refusal; 0 where it is none of a registry."""
    number = error.document.get("registry", 0)
    return number if isinstance(number, int) else 0
