"""Ingress as the doors and imports see it: every outcome counted, once."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.ingress.accept import Ingress, Submission
from gateway.ingress.content import Reading, Received
from gateway.ingress.outcome import Accepted, Failed, Outcome, Refused
from gateway.metrics import Metrics


@dataclass(slots=True, kw_only=True, eq=False)
class CountedIngress:
    """Counts what became of each event; dry runs are not events.

    `comes_again`: what could not be taken is brought again, all of it, until it is. So a try that fails is a
    wait, and its events are counted once they are taken or refused.
    """

    ingress: Ingress
    metrics: Metrics
    comes_again: bool = False

    async def read(self, received: Received) -> Reading | Refused:
        """As `Ingress.read`."""
        return await self.ingress.read(received)

    async def accept(self, submission: Submission) -> Sequence[Outcome]:
        """As `Ingress.accept`."""
        outcomes = await self.ingress.accept(submission)
        if submission.dry_run:
            return outcomes
        failed = next((one for one in outcomes if isinstance(one, Failed)), None)
        if failed is not None and self.comes_again:
            self.metrics.waited(failed.code)
        else:
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
