"""What `bench.exporting` found, as a part of RESULTS.md."""

from collections.abc import Mapping
from typing import Any, Final

from bench.exporting import WANTED

_SCALE: Final = 100_000


def render_exports(found: Mapping[str, Any]) -> str:
    """One table: databases and formats."""
    head = (
        "exported from",
        "to",
        "entries a second",
        f"CPU s for {_SCALE:,}",
        f"CPU s to verify {_SCALE:,}",
        "bytes an entry",
        f"target {WANTED:,} a second",
    )
    rows = [
        (
            place,
            kind,
            f"{seen['entries_a_second']:,.0f}",
            f"{seen['cpu_seconds']:.2f}",
            f"{seen['verify_cpu_seconds']:.2f}",
            f"{seen['bytes_an_entry']:,.0f}",
            _met(seen["entries_a_second"]) if kind == "parquet" else "",
        )
        for place, kinds in found["on"].items()
        for kind, seen in kinds.items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def _met(rate: float) -> str:
    return "met" if rate >= WANTED else "missed"
