"""Hands an export out: its files, each made anew, and the manifest that says what they are.

A file that has become another one since the job made it (entries of it were erased, content ran out) is told
to the job first, then handed out. The manifest is to be asked for last: it speaks of the files as they were
handed out last.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from audit import ranges
from audit.checkpoint import read_checkpoint
from audit.manifest import ExportFile, Manifest, Section, file_name, format_manifest
from audit.merkle import fold
from gateway.database import Database
from gateway.exports import store
from gateway.exports.job import Export, Part, Stretch
from gateway.exports.making import Made, Maker


@dataclass(slots=True, kw_only=True, eq=False)
class Papers:
    """See the module. `checkpoint`: the published checkpoint of a log by its origin, as it is shown now."""

    database: Database
    maker: Maker
    checkpoint: Callable[[str], Awaitable[bytes]]

    async def file(self, export: Export, number: int) -> Made | None:
        """A file as it is today; None: the export has none of that number.

        Raises:
            AwayError: it cannot be made now.
        """
        known = await self.database.read(lambda session: store.part(session, export.id, number))
        if known is None:
            return None
        made = await self.maker.again(export.wish, known)
        if made.part != known:
            await self.database.write(lambda session: store.replace_part(session, export.id, made.part))
        return made

    async def manifest(self, export: Export) -> bytes:
        """The manifest, under the newest checkpoint."""
        notes = [await self.checkpoint(one.origin) for one in export.wish.stretches]
        return await self.database.read(lambda session: _manifest(session, export, notes))


def _manifest(session: Session, export: Export, notes: Sequence[bytes]) -> bytes:
    parts = store.parts(session, export.id)
    sections = [
        _section(session, export, one, note, [part for part in parts if part.stretch == number])
        for number, (one, note) in enumerate(zip(export.wish.stretches, notes, strict=True))
    ]
    return format_manifest(Manifest(export.wish.format, export.wish.has_content, tuple(sections)))


def _section(session: Session, export: Export, of: Stretch, note: bytes, parts: Sequence[Part]) -> Section:
    shown, _ = read_checkpoint(note)
    (edge,) = ranges.edges(session, of.origin, (of.first,))
    times = [at for one in parts for at in (one.first_at, one.last_at) if at is not None]
    epoch = int(of.origin.rpartition("/")[2])
    return Section(
        origin=of.origin,
        first=of.first,
        end=of.end,
        root_first=fold(edge),
        root_end=ranges.root(session, of.origin, of.end),
        edge=edge,
        consistency=ranges.growth(session, of.origin, of.end, shown.size) if of.end else (),
        checkpoint=note.decode(),
        first_at=min(times, default=None),
        last_at=max(times, default=None),
        files=tuple(
            ExportFile(
                file_name(epoch, one.number, export.wish.format),
                one.first,
                one.end,
                one.erased,
                one.size,
                one.sha256.hex(),
            )
            for one in parts
        ),
    )
