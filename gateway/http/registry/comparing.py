"""May a schema become a version of a subject? Asked before anybody registers it.

Source: Confluent Schema Registry API, `/compatibility`.
"""

from sqlmodel import Session
from starlette.responses import Response

from gateway.http.guard import Call
from gateway.http.registry import told
from gateway.http.registry.asked import Ask
from gateway.http.registry.governed import Rule
from gateway.http.registry.shape import answer
from gateway.http.registry.shelf import Shelf, look
from gateway.http.registry.terms import contract_level
from gateway.http.shapes import ref
from schemas import refusal, registration
from schemas.levels import effective_level
from schemas.registration import Submission
from schemas.schema import Schema
from schemas.store import Place


@told.tells(
    "registryCompareWithVersion",
    "Compare a schema with a version",
    ref("RegistryVerdict"),
    asks=("verbose",),
    body=ref("RegistrySubmission"),
)
async def compare_with_version(call: Call) -> Response:
    """Compare a schema with one version of a subject, by the subject's level."""
    ask = Ask(call)
    subject, number = ask.subject(), ask.version()
    wanted = await ask.submission(subject)

    def work(session: Session, shelf: Shelf) -> tuple[str, ...]:
        place = shelf.place(session, subject, number)
        schema = registration.parse_submitted(session, wanted)
        rule = shelf.rule(subject)
        if rule is not None and rule.is_shared and number is None:
            return _compare_with_line(ask, session, rule, schema)
        return _compare(ask, session, shelf, schema, (place,), wanted)

    return _verdict(ask, await look(call, work))


@told.tells(
    "registryCompareWithSubject",
    "Compare a schema with a subject",
    ref("RegistryVerdict"),
    asks=("verbose",),
    body=ref("RegistrySubmission"),
)
async def compare_with_subject(call: Call) -> Response:
    """Compare a schema with as many versions of a subject as its level asks for; none is compatible."""
    ask = Ask(call)
    subject = ask.subject()
    wanted = await ask.submission(subject)

    def work(session: Session, shelf: Shelf) -> tuple[str, ...]:
        schema = registration.parse_submitted(session, wanted)
        rule = shelf.rule(subject)
        if not shelf.sees(subject):
            raise refusal.subject_unknown(subject)
        if rule is not None and (rule.is_shared or rule.channels):
            return _compare_with_line(ask, session, rule, schema)
        return _compare(ask, session, shelf, schema, shelf.places(session, subject), wanted)

    return _verdict(ask, await look(call, work))


def _compare(
    ask: Ask, session: Session, shelf: Shelf, schema: Schema, places: tuple[Place, ...], wanted: Submission
) -> tuple[str, ...]:
    rule = shelf.rule(wanted.subject)
    level = registration.level_of(session, wanted.subject)
    if rule is not None:
        level = effective_level(contract_level(rule), level)
    return registration.compare(session, schema, places, level, is_strict=_is_strict(ask))


def _compare_with_line(ask: Ask, session: Session, rule: Rule, schema: Schema) -> tuple[str, ...]:
    """With the versions of the contract's line, as a plan does: those that are accepted go first.

    Of several lines it is the one whose schema has this name; no other would be let in.
    """
    channel = rule.like(schema) if rule.is_shared else rule.channels[0]
    if channel is None:
        return (f"the contract of partner {rule.partner} has no type whose schema is named {schema.name}",)
    line = Rule(channel.line.subject, rule.partner, rule.direction, schema.name, (channel,))
    places = tuple(place for place, _ in line.versions(deleted=True))
    level = effective_level(channel.line.terms.compatibility, None)
    return registration.compare(session, schema, places, level, is_strict=_is_strict(ask))


def _is_strict(ask: Ask) -> bool:
    return ask.call.doors.values.strict_logical_types


def _verdict(ask: Ask, messages: tuple[str, ...]) -> Response:
    verdict: dict[str, object] = {"is_compatible": not messages}
    if messages and ask.flag("verbose"):
        verdict["messages"] = list(messages)
    return answer(ask.call.request, verdict)
