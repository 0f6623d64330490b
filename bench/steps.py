"""The steps of a run on one ground: which installations are made, and what is measured on each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from bench.deliveries import measure_deliveries
from bench.grounds import Ground
from bench.ingest import measure_ingest
from bench.installation import Installation
from bench.outcome import Case
from bench.plan import Plan
from bench.receiver import receiving
from bench.sequenced import fill_history, measure_sequencing

_INGEST: Final = {"single": 1, "batch": 100}
"""Events of a request."""

_FIRST: Final = (*_INGEST, "deliveries", "sequencing")

Step = Callable[[Ground, Plan, Sequence[str]], Iterator[Case]]


def ingest(ground: Ground, plan: Plan, wanted: Sequence[str]) -> Iterator[Case]:
    """Single POSTs and batches, of one partner."""
    names = [name for name in _INGEST if name in wanted]
    if not names:
        return
    installation = ground.install()
    installation.start()
    installation.admit(1)
    for name in names:
        yield measure_ingest(ground, installation, plan, events=_INGEST[name])
    installation.stop()


def deliveries(ground: Ground, plan: Plan, wanted: Sequence[str]) -> Iterator[Case]:
    """From the outbound topic of one partner to its one endpoint."""
    if "deliveries" not in wanted:
        return
    installation = ground.install()
    with receiving(installation.folder) as receiver:
        installation.start()
        installation.admit(1, receiver.url)
        installation.drain()
        _stop_relay(installation)
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
    """The same again, without latency and profiles: with more partners, and with a history."""
    if "growth" not in wanted:
        return
    names = [name for name in wanted if name != "growth"] or _FIRST
    for partners in plan.growth:
        yield from _grown(ground, plan, names, partners=partners, before=0)
    if plan.history:
        yield from _grown(ground, plan, names, partners=1, before=plan.history)


def _grown(
    ground: Ground, plan: Plan, wanted: Sequence[str], *, partners: int, before: int
) -> Iterator[Case]:
    installation, few = ground.install(), replace(plan, rounds=plan.growth_rounds)
    with receiving(installation.folder) as receiver:
        installation.start()
        installation.admit(partners, receiver.url)
        installation.drain()
        installation.stop()
        if before:
            fill_history(installation, before)
        if "sequencing" in wanted:
            yield measure_sequencing(
                ground, installation, entries=plan.growth_entries, rounds=few.rounds, before=before
            )
        installation.start()
        for name, events in _INGEST.items():
            if name in wanted:
                case = measure_ingest(ground, installation, few, events=events, is_whole=False)
                yield replace(case, before=before)
        if "deliveries" in wanted:
            _stop_relay(installation)
            case = measure_deliveries(ground, installation, receiver, few, is_whole=False)
            yield replace(case, before=before)
        installation.stop()


def _stop_relay(installation: Installation) -> None:
    installation.stop("up" if installation.kind == "embedded" else "relay")


STEPS: Final[Sequence[Step]] = (ingest, deliveries, sequencing, growth)
CASES: Final = (*_FIRST, "growth")
"""What `--only` can name, in the order in which it runs."""
