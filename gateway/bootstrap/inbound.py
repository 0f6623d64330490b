"""How events come in, wired: checked, claimed, published, taken over, refused."""

from collections.abc import Callable

from gateway.bootstrap.ground import Ground, entropy
from gateway.broker.port import Broker
from gateway.catalog import Catalog
from gateway.group_commit import GroupCommit
from gateway.honest_clock import HonestClock
from gateway.ingress.accept import Ingress, Submission
from gateway.ingress.claim_book import ClaimBook
from gateway.ingress.claims import Answer, Write
from gateway.ingress.prepare import Circumstances
from gateway.ingress.publish import Publisher
from gateway.ingress.refusal_fold import RefusalFold
from gateway.ingress.refusals import Refusals
from gateway.ingress.takeover import TakeOvers
from gateway.keys import KeyRing


def make_ingress(  # noqa: PLR0913 - one call, in the composition root
    ground: Ground,
    broker: Broker,
    catalog: Catalog,
    writes: GroupCommit[Write, Answer],
    keys: Callable[[], KeyRing],
    *,
    honest: HonestClock,
    step: Callable[[str], None],
) -> tuple[Ingress, TakeOvers]:
    """Who takes events, and who settles the claims of those that were not published."""
    settings = ground.settings
    publisher = Publisher(
        broker=broker,
        catalog=catalog,
        writes=writes,
        origin=settings.origin,
        lease_seconds=lambda: settings.claims.lease / 1000,
        step=step,
    )
    takeovers = TakeOvers(
        database=ground.database,
        writes=writes,
        broker=broker,
        publisher=publisher,
        wait_seconds=settings.claims.wait / 1000,
        step=step,
    )

    def log_of(slug: str) -> str | None:
        partner = catalog.current.directory.partner(slug)
        return None if partner is None else f"{ground.host}/log/{partner.log}"

    ingress = Ingress(
        catalog=catalog,
        broker=broker,
        book=ClaimBook(
            database=ground.database,
            writes=writes,
            catalog=catalog,
            lease_ms=lambda: settings.claims.lease,
        ),
        publisher=publisher,
        takeovers=takeovers,
        refusals=Refusals(
            fold=RefusalFold(iss=settings.origin, entropy=entropy),
            writes=writes,
            clock=ground.clock,
            entropy=entropy,
            log_of=log_of,
            distrust=lambda: honest.problem,
        ),
        circumstances=_circumstances(ground, keys, broker.max_record_bytes),
        answer_seconds=settings.ingress.publish_timeout / 1000,
        step=step,
        distrust=lambda: honest.problem,
    )
    return ingress, takeovers


def _circumstances(
    ground: Ground, keys: Callable[[], KeyRing], record_limit: int
) -> Callable[[Submission], Circumstances]:
    def circumstances(submission: Submission) -> Circumstances:
        return Circumstances(
            method=submission.method,
            credential=submission.credential,
            idempotency_key=submission.idempotency_key,
            signed=submission.signed,
            now=ground.clock(),
            origin=ground.settings.origin,
            log_host=ground.host,
            signer=keys().receipt,
            entropy=entropy,
            record_limit=record_limit,
            message_id=submission.message_id,
            batch_key=submission.batch_key,
        )

    return circumstances
