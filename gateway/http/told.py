"""What a route says of itself: name, parameters, body, answers and errors, as values beside its code.

The OpenAPI document and the page at `/docs` are made of these; a route without them fails a house test. What
follows from the route table alone (who may call, the errors of every route) is not said again here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypedDict, TypeVar, Unpack

from gateway.http.parameters import DEFAULT_LIMIT, MAX_LIMIT, MAX_WAIT_SECONDS
from gateway.http.shapes import FLAG, TEXT, Shape, text, whole

Asked = TypeVar("Asked")
Given = TypeVar("Given")
Tag = Literal[
    "Send",
    "Receive",
    "History",
    "Log",
    "Contract and types",
    "Endpoints",
    "Credentials",
    "Operator",
    "Signing keys",
    "Registry",
    "Open",
    "Machines",
]

JSON: Final = "application/json"
PLAIN: Final = "text/plain"
BODY_ERRORS: Final = frozenset(
    {"body_malformed", "body_too_large", "content_encoding_unsupported", "media_type_unsupported"}
)
"""What any body may meet."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter. Of the query those are shown that the route offers; of path and head all."""

    name: str
    meaning: str
    schema: Shape = field(default_factory=lambda: TEXT)
    place: Literal["query", "path", "header"] = "query"
    required: bool = False
    example: str | int | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A request body: a schema for each media type, the usual one first."""

    media: Mapping[str, Shape]
    meaning: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer. `headers`: name to meaning; none of them need be there."""

    status: int
    meaning: str
    media: Mapping[str, Shape] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """A route in words. `operation`: for ever, since the methods of generated clients are named so.

    `errors`: codes of the catalogue beyond those of every route of its kind.
    """

    operation: str
    tag: Tag
    summary: str
    replies: tuple[Reply, ...]
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    errors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Spoken(Generic[Asked, Given]):
    """What answers a route, with its words."""

    answer: Callable[[Asked], Awaitable[Given]]
    told: Told

    def __call__(self, asked: Asked) -> Awaitable[Given]:
        """Answer."""
        return self.answer(asked)


class More(TypedDict, total=False):
    """What not every route has; see `Told`."""

    about: str
    parameters: Sequence[Parameter]
    body: Body
    errors: Sequence[str]


def tells(
    operation: str, tag: Tag, summary: str, *replies: Reply, **more: Unpack[More]
) -> Callable[[Callable[[Asked], Awaitable[Given]]], Spoken[Asked, Given]]:
    """Put words beside what answers a route."""
    told = Told(
        operation,
        tag,
        summary,
        replies,
        about=more.get("about", ""),
        parameters=tuple(more.get("parameters", ())),
        body=more.get("body"),
        errors=frozenset(more.get("errors", ())),
    )
    return lambda answer: Spoken(answer, told)


def shows(schema: Shape, meaning: str, *, media: str = JSON, status: int = 200, **headers: str) -> Reply:
    """An answer of one media type. `headers`: with underscores for hyphens."""
    return Reply(
        status, meaning, {media: schema}, {name.replace("_", "-"): of for name, of in headers.items()}
    )


SPAN: Final = "[0-9]{1,6}[smhd]"
TIME: Final = (
    "[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)
LIMIT: Final = Parameter("limit", "How many items a page has.", whole(1, MAX_LIMIT, DEFAULT_LIMIT))
CURSOR: Final = Parameter(
    "cursor", "`next` of the page before, for the same filter.", text(least=1, most=8_192)
)
WAIT: Final = Parameter(
    "wait", "Wait so many seconds for what is not there yet.", whole(0, MAX_WAIT_SECONDS, 0)
)
DRY_RUN: Final = Parameter(
    "dry_run", "Say what would happen, and change nothing.", {**FLAG, "default": False}
)
PAGED: Final = (LIMIT, CURSOR)
CREDENTIAL_ID: Final = Parameter(
    "id", "A credential.", text("crd_[a-z2-7]+"), place="path", example="crd_aaaaaaaaaaaaaaaaaaaaaaaaaa"
)


def instant(name: str, meaning: str) -> Parameter:
    """A time as RFC 3339, or as a span before now."""
    said = f"{meaning} RFC 3339, or a span before now such as `24h`."
    return Parameter(name, said, text(f"({SPAN}|{TIME})"), example="24h")
