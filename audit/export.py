"""Verify an export offline: that it holds every entry of its range, unchanged, under a signed checkpoint.

One file of the archive is in memory at a time, whatever the size of the whole. Nothing is unpacked, and no
member of the manifest is believed. Standard library and cryptography only; of exports in Parquet pyarrow too.

Source: docs/formats.md section 13.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

from audit.archive import Member, list_members, read_member
from audit.checkpoint import Checkpoint, read_checkpoint, split_origin
from audit.errors import InconsistentError, MalformedError, UnpinnedKeyError, VerificationError
from audit.evidence import Evidence, Kind, parse_evidence
from audit.export_avro import decode_container
from audit.export_epochs import Openings, Previous
from audit.export_erased import Erasures
from audit.export_lines import decode_lines
from audit.export_parquet import decode_table
from audit.export_row import COLUMNS, CONTENT_PREFIX, ToldByMembers, Value, erased_row, row_of
from audit.manifest import (
    MANIFEST_BYTES,
    MANIFEST_NAME,
    ExportFile,
    Format,
    Manifest,
    Section,
    parse_manifest,
)
from audit.merkle import EMPTY_ROOT, fold, hash_leaf, hash_node, verify_consistency
from audit.note import decode_base64
from audit.papers import Keys
from audit.papers import read_checkpoint as read_signed
from audit.verify import Verdict

Rows = Iterator[tuple[Value, ...]]

_DECODERS: Final[dict[Format, Callable[[bytes, int], Rows]]] = {
    "jsonl": decode_lines,
    "avro": decode_container,
    "parquet": decode_table,
}
_NAMES: Final = tuple(COLUMNS)
_PLACES: Final = {name: place for place, name in enumerate(_NAMES)}
_SLICE: Final = 1_000
"""Entries after which the caller hears how far it is."""


Place = tuple[str, int]
"""An origin, and a number of entries: at one place a log has one root."""


class Exported(NamedTuple):
    """What an export proves, and what it does not.

    For those that join exports: its ranges; by place each root that it shows; the places of checkpoints; and
    what its epochs say of those before them, see `audit.export_epochs`.
    """

    verdict: Verdict
    sections: tuple[Section, ...]
    roots: Mapping[Place, bytes]
    heads: tuple[Place, ...]
    openings: Mapping[str, Previous | None]


@dataclass(slots=True)
class _Growth:
    """A tree that grows leaf by leaf, by its edge alone."""

    size: int
    edge: list[bytes]

    def push(self, leaf: bytes) -> None:
        value, place = hash_leaf(leaf), self.size
        while place & 1:
            value, place = hash_node(self.edge.pop(), value), place >> 1
        self.edge.append(value)
        self.size += 1


@dataclass(slots=True)
class _Seen:
    """What the rows of a section were. `wanted`: where the caller wants to know the root."""

    origin: str = ""
    wanted: frozenset[Place] = frozenset()
    roots: dict[Place, bytes] = field(default_factory=dict)
    heads: list[Place] = field(default_factory=list)
    erasures: Erasures = field(default_factory=Erasures)
    openings: Openings = field(default_factory=Openings)
    erased: int = 0
    contents: int = 0
    first_at: int | None = None
    last_at: int | None = None
    unpinned: list[str] = field(default_factory=list)
    others: set[str] = field(default_factory=set)

    def keep(self, origin: str, size: int, root: bytes) -> None:
        if self.roots.setdefault((origin, size), root) != root:
            raise forked(origin, size)

    def keep_all(self, section: Section, checkpoint: Checkpoint) -> None:
        self.keep(section.origin, section.first, section.root_first)
        self.keep(section.origin, section.end, section.root_end)
        self.keep(section.origin, checkpoint.size, checkpoint.root)
        self.heads.append((section.origin, checkpoint.size))

    def note(self, at: int) -> None:
        self.first_at = at if self.first_at is None else min(self.first_at, at)
        self.last_at = at if self.last_at is None else max(self.last_at, at)


def verify_export(
    source: BinaryIO,
    pinned: Keys,
    *,
    told: Callable[[int, int], None] = lambda _done, _total: None,
    wanted: frozenset[Place] = frozenset(),
) -> Exported:
    """Check an export from its first byte to its last.

    1. The archive holds files with names of their own, and nothing else.
    2. The manifest has its exact form; its files are those of the archive, of the sizes that it says.
    3. Each range lies under a checkpoint of its log; who signed that, see 8.
    4. The subtrees left of the range lead to the root that it starts from.
    5. Each file has the digest that the manifest names. Its rows go on index by index; each leaf is that of
       its evidence, each column says what the evidence says, and each content is the one that it names.
    6. The tree grown by these leaves has the root that the range ends with, and that root lies under the one
       of the checkpoint.
    7. What the manifest counts is what was read.
    8. The checkpoint is signed by a key that the caller pinned.

    Args:
        source: The archive; it is read from its beginning, here and there.
        pinned: The keys that the caller trusts.
        told: Hears how many of how many entries were read.
        wanted: Places whose root the caller wants to know, where they lie in a range.

    Raises:
        UnpinnedKeyError: All else holds, but nobody trusted vouches for a checkpoint.
        VerificationError: The export proves nothing; the text names the place.
        MissingLibraryError: It is in Parquet, and pyarrow is not installed.
    """
    manifest, files = read_manifest(source, list_members(source))  # 1, 2
    total = sum(one.end - one.first for one in manifest.sections)
    done = 0
    proved: list[str] = []
    found = _Seen(wanted=wanted)
    for section in manifest.sections:
        checkpoint = _verify_checkpoint(section, pinned, found, proved)  # 3, 8
        growth = _begin(section)  # 4
        seen = _Seen(section.origin, wanted, found.roots, erasures=found.erasures, openings=found.openings)
        for file in section.files:
            before = growth.size
            raw = read_member(source, files[file.name])  # 5
            for count in _verify_file(raw, file, manifest, section, growth, seen):
                told(done + count, total)
            done += growth.size - before
        _verify_end(section, growth, checkpoint)  # 6
        found.keep_all(section, checkpoint)
        if (seen.first_at, seen.last_at) != (section.first_at, section.last_at):  # 7
            raise MalformedError(f"manifest: {section.origin}: other times than its evidence has")
        found.erased += seen.erased
        found.contents += seen.contents
        proved += _statements(section, seen)
    if found.unpinned:  # 8
        raise UnpinnedKeyError(
            "all that could be checked holds, but the checkpoint is signed by keys you have not pinned: "
            + ", ".join(found.unpinned)
            + ". Get the key from the operator by a way you trust, and pin it."
        )
    return _verdict(manifest, found, proved)


def forked(origin: str, size: int) -> InconsistentError:
    """What is raised where a log has two roots at one place."""
    return InconsistentError(f"fork: two histories, by the root of {size} entries of {origin}")


def read_manifest(source: BinaryIO, members: Sequence[Member]) -> tuple[Manifest, dict[str, Member]]:
    """Step 2: what an export says of itself, and where its files lie. Raises MalformedError."""
    files = {one.name: one for one in members}
    place = files.pop(MANIFEST_NAME, None)
    if place is None or place.size > MANIFEST_BYTES:
        raise MalformedError(f"export: the archive has no {MANIFEST_NAME}, or one that is too large")
    manifest = parse_manifest(read_member(source, place))
    named = {file.name: file.size for section in manifest.sections for file in section.files}
    if named != {one.name: one.size for one in files.values()}:
        raise MalformedError("export: the files of the archive are not those that its manifest names")
    return manifest, files


def _verify_checkpoint(section: Section, pinned: Keys, found: _Seen, proved: list[str]) -> Checkpoint:
    """Steps 3 and 8."""
    raw = section.checkpoint.encode("utf-8", "replace")
    checkpoint, note = read_checkpoint(raw)
    if checkpoint.origin != section.origin:
        raise VerificationError(
            f"export: a range of {section.origin}, but under a checkpoint of {checkpoint.origin}"
        )
    if section.end > checkpoint.size:
        raise VerificationError(f"export: {section.origin}: the checkpoint covers {checkpoint.size} entries")
    try:
        key, _, _ = read_signed(raw, pinned.logs)
        found.others |= {line.name for line in note.lines} - {section.origin}
    except UnpinnedKeyError:
        found.unpinned += [f"{line.name}+{line.key_id.hex()}" for line in note.lines]
    else:
        proved.append(f"checkpoint of {checkpoint.size} entries signed by {key}")
    return checkpoint


def _begin(section: Section) -> _Growth:
    """Step 4."""
    if fold(section.edge) != section.root_first:
        raise VerificationError(f"export: {section.origin}: no such tree has the root at {section.first}")
    return _Growth(section.first, list(section.edge))


def _verify_file(
    raw: bytes,
    file: ExportFile,
    manifest: Manifest,
    section: Section,
    growth: _Growth,
    seen: _Seen,
) -> Iterator[int]:
    """Step 5; tells from time to time how many entries of the file were read."""
    if hashlib.sha256(raw).hexdigest() != file.sha256:
        raise VerificationError(f"export: {file.name} has another SHA-256 than the manifest says")
    log, epoch = split_origin(section.origin)
    erased = seen.erased
    for row in _DECODERS[manifest.format](raw, file.end - file.first):
        if growth.size == file.end:
            raise MalformedError(f"export: {file.name} holds more entries than the manifest says")
        _verify_row(row, (log, epoch, growth.size), seen, has_content=manifest.has_content)
        growth.push(str(row[_PLACES["leaf"]]).encode())
        if (section.origin, growth.size) in seen.wanted:
            seen.keep(section.origin, growth.size, fold(growth.edge))
        if growth.size % _SLICE == 0:
            yield growth.size - file.first
    if growth.size != file.end or seen.erased - erased != file.erased:
        raise MalformedError(f"export: {file.name} holds other entries than the manifest says")
    yield growth.size - file.first


def _verify_row(
    row: tuple[Value, ...], place: tuple[str, int, int], seen: _Seen, *, has_content: bool
) -> None:
    """One entry: what stands in its columns is made again from its evidence, or from its leaf."""
    log, epoch, index = place
    evidence_text, leaf = row[_PLACES["evidence"]], row[_PLACES["leaf"]]
    content = row[_PLACES["content"]]
    if evidence_text is None:
        seen.erased += 1
        seen.erasures.note(seen.origin, index, str(leaf))
        expected = erased_row(epoch, index, str(leaf))
    else:
        evidence = parse_evidence(str(evidence_text).encode("utf-8", "replace"))
        if evidence.log != log:
            raise VerificationError(f"export: entry {index}: evidence of {evidence.log}, not of {log}")
        if content is not None:
            _verify_content(evidence, str(content), index, is_offered=has_content)
            seen.contents += 1
        told = ToldByMembers(evidence.kind.value, evidence.at, evidence.members)
        made = evidence.leaf().decode(), evidence.raw.decode()
        expected = row_of(epoch, index, *made, told, None if content is None else str(content))
        seen.erasures.hear(seen.origin, evidence, index)
        seen.openings.hear(seen.origin, index, evidence)
        seen.note(evidence.at)
    # Types too: a truth is a number, for Python.
    if row != expected or list(map(type, row)) != list(map(type, expected)):
        wrong = [name for name, a, b in zip(_NAMES, row, expected, strict=False) if a != b]
        raise VerificationError(
            f"export: entry {index}: {', '.join(wrong) or 'a column'} is not what its evidence says"
        )


def _verify_content(evidence: Evidence, text: str, index: int, *, is_offered: bool) -> None:
    """The content of an event is the one that its evidence names."""
    named = evidence.members.get("content")
    if not is_offered or evidence.kind is not Kind.ACCEPTED or not isinstance(named, dict):
        raise VerificationError(f"export: entry {index}: a content where none can be")
    raw = decode_base64(text.removeprefix(CONTENT_PREFIX), f"export: content of entry {index}")
    if hashlib.sha256(raw).hexdigest() != named["sha256"] or not text.startswith(CONTENT_PREFIX):
        raise VerificationError(f"export: entry {index}: the content is not the one that its evidence names")


def _verify_end(section: Section, growth: _Growth, checkpoint: Checkpoint) -> None:
    """Step 6."""
    root = fold(growth.edge)
    if root != section.root_end:
        raise VerificationError(f"export: {section.origin}: the entries do not lead to the root at its end")
    if section.end == 0:
        if section.consistency or (checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT):
            raise InconsistentError(f"export: {section.origin}: from an empty tree there is nothing to prove")
        return
    verify_consistency(section.end, root, checkpoint.size, checkpoint.root, section.consistency)


def _statements(section: Section, seen: _Seen) -> list[str]:
    count = section.end - section.first
    if not count:
        return [f"an empty range of {section.origin}, at index {section.first}"]
    words = f", {seen.erased} of them without evidence" if seen.erased else ""
    what = f"every entry of {section.origin} from index {section.first} up to, not with, {section.end}"
    return [
        f"{what}: {count} entries{words}",
        f"root {section.root_first.hex()} at {section.first}, root {section.root_end.hex()} at {section.end}",
    ]


def _verdict(manifest: Manifest, found: _Seen, proved: list[str]) -> Exported:
    proved.append("the columns of each entry say what its evidence says")
    if found.contents:
        proved.append(f"the content of {found.contents} events is the one that their evidence names")
    word = ["when each thing happened: the times are by the operator's clock"]
    if manifest.has_content:
        word.append("that content which is not here is not kept any more")
    unsaid = found.erasures.unsaid()
    if unsaid:
        word.append(
            f"that {unsaid} of the entries without evidence were erased: these ranges hold no entry that "
            "says so; one must come later in the log"
        )
    if found.erased - unsaid:
        proved.append(f"{found.erased - unsaid} entries are erased by what the log itself says of them")
    not_proved = ["that everybody sees this same log: compare checkpoints with others, or with one you kept"]
    if found.others:
        names = ", ".join(sorted(found.others))
        not_proved.append(f"what others say who signed checkpoints: lines of {names} were not checked")
    if found.erased:
        not_proved.append("what the entries without evidence said")
    verdict = Verdict(tuple(proved), tuple(word), tuple(not_proved))
    return Exported(verdict, manifest.sections, found.roots, tuple(found.heads), found.openings.said)
