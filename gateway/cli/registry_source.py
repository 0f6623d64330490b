"""Another registry, read for an import: subjects, versions, ids and references, nothing changed there.

Its answers are judged before they are used: a registry that answers strangely ends the import.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from gateway.cli.errors import AnswerError, UnreachableError, UsageError
from gateway.cli.registry_answers import registry_problem

_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
_ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"
_REFUSED: Final = 400


@dataclass(frozen=True, slots=True)
class Found:
    """One version of a subject, as another registry has it. `references`: name, subject, version."""

    subject: str
    number: int
    id: int
    kind: str
    text: str = field(repr=False)
    references: tuple[tuple[str, str, int], ...] = ()
    guid: str = ""
    is_deleted: bool = False

    def __str__(self) -> str:
        """As messages name it."""
        return f"{self.subject} version {self.number} (id {self.id})"


class Source:
    """One registry to read from. Use it as a context."""

    def __init__(self, url: str, user: str, transport: httpx.BaseTransport | None = None) -> None:
        """Dial nothing yet. `user`: `name:secret`, or empty.

        Raises:
            UsageError: the address is none, or holds a secret, which would be in the history of the shell.
        """
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UsageError(f"{url!r} is no address of a registry") from error
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise UsageError(f"{url!r} is no address of a registry: write https://HOST[/PATH]")
        if parsed.userinfo:
            raise UsageError("keep name and secret out of the address: --credentials FILE holds them")
        headers = {"Accept": _ACCEPT, "User-Agent": "partner-gateway-cli"}
        if user:
            headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            headers=headers, timeout=_TIMEOUT, transport=transport, trust_env=False, follow_redirects=False
        )

    def __enter__(self) -> Self:
        """The source itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def versions(self, prefix: str, *, deleted: bool = False) -> Iterator[Found]:
        """Every version of every subject that begins with the prefix; `deleted`: softly deleted ones too.

        Raises:
            ProblemError: the registry refuses.
            UnreachableError: nobody answers.
            AnswerError: it answers as no registry does.
        """
        query = "?deleted=true" if deleted else ""
        active = set(self._get("/subjects", list))
        for subject in self._get(f"/subjects{query}", list):
            if isinstance(subject, str) and subject.startswith(prefix):
                path = f"/subjects/{quote(subject, safe='')}/versions"
                kept = set(self._get(path, list)) if subject in active else set()
                for number in self._get(f"{path}{query}", list) if deleted else sorted(kept):
                    document = self._get(f"{path}/{number}{query}", dict)
                    yield _found(document, is_deleted=number not in kept)

    def _get(self, path: str, kind: type[Any]) -> Any:
        try:
            response = self._http.get(self.url + path)
        except httpx.HTTPError as error:
            raise UnreachableError(f"nobody answers at {self.url} ({type(error).__name__})") from error
        if response.status_code >= _REFUSED:
            refused = registry_problem(response)
            raise refused or _strange(response.status_code)
        try:
            document = response.json()
        except ValueError as error:
            raise _strange(response.status_code) from error
        if not isinstance(document, kind):
            raise _strange(response.status_code)
        return document


def _found(document: dict[str, Any], *, is_deleted: bool) -> Found:
    try:
        listed = tuple(
            (str(one["name"]), str(one["subject"]), int(one["version"]))
            for one in document.get("references") or ()
        )
        return Found(
            subject=str(document["subject"]),
            number=int(document["version"]),
            id=int(document["id"]),
            kind=str(document.get("schemaType") or "AVRO"),
            text=str(document["schema"]),
            references=listed,
            guid=str(document.get("guid") or ""),
            is_deleted=is_deleted,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError("the other registry answers as no registry does", status=200) from error


def _strange(status: int) -> AnswerError:
    text = f"the answer (status {status}) is not that of a registry"
    return AnswerError(text, status=status, hint="Is this the base address of a registry?")
