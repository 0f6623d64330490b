"""Another registry, asked over HTTP: Confluent's API as a client uses it, bounded in bytes and in time.

Blocking, and safe to be used by several threads. Whatever comes back is admitted like any schema from
outside. Follows no redirect: the credentials would go along. What an id or a GUID stands for never changes,
so it is asked for once; that there is no such schema is asked for each time.
Source: Confluent Schema Registry API; its Python client, for what is asked again.
"""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote
from uuid import UUID

import httpx

from schemas.avro_type import Array, AvroType, Map, Record, Union
from schemas.errors import SchemaError
from schemas.remote_answers import (
    Agreed,
    RemoteAnswerError,
    RemoteAwayError,
    RemoteLink,
    RemotePlace,
    RemoteRefusedError,
    RemoteText,
    clean,
    format_body,
    parse_id,
    parse_mode,
    parse_names,
    parse_place,
    parse_refusal,
    parse_text,
    parse_verdict,
)
from schemas.remote_connections import FAILURES, Deadline, Transport
from schemas.schema import MOST_REFERENCES, Reference, Schema, parse_schema

MOST_BYTES: Final = 1_048_576
_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_KEPT: Final = 256
_AGAIN: Final = frozenset({408, 429})
_NOT_FOUND: Final = frozenset({404, 405})
_FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Access:
    """Where the registry is, the first that answers of several, and how to log in.

    `urls`: without user and password. `tls`: None for the authorities that the system trusts.
    """

    urls: tuple[str, ...]
    user: tuple[str, str] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to connect, between two reads, between two rounds of asking, and for all of them together.

    The last is kept whatever comes, were it a header letter by letter.
    """

    connect: float = 3.0
    read: float = 5.0
    pause: float = 0.3
    whole: float = 10.0
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class _Question:
    method: str
    path: str
    body: object
    params: Mapping[str, str] | None


class RemoteRegistry:
    """See the module. `url`: all of them, as people write them, without a password."""

    def __init__(
        self,
        access: Access,
        *,
        ticks: Callable[[], float],
        pause: Callable[[float], object],
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`ticks`: seconds of a clock that nobody sets. `pause` sleeps. `transport`: for tests."""
        self.url = ",".join(access.urls)
        self._urls = [url.rstrip("/") for url in access.urls]
        self._deadline = Deadline(ticks)
        self._pause = pause
        self._patience = patience or Patience()
        headers = {"Accept-Encoding": "identity", "Confluent-Accept-Unknown-Properties": "true"}
        headers["Accept"] = f"{_MEDIA_TYPE}, application/vnd.schemaregistry+json, application/json"
        if access.token is not None:
            headers["Authorization"] = f"Bearer {access.token}"
        self._client = httpx.Client(
            auth=access.user,
            headers=headers,
            timeout=httpx.Timeout(self._patience.read, connect=self._patience.connect),
            trust_env=False,
            transport=transport or Transport(self._deadline, access.tls or ssl.create_default_context()),
        )
        self._known = lru_cache(_KEPT)(self._fetch)

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """All that the calling thread asks until the block ends takes no longer, however many questions."""
        return self._deadline.within(seconds)

    def look_up(self, subject: str, schema: Schema) -> Agreed | None:
        """The version of a subject that this schema is; None where there is none.

        Raises:
            RemoteError: see `schemas.remote_answers`.
        """
        try:
            raw = self._ask("POST", f"/subjects/{quote(subject, safe='')}", format_body(schema))
        except RemoteRefusedError as error:
            if error.is_unknown:
                return None
            raise
        return self._agreed(subject, parse_place(raw), schema)

    def register(self, subject: str, schema: Schema) -> Agreed:
        """Make a schema a version of a subject, or find it there.

        Raises:
            RemoteError: see `schemas.remote_answers`; where it is away, nobody knows whether it did it, and
                to ask again is safe.
        """
        path = f"/subjects/{quote(subject, safe='')}/versions"
        given = parse_id(self._ask("POST", path, format_body(schema)))
        found = self.look_up(subject, schema)
        if found is None or found.id != given:
            raise RemoteAnswerError(f"{subject}: registered under id {given}, and not found under it")
        return found

    def compare(self, subject: str, schema: Schema) -> tuple[str, ...]:
        """Why a schema cannot become a version of a subject, in the registry's words; empty where it can.

        Raises:
            RemoteError: see `schemas.remote_answers`.
        """
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions"
        body = format_body(schema)
        try:
            try:
                return parse_verdict(self._ask("POST", path, body, {"verbose": "true"}))
            except RemoteRefusedError as error:
                if error.is_unknown or error.status not in _NOT_FOUND:
                    raise
                # Older registries compare with one version only.
                return parse_verdict(self._ask("POST", f"{path}/latest", body, {"verbose": "true"}))
        except RemoteRefusedError as error:
            if error.is_unknown:
                return ()
            raise

    def by_id(self, schema_id: int) -> Schema | None:
        """The schema of an id; None where there is none.

        Raises:
            RemoteError: see `schemas.remote_answers`.
            SchemaError: it must not be used here.
        """
        return self._find(f"/schemas/ids/{schema_id}")

    def by_guid(self, guid: UUID) -> Schema | None:
        """The schema of a GUID; None where there is none, or where the registry knows no GUIDs.

        Raises:
            RemoteError: see `schemas.remote_answers`.
            SchemaError: it must not be used here.
        """
        try:
            return self._find(f"/schemas/guids/{guid}")
        except RemoteRefusedError as error:
            if error.status in _NOT_FOUND:
                return None
            raise

    def latest(self, subject: str) -> Agreed | None:
        """The newest version of a subject; None where there is none.

        Raises:
            RemoteError: see `schemas.remote_answers`.
            SchemaError: it must not be used here.
        """
        try:
            raw = self._ask("GET", f"/subjects/{quote(subject, safe='')}/versions/latest")
        except RemoteRefusedError as error:
            if error.is_unknown:
                return None
            raise
        place = parse_place(raw)
        return Agreed(place.id, place.number, self._admit(parse_text(raw)))

    def health(self) -> None:
        """Ask for as little as can be asked.

        Raises:
            RemoteError: see `schemas.remote_answers`.
        """
        try:
            parse_names(self._ask("GET", "/schemas/types"))
        except RemoteRefusedError as error:
            if error.status not in _NOT_FOUND:
                raise
            parse_names(self._ask("GET", "/subjects", params={"limit": "1"}))

    def mode(self) -> str:
        """Whether schemas may be registered: `READWRITE`, or another mode.

        Raises:
            RemoteError: see `schemas.remote_answers`.
        """
        return parse_mode(self._ask("GET", "/mode"))

    def _agreed(self, subject: str, place: RemotePlace, wanted: Schema) -> Agreed:
        held = self._held(place.id)
        if held is None or held.references != wanted.references or not is_same(held, wanted):
            text = f"{subject}: id {place.id} stands for another schema than the one that was sent"
            raise RemoteAnswerError(text)
        return Agreed(place.id, place.number, held)

    def _held(self, schema_id: int) -> Schema | None:
        """The schema of an id that is ours to use: one that must not be used is a wrong answer."""
        try:
            return self.by_id(schema_id)
        except SchemaError as error:
            raise RemoteAnswerError(f"id {schema_id}: {error}") from error

    def _find(self, path: str) -> Schema | None:
        try:
            return self._admit(self._known(path))
        except RemoteRefusedError as error:
            if error.is_unknown:
                return None
            raise

    def _fetch(self, path: str) -> RemoteText:
        return parse_text(self._ask("GET", path))

    def _admit(self, found: RemoteText) -> Schema:
        """Parse a schema with all that it leans on; each is asked for once."""
        done: dict[RemoteLink, Schema] = {}
        texts: dict[RemoteLink, RemoteText] = {}
        waiting = [*found.links]
        while waiting:
            link = waiting.pop()
            if link in texts:
                continue
            if len(texts) >= MOST_REFERENCES:
                raise SchemaError("reference", f"leans on more than {MOST_REFERENCES} schemas")
            texts[link] = self._referred(link)
            waiting += texts[link].links
        for _ in range(len(texts)):
            for link, text in texts.items():
                if link not in done and all(one in done for one in text.links):
                    done[link] = _parse(text, done)
        if len(done) < len(texts):
            raise SchemaError("reference", "refers to itself; cut the circle")
        return _parse(found, done)

    def _referred(self, link: RemoteLink) -> RemoteText:
        try:
            return self._known(
                f"/subjects/{quote(link.subject, safe='')}/versions/{link.number}?deleted=true"
            )
        except RemoteRefusedError as error:
            if not error.is_unknown:
                raise
            text = f"refers to version {link.number} of {clean(link.subject)}, which is not there"
            raise SchemaError("reference", text) from error

    def _ask(
        self, method: str, path: str, body: object = None, params: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of a good answer, of the first URL that answers."""
        question = _Question(method, path, body, params)
        failure = RemoteAwayError("there was no time left to ask")
        with self.within(self._patience.whole):
            for number in range(self._patience.rounds):
                if number:
                    self._pause(min(self._patience.pause * number, self._deadline.seconds))
                for url in self._urls:
                    if not self._deadline.seconds:
                        raise failure
                    try:
                        return self._ask_one(url, question)
                    except RemoteAwayError as error:
                        failure = error
        raise failure

    def _ask_one(self, url: str, question: "_Question") -> bytes:
        try:
            with self._client.stream(
                question.method,
                url + question.path,
                params=question.params,
                content=None if question.body is None else json.dumps(question.body).encode(),
                headers={} if question.body is None else {"Content-Type": _MEDIA_TYPE},
            ) as response:
                status = response.status_code
                raw = self._read(response)
        except (*FAILURES, *_FAILURES) as error:
            raise RemoteAwayError(f"{url}: {clean(f'{type(error).__name__}: {error}')}") from error
        if status in _AGAIN or status >= 500:  # noqa: PLR2004 - the registry's own trouble
            raise RemoteAwayError(f"{url}: status {status}")
        if 200 <= status < 300:  # noqa: PLR2004 - done
            return raw
        if status < 400:  # noqa: PLR2004 - a redirect, which would take the credentials along
            raise RemoteAnswerError(f"{url}: status {status}: name the URL that it leads to instead")
        raise parse_refusal(status, raw)

    def _read(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise RemoteAnswerError("the answer is compressed, though that was not asked for")
        raw = bytearray()
        for chunk in response.iter_raw():
            raw += chunk
            if len(raw) > MOST_BYTES:
                raise RemoteAnswerError(f"the answer has more than {MOST_BYTES} bytes")
            if not self._deadline.seconds:
                raise RemoteAwayError("the answer came too slowly")
        return bytes(raw)


def is_same(one: Schema, other: Schema) -> bool:
    """Whether two schemas mean the same, defaults and aliases too; text and documentation may differ."""
    return one.root == other.root and list(_defaults(one.root)) == list(_defaults(other.root))


def _defaults(kind: AvroType) -> Iterator[str]:
    match kind:
        case Record():
            for each in kind.fields:
                yield repr(each.default)
                yield from _defaults(each.type)
        case Array():
            yield from _defaults(kind.items)
        case Map():
            yield from _defaults(kind.values)
        case Union():
            for branch in kind.branches:
                yield from _defaults(branch)


def _parse(found: RemoteText, done: Mapping[RemoteLink, Schema]) -> Schema:
    if found.kind != "AVRO":
        raise SchemaError("kind", f"is of type {found.kind}; only AVRO is read here")
    return parse_schema(
        found.text, [Reference(one.name, one.subject, one.number, done[one]) for one in found.links]
    )
