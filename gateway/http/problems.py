"""From errors to problem documents, and nothing else: RFC 9457.

Statuses come from the catalogue. A document never holds a value of an event, a secret, or
a trace of our code.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit.errors import AuditError
from audit.ref import format_ref
from gateway.administration.refusals import refused
from gateway.broker.port import BrokerError
from gateway.errors import CallerError, GatewayError
from gateway.http.catalogue import CATALOGUE, RETRY_AFTER_SECONDS, public_code
from gateway.http.words import ProblemResponse
from gateway.ingress.content import unreadable
from gateway.ingress.outcome import Failed, First, Refused
from gateway.instants import format_instant
from partners.errors import ContractFileError, PartnersError
from schemas.errors import DatumError, JsonTextError, SchemasError
from schemas.fault import Fault

MEDIA_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 100
_INTERNAL: Final = "Something went wrong on our side; nothing is known to be lost."
_BROKER: Final = "The broker does not answer now, or not as it should; the gateway's log says why."
"""A broker's own words name hosts, topics of others and settings: for the log alone."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A refusal before it is written: a code of the catalogue, its words and further members."""

    code: str
    detail: str
    hint: str = ""
    errors: tuple[Mapping[str, object], ...] = ()
    members: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return CATALOGUE[self.code].status

    def document(self, origin: str, request_id: str | None) -> dict[str, Any]:
        """The problem document; `request_id` None where it stands inside another answer."""
        meaning = CATALOGUE[self.code]
        whole: dict[str, Any] = {
            "type": f"{origin}/errors/{self.code}",
            "title": meaning.title,
            "status": meaning.status,
            "detail": self.detail,
            "code": self.code,
            "retry": meaning.retry,
            **self.members,
        }
        if self.errors:
            whole["errors"] = list(self.errors[:MAX_ERRORS])
        if self.hint:
            whole["hint"] = self.hint
        if request_id is not None:
            whole["request_id"] = request_id
        return whole

    def response(self, origin: str, request_id: str) -> ProblemResponse:
        """The document as an answer, with the headers that its status asks for."""
        headers = dict(self.headers)
        if self.code in RETRY_AFTER_SECONDS:
            headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS[self.code]))
        if self.status == 401:  # noqa: PLR2004 - the one status that HTTP gives a header of its own
            headers.setdefault("WWW-Authenticate", 'Bearer realm="gateway"')
        headers["Cache-Control"] = "no-store"
        body = json.dumps(self.document(origin, request_id), ensure_ascii=False, separators=(",", ":"))
        return ProblemResponse(self.code, body.encode(), self.status, headers, MEDIA_TYPE)


def trouble_of(error: Exception) -> Trouble:
    """What an error means to the caller; all that is no caller's matter becomes `internal`, without words."""
    match error:
        case CallerError():
            return _caller(error)
        case ContractFileError():
            return _caller(refused(error))
        case DatumError():
            return Trouble(
                "body_malformed", "The body is not as announced: see errors.", errors=faults(error.faults)
            )
        case JsonTextError():
            where = {"offset": error.offset, "line": error.line}
            return Trouble("body_malformed", unreadable("The body", error), members=where)
        case BrokerError():
            code = public_code(error.code)
            return Trouble(code, _INTERNAL if code == "internal" else _BROKER)
        case GatewayError() | PartnersError() | SchemasError() | AuditError():
            code = public_code(error.code)
            return Trouble(code, _INTERNAL if code == "internal" else _sentence(str(error)))
        case _:
            return Trouble("internal", _INTERNAL)


def trouble_of_refusal(refused: Refused | Failed) -> Trouble:
    """What an event's refusal, or its failure, means to the caller."""
    if isinstance(refused, Failed):
        return Trouble(public_code(refused.code), _sentence(refused.detail))
    members: dict[str, object] = {}
    if refused.schema is not None:
        subject, version, schema_id = refused.schema
        members["schema"] = {"subject": subject, "version": version, "id": schema_id}
    if refused.first is not None:
        members["first"] = _first(refused.first)
    if refused.place is not None:
        members["offset"], members["line"] = refused.place
    if refused.faults_total > len(refused.faults):
        members["errors_total"] = refused.faults_total
    return Trouble(
        public_code(refused.code),
        _sentence(refused.detail),
        refused.hint or "",
        faults(refused.faults),
        members,
    )


def faults(found: Sequence[Fault]) -> tuple[Mapping[str, object], ...]:
    """Faults as items of `errors[]`."""
    return tuple(
        {
            "pointer": fault.pointer,
            "code": fault.code,
            **({"expected": fault.expected} if fault.expected else {}),
            "detail": fault.text,
        }
        for fault in found
    )


def _caller(error: CallerError) -> Trouble:
    members = dict(error.members)
    listed = members.pop("errors", ())
    headers = members.pop("headers", {})
    return Trouble(
        error.code,
        _sentence(error.text),
        error.hint,
        tuple(listed) if isinstance(listed, list | tuple) else (),
        members,
        dict(headers) if isinstance(headers, Mapping) else {},
    )


def _first(first: First) -> dict[str, object]:
    return {
        "ref": format_ref(first.ref),
        "received_at": format_instant(first.at),
        "event_sha256": first.event_sha256.hex(),
        "content_sha256": first.content_sha256.hex(),
    }


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
