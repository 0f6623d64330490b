"""What came first: a contract counts for an event where the log has it before what names its revision.

Receipts name the contract's SHA-256 themselves; those of before, and attempts to deliver what nobody
accepted, name a revision alone. Which text that was is said by an entry, and whoever may write entries can
write another one afterwards. So one counts that stands in front, in the same epoch: what stands in an epoch
may have been added when another had begun.

Source: docs/formats.md, section 3, `contract.changed`; docs/verification.md.
"""

from typing import Final

from audit.case import UNTIMELY, Case

_NAMING: Final = ("event.accepted", "delivery.attempted")

Place = tuple[int, int]
"""Epoch and index."""


def places_of(case: Case) -> dict[bytes, Place]:
    """Where the entries stand that are proved, by their leaves."""
    entries = [(what.split(" "), leaf) for what, leaf in case.shown if what.startswith("entry ")]
    return {leaf: (int(words[-1].rpartition("/")[2]), int(words[1])) for words, leaf in entries}


def add_order(case: Case) -> dict[tuple[str, str], str]:
    """Say which contracts may have been written down afterwards; these, as files by name and SHA-256."""
    places, found = places_of(case), dict[tuple[str, str], str]()
    for leaf, one in case.records.items():
        name = f"contract-{one.get('revision')}"
        naming = [
            places.get(by)
            for by, each in case.records.items()
            if each["kind"] in _NAMING
            and f"contract-{each.get('contract')}" == name
            and "contract_sha256" not in each
        ]
        if one["kind"] != "contract.changed" or all(_is_before(places.get(leaf), by) for by in naming):
            continue
        found[name, str(one.get("after_sha256"))] = UNTIMELY
        what = f"entry {places[leaf][1]}, which has its SHA-256, is not shown to be older than what names it"
        case.not_proved.append(f"that {name} was in force then: {what}")
    return found


def _is_before(one: Place | None, other: Place | None) -> bool:
    return one is not None and other is not None and one[0] == other[0] and one < other
