"""What another registry answers, read with suspicion: bounded, typed, refused where it says anything else.

RemoteError
├── RemoteAwayError       it did not answer, or said that it cannot now: ask again later
├── RemoteAnswerError     it answered what no registry answers: is the URL right?
└── RemoteRefusedError    it does not do it; `status`, `number` and `text` are its own

Source: Confluent Schema Registry API, bodies of requests and answers.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.errors import SchemasError
from schemas.schema import MOST_REFERENCES, Schema

MOST_ID: Final = (1 << 31) - 1
_MOST_CHARACTERS: Final = 500
_MOST_MESSAGES: Final = 20
_UNKNOWN: Final = frozenset({40401, 40402, 40403})
_INCOMPATIBLE: Final = 409


class RemoteError(SchemasError):
    """Another registry did not give what was asked of it."""

    code = "remote_registry"


class RemoteAwayError(RemoteError):
    """The registry did not answer, or cannot now."""

    code = "remote_away"


class RemoteAnswerError(RemoteError):
    """The registry answered what cannot be understood."""

    code = "remote_answer"


class RemoteRefusedError(RemoteError):
    """The registry does not do it. `number` is its error code; the status where it gave none."""

    code = "remote_refused"

    def __init__(self, status: int, number: int, text: str) -> None:
        """Take the text as `clean` left it."""
        super().__init__(f"{status} {number}: {text}")
        self.status = status
        self.number = number
        self.text = text

    @property
    def is_unknown(self) -> bool:
        """Whether it says that there is no such subject, version or schema."""
        return self.number in _UNKNOWN

    @property
    def is_incompatible(self) -> bool:
        """Whether it says that a schema breaks the level of its subject."""
        return self.status == _INCOMPATIBLE

    @property
    def is_about_us(self) -> bool:
        """Whether it is our credentials that are refused, or their rights."""
        return self.status in {401, 403}


@dataclass(frozen=True, slots=True)
class Agreed:
    """A version of a subject there: id and number, and the schema as the registry holds it."""

    id: int
    number: int
    schema: Schema


@dataclass(frozen=True, slots=True)
class RemoteLink:
    """A schema that another one's text names, as the registry tells it."""

    name: str
    subject: str
    number: int


@dataclass(frozen=True, slots=True)
class RemoteText:
    """A schema as the registry holds it, not admitted yet. `kind`: `AVRO`, or another language."""

    text: str = field(repr=False)
    kind: str
    links: tuple[RemoteLink, ...]


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """Where a schema stands there: its id, and the number of its version."""

    id: int
    number: int


def format_body(schema: Schema) -> dict[str, Any]:
    """The request for a schema."""
    links = [{"name": one.name, "subject": one.subject, "version": one.version} for one in schema.references]
    return {"schema": schema.text, "schemaType": "AVRO", "references": links}


def parse_place(raw: bytes) -> RemotePlace:
    """The answer to a look-up.

    Raises:
        RemoteAnswerError: it is none.
    """
    members = _members(raw)
    return RemotePlace(_number(members, "id"), _number(members, "version"))


def parse_id(raw: bytes) -> int:
    """The answer to a registration.

    Raises:
        RemoteAnswerError: it is none.
    """
    return _number(_members(raw), "id")


def parse_text(raw: bytes) -> RemoteText:
    """The answer to a question for a schema, by id, GUID or version.

    Raises:
        RemoteAnswerError: it is none.
    """
    members = _members(raw)
    links = members.get("references") or []
    if not isinstance(links, list) or len(links) > MOST_REFERENCES:
        raise RemoteAnswerError(f"`references` is no list of at most {MOST_REFERENCES}")
    kind = members.get("schemaType") or "AVRO"
    if not isinstance(kind, str):
        raise RemoteAnswerError("`schemaType` is no text")
    return RemoteText(_text(members, "schema"), clean(kind), tuple(_link(one) for one in links))


def parse_verdict(raw: bytes) -> tuple[str, ...]:
    """Why a schema is not compatible, in the registry's words; empty where it is.

    Raises:
        RemoteAnswerError: it is no answer to that question.
    """
    members = _members(raw)
    verdict = members.get("is_compatible")
    if not isinstance(verdict, bool):
        raise RemoteAnswerError("`is_compatible` is neither true nor false")
    if verdict:
        return ()
    told = members.get("messages")
    words = [clean(one) for one in told if isinstance(one, str)] if isinstance(told, list) else []
    return tuple(words[:_MOST_MESSAGES]) or ("it breaks the level of the subject",)


def parse_names(raw: bytes) -> tuple[str, ...]:
    """A list of texts, such as the kinds of schemas, or subjects.

    Raises:
        RemoteAnswerError: it is none.
    """
    found = _json(raw)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise RemoteAnswerError("the answer is no list of texts")
    return tuple(found)


def parse_mode(raw: bytes) -> str:
    """The answer to a question for the mode.

    Raises:
        RemoteAnswerError: it is none.
    """
    return clean(_text(_members(raw), "mode"))


def parse_refusal(status: int, raw: bytes) -> RemoteRefusedError | RemoteAnswerError:
    """What an answer with a status from 400 to 499 means.

    A 404 without one of the registry's own codes is no answer about schemas: it may come from anything.
    """
    try:
        members = _members(raw)
        number, text = members.get("error_code"), members.get("message")
    except RemoteAnswerError:
        number = text = None
    if type(number) is int and isinstance(text, str):
        return RemoteRefusedError(status, number, clean(text))
    if status in {401, 403}:
        return RemoteRefusedError(status, status, "the credentials are refused")
    return RemoteAnswerError(f"status {status} without an error code of a schema registry")


def clean(text: str) -> str:
    """A foreign text for messages and logs: in one line, printable, not too long."""
    shown = "".join(one if one.isprintable() else " " for one in text[: _MOST_CHARACTERS + 1])
    return shown if len(shown) <= _MOST_CHARACTERS else shown[:_MOST_CHARACTERS] + "…"


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RemoteAnswerError("the answer is no JSON") from error


def _members(raw: bytes) -> dict[str, Any]:
    found = _json(raw)
    if not isinstance(found, dict):
        raise RemoteAnswerError("the answer is no JSON object")
    return found


def _number(members: dict[str, Any], name: str) -> int:
    found = members.get(name)
    if type(found) is not int or not 0 < found <= MOST_ID:
        raise RemoteAnswerError(f"`{name}` is no number from 1 to {MOST_ID}")
    return found


def _text(members: dict[str, Any], name: str) -> str:
    found = members.get(name)
    if not isinstance(found, str):
        raise RemoteAnswerError(f"`{name}` is no text")
    return found


def _link(given: Any) -> RemoteLink:
    if not isinstance(given, dict):
        raise RemoteAnswerError("a reference is no JSON object")
    return RemoteLink(_text(given, "name"), _text(given, "subject"), _number(given, "version"))
