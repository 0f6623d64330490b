"""Entries of a bundle without their evidence: erased, by an entry which says so, or left out of it.

What says so counts as an honest log has it: behind the entry that it is of, since nobody erases what is not
there yet. Where the time of evidence is over, the entry is older than what has expired, too.

Source: docs/formats.md, section 3, `evidence.erased`, `evidence.expired`, and section 6.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from audit.case import Case
from audit.timely import Place, places_of


def tell_bare(case: Case, bare: Mapping[str, bytes]) -> None:
    """Say of entries without evidence, by their stems, whether an entry that is proved here erased them."""
    places = places_of(case)
    for stem, leaf in bare.items():
        _, epoch, index = stem.split("/")
        place = int(epoch), int(index)
        said = (one for by, one in case.records.items() if by in places and place < places[by])
        unless = ", or was left out of this bundle: the operator must show which"
        unless = "" if any(_erases(one, place, leaf) for one in said) else unless
        case.not_proved.append(f"what entry {index} said: its evidence was erased{unless}")


def _erases(record: Mapping[str, Any], place: Place, leaf: bytes) -> bool:
    """Whether a record says so: by its leaf, which goes along into another epoch, or by index and time."""
    if record["kind"] == "evidence.erased":
        return bool(record.get("leaf_sha256") == hashlib.sha256(b"\x00" + leaf).hexdigest())
    is_of = record["kind"] == "evidence.expired" and record.get("origin") == f"{record['log']}/{place[0]}"
    with suppress(LookupError, TypeError, ValueError):
        is_old = hour_of(leaf.decode()) < record["before"] <= record["at"]
        return is_of and is_old and any(one["from"] <= place[1] < one["to"] for one in record["ranges"])
    return False


def hour_of(leaf: str) -> int:
    """The hour of a leaf in Unix milliseconds; raises ValueError, IndexError: it names none."""
    hour = datetime.fromisoformat(f"{leaf.split(chr(10))[2][:-1]}:00:00+00:00")
    return int(hour.timestamp()) * 1_000
