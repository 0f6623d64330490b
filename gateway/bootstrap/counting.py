"""Ingress as the doors see it: every outcome counted."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.ingress.accept import Ingress, Submission
from gateway.ingress.content import Reading, Received
from gateway.ingress.outcome import Accepted, Failed, Outcome, Refused
from gateway.metrics import Metrics


@dataclass(slots=True, kw_only=True, eq=False)
class CountedIngress:
    """Counts what became of each event; dry runs are not events."""

    ingress: Ingress
    metrics: Metrics

    async def read(self, received: Received) -> Reading | Refused:
        """As `Ingress.read`."""
        return await self.ingress.read(received)

    async def accept(self, submission: Submission) -> Sequence[Outcome]:
        """As `Ingress.accept`."""
        outcomes = await self.ingress.accept(submission)
        if not submission.dry_run:
            self._count(submission.direction, outcomes)
        return outcomes

    def _count(self, direction: str, outcomes: Sequence[Outcome]) -> None:
        taken = [one for one in outcomes if isinstance(one, Accepted)]
        if taken:
            repeats = sum(one.duplicate for one in taken)
            self.metrics.accepted(direction, repeats=repeats, count=len(taken))
        for one in outcomes:
            if isinstance(one, Refused | Failed):
                self.metrics.refused(one.code)
