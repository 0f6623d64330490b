"""Read events as they flow, decoded: a line for each, or CloudEvents for scripts."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import Client, under
from gateway.cli.command import Invocation, command
from gateway.cli.errors import AnswerError, ProblemError, UnreachableError
from gateway.cli.exits import Exit
from gateway.cli.following import follow, may_pass
from gateway.cli.plain_text import clean

_WORD_SECONDS: Final = 5.0
"""Between two words of a consumer that follows: each is an entry of the log."""

Start = Annotated[
    str | None,
    typer.Option(
        "--from", help="Begin at: earliest, now, RFC 3339, or so long ago, such as 2h.", show_default=False
    ),
]
Types = Annotated[
    str | None,
    typer.Option("--types", help="Only these event types, with commas between.", show_default=False),
]
Direction = Annotated[
    str | None,
    typer.Option(
        "--direction",
        help="For operators and teams: inbound (from the partner, as without it) or outbound.",
        show_default=False,
    ),
]
Whose = Annotated[str | None, typer.Argument(help="Whose; for operators and teams.", show_default=False)]


@dataclass(frozen=True, slots=True)
class Reach:
    """Which events."""

    start: Start = None
    types: Types = None
    direction: Direction = None
    consumer: Annotated[
        str | None,
        typer.Option(
            "--consumer",
            help="Begin where this consumer is, and acknowledge what was printed.",
            show_default=False,
        ),
    ] = None
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False

    def params(self) -> dict[str, str | int | bool | None]:
        """As the routes take them. Who follows wants what comes; who does not wants what there is.

        A consumer has a place: only who says so begins elsewhere, where that is gone.
        """
        begin = self.start
        if begin is None and self.consumer is None:
            begin = "now" if self.follow else "earliest"
        over_gap = True if self.start is not None and self.consumer is not None else None
        return {**self.filter(), "from": begin, "consumer": self.consumer, "over_gap": over_gap}

    def filter(self) -> dict[str, str | int | bool | None]:
        """What a cursor is bound to."""
        return {"types": self.types, "direction": self.direction}


@dataclass(slots=True)
class _Reader:
    """A consumer that acknowledges what was printed; one without a name says nothing.

    `is_patient`: a word that does not arrive for the moment is said again with the next one.
    """

    call: Invocation
    client: Client
    path: str | None
    filter: Mapping[str, str | int | bool | None]
    is_patient: bool = False
    _cursor: str = field(default="", init=False)
    _said_at: float = field(default=0.0, init=False)

    def has(self, cursor: str, *, seconds: float = 0.0) -> None:
        """All before the cursor was printed; said if the last word is so many seconds ago."""
        self._cursor = cursor or self._cursor
        if self.call.around.ticks() - self._said_at >= seconds:
            try:
                self.say()
            except (AnswerError, ProblemError, UnreachableError) as error:
                if not self.is_patient or not may_pass(error):
                    self._cursor = ""
                    raise
                # Asking took its time: events are printed before it is asked again.
                self._said_at = self.call.around.ticks()
                self.call.output.note("the place of the consumer could not be kept; it is told again")

    def say(self) -> None:
        """Acknowledge, if there is anything new; until that has succeeded it is new."""
        if self.path is not None and self._cursor:
            self._said_at = self.call.around.ticks()
            self.client.put(self.path, json.dumps({"cursor": self._cursor}).encode(), params=self.filter)
        self._cursor = ""


def register(app: typer.Typer) -> None:
    """Add stream."""
    command(app, "stream")(stream)


def stream(call: Invocation, partner: Whose = None, *, reach: Reach) -> Exit | None:
    """Print events and their data: those there are, and with --follow those to come.

    Operators and teams name the PARTNER whose events they receive.
    """
    with call.client() as client:
        path = under(partner, "stream")
        named = None if reach.consumer is None else under(partner, "stream", "consumers", reach.consumer)
        reader = _Reader(call, client, named, reach.filter(), is_patient=reach.follow)
        (_follow if reach.follow else _read)(call, client, path, reach, reader)
    return None


def _read(call: Invocation, client: Client, path: str, reach: Reach, reader: _Reader) -> None:
    params = reach.params()
    while True:
        document = client.get(path, params).document()
        recorded = document.get("recorded_at", [])
        for event, at in zip_longest(document["items"], recorded):
            _show(call, event, at)
        if document["items"]:
            reader.has(document["cursor"])
        if document["caught_up"]:
            return
        params = {**reach.filter(), "cursor": document["cursor"]}


def _follow(call: Invocation, client: Client, path: str, reach: Reach, reader: _Reader) -> None:
    with _last_word(reader):
        for sign in follow(call, client, path, reach.params()):
            if sign.data is not None:
                _show(call, read_event(sign.data), sign.recorded_at)
                reader.has(sign.cursor, seconds=_WORD_SECONDS)
            else:
                reader.has("", seconds=_WORD_SECONDS)


@contextmanager
def _last_word(reader: _Reader) -> Iterator[None]:
    """Acknowledge what was printed, also where Ctrl-C ends it."""
    try:
        yield
    finally:
        reader.say()


def read_event(text: str) -> dict[str, Any]:
    """A CloudEvent as it is streamed.

    Raises:
        AnswerError: it is none.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise AnswerError("what was streamed is no event", status=200) from error
    if not isinstance(found, dict):
        raise AnswerError("what was streamed is no event", status=200)
    return found


def _show(call: Invocation, event: dict[str, Any], recorded_at: str | None) -> None:
    if call.output.as_json:
        call.output.out.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")
    else:
        at = event.get("time") or recorded_at
        call.output.line(f"{clean(at)}  {clean(event.get('type'))}  id {clean(event.get('id'))}")
        call.output.line(f"  {json.dumps(event.get('data'), ensure_ascii=False)}")
    call.output.out.flush()
