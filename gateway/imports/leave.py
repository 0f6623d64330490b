"""Whether an import may go on, how fast, and as whose: asked again before each step of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from gateway.catalog import Snapshot
from gateway.errors import CallerError
from gateway.imports.job import Failure, Import
from gateway.imports.reading import Item
from gateway.ingress.accept import Submission
from gateway.ingress.quotas import Entry, Quotas
from partners.contract import Limits
from partners.credential import Credential
from partners.directory import Directory

STEP_ITEMS: Final = 200
_STEPS_A_SECOND: Final = 4
_SHARE_OF_RATE: Final = 0.5
"""The rest is the partner's live traffic's."""

_AGAIN: Final = "Import the same file again once that is mended: what was taken before is a repeat."


class Leave:
    """What one import is allowed, as of now."""

    def __init__(self, job: Import) -> None:
        self._job = job
        self._directory: Directory | None = None
        self._credential: Credential | None = None

    def refusal(self, snapshot: Snapshot, now: int) -> Failure | None:
        """Why it must not go on; None: it may."""
        wish = self._job.wish
        partner = snapshot.directory.partner(wish.partner)
        state = "gone" if partner is None else partner.state
        if state in {"gone", "suspended", "closed"}:
            return Failure("partner_suspended", f"The partner is {state}; nothing is taken for it.", _AGAIN)
        credential = self._find(snapshot.directory)
        if credential is None:
            return Failure("credential_revoked", "The credential of the sender is gone.", _AGAIN)
        if credential.revoked_at is not None and credential.revoked_at <= now:
            return Failure("credential_revoked", "The credential of the sender was revoked.", _AGAIN)
        if not credential.is_active(now):
            return Failure("credential_expired", "The credential of the sender has expired.", _AGAIN)
        if "send" not in credential.scopes:
            text = "The credential of the sender has lost the scope send."
            return Failure("scope_missing", text, _AGAIN)
        types = credential.send_types
        if wish.event_type is not None and types is not None and wish.event_type not in types:
            text = f"The credential of the sender may send {wish.event_type} no longer."
            return Failure("scope_missing", text, _AGAIN)
        contract = snapshot.directory.contract(wish.partner)
        is_due = contract is not None and contract.authentication.require_signature
        if is_due and wish.direction == "inbound" and wish.sender.origin is None:
            text = "The contract takes events only with the sender's own signature by now."
            return Failure("signature_invalid", text, "Sign the request, and import the same file again.")
        return None

    def submission(self, items: Sequence[Item]) -> Submission:
        """The items, as their sender's, with what it may send by now. To be called after `refusal`."""
        wish, credential = self._job.wish, self._credential
        return Submission(
            partner=wish.partner,
            direction=wish.direction,
            items=tuple(items),
            strict=False,
            dry_run=wish.dry_run,
            method=wish.sender.method,
            credential=wish.sender.credential,
            idempotency_key=None,
            signed=wish.sender.origin,
            send_types=None if credential is None else credential.send_types,
        )

    @contextmanager
    def quota(self, snapshot: Snapshot, quotas: Quotas, count: int) -> Iterator[Entry]:
        """Enter the quotas of partner and credential, as a request does; our own side has none of the first.

        Raises:
            CallerError: `quota_exceeded`.
        """
        limits, credential = self._limits(snapshot), self._find(snapshot.directory)
        own = None if credential is None else credential.events_per_second
        rates = () if credential is None or own is None else ((credential.id, own),)
        with quotas.enter(self._job.wish.partner, limits, most=count, rates=rates) as entry:
            yield entry

    def most(self, snapshot: Snapshot) -> int:
        """Items of one step: no more than a part of what may be sent in a second."""
        rate = self._rate(snapshot)
        return STEP_ITEMS if rate is None else max(1, min(STEP_ITEMS, rate // _STEPS_A_SECOND))

    def rest_seconds(self, snapshot: Snapshot, count: int) -> float:
        """How long a step of so many items stands for, where there is a rate."""
        rate = self._rate(snapshot)
        return 0.0 if rate is None else count / (rate * _SHARE_OF_RATE)

    @staticmethod
    def seconds_of(error: CallerError) -> float:
        """How long a refusal by the quota is to be waited for."""
        headers = error.members.get("headers")
        text = headers.get("Retry-After", "1") if isinstance(headers, dict) else "1"
        return float(text)

    def _limits(self, snapshot: Snapshot) -> Limits | None:
        wish = self._job.wish
        contract = snapshot.directory.contract(wish.partner)
        return None if contract is None or wish.direction == "outbound" else contract.limits

    def _rate(self, snapshot: Snapshot) -> int | None:
        """The least that contract and credential allow, events a second."""
        limits, credential = self._limits(snapshot), self._find(snapshot.directory)
        agreed = None if limits is None else limits.events_per_second
        own = None if credential is None else credential.events_per_second
        return min((one for one in (agreed, own) if one is not None), default=None)

    def _find(self, directory: Directory) -> Credential | None:
        if directory is not self._directory:
            sender = self._job.wish.sender
            self._credential = next(
                (one for one in directory.credentials(sender.method) if one.id == sender.credential), None
            )
            self._directory = directory
        return self._credential
