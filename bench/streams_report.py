"""What `bench.streams` found, as a part of RESULTS.md."""

from collections.abc import Mapping
from typing import Any, Final

_MOST_MS: Final = 1_000
_MOST_BYTES: Final = 400_000_000
_MIB: Final = 2**20


def render_streams(found: Mapping[str, Any]) -> str:
    """One table."""
    p99, peak = found["p99_ms"], found["peak_mib"] * _MIB
    whole = found["received"] >= found["wanted"] and not found["lost"]
    count = f"{found['active']:,} active, {found['idle']:,} idle"
    rows = {
        "streams": f"{count}, opened in {found['open_seconds']:.0f} s",
        "sent to each active one": f"{found['events_a_second_each']} a second for {found['seconds']} s",
        "arrived": f"{found['received']:,}" + ("" if whole else f" of {found['wanted']:,}"),
        "p50, p99, highest": f"{found['p50_ms']:.0f}, {p99:.0f}, {found['max_ms']:.0f} ms",
        "p99 under 1 s": "met" if p99 < _MOST_MS else "missed",
        "memory: before, all open, highest": ", ".join(
            f"{found[name]:.0f} MiB" for name in ("resident_before_mib", "resident_open_mib", "peak_mib")
        ),
        "under 400 MB": "met" if peak < _MOST_BYTES else "missed",
        "a core: at rest, while sent": f"{found['core_at_rest']:.0%}, {found['core_while_sent']:.0%}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())])
