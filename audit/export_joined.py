"""Several exports together: each by itself, that each goes on where another ends, and that all show one log.

Source: docs/formats.md section 13.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO, Literal, Protocol

from audit.archive import list_begun, list_members
from audit.checkpoint import read_checkpoint
from audit.errors import InconsistentError, MalformedError
from audit.export import Exported, Place, forked, read_manifest, verify_export
from audit.export_epochs import Openings
from audit.manifest import MANIFEST_NAME, Section
from audit.papers import Keys
from audit.verify import Verdict


class Opens(Protocol):
    """A file, as a path of one is; each time it is opened it is read from its first byte."""

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """Its bytes."""
        ...


def verify_exports(
    files: Sequence[Opens], pinned: Keys, *, told: Callable[[int, int], None] = lambda _done, _total: None
) -> Verdict | None:
    """Check exports, and where there are several that each goes on where the one before it ends.

    And whether epochs begin where those before them end. None: these are other papers. Raises as
    `verify_export`, and OSError.
    """
    found = [path for path in files if _is_export(path)]
    if not found:
        return None
    if len(found) < len(files):
        raise MalformedError("export: exports are verified apart from other papers")
    exported: list[Exported] = []
    wanted = frozenset(chain.from_iterable(map(_heads_of, found))) if len(found) > 1 else frozenset[Place]()
    for path in found:
        with path.open("rb") as source:
            exported.append(verify_export(source, pinned, told=told, wanted=wanted))
    proved, word, not_proved = (
        tuple(dict.fromkeys(chain.from_iterable(said)))
        for said in zip(*(one.verdict for one in exported), strict=True)
    )
    joined = verify_joined(exported)
    openings = Openings({origin: said for one in exported for origin, said in one.openings.items()})
    begun, not_begun = openings.judge([section for one in exported for section in one.sections])
    return Verdict((*proved, *joined, *begun), word, (*not_begun, *not_proved, *_apart(exported)))


def _heads_of(path: Opens) -> list[Place]:
    """The places of the checkpoints that an export lies under."""
    with path.open("rb") as source:
        manifest, _ = read_manifest(source, list_members(source))
    shown = (read_checkpoint(one.checkpoint.encode("utf-8", "replace"))[0] for one in manifest.sections)
    return [(one.origin, one.size) for one in shown]


def _is_export(path: Opens) -> bool:
    """Whether it is an archive with a manifest of an export."""
    with path.open("rb") as source:
        try:
            return any(one.name == MANIFEST_NAME for one in list_members(source))
        except MalformedError:
            # Cut or changed it is none that proves anything, but not some other paper.
            return any(one.name.startswith("entries-") for one in list_begun(source))


def verify_joined(verdicts: Sequence[Exported]) -> tuple[str, ...]:
    """Statements on exports that were verified: each range begins where one before it ends, root by root.

    Whatever root one of them shows of a log, by a checkpoint or by its entries, is the root of all of them.

    Raises:
        InconsistentError: they show two histories; or one does not begin where the one before it ends.
    """
    roots: dict[Place, bytes] = {}
    for (origin, size), root in (shown for one in verdicts for shown in one.roots.items()):
        if roots.setdefault((origin, size), root) != root:
            raise forked(origin, size)
    ends: dict[str, Section] = {}
    joined: list[str] = []
    for section in (section for one in verdicts for section in one.sections):
        before = ends.get(section.origin)
        if before is not None:
            if (before.end, before.root_end) != (section.first, section.root_first):
                raise InconsistentError(
                    f"export: {section.origin}: one range ends at {before.end}, the next begins at "
                    f"{section.first}, or with another root: nothing shows what lies between"
                )
            joined.append(f"{section.origin}: nothing is missing between the exports at index {before.end}")
        ends[section.origin] = section
    return tuple(joined)


def _apart(verdicts: Sequence[Exported]) -> Iterator[str]:
    """Checkpoints of one log that stand behind all ranges: nothing leads from the one to the other."""
    ends: dict[str, int] = {}
    for section in (section for one in verdicts for section in one.sections):
        ends[section.origin] = max(section.end, ends.get(section.origin, 0))
    for origin, end in ends.items():
        sizes = sorted(
            {size for one in verdicts for name, size in one.heads if name == origin and size > end}
        )
        if len(sizes) > 1:
            yield (
                f"that the checkpoints of {' and '.join(map(str, sizes))} entries of {origin} are of one "
                "history: the entries between them are in none of these exports"
            )
