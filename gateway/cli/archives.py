"""Saves an export as an archive: file by file, and where it broke off it goes on.

What is not whole yet stands beside the archive, under `.part`. The manifest is asked for first, to know what
of that is still good, and once more at the end: an entry that was erased meanwhile makes another file, which
is then fetched again.
"""

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from audit.archive import BLOCK, END, Member, head_of, list_begun, padding, read_member
from audit.errors import MalformedError
from audit.manifest import MANIFEST_NAME, ExportFile, Manifest, parse_manifest
from gateway.cli.client import Client
from gateway.cli.errors import AnswerError, UsageError

_MOST_ROUNDS: Final = 5
"""Times that files may change while they are fetched."""


@dataclass(frozen=True, slots=True)
class Saved:
    """An archive that was written. `kept`: files that an earlier download had."""

    manifest: Manifest
    kept: int


def part_of(path: Path) -> Path:
    """Where an archive stands that is not whole yet."""
    return path.with_name(path.name + ".part")


def save_archive(client: Client, route: str, path: Path, advance: Callable[[int], None]) -> Saved:
    """Fetch what is missing, and put the archive in its place. `route`: of the export's files.

    `advance`: hears how many files more are there.

    Raises:
        UsageError: the file cannot be written.
        AnswerError: what was fetched is not what the gateway says that it is.
        UnreachableError, ProblemError: as the client; what is there is kept.
    """
    begun = part_of(path)
    try:
        with begun.open("r+b" if begun.exists() else "x+b") as target:
            saved = _fill(client, route, target, advance)
            target.flush()
            os.fsync(target.fileno())
        begun.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return saved


def _fill(client: Client, route: str, target: BinaryIO, advance: Callable[[int], None]) -> Saved:
    raw, manifest = _manifest(client, route)
    kept = _keep(target, _files(manifest))
    advance(kept)
    have = kept
    for _ in range(_MOST_ROUNDS):
        for number, file in enumerate(_files(manifest)[have:], have + 1):
            content = _fetch(client, f"{route}/{number}")
            target.write(head_of(file.name, len(content)) + content + padding(len(content)))
            advance(1)
        raw, manifest = _manifest(client, route)
        have = _keep(target, _files(manifest))
        if have == len(_files(manifest)):
            target.write(head_of(MANIFEST_NAME, len(raw)) + raw + padding(len(raw)) + END)
            return Saved(manifest, kept)
        advance(have - len(_files(manifest)))
    raise AnswerError("the files of the export go on changing: try again later", status=200)


def _keep(target: BinaryIO, files: Sequence[ExportFile]) -> int:
    """Cut off what is not as the manifest says; how many files are."""
    good, end = 0, 0
    for member, file in zip(list_begun(target), files, strict=False):
        if not _is_same(target, member, file):
            break
        good, end = good + 1, member.offset + member.size + -member.size % BLOCK
    target.seek(end)
    target.truncate()
    return good


def _is_same(target: BinaryIO, member: Member, file: ExportFile) -> bool:
    if (member.name, member.size) != (file.name, file.size):
        return False
    return hashlib.sha256(read_member(target, member)).hexdigest() == file.sha256


def _files(manifest: Manifest) -> list[ExportFile]:
    return [file for section in manifest.sections for file in section.files]


def _manifest(client: Client, route: str) -> tuple[bytes, Manifest]:
    raw = _fetch(client, f"{route}/0")
    try:
        return raw, parse_manifest(raw)
    except MalformedError as error:
        raise AnswerError(f"the manifest cannot be read: {error}", status=200) from error


def _fetch(client: Client, path: str) -> bytes:
    answer = client.get(path, accept="*/*")
    digest = base64.b64encode(hashlib.sha256(answer.content).digest()).decode()
    if answer.headers.get("content-digest") != f"sha-256=:{digest}:":
        raise AnswerError("the file is not the one that Content-Digest names", status=answer.status)
    return answer.content
