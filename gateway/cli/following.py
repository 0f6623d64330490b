"""Server-sent events for commands: a stream that is taken up again where it was cut, for as long as it takes.

Source: HTML living standard, section 9.2 (Server-sent events).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.cli.client import Client, Params
from gateway.cli.command import Invocation
from gateway.cli.errors import AnswerError, ProblemError, UnreachableError

_FIRST_SECONDS: Final = 1
_LONGEST_SECONDS: Final = 30
_AWAY: Final = 500


@dataclass(frozen=True, slots=True)
class Sign:
    """What came: an event, or a sign of life without one. `cursor`: behind it, where it is told."""

    cursor: str = ""
    data: str | None = field(default=None, repr=False)
    recorded_at: str | None = None


def follow(call: Invocation, client: Client, path: str, params: Params) -> Iterator[Sign]:
    """What a stream gives, for ever; where it is cut, it goes on behind what it gave last.

    Raises:
        ProblemError: it is refused, at once or when it was to go on.
        UnreachableError, AnswerError: nobody answers at the beginning, or somebody else does.
    """
    last, seconds = "", _FIRST_SECONDS
    while True:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        try:
            with client.lines(path, params, headers=headers) as lines:
                for sign in signs(lines):
                    last, seconds = sign.cursor or last, _FIRST_SECONDS
                    yield sign
        except (AnswerError, ProblemError, UnreachableError) as error:
            if not last or not may_pass(error):
                raise
        call.output.note("the stream was cut; it is taken up again")
        call.around.pause(seconds)
        seconds = min(2 * seconds, _LONGEST_SECONDS)


def signs(lines: Iterable[bytes]) -> Iterator[Sign]:
    """Blocks of lines, each ended by an empty one; what has begun and not ended is nothing."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.decode("utf-8", "replace").partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields['data']}\n{value}" if name == "data" and name in fields else value
            continue
        yield Sign(fields.get("id", ""), fields.get("data"), fields.get("recorded_at"))
        fields = {}


def may_pass(error: AnswerError | ProblemError | UnreachableError) -> bool:
    """Whether who follows asks again: nobody answers for the moment, or the answer says so."""
    match error:
        case UnreachableError():
            return True
        case AnswerError():
            # A proxy whose gateway is away for a moment says so in words of its own.
            return error.status >= _AWAY
        case _:
            return error.document.get("retry") == "later"
