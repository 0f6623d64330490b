"""What a benchmark found, as values that go to JSON and back."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

_HALVES: Final = ("half_gateway", "half_bare", "half_proof")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one side. `rate`: events a second.

    `shares`: of all CPU of the machine while it ran, by who used it. `cpu_ms`: CPU of the side's own
    processes for each event, until it had caught up. `lag_seconds`: how long that took after the load's end.
    `refused`: requests answered with an error, most likely 503; their events are not counted.
    """

    rate: float
    cpu_ms: float
    peak_bytes: int
    shares: Mapping[str, float]
    lag_seconds: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    generator_busy: float | None = None
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Half:
    """Latency at half of the rate that the side reached. `busy`: the generator's share of one core.

    `rate`: events a second. `refused`: requests answered with an error.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    busy: float
    refused: int


@dataclass(frozen=True, slots=True)
class Profile:
    """Where a process of the gateway spent its time in one case: shares of the samples, by area."""

    case: str
    kind: str
    role: str
    samples: int
    areas: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing measured beside its baseline. `before`: events in the database at its start.

    `half_proof`: from the answer to an event until a published checkpoint covers it, while `half_gateway`
    was measured.
    """

    name: str
    kind: str
    partners: int
    before: int
    gateway: Sequence[Sample]
    bare: Sequence[Sample]
    half_gateway: Half | None = None
    half_bare: Half | None = None
    half_proof: Half | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    profiles: Sequence[Profile] = ()

    def ratios(self) -> list[float]:
        """Gateway to baseline, of each pair."""
        return [ours.rate / bare.rate for ours, bare in zip(self.gateway, self.bare, strict=True)]


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lowest and highest."""
    return statistics.median(values), min(values), max(values)


@dataclass(frozen=True, slots=True)
class Results:
    """All of a run. `machine`: what `bench.machine` says of it."""

    machine: Mapping[str, Any]
    cases: Sequence[Case]


def dump(results: Results) -> str:
    """As JSON."""
    return json.dumps(asdict(results), indent=1) + "\n"


def load(text: str) -> Results:
    """What `dump` wrote."""
    found = json.loads(text)
    return Results(found["machine"], [_case(one) for one in found["cases"]])


def _case(found: dict[str, Any]) -> Case:
    halves = {name: None if found[name] is None else Half(**found[name]) for name in _HALVES}
    sides = {name: [Sample(**one) for one in found[name]] for name in ("gateway", "bare")}
    profiles = [Profile(**one) for one in found["profiles"]]
    return Case(**{**found, **halves, **sides, "profiles": profiles})
