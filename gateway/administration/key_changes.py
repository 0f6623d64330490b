"""Rotate, retire and freeze signing keys: rows and evidence in the caller's transaction.

A rotation publishes a key that signs from a stated time on, and says when those before it end. Nothing else
is needed at either time: who signs follows from the rows and the database's clock, in every process; that a
key's time is over is written down by whoever sees it first (`retire_due`), once. Crash order: see
ARCHITECTURE.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import update
from sqlmodel import Session, col

from audit.note import thumbprint
from gateway import keys
from gateway.administration.evidence import Author, Scribe
from gateway.database import clock
from gateway.errors import CallerError
from gateway.instants import format_instant
from gateway.keys import PublicKey, Purpose
from gateway.rows import KeyRow
from gateway.vault import Vault
from partners import store

MOST_OVERLAP_MS: Final = 90 * 86_400_000
MOST_DELAY_MS: Final = 7 * 86_400_000
USUAL_OVERLAP_MS: Final = 7 * 86_400_000
USUAL_DELAY_MS: Final = 600_000
"""Twice what the JWK set may be cached for: who checks signatures knows a key before it signs."""

BY_ITSELF: Final = Author("gateway", None)
"""Who retires a key whose time is over."""

_SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Held:
    """A key in a token: its label there, and its public half (32 bytes)."""

    label: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Rotation:
    """What is asked for. Times in milliseconds: until the new key signs, and from then until the others end.

    `held`: the new key is in a token; None: it is made here.
    """

    purpose: Purpose
    delay_ms: int = USUAL_DELAY_MS
    overlap_ms: int = USUAL_OVERLAP_MS
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """What is asked for. `since`: Unix milliseconds, None: now. `key_id` None: all that still sign, or will.

    `held`: the successor is in a token; None: it is made here.
    """

    purpose: Purpose
    reason: str
    since: int | None = None
    key_id: str | None = None
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What a change came to: the key that was made, and the others that it changed, as they are now.

    `now`: when, by the database's clock.
    """

    now: int
    made: PublicKey | None = None
    others: tuple[PublicKey, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyMaker:
    """What keys are made with. `entropy` returns that many random bytes."""

    vault: Vault
    entropy: Callable[[int], bytes] = field(repr=False)

    def make(self, session: Session, purpose: Purpose, held: Held | None, now: int, begins: int) -> PublicKey:
        """Keep a new key that signs from `begins` on.

        Raises:
            CallerError: `state_conflict`: the token's key is known already.
        """
        if held is None:
            seed = self.entropy(_SEED_BYTES)
            return keys.create(session, self.vault, purpose, now=now, seed=seed, signs_from=begins)
        key_id = thumbprint(held.public_key)
        if any(one.id == key_id for one in keys.load_public(session)):
            raise CallerError("state_conflict", f"The key {held.label!r} of the token is known already.")
        new = PublicKey(key_id, purpose, held.public_key, now, signs_from=begins, label=held.label)
        return keys.keep(session, new)


def rotate(session: Session, scribe: Scribe, maker: KeyMaker, wanted: Rotation, by: Author) -> KeyChange:
    """Publish a new key, and say when those before it end.

    Raises:
        CallerError: `state_conflict`: one that was published before does not sign yet.
    """
    now, there = _look(session, wanted.purpose)
    waiting = [one for one in there if one.state(now) == "published"]
    if waiting:
        first = format_instant(waiting[0].signs_from)
        text = f"{waiting[0].id} is published and signs from {first} on: retire it first, or wait for it."
        raise CallerError("state_conflict", text)
    begins = now + wanted.delay_ms
    new = maker.make(session, wanted.purpose, wanted.held, now, begins)
    ending = [one for one in there if one.state(now) == "signing"]
    others = [_changed(session, one, retires_at=begins + wanted.overlap_ms) for one in ending]
    _write(session, scribe, [("created", new)], by, now)
    return KeyChange(now, new, tuple(others))


def retire(session: Session, scribe: Scribe, key_id: str, by: Author) -> KeyChange:
    """Let a key sign nothing more, at once; one that has ended already stays as it is.

    One that was published and does not sign yet is withdrawn: those that were to end for it go on.

    Raises:
        CallerError: `not_found`; `state_conflict`: nobody else goes on to sign for its purpose.
    """
    now, there = _look(session, None)
    found = next((one for one in there if one.id == key_id), None)
    if found is None:
        raise CallerError("not_found", "There is no such key.")
    state = found.state(now)
    if state in {"compromised", "retired"} and not found.is_overdue(now):
        return KeyChange(now, None, (found,))
    own = [one for one in there if one.purpose == found.purpose and one.id != found.id]
    others: list[PublicKey] = []
    if state == "published":
        others = [_changed(session, one, retires_at=None) for one in own if one.state(now) == "retiring"][-1:]
    elif not _goes_on(own, now):
        raise CallerError("state_conflict", "Nobody else goes on to sign for its purpose: rotate first.")
    ended = _changed(session, found, retired_at=now)
    _write(session, scribe, [("retired", ended)], by, now)
    return KeyChange(now, None, (ended, *others))


def freeze(session: Session, scribe: Scribe, maker: KeyMaker, wanted: Freeze, by: Author) -> KeyChange:
    """Let keys sign nothing more, marked as compromised; where nobody goes on, a successor signs at once.

    One whose end is settled does not go on: with it the purpose would end.

    Raises:
        CallerError: `not_found`; `parameter_invalid`: a time to come; `state_conflict`: nothing to freeze.
    """
    now, there = _look(session, wanted.purpose)
    since = now if wanted.since is None else wanted.since
    if since > now:
        raise CallerError("parameter_invalid", "A key is compromised since a time that is over.")
    live = [one for one in there if one.state(now) in {"published", "signing", "retiring"}]
    meant = live if wanted.key_id is None else [one for one in there if one.id == wanted.key_id]
    if wanted.key_id is not None and not meant:
        raise CallerError("not_found", "There is no such key of this purpose.")
    meant = [one for one in meant if one.compromised_at is None or since < one.compromised_at]
    if not meant:
        raise CallerError("state_conflict", "It is frozen already, since that time or before.")
    frozen = [
        _changed(
            session,
            one,
            compromised_at=since,
            reason=wanted.reason,
            retired_at=now if one.retired_at is None else one.retired_at,
        )
        for one in meant
    ]
    left = [one for one in live if one not in meant]
    made = None
    if not _goes_on(left, now):
        made = maker.make(session, wanted.purpose, wanted.held, now, now)
    said = [("compromised", one) for one in frozen] + ([] if made is None else [("created", made)])
    _write(session, scribe, said, by, now)
    return KeyChange(now, made, tuple(frozen))


def retire_due(session: Session, scribe: Scribe) -> tuple[PublicKey, ...]:
    """Write down whose time is over; by however many processes that is seen, it is written once."""
    now, there = _look(session, None)
    ended = [_changed(session, one, retired_at=one.retires_at) for one in there if one.is_overdue(now)]
    _write(session, scribe, [("retired", one) for one in ended], BY_ITSELF, now)
    return tuple(ended)


def _goes_on(keys_of_purpose: Sequence[PublicKey], now: int) -> bool:
    """Whether one of them signs now, and one signs, or will, whose end is not settled."""
    live = [one for one in keys_of_purpose if one.state(now) in {"published", "signing", "retiring"}]
    return any(one.signs_at(now) for one in live) and any(one.retires_at is None for one in live)


def _look(session: Session, purpose: Purpose | None) -> tuple[int, list[PublicKey]]:
    """The time by the database's clock, and the keys, which nobody else changes until this commits."""
    store.lock(session)
    found = [one for one in keys.load_public(session) if purpose in {None, one.purpose}]
    return clock(session), found


def _changed(session: Session, key: PublicKey, **values: object) -> PublicKey:
    session.execute(update(KeyRow).where(col(KeyRow.id) == key.id).values(**values))
    return replace(key, **values)  # type: ignore[arg-type]  # of its own columns


def _write(
    session: Session, scribe: Scribe, said: Sequence[tuple[str, PublicKey]], by: Author, now: int
) -> None:
    """An entry of the house's log, and one of every partner's."""
    logs = store.open_logs(session) if said else []
    for action, key in said:
        scribe.key(session, key, action, by, now=now, logs=logs)
