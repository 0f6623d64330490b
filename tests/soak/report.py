"""The report of a soak: figures for people and for programs, and one last line."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

WELL = "nothing lost, nothing doubled"


@dataclass
class Report:
    """Counts of one run. `faults`: what was lost, doubled or otherwise wrong, in words;
    `restarts`: processes that gave up by themselves, and had to be started again."""

    seed: int
    events: int
    partners: dict[str, str]
    requests: int
    blind_repeats: int
    repeats_of_events: int
    answers: dict[str, int]
    unknown_outcomes: int
    slowest_seconds: float
    kills: dict[str, int]
    troubles: dict[str, int]
    takeovers: dict[str, int]
    load_seconds: float
    drain_seconds: float
    events_per_second: float
    posts: int
    deliveries: int
    found: dict[str, int]
    peak_rss_bytes: dict[str, int]
    restarts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people."""
        found = Counter(self.found)
        attempts = found["attempts in the log"]
        memory = {role: f"{peak / 1e6:.0f} MB" for role, peak in self.peak_rss_bytes.items()}
        figures = {
            "seed": self.seed,
            "events": f"{self.events} of {len(self.partners)} partners ({_words(self.partners)})",
            "requests": f"{self.requests}, {self.blind_repeats} of them blind repeats",
            "repeats": f"{self.repeats_of_events} events answered again, each with its first receipt",
            "answers": _words(self.answers),
            "unknown": f"{self.unknown_outcomes} outcomes",
            "slowest": f"{self.slowest_seconds:.1f} s from the first try to the 2xx",
            "kills": f"{sum(self.kills.values())}: {_words(self.kills)}",
            "troubles": _words(self.troubles),
            "takeovers": f"{_words(self.takeovers)} (shards that changed their owner)",
            "records": f"{found['records']}, {found['double records']} of them the same as an earlier one",
            "entries": f"{found['entries']}, {found['accepted entries']} of them events",
            "checkpoints": f"{found['checkpoints']} that were served or published, all looked at",
            "deliveries": f"{self.deliveries}, by {self.posts} POSTs ({attempts} in the log)",
            "in order": f"{found['arrivals in order']} first arrivals where an order is asked for",
            "restarts": "; ".join(self.restarts) or "none but those after a kill",
            "time": f"{self.load_seconds:.0f} s of load, {self.drain_seconds:.0f} s more until all was done",
            "rate": f"{self.events_per_second:.0f} events/s over both",
            "peak memory": _words(memory),
        }
        lines = [f"{name:<13}{figure}" for name, figure in figures.items()]
        lines += self.faults or [WELL]
        return "\n".join(lines) + "\n"

    def save(self, folder: Path, name: str) -> Path:
        """Write both forms; the text's path."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n")
        path = folder / f"{name}.txt"
        path.write_text(self.text())
        return path


def _words(counts: object) -> str:
    if not isinstance(counts, dict):
        return str(counts)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
