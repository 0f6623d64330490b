"""Events accepted without the doors, as the use case behind them takes them."""

from collections.abc import Sequence

from bench.orders import EVENT_TYPE
from gateway.bootstrap.parts import Parts
from gateway.event import Content
from gateway.ingress.accept import Submission
from gateway.ingress.draft import Draft
from gateway.ingress.outcome import Accepted


async def take_events(parts: Parts, slug: str, bodies: Sequence[bytes]) -> None:
    """Accept one batch of a partner; the ingress runs.

    Raises:
        RuntimeError: an event was not accepted.
    """
    drafts = tuple(
        Draft(EVENT_TYPE, None, None, {}, body, Content(body, "application/json")) for body in bodies
    )
    submission = Submission(
        slug,
        "inbound",
        drafts,
        strict=False,
        dry_run=False,
        method="api_key",
        credential="crd_1",
        idempotency_key=None,
    )
    outcomes = await parts.ingress.accept(submission)
    if not all(isinstance(one, Accepted) for one in outcomes):
        raise RuntimeError(f"not accepted: {outcomes[0]}")
