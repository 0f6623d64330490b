"""What a client of the registry asks for: subject, version, parameters and body, in all their spellings.

Parameters that are not known are passed over, as Confluent's registry does; clients send those of newer ones.
Source: Confluent Schema Registry API.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeGuard, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes
from uuid import UUID

from sqlmodel import Session

from gateway.errors import CallerError
from gateway.http.guard import Call
from gateway.http.reading import JSON_BYTES, read_body
from gateway.http.registry.shape import MEDIA_TYPES
from schemas import refusal
from schemas.errors import DatumError, JsonTextError, SubjectError
from schemas.json_reader import read_json
from schemas.refusal import RegistryError
from schemas.registration import Submission
from schemas.store import Link
from schemas.subject import LONGEST_SUBJECT, verify_subject

T = TypeVar("T")

LARGEST: Final = (1 << 31) - 1
_NUMBER: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_OFFSET: Final = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_CONTENT_TYPES: Final = {"", "application/octet-stream", *MEDIA_TYPES}
_AVRO: Final = "AVRO"
_MOST_LINKS: Final = 100


@dataclass(frozen=True)
class Ask:
    """One call of a client."""

    call: Call

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The query, the first value of each name."""
        raw: bytes = self.call.request.scope["query_string"]
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=100)
        except ValueError as error:
            raise CallerError("parameter_invalid", "The query string cannot be read.") from error
        return dict(reversed(pairs))

    def flag(self, *names: str) -> bool:
        """A parameter, by any of its names, in any letter case: true or not."""
        return any(self.parameters.get(name, "").lower() == "true" for name in names)

    @property
    def takes_news(self) -> bool:
        """Whether the client passes over members that it does not know; older ones end at them."""
        header = self.call.request.headers.get("confluent-accept-unknown-properties", "")
        return header.lower() == "true"

    def text(self, *names: str) -> str:
        """A parameter, by any of its names; empty where there is none, or what is no name of anything."""
        found = next((self.parameters[name] for name in names if name in self.parameters), "")
        return found if _is_word(found) else ""

    def page(self, items: tuple[Any, ...]) -> list[Any]:
        """The items from `offset` on, at most `limit` of them; a negative limit is none."""
        offset, limit = (self._number(name, default) for name, default in (("offset", 0), ("limit", -1)))
        rest = items[max(0, offset) :]
        return list(rest if limit < 0 else rest[:limit])

    def subject(self) -> str:
        """The subject in the path, without the default context before it.

        Raises:
            RegistryError: 40401, there can be none of that name, or it is of a context that is not held here.
        """
        subject = plain_subject(self._part("subject"))
        try:
            return verify_subject(subject)
        except SubjectError as error:
            raise refusal.subject_unknown(subject) from error

    def subject_to_write(self) -> str:
        """The subject in the path, where a new one may be made.

        Raises:
            SubjectError: it can be none.
            RegistryError: 42208, it is of a context that is not held here.
        """
        subject = self._part("subject")
        try:
            return verify_subject(plain_subject(subject))
        except RegistryError as error:
            text = "The specified subject is not valid: only the default context is held here"
            raise RegistryError(42208, text) from error

    def version(self) -> int | None:
        """The version in the path; None for the newest.

        Raises:
            RegistryError: 42202.
        """
        word = self._part("version")
        if word in {"latest", "-1"}:
            return None
        if not _NUMBER.fullmatch(word) or not 0 < int(word) <= LARGEST:
            raise refusal.version_invalid(word)
        return int(word)

    def schema_id(self) -> int:
        """The schema id in the path.

        Raises:
            RegistryError: 40403, it is none.
        """
        word = self._part("id")
        if not _NUMBER.fullmatch(word):
            raise refusal.schema_unknown()
        return int(word)

    def guid(self) -> UUID:
        """The GUID in the path.

        Raises:
            RegistryError: 40403, it is none.
        """
        try:
            return UUID(self._part("guid"))
        except ValueError as error:
            raise refusal.schema_unknown() from error

    async def submission(self, subject: str) -> Submission:
        """The schema in the body, for a subject.

        Raises:
            RegistryError: 42201, the body is none, or of a kind that is not held here; 42210.
        """
        body = await self.members(42201, "Invalid schema")
        if body.get("schemaType") not in (None, "", _AVRO):
            raise RegistryError(42201, "Invalid schema: schemaType is AVRO here, no other kind is held")
        if body.get("ruleSet"):
            raise RegistryError(42210, "Invalid ruleset: no rules are held here, leave ruleSet out")
        if body.get("metadata"):
            raise RegistryError(42201, "Invalid schema: no metadata is held here, leave metadata out")
        text = body.get("schema")
        if not isinstance(text, str) or not text.strip():
            raise RegistryError(42201, "Invalid schema: the member schema must be the text of a schema")
        return Submission(
            subject=subject,
            text=text,
            links=_links(body.get("references")),
            normalize=self.flag("normalize"),
            schema_id=_given(body, "id"),
            number=_given(body, "version"),
        )

    async def members(self, number: int, words: str) -> Mapping[str, Any]:
        """The body as a JSON object; one that is none is refused with this error code and these words.

        Raises:
            RegistryError: the body is no JSON object.
            CallerError: `body_too_large`, `media_type_unsupported`.
        """
        request = self.call.request
        essence = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
        if essence not in _CONTENT_TYPES:
            raise CallerError("media_type_unsupported", f"Send {' or '.join(MEDIA_TYPES)}.")
        body = await read_body(request, cap=JSON_BYTES, seconds=self.call.doors.values.body_seconds)
        try:
            found = read_json(body.plain)
        except (JsonTextError, DatumError) as error:
            raise RegistryError(number, f"{words}: the body cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise RegistryError(number, f"{words}: the body must be a JSON object")
        return found

    @property
    def is_dry(self) -> bool:
        """Whether nothing is to be changed: the answer says what would be."""
        return self.flag("dry_run")

    async def write(self, work: Callable[[Session], T]) -> T:
        """Do what the client asks for, or only find out what would come of it. Raises as `Database.write`."""
        database = self.call.doors.database
        return await (database.rehearse(work) if self.is_dry else database.write(work))

    def _number(self, name: str, default: int) -> int:
        word = self.parameters.get(name, "")
        if not word:
            return default
        if not _OFFSET.fullmatch(word):
            raise CallerError("parameter_invalid", f"The query parameter {name} must be a whole number.")
        return int(word)

    def _part(self, name: str) -> str:
        try:
            return unquote_to_bytes(self.call.part(name)).decode()
        except UnicodeDecodeError as error:
            raise refusal.subject_unknown("?") from error


def plain_subject(text: str) -> str:
    """A subject as it is held: `:.:orders-value` is `orders-value`.

    Raises:
        RegistryError: 40401, it is of a context that is not held here.
    """
    if not text.startswith(":."):
        return text
    context, colon, subject = text[1:].partition(":")
    if context != "." or not colon:
        raise refusal.subject_unknown(text)
    return subject


def _links(listed: Any) -> tuple[Link, ...]:
    if listed is None:
        return ()
    if not isinstance(listed, list) or len(listed) > _MOST_LINKS:
        raise RegistryError(42201, f"Invalid schema: references must be a list of at most {_MOST_LINKS}")
    return tuple(_link(one, at) for at, one in enumerate(listed))


def _link(one: Any, at: int) -> Link:
    members = one if isinstance(one, dict) else {}
    name, subject, number = members.get("name"), members.get("subject"), members.get("version")
    if not (_is_word(name) and _is_word(subject) and _is_version(number)):
        text = "needs name, subject and version (a number, or -1 for the newest)"
        raise RegistryError(42201, f"Invalid schema: /references/{at} {text}")
    return Link(name, plain_subject(subject), max(0, number))


def _is_word(text: Any) -> TypeGuard[str]:
    """Whether it can name a type or a subject."""
    return isinstance(text, str) and 1 <= len(text) <= LONGEST_SUBJECT and text.isprintable()


def _is_version(number: Any) -> TypeGuard[int]:
    """Whether it is a version number, or -1 for the newest."""
    return type(number) is int and (number == -1 or 0 < number <= LARGEST)


def _given(body: Mapping[str, Any], name: str) -> int | None:
    """A number that an import gives; absent, null, 0 and -1 give none."""
    number = body.get(name)
    if number is None or (type(number) is int and number in {0, -1}):
        return None
    if type(number) is not int or not 0 < number <= LARGEST:
        raise RegistryError(42201, f"Invalid schema: the member {name} must be a number from 1 to {LARGEST}")
    return number
