"""The steps of a run on one ground: which installations are made, and what is measured on each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from bench.deliveries import measure_deliveries
from bench.grounds import Ground
from bench.ingest import measure_ingest
from bench.outcome import Case
from bench.plan import Plan
from bench.receiver import receiving
from bench.sequenced import fill_history, measure_sequencing

Step = Callable[[Ground, Plan, Sequence[str]], Iterator[Case]]


def ingest(ground: Ground, plan: Plan, wanted: Sequence[str]) -> Iterator[Case]:
    """Single POSTs and batches, of one partner."""
    names = [name for name in ("single", "batch") if name in wanted]
    if not names:
        return
    installation = ground.install()
    installation.start()
    installation.admit(1)
    for name in names:
        events = 1 if name == "single" else 100
        yield measure_ingest(ground, installation, plan, events=events)
    installation.stop()


def deliveries(ground: Ground, plan: Plan, wanted: Sequence[str]) -> Iterator[Case]:
    """From the outbound topic of one partner to its one endpoint."""
    if "deliveries" not in wanted:
        return
    installation = ground.install()
    with receiving(installation.folder) as receiver:
        installation.start()
        installation.admit(1, webhook=receiver.url)
        installation.drain()
        installation.stop("up" if ground.kind == "embedded" else "relay")
        yield measure_deliveries(ground, installation, receiver, plan)
        installation.stop()


def sequencing(ground: Ground, plan: Plan, wanted: Sequence[str]) -> Iterator[Case]:
    """One sequencer with one log."""
    if "sequencing" not in wanted:
        return
    installation = ground.install()
    installation.start()
    installation.admit(1)
    installation.drain()
    installation.stop()
    yield measure_sequencing(ground, installation, entries=plan.entries, rounds=plan.rounds)


def growth(ground: Ground, plan: Plan, wanted: Sequence[str]) -> Iterator[Case]:
    """Single POSTs and sequencing again, with more partners, and with a history."""
    if "growth" not in wanted:
        return
    for partners in plan.growth:
        yield from _grown(ground, plan, partners, 0)
    if plan.history:
        yield from _grown(ground, plan, 1, plan.history)


def _grown(ground: Ground, plan: Plan, partners: int, history: int) -> Iterator[Case]:
    installation = ground.install()
    installation.start()
    installation.admit(partners)
    installation.drain()
    installation.stop()
    if history:
        fill_history(installation, history)
    yield measure_sequencing(
        ground, installation, entries=plan.growth_entries, rounds=plan.growth_rounds, before=history
    )
    installation.start()
    case = measure_ingest(
        ground, installation, replace(plan, rounds=plan.growth_rounds), events=1, is_whole=False
    )
    yield replace(case, before=history)
    installation.stop()


STEPS: Final[Sequence[Step]] = (ingest, deliveries, sequencing, growth)
CASES: Final = ("single", "batch", "deliveries", "sequencing", "growth")
"""What `--only` can name, in the order in which it runs."""
