"""What a benchmark found, as values that go to JSON and back."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one side. `rate`: events a second.

    `shares`: of all CPU of the machine while it ran, by who used it. `cpu_ms`: CPU of the side's own
    processes for each event, until it had caught up. `lag_seconds`: how long that took after the load's end.
    """

    rate: float
    cpu_ms: float
    peak_bytes: int
    shares: Mapping[str, float]
    lag_seconds: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    generator_busy: float | None = None


@dataclass(frozen=True, slots=True)
class Half:
    """Latency at half of the rate that the side reached. `busy`: the generator's share of one core."""

    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    busy: float
    refused: int


@dataclass(frozen=True, slots=True)
class Case:
    """One thing measured beside its baseline. `before`: events in the database at its start."""

    name: str
    kind: str
    partners: int
    before: int
    gateway: Sequence[Sample]
    bare: Sequence[Sample]
    half_gateway: Half | None = None
    half_bare: Half | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    def ratios(self) -> list[float]:
        """Gateway to baseline, of each pair."""
        return [ours.rate / bare.rate for ours, bare in zip(self.gateway, self.bare, strict=True)]


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lowest and highest."""
    return statistics.median(values), min(values), max(values)


def dump(machine: Mapping[str, Any], cases: Sequence[Case]) -> str:
    """As JSON."""
    return json.dumps({"machine": machine, "cases": [asdict(one) for one in cases]}, indent=1) + "\n"


def load(text: str) -> tuple[dict[str, Any], list[Case]]:
    """What `dump` wrote."""
    found = json.loads(text)
    return found["machine"], [_case(one) for one in found["cases"]]


def _case(found: dict[str, Any]) -> Case:
    halves = {
        name: None if found[name] is None else Half(**found[name]) for name in ("half_gateway", "half_bare")
    }
    sides = {name: [Sample(**one) for one in found[name]] for name in ("gateway", "bare")}
    return Case(**{**found, **halves, **sides})
