"""From a request to a call that may be answered: who calls, for which partner, with which parameters.

What belongs to others is answered exactly as what does not exist.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from gateway.auth.caller import Caller
from gateway.auth.identify import Candidate, Standing
from gateway.auth.request import Shown
from gateway.catalog import Snapshot
from gateway.errors import BugError, CallerError, StoreError
from gateway.http.arriving import Unproved
from gateway.http.doors import Cap, Doors, event_cap
from gateway.http.parameters import read_query
from gateway.http.reading import CONTRACT_BYTES, JSON_BYTES, read_sent
from gateway.http.rejection import CALLER, PEER
from gateway.http.told import Spoken, Told
from partners.credential import Role, Scope
from partners.directory import Directory
from partners.endpoint import ALL, house_of
from partners.partner import Partner

T = TypeVar("T")

Side = Literal["open", "own", "named", "new", "house", "log", "registry", "private"]
"""Whose resource a path names.

Nobody's; the caller's own partner's; the partner's in the path; the same, which need not exist yet; ours; a
log's, whose endpoint compares the name; the registry's, whose endpoint asks whose a subject is; nobody's, on
the private listener.
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One admitted request. `named`: under `/v1/partners/{p}`, not under the caller's own paths.

    `of_house`: it is about the house's endpoints with the partner, not about the partner's. `of_all`: about
    all partners' things; then there is no owner.

    `pace`: header fields that tell how fast the caller may go on. `verify_still`: refuses a caller that may
    no longer call, for who has waited meanwhile; `verify_now`: the same for who waits for hours, by today's
    clock and database, without keeping what was known at the beginning.
    """

    doors: Doors
    request: Request
    request_id: str
    snapshot: Snapshot = field(repr=False)
    query: Mapping[str, str]
    caller: Caller | None = None
    owner: Partner | None = None
    named: bool = False
    pace: Mapping[str, str] = field(default_factory=dict)
    verify_still: Callable[[], None] = field(default=lambda: None, repr=False)
    verify_now: Callable[[], None] = field(default=lambda: None, repr=False)
    of_house: bool = False
    of_all: bool = False

    @property
    def known(self) -> Caller:
        """The caller; every route but the open ones has one."""
        if self.caller is None:
            raise BugError("an open route asks who calls")
        return self.caller

    @property
    def partner(self) -> Partner:
        """The partner whose resource this is."""
        if self.owner is None:
            raise BugError("a route of no partner asks for one")
        return self.owner

    @property
    def base(self) -> str:
        """The path that this partner's resources begin with, for this caller."""
        return self.base_of(self.partner.slug)

    def base_of(self, slug: str) -> str:
        """The same, of the partner that a row of a list is of."""
        return f"/v1/partners/{slug}" if self.named or self.of_all else "/v1"

    @property
    def slug(self) -> str:
        """Whose things it is about: a partner's; `-`: all partners'."""
        return ALL if self.of_all else self.partner.slug

    @property
    def endpoints_owner(self) -> str:
        """Whose endpoints it is about."""
        return house_of(self.slug) if self.of_house else self.slug

    async def anew(self) -> "Call":
        """The same call by what is known now, after a new look: before anything is refused as unknown.

        Another process may have made it a moment ago; see `Catalog.look_again`.
        """
        return replace(self, snapshot=await self.doors.catalog.look_again())

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


Answer = Callable[[Call], Awaitable[Response]]


async def find_surely(call: Call, find: Callable[[Call], T]) -> T:
    """What `find` finds by what is known; where it refuses, by what is known after a new look.

    For what is judged by the snapshot. Raises as `find`.
    """
    try:
        return find(call)
    except CallerError:
        newer = await call.anew()
        if newer.snapshot is call.snapshot:
            raise
    return find(newer)


_WITH_BODIES: Final = frozenset({"PATCH", "POST", "PUT", "DELETE"})
_EVENTS: Final = ("/v1/events", "/v1/partners/{p}/events")
_PUBLIC: Final[frozenset[Side]] = frozenset({"open", "own", "log"})


@dataclass(frozen=True, slots=True)
class Gate:
    """One method of one path: who may call it, with which scope and parameters, and what answers."""

    method: str
    path: str
    side: Side
    who: frozenset[Role]
    scope: Scope | None
    answer: Answer
    offered: frozenset[str] = frozenset()

    @property
    def is_event(self) -> bool:
        """Whether it takes events at once, whose claims are guard enough against replays."""
        return self.path.startswith(_EVENTS)

    @property
    def is_public(self) -> bool:
        """Whether the public listener serves it where there is a private one.

        Our own side comes in at the private one alone, whatever `who` says: see `gateway.http.app.make_apps`.
        """
        return self.side in _PUBLIC or (self.side == "registry" and "partner" in self.who)

    @property
    def told(self) -> Told | None:
        """What it says of itself; a house test finds those that say nothing."""
        return self.answer.told if isinstance(self.answer, Spoken) else None


async def admit(gate: Gate, doors: Doors, request: Request, request_id: str) -> Call:
    """Let a request in, or refuse it. Who or what is not known is looked for once more before it is refused.

    Steps: 1. who calls, as the head has it, and proxies that are believed, and whether it asks too fast;
    2. a partner's credential finds nothing under names; 3. the role; 4. the partner in the path; 5. the
    scope; 6. the query; 7. the body, where the proof of who calls is not whole without it: then it is read
    here, and handed on; 8. how the caller's partner stands, which nobody hears before it is proved who asks;
    9. who may no longer call once the body is there, which may take its time, is refused then.

    Raises:
        CallerError: as `Identifier.identify` and `read_body`, and `not_found`, `scope_missing`,
            `parameter_invalid`, `partner_suspended`, `quota_exceeded`.
        OverloadedError: too much of that sender is arriving.
        StoreError: the database was away since the start, so that nobody is known yet; or for so long that
            who was revoked may still be known.
    """
    snapshot = doors.catalog.current
    raw_query = request.scope["query_string"]
    if gate.side in {"open", "private"}:
        return Call(doors, request, request_id, snapshot, read_query(raw_query, gate.offered))
    if not snapshot.is_read:
        # A good key must not hear that it is unknown.
        raise StoreError("store_unavailable", "the partners have not been read from the database yet")
    _verify_heard(doors)
    # 1.
    known = snapshot.directory
    candidate = await _identified(gate, doors, request, known)
    snapshot = doors.catalog.current
    caller = candidate.caller
    pace = doors.paces.take(caller.credential.id) if _is_paced(gate) else {}
    # 2. Not even its own name: the answer must not tell which names exist.
    if gate.side in {"named", "new"} and caller.partner is not None:
        raise not_found()
    # 3.
    if caller.role not in gate.who:
        raise _wrong_role(gate, caller)
    # 4.
    owner = caller.partner
    if gate.side in {"named", "new"}:
        owner, snapshot = await _named(gate, doors, str(request.path_params["p"]), snapshot)
    # 5.
    if gate.scope is not None and gate.scope not in caller.scopes:
        raise CallerError("scope_missing", f"This needs a credential with the scope {gate.scope}.")
    # 6. The registry's clients send what newer registries know: it reads its own.
    query = {} if gate.side == "registry" else read_query(raw_query, gate.offered)
    # 7.
    still = partial(_verify_still, candidate, doors, gate, known)
    if candidate.owed:
        caller, request = await _confirmed(candidate, doors, request, gate)
    # Also without a body: by a look that was waited for, the caller may be one that was revoked.
    still()
    # 8. The right to audit does not end with the exchange: history, log and evidence stay.
    if caller.partner is not None and _ends_with_exchange(gate):
        verify_standing(caller.partner)
    # 9.
    if not candidate.owed and request.method in _WITH_BODIES:
        request = _watched(request, still)
    now = partial(_verify_now, Standing.of(candidate), doors, gate)
    is_named = gate.side == "named"
    return Call(doors, request, request_id, snapshot, query, caller, owner, is_named, pace, still, now)


def verify_standing(partner: Partner) -> None:
    """Take nothing from a partner that is suspended or closed, and give it nothing new.

    Raises:
        CallerError: `partner_suspended`.
    """
    if partner.state in {"suspended", "closed"}:
        text = f"The partner is {partner.state}; ask the operator. Its history and log can still be read."
        raise CallerError("partner_suspended", text)


def _ends_with_exchange(gate: Gate) -> bool:
    if gate.method == "DELETE" and gate.path.endswith("/credentials/{id}"):
        # Whose key has leaked ends it, whatever stands.
        return False
    # An export changes nothing of the exchange: who may read the log may have it exported.
    return gate.scope != "audit" if gate.method != "GET" else gate.scope == "receive"


def not_found() -> CallerError:
    """The one answer for what is foreign, unknown or malformed."""
    return CallerError("not_found", "There is no such thing, or it is not yours.")


async def _named(gate: Gate, doors: Doors, slug: str, known: Snapshot) -> tuple[Partner | None, Snapshot]:
    """The partner in the path, and by which snapshot; None: it need not exist yet."""
    owner = known.directory.partner(slug)
    if owner is not None or gate.side == "new":
        return owner, known
    known = await doors.catalog.look_again()
    owner = known.directory.partner(slug)
    if owner is None:
        raise not_found()
    return owner, known


async def _later(doors: Doors) -> Directory:
    return (await doors.catalog.look_again()).directory


def _is_paced(gate: Gate) -> bool:
    """What is read and managed: events and streams have limits of their own.

    Acknowledgements, which are as many as deliveries, tiles and the registry have none.
    """
    is_told = gate.side in {"own", "named", "new", "house"} and gate.scope != "send"
    return is_told and not gate.path.endswith(("/stream", "/ack"))


def _shown(request: Request, *, is_event: bool) -> Shown:
    scope = request.scope
    tls = scope.get("extensions", {}).get("tls", {})
    client = scope.get("client")
    return Shown(
        headers=tuple(
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        ),
        method=scope["method"],
        scheme=scope["scheme"],
        target=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        certificate=tls.get("client_certificate"),
        chain=tls.get("client_chain", ()),
        peer="" if client is None else str(client[0]),
        is_event=is_event,
    )


async def _identified(gate: Gate, doors: Doors, request: Request, known: Directory) -> Candidate:
    """Who calls, as the head has it; kept with the request, for the log, is what is proved of that."""
    shown = doors.proxies.seen(_shown(request, is_event=gate.is_event))
    request.scope[PEER] = shown.peer
    later = partial(_later, doors)
    candidate = await doors.callers.identify(shown, known, now=doors.clock(), later=later)
    if not candidate.owed:
        request.scope[CALLER] = candidate.caller
    return candidate


async def _confirmed(
    candidate: Candidate, doors: Doors, request: Request, gate: Gate
) -> tuple[Caller, Request]:
    """The caller, and the request with its body read and found to be the one that was signed."""
    # A webhook is one event, and nobody has proved anything yet.
    is_webhook = candidate.caller.message_id is not None
    # An import that is signed is read whole too: it may be as large as a batch.
    takes_events = gate.scope == "send" and gate.side != "registry"
    slug = candidate.caller.credential.partner
    most = event_cap(doors.values, doors.catalog.current, slug, is_batch=not is_webhook)
    cap = most if takes_events else Cap(CONTRACT_BYTES if gate.side == "new" else JSON_BYTES)
    # A webhook says whose it is in its URL, which may be a lie.
    name = candidate.caller.credential.id
    with doors.arriving.body(Unproved.at(name, request.scope[PEER]) if is_webhook else name) as arriving:
        seconds = doors.values.body_seconds
        sent = await read_sent(request, cap=cap.size, seconds=seconds, seen=arriving.receive, whose=cap.whose)
    request.scope[CALLER] = caller = candidate.confirm(sent)
    messages: list[Message] = [{"type": "http.request", "body": sent, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await request.receive()

    return caller, Request(request.scope, receive)


def _watched(request: Request, still: Callable[[], None]) -> Request:
    """The request, whose reader hears with the end of the body that its caller may no longer call."""

    async def receive() -> Message:
        message = await request.receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            still()
        return message

    return Request(request.scope, receive)


def _verify_heard(doors: Doors) -> None:
    if doors.catalog.is_stale():
        # Who was revoked meanwhile must not come in.
        text = "the database has not been heard from for too long to know whose credentials are in force"
        raise StoreError("store_unavailable", text)


def _verify_still(candidate: Candidate, doors: Doors, gate: Gate, known: Directory) -> None:
    if doors.catalog.current.directory is not known:
        _verify_by(Standing.of(candidate), doors, gate)


def _verify_now(standing: Standing, doors: Doors, gate: Gate) -> None:
    _verify_heard(doors)
    if standing.ends_at is not None and doors.clock() >= standing.ends_at:
        text = "What the request was proved by has expired: the token, or the client certificate."
        raise CallerError("credential_expired", text)
    _verify_by(standing, doors, gate)


def _verify_by(standing: Standing, doors: Doors, gate: Gate) -> None:
    later = doors.catalog.current.directory
    standing.verify(later, doors.clock())
    now = None if standing.partner is None else later.partner(standing.partner)
    if now is not None and _ends_with_exchange(gate):
        verify_standing(now)


def _wrong_role(gate: Gate, caller: Caller) -> CallerError:
    roles = ", ".join(sorted(gate.who))
    hint = ""
    if gate.side == "own" and caller.partner is None:
        hint = f"Name the partner: {gate.path.replace('/v1/', '/v1/partners/{p}/', 1)}"
    text = f"This is for the roles {roles}; the credential's role is {caller.role}."
    return CallerError("scope_missing", text, hint=hint)
