"""Exports to be fuzzed: small archives that verify, and readers of bytes in place of one, or of its file."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from audit.archive import END, head_of, padding
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.evidence import Evidence, Kind
from audit.export_avro import encode_container
from audit.export_joined import verify_exports
from audit.export_lines import encode_lines
from audit.export_parquet import encode_table
from audit.export_row import ToldByMembers, Value, row_of
from audit.manifest import (
    MANIFEST_NAME,
    ExportFile,
    Format,
    Manifest,
    Section,
    file_name,
    format_manifest,
)
from audit.merkle import EMPTY_ROOT
from audit.note import VerifierKey
from audit.papers import Keys
from audit.tree import Head
from tests.unit.audit.builders import AT, LOG, LOG_SIGNER, ORIGIN, evidence

KEYS: Final = Keys({}, (VerifierKey(ORIGIN, LOG_SIGNER.public_key),))
_SECOND: Final = f"{LOG}/2"
_ENCODE: Final[Mapping[Format, Callable[[Sequence[tuple[Value, ...]]], bytes]]] = {
    "jsonl": encode_lines,
    "avro": encode_container,
    "parquet": encode_table,
}


def _section(origin: str, batch: Sequence[Evidence], kind: Format, number: int) -> tuple[Section, bytes]:
    """A whole epoch, and its file."""
    epoch = int(origin.rpartition("/")[2])
    rows = [
        row_of(
            epoch, index, one.leaf().decode(), one.raw.decode(),
            ToldByMembers(one.kind.value, one.at, one.members), None,
        )
        for index, one in enumerate(batch)
    ]  # fmt: skip
    raw, (head, _) = _ENCODE[kind](rows), Head(origin).append([one.leaf() for one in batch])
    checkpoint = sign_checkpoint(Checkpoint(origin, head.size, head.root()), LOG_SIGNER).decode()
    times = [one.at for one in batch]
    file = _file(ExportFile(file_name(epoch, number, kind), 0, head.size, 0, 0, ""), raw)
    return Section(
        origin, 0, head.size, EMPTY_ROOT, head.root(), (), (), checkpoint, min(times), max(times), (file,)
    ), raw


def _file(file: ExportFile, raw: bytes) -> ExportFile:
    return replace(file, size=len(raw), sha256=hashlib.sha256(raw).hexdigest())


def _pack(manifest: Manifest, files: Sequence[bytes]) -> bytes:
    names = [file.name for section in manifest.sections for file in section.files]
    whole = {**dict(zip(names, files, strict=True)), MANIFEST_NAME: format_manifest(manifest)}
    return b"".join(head_of(name, len(raw)) + raw + padding(len(raw)) for name, raw in whole.items()) + END


def _root_of(section: Section) -> str:
    """As its checkpoint has it."""
    return section.checkpoint.split("\n")[2]


def _made(kind: Format) -> tuple[Manifest, list[bytes]]:
    """Two epochs, the second of which says where the first ends."""
    first, raw = _section(ORIGIN, [evidence(number) for number in range(3)], kind, 1)
    head = {"origin": ORIGIN, "size": first.end, "root": _root_of(first)}
    opened = evidence(9, kind=Kind.EPOCH_OPENED, at=AT + 9, origin=_SECOND, previous=head, reason="a backup")
    second, other = _section(_SECOND, [opened], kind, 2)
    return Manifest(kind, has_content=False, sections=(first, second)), [raw, other]


_MADE: Final = {kind: _made(kind) for kind in _ENCODE}
ARCHIVES: Final = tuple(_pack(*made) for made in _MADE.values())
FILES: Final = tuple(files[0] for _, files in _MADE.values())


def read_archive(raw: bytes) -> None:
    """Verify bytes as the file of an export, as `gateway verify` does."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:  # noqa: S108 - memory, for the pace
        file.write(raw)
        file.flush()
        verify_exports([Path(file.name)], KEYS)


def read_entries(raw: bytes) -> None:
    """Bytes in place of the first file of entries, told by how they begin; the manifest names them."""
    for manifest, (known, *others) in _MADE.values():
        if raw[:4] == known[:4]:
            first, *rest = manifest.sections
            changed = replace(first, files=(_file(first.files[0], raw),))
            read_archive(_pack(replace(manifest, sections=(changed, *rest)), [raw, *others]))
