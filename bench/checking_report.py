"""What `bench.checking` found, as a part of RESULTS.md."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.checking import MOST_BYTES, WANTED
from bench.figures import verdict

_ASIDE: Final = "of it the evidence"


def render_checking(found: Mapping[str, Any]) -> str:
    """Two tables: how fast a log is examined, and what an entry takes."""
    return f"{_table(_speed(found))}\n\n{_table(_storage(found))}"


def _speed(found: Mapping[str, Any]) -> list[Sequence[str]]:
    head = (
        "examined on",
        "by",
        "entries a second",
        "CPU us an entry",
        "highest memory of a process, MB",
        f"target {WANTED:,} a second",
    )
    rows = [
        (
            place,
            name,
            f"{one['entries_a_second']:,.0f}",
            f"{one['cpu_us']:.1f}",
            f"{one['peak_bytes'] / 1e6:.0f}",
            verdict(is_met=one["entries_a_second"] >= WANTED),
        )
        for place, all_of in found["on"].items()
        for name, one in all_of["fsck"].items()
    ]
    return [head, *rows]


def _storage(found: Mapping[str, Any]) -> list[Sequence[str]]:
    places = {place: all_of["bytes"] for place, all_of in found["on"].items()}
    names = sorted({name for some in places.values() for name in some if name != _ASIDE})
    rows = [(name, *(f"{some.get(name, 0):,.0f}" for some in places.values())) for name in names]
    totals = [sum(size for name, size in some.items() if name != _ASIDE) for some in places.values()]
    evidence = (_ASIDE, *(f"{some[_ASIDE]:,.0f}" for some in places.values()))
    target = (
        f"target: under {MOST_BYTES:,}, without claims",
        *(verdict(is_met=size < MOST_BYTES) for size in totals),
    )
    return [
        ("bytes an entry", *places),
        *rows,
        ("together", *(f"{size:,.0f}" for size in totals)),
        evidence,
        target,
    ]


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rest))
