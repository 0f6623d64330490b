"""What `bench.fleet` found, as a part of RESULTS.md."""

from collections.abc import Mapping
from typing import Any, Final

from bench.figures import verdict

_LEAST_RATE: Final = 1_600
_LEAST_SHARE: Final = 0.35
_MOST_CPU_MS: Final = 1.0
_MOST_P95_MS: Final = 10
_MOST_P99_MS: Final = 30
_MOST_COST: Final = 0.10


def render_fleet(found: Mapping[str, Any]) -> str:
    """Two tables."""
    drain, steady = found["drain"], found["steady"]
    one, two = drain["by_1"], drain["by_2"]
    share = max(one["rate"], two["rate"]) / drain["bare"]
    backlog = {
        "deliveries a second": (one, two, "rate", ",.0f", f"{_LEAST_RATE:,}"),
        "CPU ms a delivery, of all our processes and PostgreSQL": (one, two, "cpu_ms", ".2f", "under 1.0"),
        "highest memory, MiB": (one, two, "peak_mib", ".0f", ""),
    }
    verdicts = {
        "deliveries a second": verdict(is_met=max(one["rate"], two["rate"]) >= _LEAST_RATE),
        "CPU ms a delivery, of all our processes and PostgreSQL": verdict(
            is_met=max(one["cpu_ms"], two["cpu_ms"]) < _MOST_CPU_MS
        ),
    }
    what = f"a backlog of {drain['events']:,} over {drain['endpoints']} endpoints"
    lines = [
        f"| {what} | one relay | two relays | target |",
        "|---|---|---|---|",
    ]
    for name, (first, second, key, form, target) in backlog.items():
        told = f"{target}: {verdicts[name]}" if name in verdicts else target
        lines.append(f"| {name} | {first[key]:{form}} | {second[key]:{form}} | {told} |")
    lines.append(
        f"| of the bare loop ({drain['bare']:,.0f}/s) | {one['rate'] / drain['bare']:.0%} "
        f"| {two['rate'] / drain['bare']:.0%} | {_LEAST_SHARE:.0%}: {verdict(is_met=share >= _LEAST_SHARE)} |"
    )
    return "\n".join([*lines, "", *_steady(steady)])


def _steady(steady: Mapping[str, Any]) -> list[str]:
    rows = {"all answer": steady["answering"], "one is a black hole": steady["black_hole"]}
    lines = [
        f"| {steady['rate']} events a second over {steady['endpoints']} endpoints | p50 | p95 | p99 |",
        "|---|---|---|---|",
        *(
            f"| {name} | {seen['p50_ms']:.1f} | {seen['p95_ms']:.1f} | {seen['p99_ms']:.1f} |"
            for name, seen in rows.items()
        ),
    ]
    whole, cost = steady["answering"], steady["p95_cost"]
    return [
        *lines,
        (
            f"| target | | {_MOST_P95_MS}: {verdict(is_met=whole['p95_ms'] <= _MOST_P95_MS)} "
            f"| {_MOST_P99_MS}: {verdict(is_met=whole['p99_ms'] <= _MOST_P99_MS)} |"
        ),
        f"| p95 beside a black hole | | {cost:+.0%}; within 10 %: {verdict(is_met=cost <= _MOST_COST)} | |",
    ]
