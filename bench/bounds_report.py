"""What `bench.bounds` found, as a part of RESULTS.md."""

from collections.abc import Mapping
from typing import Any, Final

from bench.figures import verdict

_MOST_CORE: Final = 0.05
_MOST_SECONDS: Final = 15.0


def render_bounds(found: Mapping[str, Any]) -> str:
    """One table."""
    rest, killed, dead = found["rest"], found["killed"], found["dead"]
    core, seconds, rows = rest["core"]["relay"], killed["seconds"], dead["rows"]
    lines = {
        f"one relay at rest with {rest['partners']:,} partners": (
            f"{core:.1%} of a core",
            f"under 5 %: {verdict(is_met=core < _MOST_CORE)}",
        ),
        f"one of two relays killed, {killed['partners']} partners: until what came then was delivered": (
            f"{seconds:.1f} s",
            f"15 s: {verdict(is_met=seconds <= _MOST_SECONDS)}",
        ),
        f"{dead['events']:,} events for an endpoint that is dead: rows of its backlog, of deliveries": (
            f"{rows['gateway_backlog']}, {rows['gateway_delivery']:,}",
            f"one range: {verdict(is_met=rows['gateway_backlog'] == 1)}",
        ),
        "growth of these tables from 20,000 events to all": (
            f"{dead['grown_bytes'] / 1024:,.0f} KiB",
            f"none: {verdict(is_met=dead['grown_bytes'] == 0)}",
        ),
        "highest memory of the relay: at 20,000 events, at all": (
            f"{dead['peak_mib_few']:.0f}, {dead['peak_mib']:.0f} MiB",
            "",
        ),
        "the endpoint is back: noticed after": (f"{dead['noticed_seconds']:.1f} s", ""),
        f"then {dead['drained']:,} of them, in the order that was asked for": (
            f"{dead['drained_a_second']:,.0f} a second",
            f"in order: {verdict(is_met=dead['in_order'])}",
        ),
    }
    shown = [f"| {name} | {figure} | {target} |" for name, (figure, target) in lines.items()]
    return "\n".join(["| | | target |", "|---|---|---|", *shown])
