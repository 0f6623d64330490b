"""The one place where the registry is changed: API, CLI and console all come here.

A change, its evidence and the count of revisions are one transaction. A dry run is the same transaction,
rolled back, so that it cannot lie: it leaves out no step that may be refused.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from sqlmodel import Session

from gateway import announcements, facts
from gateway.administration import agreement, filters, hits, news
from gateway.administration.activation import activate
from gateway.administration.agreement import Agreement
from gateway.administration.changing import Kept, carry_out
from gateway.administration.coming import Companion, read_coming
from gateway.administration.credentials import witnessed
from gateway.administration.effect import is_about_endpoints
from gateway.administration.evidence import Author, Scribe
from gateway.administration.forwards import check_forwards
from gateway.administration.lines import Rules, resolve
from gateway.administration.lockout import locked_out
from gateway.administration.outcome import ContractOutcome, outcome_of, settled, with_lost
from gateway.administration.recorded import look_back, trials
from gateway.administration.refusals import refused
from gateway.administration.schema_changes import tell_schemas
from gateway.administration.shortened import tell_shortened
from gateway.administration.standing import Move, Moved, Seen, move_partner
from gateway.administration.topics import topic_remarks
from gateway.administration.unchanged import InForce, Read, find_in_force, may_be_in_force
from gateway.broker.port import Broker
from gateway.catalog import Catalog
from gateway.database import Database
from gateway.errors import AwayError, CallerError
from gateway.external_registry import ExternalRegistry
from gateway.waits import rest
from partners import issuing, minting, onboarding, store
from partners.contract import ContractFile
from partners.contract_file import attach_files, read_contract
from partners.endpoint_changes import EndpointEdit
from partners.errors import ContractFileError, PartnersError
from partners.held import Held, hold
from partners.issuing import CredentialChange, Narrowing, WantedCredential
from partners.onboarding import ContractChange, Means
from partners.partner import Partner, Topics, dedicated_topics
from partners.plan import render_plan
from partners.tombstone import write_tombstone

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ContractText:
    """A contract as it was sent: its text, what messages call it, and the files beside it by path.

    `beside`: contracts that it forwards to, and that are applied together with it.
    """

    text: str = field(repr=False)
    file_name: str
    files: Mapping[str, str] = field(repr=False)
    beside: tuple[Companion, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a contract is to be applied. `if_match`: what the author has seen; None: any."""

    if_match: Seen | None = None
    dry_run: bool = False
    allow: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True, eq=False)
class Administration:
    """Changes the registry. `told`: is called after each change, so that this process follows at once.

    `registry`: where schemas are registered; None: here. `kept`: what else each change does in its
    transaction. `known`: the contracts that were read and found right.
    """

    database: Database
    broker: Broker
    catalog: Catalog
    scribe: Scribe
    means: Means
    pepper: bytes = field(repr=False)
    clock: Callable[[], int]
    allow_insecure_loopback: bool
    told: Callable[[], Awaitable[None]]
    strict_logical_types: bool = True
    registry: ExternalRegistry | None = None
    kept: Kept | None = None
    known: Read = field(default_factory=Read, repr=False)

    def keeping(self, kept: Kept) -> "Administration":
        """The same, and each change does this too, in its transaction; a dry run does not."""
        return replace(self, kept=kept)

    async def run(self, stop: asyncio.Event) -> None:
        """Make partners active once their topics exist, until `stop`."""
        while not stop.is_set():
            with suppress(AwayError):
                await activate(self.database, self.catalog)
            await rest(stop, 1)

    async def put_contract(self, slug: str, sent: ContractText, wish: Wish, *, by: Author) -> ContractOutcome:
        """Apply a contract, or find out what that would do.

        Raises:
            CallerError: `contract_invalid` (with every problem), `change_destructive`, `schema_incompatible`,
                `precondition_failed`, `state_conflict`.
            AwayError: the database is away, or the external registry: nothing is known to be changed.
        """
        known = await self._find_in_force(slug, sent, wish)
        agreed = None if known is None else await self._agreed(slug, sent)
        if known is not None and (agreed is None or agreed.is_final):
            return settled(known, self.catalog.remarks(known.partner) if wish.dry_run else ())
        lost = () if agreed is None else agreed.lost
        agreed = await self._agree(slug, sent, wish, by)
        outcome = await self.write(
            lambda session: self._apply(session, slug, sent, wish, by, agreed), dry_run=wish.dry_run
        )
        outcome = with_lost(outcome, lost) if lost else outcome
        if wish.dry_run:
            return await self._with_a_look(outcome)
        with suppress(AwayError):
            await activate(self.database, self.catalog)
        return outcome

    async def _agree(self, slug: str, sent: ContractText, wish: Wish, by: Author) -> Agreement | None:
        """What the external registry says of the contract's schemas; but for a dry run, all are in it then.

        A schema that is new there is registered once the whole apply was tried out: a contract that is
        refused leaves nothing behind.
        """
        agreed = await self._agreed(slug, sent)
        if self.registry is None or agreed is None or wish.dry_run or agreed.is_final:
            return agreed
        wanted = await self.database.read(lambda session: self._wanted(session, slug, sent))
        await self.write(lambda session: self._apply(session, slug, sent, wish, by, agreed), dry_run=True)
        return await agreement.register(self.registry, agreed, wanted)

    async def _agreed(self, slug: str, sent: ContractText) -> Agreement | None:
        """What the external registry says of the contract's schemas; None: the registry is our own."""
        if self.registry is None:
            return None
        wanted = await self.database.read(lambda session: self._wanted(session, slug, sent))
        return await agreement.look(self.registry, wanted)

    async def _find_in_force(self, slug: str, sent: ContractText, wish: Wish) -> InForce | None:
        texts = sent.text, sent.files
        if self.registry is None and not may_be_in_force(self.catalog.current.directory, slug, texts):
            return None

        def read(digest: bytes) -> ContractFile | None:
            return self.known.find(digest, lambda: self._read(slug, sent))

        find = partial(find_in_force, slug=slug, sent=texts, read=read, if_match=wish.if_match)
        return await self.database.read(lambda session: find(session, now=self.clock()))

    def _wanted(self, session: Session, slug: str, sent: ContractText) -> tuple[agreement.Wanted, ...]:
        """What of a contract is to be in the external registry; nothing of one that cannot be read."""
        try:
            file = self._read(slug, sent)
        except PartnersError as error:
            raise refused(error) from error
        found = store.partner(session, slug)
        return agreement.wanted_of(file, self._topics(slug, found[0] if found else None))

    async def _with_a_look(self, outcome: ContractOutcome) -> ContractOutcome:
        """The outcome with what the broker tells and has of the topics; no transaction waits for it."""
        if outcome.partner is None:
            return outcome
        topics = await topic_remarks(self.catalog, outcome.partner, outcome.contract)
        recorded = await look_back(self.broker, self.catalog.current, outcome.partner, outcome.trials)
        notes = (*outcome.notes, *(one.words for one in recorded), *topics)
        plan = render_plan(outcome.partner.slug, outcome.differences, revision=outcome.previous, notes=notes)
        return replace(outcome, notes=notes, plan=plan, recorded=recorded)

    async def create_credential(
        self, wanted: WantedCredential, *, by: Author, dry_run: bool = False
    ) -> CredentialChange:
        """Make a credential; a secret made with it is in the answer and nowhere else. A dry run has none.

        Raises:
            CallerError: `parameter_invalid`, `not_found`, `limit_reached`, `state_conflict`.
        """

        def work(session: Session) -> CredentialChange:
            now = self.clock()
            means = minting.Means(self.pepper, self.means.entropy, self.means.seal)
            is_own = by.role == "partner"
            change = issuing.create_credential(session, wanted, means=means, now=now, is_own=is_own)
            return witnessed(session, self.scribe, change, by, now=now)

        change = await self.write(work, dry_run=dry_run)
        return replace(change, text=None) if dry_run else change

    async def change_credential(
        self,
        credential_id: str,
        wanted: Narrowing,
        *,
        owner: str | None,
        by: Author,
        dry_run: bool = False,
    ) -> CredentialChange:
        """Rename a credential, narrow it, end it earlier; `owner` as in `revoke_credential`.

        Raises:
            CallerError: `parameter_invalid`, `not_found`, `state_conflict`; the last also where nobody would
                be left who may manage.
        """

        def work(session: Session) -> CredentialChange:
            now = self.clock()
            change = issuing.change_credential(session, credential_id, wanted, owner=owner, now=now)
            is_ended = wanted.not_after is not None
            return witnessed(session, self.scribe, change, by, now=now, is_ended=is_ended)

        return await self.write(work, dry_run=dry_run)

    async def revoke_credential(
        self, credential_id: str, *, owner: str | None, reason: str, by: Author, dry_run: bool = False
    ) -> CredentialChange:
        """Revoke a credential, for a partner (`owner`) or for our side (None); twice changes nothing.

        Raises:
            CallerError: `not_found`; `state_conflict` for the last key that can operate this gateway.
        """

        def work(session: Session) -> CredentialChange:
            now = self.clock()
            change = issuing.revoke_credential(session, credential_id, owner=owner, now=now, reason=reason)
            return witnessed(session, self.scribe, change, by, now=now)

        return await self.write(work, dry_run=dry_run)

    async def move_partner(self, slug: str, wanted: Move, *, by: Author, dry_run: bool = False) -> Moved:
        """Suspend, resume or close a partner; one that is there already stays as it is.

        Raises:
            CallerError: `not_found`, `precondition_failed`, `state_conflict`.
        """

        def work(session: Session) -> Moved:
            return move_partner(session, self.scribe, slug, wanted, by, now=self.clock())

        return await self.write(work, dry_run=dry_run)

    async def change(self, work: Callable[[Session, Scribe], T], *, dry_run: bool = False) -> T:
        """Carry out a change that another module knows, with its evidence; raises what that raises."""
        return await self.write(lambda session: work(session, self.scribe), dry_run=dry_run)

    async def write(self, work: Callable[[Session], T], *, dry_run: bool) -> T:
        """Do some work in one transaction, and tell of it; see `carry_out`."""
        return await carry_out(self.database, work, told=self.told, dry_run=dry_run, kept=self.kept)

    def _read(self, slug: str, sent: ContractText) -> ContractFile:
        file = read_contract(
            sent.text, name=sent.file_name, allow_insecure_loopback=self.allow_insecure_loopback
        )
        if file.contract.partner != slug:
            text = f"the file is of '{file.contract.partner}', not of '{slug}'"
            raise ContractFileError([file.problem("/partner", "reference", text)])
        return attach_files(file, sent.files)

    def _topics(self, slug: str, found: Partner | None) -> Topics:
        return found.topics if found else dedicated_topics(self.means.topic_prefix, slug)

    def _apply(
        self,
        session: Session,
        slug: str,
        sent: ContractText,
        wish: Wish,
        by: Author,
        agreed: Agreement | None,
    ) -> ContractOutcome:
        file = self._read(slug, sent)
        held = hold(session, slug)
        previous, partner, seen = held.revision, held.partner, wish.if_match
        if partner is not None and seen is not None and seen.has_moved(partner, previous):
            text = f"The partner is {partner.state} now: look again."
            raise CallerError("precondition_failed", text, members={"revision": previous})
        before = {(line.terms.direction, line.terms.event_type): line for line in held.lines}
        now, topics = self.clock(), self._topics(slug, partner)
        rules = Rules(now, self.strict_logical_types, agreed, wish.dry_run)
        resolved = resolve(session, file, topics, before, rules)
        is_exempt = self.allow_insecure_loopback
        coming = read_coming(sent.beside, is_trial=wish.dry_run, allow_insecure_loopback=is_exempt)
        ways = check_forwards(session, file, resolved.lines, before, self.catalog.current.directory, coming)
        resolved = replace(resolved, incompatible=(*resolved.incompatible, *ways))
        submission = onboarding.Submission(
            filters.bind_declared(session, file, resolved.lines),
            resolved.lines,
            None if seen is None else seen.revision,
            wish.dry_run or "destructive" in wish.allow,
            wish.dry_run,
        )
        change = onboarding.apply_contract(
            session, submission, by=by.credential or by.role, now=now, means=self.means, held=held
        )
        impacts = hits.find_impacts(session, change.differences, held.endpoints, slug, held.lines)
        told = tell_schemas(session, hits.tell(change.differences, impacts), before, resolved)
        change = self._with_losses(session, replace(change, differences=told), held, file, now=now)
        there = store.endpoints(session, slug) if is_about_endpoints(file.contract) or held.endpoints else ()
        outcome = outcome_of(file, change, previous, resolved.incompatible, there)
        outcome = replace(outcome, impacts=impacts)
        if wish.dry_run:
            return replace(outcome, trials=trials(before, resolved.lines, resolved.schemas))
        if resolved.incompatible and "incompatible" not in wish.allow:
            raise CallerError(
                "schema_incompatible",
                "; ".join(resolved.incompatible),
                hint="Change the schema so that the other side keeps working, or allow 'incompatible'.",
            )
        self._witness(session, change, by, now=now)
        if file.contract.delivery.hold_seconds and not change.is_unchanged:
            # Erased events must be known for as long as a topic may have them.
            facts.raise_to(session, facts.LONGEST_HOLD, file.contract.delivery.hold_seconds)
        left = {one.id for one in there}
        for endpoint in held.endpoints:
            # The relay asks by this name: what it owes to an endpoint depends on its types and filter.
            if endpoint.id not in left:
                facts.keep(session, f"removed.{endpoint.id}", write_tombstone(endpoint))
        return outcome

    def _with_losses(
        self, session: Session, change: ContractChange, held: Held, file: ContractFile, *, now: int
    ) -> ContractChange:
        """The change, with what a shorter `keep` takes, and whom other terms of authentication lock out."""
        if held.file is None or change.partner is None:
            return change
        before, after = held.file.contract, file.contract
        locked = locked_out(
            session, change.partner.slug, before.authentication, after.authentication, now=now
        )
        keeps = before.keep, after.keep
        told = tell_shortened(session, change.differences, keeps, change.partner, self.scribe.host, now=now)
        return replace(change, differences=told, notes=(*change.notes, *locked))

    def _witness(self, session: Session, change: ContractChange, by: Author, *, now: int) -> None:
        """Enter the change into the partner's log, and have the partner told: all of it, or none."""
        if change.is_unchanged or change.partner is None:
            return
        self.scribe.contract(session, change.partner.log, change, by, now=now)
        for each in change.credentials:
            witnessed(session, self.scribe, each, by, now=now)
        for paused in change.paused:
            edit = EndpointEdit("paused", paused.endpoint, replace(paused.endpoint, state=paused.before))
            self.scribe.endpoint(session, change.partner, edit, "endpoints.hosts", by, now=now)
        told = news.contract_changed(change, now=now)
        if told is not None:
            announcements.announce(session, told)
