"""Changes of a partner's endpoints: make, change, remove, verify, pause, resume, and their secrets.

Each takes a session, makes its change in the caller's transaction, counts it, and returns what the caller
needs to word the evidence. Nothing here commits. What changes nothing counts nothing.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from sqlmodel import Session

from partners import store
from partners.access import EndpointAccess, access_place, encode_access
from partners.contract import Contract, Line, Terms
from partners.endpoint import (
    DeclaredEndpoint,
    Endpoint,
    EndpointState,
    SecretTerms,
    Side,
    Skip,
    house_of,
    key_place,
    new_endpoint,
    parse_host_pattern,
    party_of,
    secret_id,
)
from partners.endpoint_form import Bounds, written_terms
from partners.errors import EndpointChangedError, LimitReachedError, NotFoundError, StateConflictError
from partners.onboarding import Means
from partners.partner import Partner, new_id

Action = Literal[
    "created",
    "changed",
    "removed",
    "verified",
    "paused",
    "resumed",
    "secret_added",
    "secret_removed",
    "unchanged",
]

MOST_ENDPOINTS: Final = 100
"""Of a partner whose contract names no number."""

MOST_SECRETS: Final = 4
MOST_SKIPS: Final = 8
"""Of a partition."""

MOST_OVERLAP_MS: Final = 7 * 86_400_000
USUAL_OVERLAP_MS: Final = 86_400_000
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Ground:
    """What endpoints of a partner are judged by, as of one transaction.

    `begins`: where one begins that is made, as `Endpoint.begins`.
    """

    partner: Partner
    contract: Contract
    lines: tuple[Line, ...]
    side: Side = "partner"
    begins: tuple[str, int] | None = None

    @property
    def owner(self) -> str:
        """Whose the endpoints are."""
        return self.partner.slug if self.side == "partner" else house_of(self.partner.slug)

    def of_house(self) -> "Ground":
        """The same for the house's endpoints: it receives what the partner sends, at hosts of its own."""
        rules = replace(self.contract.endpoints, verification="none", hosts=())
        limits = replace(self.contract.limits, endpoints=None)
        terms = tuple(map(_turned, self.contract.terms))
        contract = replace(self.contract, terms=terms, endpoints=rules, limits=limits)
        lines = tuple(replace(one, terms=_turned(one.terms)) for one in self.lines)
        return replace(self, contract=contract, lines=lines, side="house")

    def bounds(self, *, is_exempt: bool) -> Bounds:
        """What may be asked of an endpoint. `is_exempt`: plain HTTP to loopback is allowed."""
        received = frozenset(one.event_type for one in self.contract.terms if one.direction == "outbound")
        hosts = tuple(map(parse_host_pattern, self.contract.endpoints.hosts))
        return Bounds(hosts, received, self.contract.delivery, is_exempt=is_exempt)


@dataclass(frozen=True, slots=True)
class EndpointEdit:
    """What a change came to.

    `before` None: it was made; `endpoint` of one that was removed: as it was. `secret`: text of a new secret,
    to be shown once. `secret_id`: of the secret that came or went. `waiting`: deliveries that wait for it,
    `skipped`: of these, at most so many are given up; both where it is paused or resumed.
    """

    action: Action
    endpoint: Endpoint
    before: Endpoint | None
    secret: str | None = field(default=None, repr=False)
    secret_id: str | None = None
    waiting: int = 0
    skipped: int = 0


def ground_of(session: Session, owner: str) -> Ground:
    """Lock the partners' tables, and read what endpoints of an owner are judged by.

    Raises:
        NotFoundError: there is no such partner.
        StateConflictError: it has no contract yet.
    """
    slug, side = party_of(owner)
    store.lock(session)
    found = store.partner(session, slug)
    if found is None:
        raise NotFoundError("there is no such partner")
    kept = store.contract_file(session, slug, found[1])
    if kept is None:
        raise StateConflictError(f"'{slug}' has no contract yet: an endpoint needs one")
    ground = Ground(found[0], kept[0].contract, kept[1])
    return ground if side == "partner" else ground.of_house()


def _turned(terms: Terms) -> Terms:
    """A line as it is seen from the other side."""
    return replace(terms, direction="outbound" if terms.direction == "inbound" else "inbound")


def find(session: Session, owner: str, endpoint_id: str) -> Endpoint:
    """Find an endpoint of an owner.

    Raises:
        NotFoundError: it has no such endpoint.
    """
    for one in store.endpoints(session, owner):
        if one.id == endpoint_id:
            return one
    raise NotFoundError("there is no such endpoint")


def etag_of(endpoint: Endpoint) -> str:
    """What changes whenever an endpoint does, its secrets too."""
    secrets = [[one.id, one.until] for one in endpoint.secrets]
    access = None if endpoint.access is None else endpoint.access.hex()
    whole = [written_terms(endpoint), endpoint.state, secrets, len(endpoint.skips), access]
    return f'"{hashlib.sha256(_json(whole)).hexdigest()[:16]}"'


def settings_sha256(endpoint: Endpoint) -> bytes:
    """Digest of what is asked of an endpoint, for evidence."""
    return hashlib.sha256(_json(written_terms(endpoint))).digest()


def create(
    session: Session, ground: Ground, wanted: DeclaredEndpoint, endpoint_id: str, *, now: int, means: Means
) -> EndpointEdit:
    """Make an endpoint, with a secret of its own.

    Raises:
        LimitReachedError: there are as many as the contract allows.
        StateConflictError: another one has its name.
    """
    slug, contract = ground.partner.slug, ground.contract
    there = store.endpoints(session, ground.owner)
    most = MOST_ENDPOINTS if contract.limits.endpoints is None else contract.limits.endpoints
    if len(there) >= most:
        raise LimitReachedError(f"there are {len(there)} endpoints, and limits.endpoints is {most}")
    _verify_name(there, wanted.name)
    secret = means.entropy(SECRET_BYTES)
    sealed = means.seal(secret, key_place(endpoint_id))
    state: EndpointState = "active" if contract.endpoints.verification == "none" else "unverified"
    made = new_endpoint(slug, endpoint_id, wanted, sealed, state=state, now=now)
    made = replace(made, declared=False, side=ground.side, created_at=now, begins=ground.begins)
    store.insert_endpoints(session, [made], now=now)
    store.bump_partner(session, slug)
    return EndpointEdit("created", made, None, _shown(secret), made.secrets[0].id)


def change(session: Session, ground: Ground, endpoint: Endpoint, wanted: DeclaredEndpoint) -> EndpointEdit:
    """Change what is asked of an endpoint. A new URL has to be verified again, where that is required.

    One that was paused or disabled is paused once it is verified: what waits is not sent without a choice.

    Raises:
        StateConflictError: it stands in the contract file, which says something else, or another one has its
            new name.
    """
    if wanted.name == endpoint.name and endpoint.settled_as(wanted) == endpoint:
        return EndpointEdit("unchanged", endpoint, endpoint)
    _verify_own(endpoint)
    if wanted.name != endpoint.name:
        _verify_name(store.endpoints(session, endpoint.owner), wanted.name)
    changed = replace(endpoint.settled_as(wanted), name=wanted.name)
    if wanted.url != endpoint.url and ground.contract.endpoints.verification == "required":
        was_paused = endpoint.is_paused or endpoint.state in {"paused", "disabled"}
        changed = replace(changed, state="unverified", is_paused=was_paused)
    return _written(session, endpoint, changed, "changed")


def demand(
    session: Session, edit: EndpointEdit, access: EndpointAccess, *, now: int, means: Means
) -> EndpointEdit:
    """Let an endpoint that was made or changed just now demand this of us."""
    endpoint = edit.endpoint
    is_nothing = access.demand is None and not access.authorities
    if is_nothing and endpoint.access is None:
        return edit
    place = access_place(endpoint.id)
    sealed = None if is_nothing else means.seal(encode_access(access), place)
    store.set_access(session, endpoint, sealed, now=now)
    store.bump_partner(session, endpoint.partner)
    action: Action = "changed" if edit.action == "unchanged" else edit.action
    return replace(edit, action=action, endpoint=replace(endpoint, access=sealed))


def remove(session: Session, endpoint: Endpoint) -> EndpointEdit:
    """Remove an endpoint; what waits for it is parked by the relay.

    Raises:
        StateConflictError: it stands in the contract file.
    """
    _verify_own(endpoint)
    store.delete_endpoints(session, [endpoint.id])
    store.bump_partner(session, endpoint.partner)
    return EndpointEdit("removed", endpoint, endpoint)


def mark_verified(session: Session, endpoint: Endpoint, url: str) -> EndpointEdit:
    """Somebody at its URL has proved to be there; one that is not unverified stays as it is.

    It is active then, or paused where it was that, or disabled, before it got this URL.

    Raises:
        StateConflictError: its URL is another by now.
    """
    if endpoint.url != url:
        raise StateConflictError("its URL was changed meanwhile: verify it once more")
    if endpoint.state != "unverified":
        return EndpointEdit("unchanged", endpoint, endpoint)
    state: EndpointState = "paused" if endpoint.is_paused else "active"
    return _written(session, endpoint, replace(endpoint, state=state, is_paused=False), "verified")


def pause(session: Session, endpoint: Endpoint) -> EndpointEdit:
    """Send nothing until it is resumed; what comes meanwhile waits. Paused already, it stays as it is.

    Raises:
        StateConflictError: it is unverified or disabled, and gets nothing anyway.
    """
    if endpoint.state == "paused":
        return EndpointEdit("unchanged", endpoint, endpoint)
    if endpoint.state != "active":
        raise StateConflictError(f"it is {endpoint.state}, and gets nothing: only what is active is paused")
    return _written(session, endpoint, replace(endpoint, state="paused"), "paused")


def resume(session: Session, endpoint: Endpoint, skips: Sequence[Skip]) -> EndpointEdit:
    """Go on with an endpoint that was paused or disabled. `skips`: what is given up of its backlog.

    Raises:
        StateConflictError: it is unverified, or active.
    """
    if endpoint.state == "unverified":
        after = "paused, and can be resumed," if endpoint.is_paused else "active"
        raise StateConflictError(f"it is unverified: it becomes {after} once it is verified")
    if endpoint.state == "active":
        raise StateConflictError("it is active: there is nothing to resume")
    changed = replace(endpoint, state="active", skips=_renewed(endpoint.skips, skips))
    return _written(session, endpoint, changed, "resumed")


def add_secret(
    session: Session, endpoint: Endpoint, secret: bytes | None, overlap_ms: int, *, now: int, means: Means
) -> EndpointEdit:
    """Give it another secret; those that there are sign beside it for so long, and then stop.

    `secret` None: one is made, and shown once.

    Raises:
        StateConflictError: it has as many as it may have.
    """
    kept = _in_force(endpoint, now)
    if overlap_ms and len(kept) >= MOST_SECRETS:
        raise StateConflictError(f"it has {len(kept)} secrets: remove one, or wait until one has ended")
    raw = secret or means.entropy(SECRET_BYTES)
    sealed = means.seal(raw, key_place(endpoint.id))
    until = now + overlap_ms
    older = [
        (key, replace(terms, until=until if terms.until is None else min(terms.until, until)))
        for key, terms in kept
        if overlap_ms
    ]
    new = SecretTerms(secret_id(sealed), now)
    changed = replace(
        endpoint,
        keys=(sealed, *(key for key, _ in older)),
        secrets=(new, *(terms for _, terms in older)),
    )
    edit = _written(session, endpoint, changed, "secret_added")
    return replace(edit, secret=_shown(raw) if secret is None else None, secret_id=new.id)


def remove_secret(session: Session, endpoint: Endpoint, wanted: str, *, now: int) -> EndpointEdit:
    """Let a secret sign nothing more, at once.

    Raises:
        NotFoundError: it has no such secret.
        StateConflictError: it is the only one.
    """
    kept = _in_force(endpoint, now)
    left = [(key, terms) for key, terms in kept if terms.id != wanted]
    if len(left) == len(kept):
        raise NotFoundError("there is no such secret")
    if not any(terms.until is None for _, terms in left):
        raise StateConflictError("it is the one that signs for good: add another one first")
    changed = replace(endpoint, keys=tuple(key for key, _ in left), secrets=tuple(terms for _, terms in left))
    return replace(_written(session, endpoint, changed, "secret_removed"), secret_id=wanted)


def verify_unchanged(endpoint: Endpoint, if_match: str | None) -> None:
    """Compare with what the author has seen; None: whatever it is.

    Raises:
        EndpointChangedError: it is another by now.
    """
    if if_match is not None and if_match != etag_of(endpoint):
        raise EndpointChangedError("the endpoint was changed meanwhile: read it again, then repeat")


def merged(endpoint: Endpoint, members: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked of an endpoint, with some members changed; null: as if nothing were said."""
    return {**written_terms(endpoint), **members}


def new_endpoint_id(means: Means) -> str:
    """A new id."""
    return new_id("ep_", means.entropy)


def usual_name(endpoint_id: str) -> str:
    """What an endpoint is called whose author gave it no name."""
    return endpoint_id.replace("_", "-")


def _renewed(before: Sequence[Skip], new: Sequence[Skip]) -> tuple[Skip, ...]:
    """All that is given up: what was, stays so; of each partition no more than a few are kept, the newest."""
    ends = {(one.topic_id, one.partition): one.offset for one in new}
    # One that reaches no further than a later one says nothing more.
    kept = [one for one in before if one.offset > ends.get((one.topic_id, one.partition), -1)]
    places: dict[tuple[str, int], list[Skip]] = {}
    for one in sorted((*kept, *new), key=lambda one: one.at):
        places.setdefault((one.topic_id, one.partition), []).append(one)
    return tuple(one for _, some in sorted(places.items()) for one in some[-MOST_SKIPS:])


def _in_force(endpoint: Endpoint, now: int) -> list[tuple[bytes, SecretTerms]]:
    pairs = zip(endpoint.keys, endpoint.secrets, strict=True)
    return [(key, terms) for key, terms in pairs if terms.until is None or now < terms.until]


def _written(session: Session, before: Endpoint, changed: Endpoint, action: Action) -> EndpointEdit:
    if changed == before:
        return EndpointEdit("unchanged", before, before)
    store.update_endpoint(session, changed)
    store.bump_partner(session, changed.partner)
    return EndpointEdit(action, changed, before)


def _verify_own(endpoint: Endpoint) -> None:
    if endpoint.declared:
        raise StateConflictError("it stands in the contract file, which alone may change or remove it")


def _verify_name(there: Sequence[Endpoint], name: str) -> None:
    if any(one.name == name for one in there):
        raise StateConflictError(f"another endpoint is called '{name}'")


def _shown(secret: bytes) -> str:
    return "whsec_" + base64.b64encode(secret).decode("ascii")


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
