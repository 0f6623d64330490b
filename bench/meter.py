"""Who used the machine during a stretch of time."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bench.measures import CORES, cpu_seconds, machine_seconds, stolen_seconds

OTHERS = "all else on the machine"
STOLEN = "taken by the host"


@dataclass(slots=True)
class Meter:
    """Begins to count when it is made. `parts`: processes by the name of what they are."""

    parts: Mapping[str, Iterable[int]]
    _before: dict[str, float] = field(default_factory=dict, init=False)
    _begun: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Read everything once."""
        self._before = self._read()
        self._begun = time.monotonic()

    def used(self, name: str) -> float:
        """CPU seconds of one part so far."""
        return cpu_seconds(self.parts[name]) - self._before[name]

    def shares(self, more: Mapping[str, float] | None = None) -> dict[str, float]:
        """The share of all cores of each part so far, and of what is none of them.

        `more`: CPU seconds of processes that have ended meanwhile.
        """
        after, whole = self._read(), (time.monotonic() - self._begun) * CORES
        used = {name: after[name] - self._before[name] for name in after} | dict(more or {})
        machine, stolen = used.pop("machine"), used.pop("stolen")
        used[OTHERS] = max(0.0, machine - sum(used.values()))
        used[STOLEN] = stolen
        return {name: seconds / whole for name, seconds in used.items()}

    def _read(self) -> dict[str, float]:
        found = {name: cpu_seconds(pids) for name, pids in self.parts.items()}
        return found | {"machine": machine_seconds(), "stolen": stolen_seconds()}
