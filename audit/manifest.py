"""The manifest of an export: which entries it holds, in which files, and the hashes that prove them all.

    root at `from`  = the tree over `edge`, the subtrees left of the range
    root at `to`    = the same tree, grown by the leaf of every index from `from` up to, not with, `to`
    consistency     leads from that root to the one of the signed checkpoint

So that nobody can leave an entry out, put one in, or change their order. Nothing in a manifest is to be
believed: each member is compared with what the files hold. It has one spelling.

Source: docs/formats.md section 13.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal, get_args

from audit.checkpoint import split_origin
from audit.errors import MalformedError
from audit.merkle import HASH_BYTES
from audit.note import decode_base64

Format = Literal["jsonl", "avro", "parquet"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
MANIFEST_NAME: Final = "manifest.json"
MANIFEST_BYTES: Final = 64 * 2**20
FILE_BYTES: Final = 512 * 2**20
"""Bytes of a file that is read: a part of an export has some sixteen million, and one event more at most."""

FILE_ENTRIES: Final = 100_000
ROW_BYTES: Final = 32 * 2**20
"""Bytes of a row, unpacked: an event has sixteen million at most, which base64 makes a third more."""

PLAIN_BYTES: Final = 128 * 2**20
"""Bytes of a file, unpacked. The evidence and content in it have sixteen million, and one event more at most;
columns say some of it a second time."""

VERSION: Final = "gateway-export/v1"
_LIMIT: Final = 1 << 63
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file: entries from `first` up to, not with, `end`. `sha256`: hex, of its bytes."""

    name: str
    first: int
    end: int
    erased: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Section:
    """A range of one epoch of a log. `first_at`, `last_at`: the least and greatest time of its evidence."""

    origin: str
    first: int
    end: int
    root_first: bytes = field(repr=False)
    root_end: bytes = field(repr=False)
    edge: tuple[bytes, ...] = field(repr=False)
    consistency: tuple[bytes, ...] = field(repr=False)
    checkpoint: str = field(repr=False)
    first_at: int | None = None
    last_at: int | None = None
    files: tuple[ExportFile, ...] = ()

    @property
    def epoch(self) -> int:
        """The epoch of the log."""
        return split_origin(self.origin)[1]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole export."""

    format: Format
    has_content: bool
    sections: tuple[Section, ...]


def file_name(epoch: int, number: int, kind: Format) -> str:
    """What a file is called. `number`: from 1, through all sections."""
    return f"entries-{epoch}-{number:06d}.{kind}"


def format_manifest(manifest: Manifest) -> bytes:
    """The manifest as it is written."""
    whole = {
        "v": VERSION,
        "format": manifest.format,
        "content": manifest.has_content,
        "sections": [_section(one) for one in manifest.sections],
    }
    return json.dumps(whole, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_manifest(raw: bytes) -> Manifest:
    """Read a manifest in its one spelling; its files cover each range without gap and overlap.

    Raises:
        MalformedError: anything else.
    """
    try:
        manifest = _manifest(json.loads(raw.decode()))
        is_exact = format_manifest(manifest) == raw
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedError(f"manifest: expected that of {VERSION}") from error
    if not is_exact:
        raise MalformedError("manifest: not in its exact form")
    _verify(manifest)
    return manifest


def _section(one: Section) -> dict[str, Any]:
    return {
        "origin": one.origin,
        "from": one.first,
        "to": one.end,
        "first_at": one.first_at,
        "last_at": one.last_at,
        "root_from": _text(one.root_first),
        "root_to": _text(one.root_end),
        "edge": [_text(value) for value in one.edge],
        "consistency": [_text(value) for value in one.consistency],
        "checkpoint": one.checkpoint,
        "files": [
            {
                "name": file.name,
                "from": file.first,
                "to": file.end,
                "erased": file.erased,
                "bytes": file.size,
                "sha256": file.sha256,
            }
            for file in one.files
        ],
    }


def _manifest(whole: Mapping[str, Any]) -> Manifest:
    if whole["v"] != VERSION or whole["format"] not in FORMATS or type(whole["content"]) is not bool:
        raise ValueError("another version or format")
    return Manifest(whole["format"], whole["content"], tuple(_read_section(one) for one in whole["sections"]))


def _read_section(one: Mapping[str, Any]) -> Section:
    return Section(
        origin=_words(one["origin"]),
        first=_count(one["from"]),
        end=_count(one["to"]),
        root_first=_hash(one["root_from"]),
        root_end=_hash(one["root_to"]),
        edge=tuple(_hash(text) for text in one["edge"]),
        consistency=tuple(_hash(text) for text in one["consistency"]),
        checkpoint=_words(one["checkpoint"]),
        first_at=None if one["first_at"] is None else _count(one["first_at"]),
        last_at=None if one["last_at"] is None else _count(one["last_at"]),
        files=tuple(_read_file(file) for file in one["files"]),
    )


def _read_file(one: Mapping[str, Any]) -> ExportFile:
    if _DIGEST.fullmatch(one["sha256"]) is None:
        raise ValueError("no digest")
    return ExportFile(
        _words(one["name"]),
        _count(one["from"]),
        _count(one["to"]),
        _count(one["erased"]),
        _count(one["bytes"]),
        one["sha256"],
    )


def _verify(manifest: Manifest) -> None:
    """What the members say must fit together."""
    if not manifest.sections:
        raise MalformedError("manifest: it speaks of no log")
    places = [split_origin(one.origin) for one in manifest.sections]
    if any(a[0] != b[0] or a[1] >= b[1] for a, b in pairwise(places)):
        raise MalformedError("manifest: its sections must be epochs of one log, in order")
    number = 0
    for one in manifest.sections:
        if one.first > one.end or len(one.edge) != one.first.bit_count():
            raise MalformedError(f"manifest: {one.origin}: no range, or not the subtrees left of it")
        _verify_files(manifest.format, one, number)
        number += len(one.files)


def _verify_files(kind: Format, section: Section, number: int) -> None:
    at = section.first
    for count, file in enumerate(section.files, number + 1):
        is_next = file.first == at and 0 < file.end - file.first <= FILE_ENTRIES
        is_named = file.name == file_name(section.epoch, count, kind)
        if not is_next or not is_named or file.size > FILE_BYTES:
            raise MalformedError(f"manifest: {section.origin}: {file.name} is not the file that comes next")
        at = file.end
    if at != section.end:
        raise MalformedError(f"manifest: {section.origin}: its files end at {at}, the range at {section.end}")


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _hash(text: str) -> bytes:
    value = decode_base64(text, "manifest: hash")
    if len(value) != HASH_BYTES:
        raise ValueError("no hash")
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _LIMIT:
        raise ValueError("no count")
    return value


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
