"""Send events: one, or a file of them in batches that are taken as far as they are good."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from gateway.attributes import encode_header
from gateway.cli.client import Client, under
from gateway.cli.command import Invocation, command
from gateway.cli.errors import ProblemError, UnwritableError, UsageError
from gateway.cli.exits import BY_CODE, Exit
from gateway.cli.faults import problem_lines
from gateway.cli.plain_text import clean

BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 4 * 2**20
LINE_BYTES: Final = 16 * 2**20
MANY: Final = frozenset({".ndjson", ".jsonl"})
_NDJSON: Final = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Way:
    """How to send."""

    id: Annotated[
        str | None,
        typer.Option("--id", help="Id of the event, where its data holds none.", show_default=False),
    ] = None
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate", metavar="N/s", help="At most so many a second, such as 500/s.", show_default=False
        ),
    ] = None
    batch: Annotated[
        bool, typer.Option("--batch", help="The file has an event a line (.ndjson, .jsonl always).")
    ] = False


@dataclass(slots=True)
class _Sums:
    """What became of the events so far; `codes` of those that were refused."""

    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    codes: set[str] = field(default_factory=set)

    def add(self, document: dict[str, Any]) -> None:
        self.accepted += int(document.get("accepted", 0))
        self.duplicates += int(document.get("duplicates", 0))
        self.refused += int(document.get("refused", 0))


@dataclass(frozen=True, slots=True)
class _Group:
    """Lines that go in one request, and the number of the first in the file (lines without a blank one)."""

    lines: tuple[bytes, ...]
    numbers: tuple[int, ...]


def register(app: typer.Typer) -> None:
    """Add send."""
    command(app, "send", writes=True)(send)


def send(
    call: Invocation,
    words: Annotated[
        list[str],
        typer.Argument(metavar="[PARTNER] TYPE @FILE|-", help="Event type, and the file of its data."),
    ],
    *,
    way: Way,
) -> Exit | None:
    """Send the event in FILE (- is stdin). Our side names the PARTNER that it sends to; a partner none.

    Such as: gateway send order.placed @order.json
    """
    partner, event_type, named = _targets(words)
    path = None if named == "-" else Path(named.removeprefix("@"))
    is_many = way.batch or (path is not None and path.suffix in MANY)
    if is_many and way.id is not None:
        raise UsageError("--id names one event; the events of a batch name themselves")
    route = under(partner, "events", event_type)
    rate = _rate(way.rate)
    with call.client() as client, _opened(call, path) as source:
        if is_many:
            return _send_many(call, client, route, source, rate)
        return _send_one(call, client, route, source.read(LINE_BYTES + 1), way.id)


def _send_one(call: Invocation, client: Client, route: str, body: bytes, event_id: str | None) -> Exit | None:
    if len(body) > LINE_BYTES:
        raise UsageError("this is more than one event may have: send a file of lines with --batch")
    headers = {} if event_id is None else {"ce-id": encode_header(event_id)}
    answer = client.post(route, body, params=_dry(call), headers=headers)
    document = answer.document()
    is_repeat = bool(document.get("duplicate"))
    with _telling(call, _Sums(accepted=int(not is_repeat), duplicates=int(is_repeat))):
        if call.output.as_json:
            call.output.document(document)
            return None
        word = "would be accepted" if call.dry_run else "accepted"
        repeat = " (sent before: the same receipt)" if is_repeat else ""
        call.output.line(f"{word}  {clean(document['ref'])}  id {clean(document['id'])}{repeat}")
    return None


def _send_many(
    call: Invocation, client: Client, route: str, source: BinaryIO, rate: float | None
) -> Exit | None:
    sums = _Sums()
    total = _size(source)
    size = BATCH_EVENTS if rate is None else max(1, min(BATCH_EVENTS, int(rate)))
    began, sent = call.around.ticks(), 0
    try:
        with call.output.progress("sending", total) as bar:
            for group in _groups(source, size):
                _send_group(call, client, route, group, sums)
                sent += len(group.lines)
                bar.advance(sum(map(len, group.lines)) + len(group.lines))
                if rate is not None:
                    call.around.pause(max(0.0, sent / rate - (call.around.ticks() - began)))
    finally:
        # Where it broke off is known, so that the rest can be sent; sending all again is as good.
        _tell(call, sums)
    if not sums.refused:
        return None
    return next(
        (BY_CODE[code] for code in sorted(sums.codes) if BY_CODE.get(code) == Exit.CONFLICT), Exit.REFUSED
    )


def _send_group(call: Invocation, client: Client, route: str, group: _Group, sums: _Sums) -> None:
    headers = {"Content-Type": _NDJSON, "Prefer": "handling=lenient, return=minimal"}
    try:
        document = client.post(route, b"\n".join(group.lines), params=_dry(call), headers=headers).document()
    except ProblemError as error:
        if error.code != "batch_refused" or not isinstance(error.document.get("results"), list):
            raise
        document = dict(error.document)
    sums.add(document)
    for result in document.get("results", []):
        problem = result.get("problem")
        if isinstance(problem, dict):
            sums.codes.add(str(problem.get("code")))
            _tell_refusal(call, group.numbers[int(result["index"])], problem, route)


def _tell_refusal(call: Invocation, number: int, problem: dict[str, Any], route: str) -> None:
    if call.output.as_json:
        call.output.document({"line": number, "problem": problem})
        return
    call.output.warn(f"line {number}:")
    for line in problem_lines(problem, "  ", path=route):
        call.output.warn(line)


def _tell(call: Invocation, sums: _Sums) -> None:
    with _telling(call, sums):
        if call.output.as_json:
            kept = {"accepted": sums.accepted, "duplicates": sums.duplicates, "refused": sums.refused}
            call.output.document({**kept, "dry_run": True} if call.dry_run else kept)
            return
        call.output.line(_in_words(call, sums))


def _in_words(call: Invocation, sums: _Sums) -> str:
    word = "would be accepted" if call.dry_run else "accepted"
    return f"{sums.accepted} {word}, {sums.duplicates} sent before, {sums.refused} refused"


@contextmanager
def _telling(call: Invocation, sums: _Sums) -> Iterator[None]:
    """Write the answer to the last byte; where that fails, the error says what became of the events."""
    try:
        yield
        call.output.out.flush()
    except UnwritableError as error:
        raise UnwritableError(f"{error.text}; {_in_words(call, sums)}") from error


def _groups(source: BinaryIO, most: int) -> Iterator[_Group]:
    """The lines of a file in groups under the caps of a batch; blank lines are left out."""
    lines: list[bytes] = []
    numbers: list[int] = []
    held, number = 0, 0
    while line := source.readline(LINE_BYTES + 1):
        number += 1
        if len(line) > LINE_BYTES:
            raise UsageError(f"line {number} has more than {LINE_BYTES} bytes")
        line = line.strip()
        if not line:
            continue
        if lines and (len(lines) == most or held + len(line) > BATCH_BYTES):
            yield _Group(tuple(lines), tuple(numbers))
            lines, numbers, held = [], [], 0
        lines.append(line)
        numbers.append(number)
        held += len(line) + 1
    if lines:
        yield _Group(tuple(lines), tuple(numbers))


def _targets(words: Sequence[str]) -> tuple[str | None, str, str]:
    match list(words):
        case [event_type, file]:
            partner = None
        case [partner, event_type, file]:
            pass
        case _:
            raise UsageError("say gateway send [PARTNER] TYPE @FILE, or - for stdin")
    if file != "-" and not file.startswith("@"):
        raise UsageError(f"the last word is the file: write @{file}, or - for stdin")
    return partner, event_type, file


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = float(text.removesuffix("/s"))
    except ValueError:
        found = 0.0
    if not 0 < found <= 1_000_000:  # noqa: PLR2004 - more than that is no limit
        raise UsageError("--rate takes events a second, such as 500/s")
    return found


def _dry(call: Invocation) -> dict[str, bool | None]:
    return {"dry_run": True if call.dry_run else None}


def _size(source: BinaryIO) -> int | None:
    """Bytes to come; None where the source does not know."""
    if not source.seekable():
        return None
    here = source.tell()
    end = source.seek(0, 2)
    source.seek(here)
    return end - here


class _Kept:
    """A source that is not ours to close."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def __enter__(self) -> BinaryIO:
        return self._source

    def __exit__(self, *_: object) -> None:
        """Leave it open."""


def _opened(call: Invocation, path: Path | None) -> Any:
    if path is None:
        return _Kept(call.around.source)
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"the file {path} cannot be read: {error.strerror}") from error
