"""Whether each epoch of a log in exports begins where the one before it ends.

An epoch's first entry, `epoch.opened`, names the head that the log had before. Where that is not the end of
the range that stands before it, entries at its end may be missing, and nothing else shows it.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from audit.evidence import Evidence, Kind
from audit.manifest import Section

Previous = Mapping[str, object]


@dataclass(slots=True)
class Openings:
    """What the first entries of epochs say of the log before them; by origin; None: nothing."""

    said: dict[str, Previous | None] = field(default_factory=dict)

    def hear(self, origin: str, index: int, evidence: Evidence) -> None:
        """Take an entry of an export whose evidence was compared with its leaf."""
        if index == 0 and evidence.kind is Kind.EPOCH_OPENED and evidence.members["origin"] == origin:
            self.said[origin] = evidence.members["previous"]

    def judge(self, sections: Sequence[Section]) -> tuple[list[str], list[str]]:
        """What is proved of ranges that were verified, in their order, and what is not."""
        proved, not_proved = list[str](), list[str]()
        ends: dict[str, Section] = {}
        for section in sections:
            log = section.origin.rpartition("/")[0]
            before = ends.get(log)
            if before is None or before.origin != section.origin:
                proved += self._joined(section, before)
                not_proved += self._open(section, before)
            ends[log] = section
        return proved, not_proved

    def _joined(self, section: Section, before: Section | None) -> Iterator[str]:
        if before is not None and self.said.get(section.origin) == _head(before):
            yield (
                f"{section.origin} begins where {before.origin} ends: its first entry names these "
                f"{before.end} entries and their root"
            )

    def _open(self, section: Section, before: Section | None) -> Iterator[str]:
        """In words, why nothing shows that a section follows the one before it; nothing where it does."""
        origin, previous = section.origin, self.said.get(section.origin)
        if previous is not None and (before is None or previous["origin"] != before.origin):
            yield (
                f"what {previous['origin']} holds: by the first entry of {origin} it ended at "
                f"{previous['size']} entries; it is not here"
            )
        elif before is not None and previous is None:
            yield (
                f"that nothing is missing between {before.origin} and {origin}: no entry is here in which "
                "the newer one says where the older one ended"
            )
        elif before is not None and previous is not None and previous != _head(before):
            yield (
                f"that nothing is missing between {before.origin} and {origin}: by the first entry of the "
                f"newer one the older one ended at {previous['size']} entries with the root "
                f"{previous['root']}; what is here of it ends at {before.end}"
            )


def _head(section: Section) -> Previous:
    """Where a range ends, as `epoch.opened` names it."""
    root = base64.b64encode(section.root_end).decode()
    return {"origin": section.origin, "size": section.end, "root": root}
