"""RESULTS.md, rendered from the figures of a run; never written by hand."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.outcome import Case, Half, Profile, Results, Sample, middle

GROUNDS: Final = {"kafka": "Kafka, PostgreSQL", "embedded": "embedded, SQLite"}
_TITLES: Final = {
    "single": "single POSTs",
    "batch": "batches of 100",
    "deliveries": "webhook deliveries",
    "sequencing": "sequencing",
}
_RATIOS: Final = {"single": 0.50, "batch": 0.50, "deliveries": 0.35}
_RATES: Final = {"deliveries": 1_600, "sequencing": 10_000}

_TEMPLATE: Final = Path(__file__).with_name("template.md")
_SMALL: Final = 0.005


def render(results: Results, others: Mapping[str, str]) -> str:
    """The document. `others`: texts of what has a program of its own, by its name in the template."""
    machine, cases = results.machine, results.cases
    first = [one for one in cases if one.partners == 1 and not one.before]
    return _TEMPLATE.read_text().format(
        machine=_machine(machine),
        minutes=max(1, round(machine["took_seconds"] / 60)),
        rounds=max((len(one.gateway) for one in cases), default=0),
        receiver=next((one.notes["receiver"] for one in cases if "receiver" in one.notes), "C"),
        against=_against(first),
        latency=_latency(first),
        growth=_growth(cases),
        **others,
        profiles=_profiles([one for case in cases for one in case.profiles]),
        shares=_shares(first),
    )


def line_of(case: Case) -> str:
    """One case in one line, for a terminal."""
    ratio, low, high = middle(case.ratios())
    rate, bare = (middle([one.rate for one in side])[0] for side in (case.gateway, case.bare))
    where = f"{case.name} on {case.kind}, partners {case.partners}, before {case.before}"
    return f"{where}: {rate:,.0f}/s beside {bare:,.0f}/s: {ratio:.0%} ({low:.0%} to {high:.0%})"


def _machine(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {text}" for name, text in machine["versions"].items() if text)
    hardware = (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, {machine['system']}"
    )
    command = f"`{machine['command']}`, {machine['took_seconds']} s"
    return f"Measured on {machine['at']}: {hardware}.\n{versions}.\nCommand: {command}."


def _against(cases: Iterable[Case]) -> str:
    return _table(
        (
            "case",
            "on",
            "gateway, events/s",
            "baseline, events/s",
            "ratio, median (lowest to highest)",
            "target",
            "CPU ms an event",
            "of the baseline",
            "peak memory",
        ),
        [_against_row(one) for one in cases],
    )


def _against_row(case: Case) -> tuple[str, ...]:
    ratio, low, high = middle(case.ratios())
    ours, bare = _middle(case.gateway, _rate), _middle(case.bare, _rate)
    return (
        _TITLES[case.name],
        GROUNDS[case.kind],
        f"**{ours:,.0f}**",
        f"{bare:,.0f}",
        f"**{ratio:.0%}** ({low:.0%} to {high:.0%})",
        _target(case, ours, ratio),
        f"{_middle(case.gateway, _cpu):.3f}",
        f"{_middle(case.bare, _cpu):.3f}",
        f"{max(one.peak_bytes for one in case.gateway) / 2**20:,.0f} MiB",
    )


def _target(case: Case, rate: float, ratio: float) -> str:
    told: list[str] = []
    if (share := _RATIOS.get(case.name)) is not None:
        told.append(f"{share:.0%}: {'met' if ratio >= share else 'missed'}")
    if (least := _RATES.get(case.name)) is not None:
        told.append(f"{least:,}/s: {'met' if rate >= least else 'missed'}")
    return ", ".join(told)


def _latency(cases: Iterable[Case]) -> str:
    rows = [row for case in cases for row in _latency_rows(case)]
    head = ("case", "on", "side", "full load: p50", "p99", "half load, events/s", "p50", "p99", "highest")
    return _table((*head, "generator's core", "answered 503"), rows)


def _latency_rows(case: Case) -> Iterator[tuple[str, ...]]:
    where = GROUNDS[case.kind]
    if case.half_gateway is not None:
        yield _TITLES[case.name], where, "gateway", *_latencies(case.gateway, case.half_gateway)
    if case.half_proof is not None:
        shown = _latencies((), case.half_proof)
        yield _TITLES["sequencing"], where, "gateway, in a published checkpoint", *shown
    if case.half_bare is not None:
        yield _TITLES[case.name], where, "baseline", *_latencies(case.bare, case.half_bare)


def _latencies(samples: Sequence[Sample], half: Half) -> tuple[str, ...]:
    rest = (half.p50_ms, half.p99_ms, half.max_ms)
    return (
        _full(one.p50_ms for one in samples),
        _full(one.p99_ms for one in samples),
        f"{half.rate:,.0f}",
        *(f"{ms:.1f}" for ms in rest),
        f"{half.busy:.0%}",
        str(sum(one.refused for one in samples) + half.refused),
    )


def _full(found: Iterable[float | None]) -> str:
    """The median of what was measured at full load, where something was."""
    known = [ms for ms in found if ms is not None]
    return f"{middle(known)[0]:.1f}" if known else "-"


def _growth(cases: Sequence[Case]) -> str:
    wanted = [one for one in cases if one.name in _TITLES]
    rows = [
        (
            _TITLES[one.name],
            GROUNDS[one.kind],
            f"{one.partners:,}",
            f"{one.before:,}",
            f"{_middle(one.gateway, _rate):,.0f}",
            f"{_middle(one.bare, _rate):,.0f}",
            f"{middle(one.ratios())[0]:.0%}",
            f"{_middle(one.gateway, _cpu):.3f}",
            f"{max(each.peak_bytes for each in one.gateway) / 2**20:,.0f} MiB",
        )
        for one in sorted(wanted, key=lambda one: (one.name, one.kind, one.before, one.partners))
    ]
    head = ("case", "on", "partners", "events before", "gateway, events/s", "baseline, events/s", "ratio")
    return _table((*head, "CPU ms an event", "peak memory"), rows)


def _profiles(profiles: Sequence[Profile]) -> str:
    if not profiles:
        return "Not profiled in this run: py-spy was not found."
    rows = [(_TITLES[one.case], GROUNDS[one.kind], one.role, ", ".join(_areas(one))) for one in profiles]
    return _table(("case", "on", "process", "share of the samples in which it worked"), rows)


def _areas(profile: Profile) -> Iterable[str]:
    shown = sorted(profile.areas.items(), key=lambda one: -one[1])
    return (f"{name} {share:.0%}" for name, share in shown if share >= _SMALL)


def _shares(cases: Iterable[Case]) -> str:
    rows = []
    for case in cases:
        for name, samples in (("gateway", case.gateway), ("baseline", case.bare)):
            used = samples[len(samples) // 2].shares
            shown = ", ".join(f"{who} {share:.0%}" for who, share in used.items() if share >= _SMALL)
            rows.append((_TITLES[case.name], GROUNDS[case.kind], name, shown))
    return _table(("case", "on", "while this ran", "share of all cores"), rows)


def _middle(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    return middle([of(one) for one in samples])[0]


def _rate(sample: Sample) -> float:
    return sample.rate


def _cpu(sample: Sample) -> float:
    return sample.cpu_ms


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *lines])
