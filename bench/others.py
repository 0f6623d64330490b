"""Benchmarks that are programs of their own, and how RESULTS.md tells what each found.

Each writes its figures to a file beside this one, which is kept in the repository until it is run again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import (
    all_in,
    bounds,
    checking,
    doors,
    exporting,
    fleet,
    limits,
    million,
    pages,
    proofs,
    retries,
    schemas,
    streams,
    verifying,
)
from bench.bounds_report import render_bounds
from bench.checking_report import render_checking
from bench.doors_report import render_doors
from bench.exporting_report import render_exports
from bench.fleet_report import render_fleet
from bench.million import render_million
from bench.pages_report import render_pages
from bench.schemas_report import render_validation
from bench.streams_report import render_streams
from bench.verifying import render_verifying

_MISSING: Final = "Not measured yet."


@dataclass(frozen=True, slots=True)
class Other:
    """`name`: in the template; `file`: its figures; `run`: measures anew, and writes them."""

    name: str
    file: Path
    render: Callable[[Mapping[str, Any]], str]
    run: Callable[[Sequence[str]], int]

    def text(self) -> str:
        """Its part of RESULTS.md."""
        return self.render(json.loads(self.file.read_text())) if self.file.exists() else _MISSING


OTHERS: Final = (
    Other("validation", schemas.RESULTS, render_validation, schemas.main),
    Other("doors", doors.RESULTS, render_doors, doors.main),
    Other("streams", streams.RESULTS, render_streams, streams.main),
    Other("fleet", fleet.RESULTS, render_fleet, fleet.main),
    Other("retries", retries.RESULTS, retries.render_retries, retries.main),
    Other("all_in", all_in.RESULTS, all_in.render_all_in, all_in.main),
    Other("limits", limits.RESULTS, limits.render_limits, limits.main),
    Other("bounds", bounds.RESULTS, render_bounds, bounds.main),
    Other("exports", exporting.RESULTS, render_exports, exporting.main),
    Other("checking", checking.RESULTS, render_checking, checking.main),
    Other("million", million.RESULTS, render_million, million.main),
    Other("proofs", proofs.RESULTS, proofs.render_proofs, proofs.main),
    Other("verifying", verifying.RESULTS, render_verifying, verifying.main),
    Other("pages", pages.RESULTS, render_pages, pages.main),
)
