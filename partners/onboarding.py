"""Changes to partners: plan and apply a contract, change the state of a partner or an endpoint.

Each function takes a session, makes its change in the caller's transaction, counts it (`store.bump`), and
returns what the caller needs to word the evidence. Nothing here commits. What changes nothing counts nothing.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlmodel import Session

from partners import store
from partners.contract import ContractFile, Line
from partners.declared_credentials import Declaration, declare, plan_declaration
from partners.endpoint import (
    DeclaredEndpoint,
    Endpoint,
    EndpointState,
    is_elsewhere,
    key_place,
    new_endpoint,
)
from partners.errors import DestructiveError, NotFoundError, PreconditionError, StateConflictError
from partners.held import Held, find, hold
from partners.issuing import CredentialChange
from partners.outside import outside, tell_outside
from partners.partner import Partner, PartnerState, dedicated_topics, new_id
from partners.plan import Difference, diff

_SECRET_BYTES: Final = 32
_NEXT_STATES: Final[dict[PartnerState, frozenset[PartnerState]]] = {
    "provisioning": frozenset({"active", "suspended", "closed"}),
    "active": frozenset({"suspended", "closed"}),
    "suspended": frozenset({"active", "closed"}),
    "closed": frozenset(),
}


@dataclass(frozen=True, slots=True)
class Means:
    """What onboarding cannot make itself.

    `seal` encrypts a secret for a place. `topic_prefix` goes before the slug in the names of new topics.
    """

    entropy: Callable[[int], bytes]
    seal: Callable[[bytes, str], bytes]
    topic_prefix: str = "partners."


@dataclass(frozen=True, slots=True)
class Submission:
    """A contract to be applied: file with its files attached, and a line for each of its terms, in order.

    `expected_revision`: the one that the author has seen (0: none); None: whatever it is. `is_trial`: all of
    it will be undone, so rows of partner and contract, which nothing reads before that, are not written.
    """

    file: ContractFile
    lines: tuple[Line, ...]
    expected_revision: int | None = None
    allow_destructive: bool = False
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class ContractChange:
    """What an apply did, or (of a plan) would do.

    `partner` None: it does not exist yet. `before_sha256` None: there was no contract. `secrets`: endpoint
    name and `whsec_` text of every secret that was made, to be shown once. `credentials`: those of the file
    that were made or revoked. `notes`: what of them opens nothing, in words. `paused`: endpoints at hosts
    that are not allowed any more.
    """

    partner: Partner | None
    is_new: bool
    is_unchanged: bool
    revision: int
    before_sha256: bytes | None
    after_sha256: bytes
    differences: tuple[Difference, ...]
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    credentials: tuple[CredentialChange, ...] = ()
    notes: tuple[str, ...] = ()
    paused: tuple["EndpointChange", ...] = ()


@dataclass(frozen=True, slots=True)
class PartnerChange:
    """A partner, and the state that it was in before."""

    partner: Partner
    before: PartnerState


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """An endpoint, and the state that it was in before."""

    endpoint: Endpoint
    before: EndpointState


def plan_contract(session: Session, submission: Submission, *, now: int) -> ContractChange:
    """Find out what `apply_contract` would change; writes nothing. Destructive differences are only marked.

    Raises:
        ContractFileError: a certificate that it names cannot be used.
        PreconditionError: the contract is at another revision.
        StateConflictError: the partner is closed.
    """
    held = find(session, submission.file.contract.partner)
    return _planned(held, submission, _declaration(session, submission.file, held, now=now))


def _declaration(session: Session, file: ContractFile, held: Held, *, now: int) -> Declaration:
    """What is to become of declared credentials; nothing is asked where there are none."""
    if held.has_declared or file.contract.authentication.declares:
        return plan_declaration(session, file, now=now)
    return Declaration()


def _planned(held: Held, submission: Submission, declaration: Declaration) -> ContractChange:
    file, partner, number = submission.file, held.partner, held.revision
    if partner is not None and partner.state == "closed":
        raise StateConflictError(
            f"'{partner.slug}' is closed, and its slug is not used again: choose another"
        )
    if submission.expected_revision not in {None, number}:
        raise PreconditionError(submission.expected_revision or 0, number)
    old, lines = held.file, held.lines
    before_sha256, after_sha256 = None if old is None else old.sha256(), file.sha256()
    is_unchanged = before_sha256 == after_sha256 and lines == submission.lines
    is_unchanged = is_unchanged and not declaration.differences
    return ContractChange(
        partner=partner,
        is_new=partner is None,
        is_unchanged=is_unchanged,
        revision=number if is_unchanged else number + 1,
        before_sha256=before_sha256,
        after_sha256=after_sha256,
        differences=() if is_unchanged else (*_differences(held, file), *declaration.differences),
        notes=declaration.notes,
    )


def _differences(held: Held, file: ContractFile) -> tuple[Difference, ...]:
    found = diff(held.file, file)
    if held.file is None:
        return found
    return tell_outside(found, held.endpoints, held.file.contract.endpoints, file.contract.endpoints)


def apply_contract(
    session: Session, submission: Submission, *, by: str, now: int, means: Means, held: Held | None = None
) -> ContractChange:
    """Bring a contract into force; makes the partner (state `provisioning`) where it is new.

    Declared endpoints are made, changed and removed as the file says, and so are declared credentials; those
    that a partner made are not touched, but for endpoints at hosts that are not allowed any more: what of
    them is active is paused. The same contract again changes nothing and makes no revision.

    `held`: the partner as this transaction has found it; None: it is to be found now.

    Raises:
        PreconditionError: the contract is at another revision.
        StateConflictError: the partner is closed.
        DestructiveError: it removes a type, an endpoint or a credential, and is not allowed to.
        ContractFileError: a certificate that it names cannot be used.
        CredentialTakenError: a certificate or client that it names stands for another credential.
        ValueError: the lines are not those of the file's terms, or its files are not attached.
    """
    file, contract = submission.file, submission.file.contract
    if tuple(line.terms for line in submission.lines) != contract.terms:
        raise ValueError("one line for each of the contract's terms, in their order")
    if tuple(path for path, _ in file.files) != file.paths():
        raise ValueError("the contract's files are not attached")
    held = held or hold(session, contract.partner)
    declaration = _declaration(session, file, held, now=now)
    change = _planned(held, submission, declaration)
    if change.is_unchanged:
        return change
    removed = [one.path for one in change.differences if one.is_destructive]
    if removed and not submission.allow_destructive:
        raise DestructiveError(removed)
    partner = replace(change.partner or _new_partner(file, means=means), name=contract.name)
    if not submission.is_trial:
        if change.is_new:
            store.insert_partner(session, partner, now=now)
        store.insert_contract(session, file, submission.lines, number=change.revision, now=now, by=by)
        store.update_partner(session, partner, revision=change.revision)
    secrets = _declare(session, file, held.endpoints, now=now, means=means)
    credentials = declare(session, declaration, partner.slug, now=now, entropy=means.entropy)
    paused = _paused(session, held, file)
    return replace(change, partner=partner, secrets=secrets, credentials=credentials, paused=paused)


def _paused(session: Session, held: Held, file: ContractFile) -> tuple[EndpointChange, ...]:
    """Pause what the contract in force allowed and the new one does not; what waits for it is held."""
    if held.file is None or held.file.contract.endpoints.hosts == file.contract.endpoints.hosts:
        return ()
    active = [one for one in outside(held.endpoints, file.contract.endpoints) if one.state == "active"]
    changed = [replace(one, state="paused") for one in active]
    for one in changed:
        store.update_endpoint(session, one)
    return tuple(EndpointChange(one, "active") for one in changed)


def set_partner_state(session: Session, slug: str, state: PartnerState) -> PartnerChange:
    """Move a partner to a state; the state that it is in already changes nothing.

    Raises:
        NotFoundError: there is no such partner.
        StateConflictError: there is no way from its state to this one.
    """
    store.lock(session)
    found = store.partner(session, slug)
    if found is None:
        raise NotFoundError("there is no such partner")
    partner, number = found
    if state == partner.state:
        return PartnerChange(partner, partner.state)
    if state not in _NEXT_STATES[partner.state]:
        raise StateConflictError(f"'{slug}' is {partner.state}: it cannot become {state}")
    changed = replace(partner, state=state)
    store.update_partner(session, changed, revision=number)
    return PartnerChange(changed, partner.state)


def set_endpoint_state(
    session: Session, owner: str, endpoint_id: str, state: EndpointState
) -> EndpointChange:
    """Move an endpoint of this owner to a state; the state that it is in already changes nothing.

    Raises:
        NotFoundError: this owner has no such endpoint.
    """
    store.lock(session)
    endpoint = next((one for one in store.endpoints(session, owner) if one.id == endpoint_id), None)
    if endpoint is None:
        raise NotFoundError("there is no such endpoint")
    if state == endpoint.state:
        return EndpointChange(endpoint, endpoint.state)
    changed = replace(endpoint, state=state, is_paused=False)
    store.update_endpoint(session, changed)
    store.bump_partner(session, endpoint.partner)
    return EndpointChange(changed, endpoint.state)


def disable_endpoint(session: Session, owner: str, endpoint_id: str, url: str) -> EndpointChange:
    """Disable an endpoint that failed at this URL; at another one, or unverified, it stays as it is.

    Whoever may resume what is disabled would else need no proof of a URL that was given meanwhile.

    Raises:
        NotFoundError: this owner has no such endpoint.
    """
    store.lock(session)
    endpoint = next((one for one in store.endpoints(session, owner) if one.id == endpoint_id), None)
    if endpoint is None:
        raise NotFoundError("there is no such endpoint")
    if endpoint.url != url or endpoint.state == "unverified":
        return EndpointChange(endpoint, endpoint.state)
    return set_endpoint_state(session, owner, endpoint_id, "disabled")


def _new_partner(file: ContractFile, *, means: Means) -> Partner:
    slug = file.contract.partner
    return Partner(
        slug=slug,
        log=new_id("", means.entropy),
        name=file.contract.name,
        topics=dedicated_topics(means.topic_prefix, slug),
        state="provisioning",
    )


def _declare(
    session: Session, file: ContractFile, known: Sequence[Endpoint], *, now: int, means: Means
) -> tuple[tuple[str, str], ...]:
    """Make the declared endpoints what the file says; returns the secrets of new ones. `known`: all there."""
    rules = file.contract.endpoints
    taken = {one.name for one in known if not one.declared}
    for clash in sorted(taken & {one.name for one in rules.declared}):
        raise StateConflictError(f"the partner has an endpoint called '{clash}': declare it by another name")
    there = {one.name: one for one in known if one.declared}
    new: list[Endpoint] = []
    secrets: list[tuple[str, str]] = []
    for wanted in rules.declared:
        endpoint = there.pop(wanted.name, None)
        if endpoint is not None:
            _verify_demand(endpoint, wanted)
            changed = _redeclared(endpoint, wanted, must_verify=rules.verification == "required")
            if changed != endpoint:
                store.update_endpoint(session, changed)
            continue
        endpoint_id, secret = new_id("ep_", means.entropy), means.entropy(_SECRET_BYTES)
        state: EndpointState = "active" if rules.verification == "none" else "unverified"
        sealed = means.seal(secret, key_place(endpoint_id))
        new.append(new_endpoint(file.contract.partner, endpoint_id, wanted, sealed, state=state, now=now))
        secrets.append((wanted.name, "whsec_" + base64.b64encode(secret).decode("ascii")))
    store.delete_endpoints(session, [one.id for one in there.values()])
    store.insert_endpoints(session, new, now=now)
    return tuple(secrets)


def _verify_demand(endpoint: Endpoint, wanted: DeclaredEndpoint) -> None:
    """Whoever writes the file is shown nothing of what its owner gave us for a server of theirs."""
    if endpoint.access is not None and is_elsewhere(endpoint.url, wanted.url):
        raise StateConflictError(
            f"the endpoint '{wanted.name}' cannot go to another server: what its owner has it demand (auth) "
            "was given for this one. Have it taken back first, with auth: null, or declare it by another name"
        )


def _redeclared(endpoint: Endpoint, wanted: DeclaredEndpoint, *, must_verify: bool) -> Endpoint:
    """Change an endpoint to what the file says now.

    Keys stay. A new URL has to be verified again; one that was paused, or disabled, is paused after that.
    Where nothing is verified, it is a new chance for one that was disabled; one that was paused stays so.
    """
    state, is_paused = endpoint.state, endpoint.is_paused
    if wanted.url != endpoint.url and (must_verify or state == "disabled"):
        is_paused = must_verify and (is_paused or state in {"paused", "disabled"})
        state = "unverified" if must_verify else "active"
    elif not must_verify and state == "unverified":
        state, is_paused = "paused" if is_paused else "active", False
    return replace(endpoint.settled_as(wanted), state=state, is_paused=is_paused)
