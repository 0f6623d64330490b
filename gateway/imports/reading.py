"""The items of a piece, as the ingress takes them: a line or a datum each, read as they are asked for."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from gateway.catalog import Snapshot
from gateway.event import Content
from gateway.imports.job import CONTAINER, NDJSON, Failure, Import, Piece
from gateway.imports.splitting import GO_ON
from gateway.ingress.content import Received, read_events
from gateway.ingress.draft import Draft, Unread
from gateway.ingress.form import AVRO, Form
from gateway.ingress.outcome import Refused
from schemas.container import ContainerLimits, read_container
from schemas.errors import ContainerError, DatumError

Item = Draft | Unread


@dataclass(frozen=True, slots=True)
class Some:
    """Items that follow each other. `size`: bytes of their content."""

    items: tuple[Item, ...]
    size: int


class Items:
    """What is in one piece, from some item on. `failure`: why it could not be read on, once that is known."""

    def __init__(self, job: Import, piece: Piece, limits: ContainerLimits, *, start: int) -> None:
        """`start`: index in the import of the first item that is wanted."""
        self.failure: Failure | None = None
        self._index = piece.first
        self._piece = piece
        self._header_bytes = len(job.header or b"")
        is_container = job.wish.media_type == CONTAINER
        self._left = self._datums(job, limits) if is_container else self._lines(job)
        self._skip = max(0, start - piece.first)

    def take(self, most: int, most_bytes: int) -> Some:
        """The next items, at most `most`, and no more than `most_bytes` unless one alone has more.

        None of them: there are no more, or `failure` says why.
        """
        found: list[Item] = []
        size = 0
        try:
            for _ in islice(self._left, self._skip):
                self._index += 1
            self._skip = 0
            while len(found) < most and size < most_bytes and (one := next(self._left, None)) is not None:
                found.append(one)
                size += len(one.content.raw)
                self._index += 1
        except ContainerError as error:
            at = self._piece.offset + max(0, error.offset - self._header_bytes)
            self.failure = self._broken(f"{_without_number(error.text)} (item {self._index})", at)
        except DatumError as error:
            self.failure = self._broken(
                f"item {self._index} cannot be read: {error.faults[0].text}", self._piece.offset
            )
        return Some(tuple(found), size)

    def _lines(self, job: Import) -> Iterator[Item]:
        # Each as it is asked for, which is on a thread: CloudEvents take a second a mebibyte, and short lines
        # a hundred times their bytes once they are read.
        for line in io.BytesIO(self._piece.raw):
            if not line.strip():
                continue
            raw = line.removesuffix(b"\n")
            reading = read_events(Received(job.wish.event_type, NDJSON, {}, raw, raw))
            if isinstance(reading, Refused):
                # Nothing that stands in a line refuses the whole; should it ever, the job must not go round.
                place = self._piece.line, self._piece.offset
                self.failure = Failure(reading.code, reading.detail, GO_ON, *place)
                return
            yield from reading.items

    def _datums(self, job: Import, limits: ContainerLimits) -> Iterator[Item]:
        form = Form("avro", schema_id=job.schema_id)
        for one in read_container((job.header or b"") + self._piece.raw, limits).data:
            yield Draft(job.wish.event_type, None, None, {}, one.avro, Content(one.avro, AVRO), form)

    @staticmethod
    def _broken(text: str, offset: int) -> Failure:
        detail = f"The file cannot be read on, from byte {offset}: {text}."
        return Failure("body_malformed", detail, GO_ON, offset=offset)


def name_generated(items: Sequence[Item], job: Import, snapshot: Snapshot, *, first: int) -> tuple[Item, ...]:
    """The items, with ids where the contract leaves making them to us.

    The same for the same item of the same file, whichever import it comes with: else what an import that
    failed has taken would be taken again by the next one. So neither the import's id nor the sender's
    signature is in it, since both are others each time.
    """
    seed = (job.fingerprint or job.id.encode()).hex()
    named: list[Item] = []
    for index, one in enumerate(items, first):
        if isinstance(one, Draft) and one.id is None and _is_generated(one, job, snapshot):
            made = hashlib.sha256(f"{seed}/{index}".encode()).hexdigest()[:32]
            named.append(replace(one, id=made))
        else:
            named.append(one)
    return tuple(named)


def _is_generated(draft: Draft, job: Import, snapshot: Snapshot) -> bool:
    wish = job.wish
    channel = None if draft.type is None else snapshot.channel(wish.partner, draft.type, wish.direction)
    return channel is not None and channel.line.terms.id.mode == "generated"


def _without_number(text: str) -> str:
    """A refusal without the number of the block, which counts from the start of the piece."""
    head, colon, rest = text.partition(": ")
    return rest if colon and head.startswith("block ") else text
