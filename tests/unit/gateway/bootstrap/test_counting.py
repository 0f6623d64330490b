"""Every event is counted once, however often an import has to wait for it."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from gateway.bootstrap.counting import CountedIngress
from gateway.ingress.accept import Ingress, Submission
from gateway.ingress.outcome import Failed, Outcome, Refused
from gateway.metrics import Metrics

AWAY = Failed("broker_unavailable", "away")
BAD = Refused("event_invalid", "bad")


class Told:
    """An ingress that answers what it was told to, call by call."""

    def __init__(self, *answers: Sequence[Outcome]) -> None:
        self._left = list(answers)

    async def accept(self, _: Submission) -> Sequence[Outcome]:
        return self._left.pop(0)


def submission(*, dry_run: bool = False) -> Submission:
    return Submission(
        partner="acme",
        direction="inbound",
        items=(),
        strict=False,
        dry_run=dry_run,
        method="api_key",
        credential="crd",
        idempotency_key=None,
    )


def counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    """What was refused and what was waited for, by code."""
    wanted = {"gateway_events_refused_total": "refused", "gateway_import_waits_total": "waits"}
    found = {
        (wanted[name], dict(labels)["code"]): value
        for (name, labels), value in metrics.readings().items()
        if name in wanted
    }
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize(
    ("comes_again", "expected"),
    [
        (True, {("waits", "broker_unavailable"): 2, ("refused", "event_invalid"): 1}),
        (False, {("refused", "broker_unavailable"): 2, ("refused", "event_invalid"): 3}),
    ],
)
async def test_what_comes_again_is_counted_once_and_its_waits_apart(
    *, comes_again: bool, expected: dict[tuple[str, str], float]
) -> None:
    metrics = Metrics()
    tries: Sequence[Sequence[Outcome]] = ([BAD, AWAY], [BAD, AWAY], [BAD])
    ingress = CountedIngress(ingress=cast("Ingress", Told(*tries)), metrics=metrics, comes_again=comes_again)
    for _ in tries:
        await ingress.accept(submission())
    assert counted(metrics) == expected


async def test_a_dry_run_is_no_event() -> None:
    metrics = Metrics()
    answers: Any = Told([BAD], [AWAY])
    ingress = CountedIngress(ingress=answers, metrics=metrics, comes_again=True)
    for _ in range(2):
        await ingress.accept(submission(dry_run=True))
    assert counted(metrics) == {}
