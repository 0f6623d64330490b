"""Our signing keys: each for one purpose, sealed in the database or held by a token.

A key signs for one purpose only, for ever: what a receipt key signed can never pass for a checkpoint. It is
published first and signs from a stated time on; during an overlap the one before it signs too (checkpoints
and webhooks bear both signatures, a receipt that of the newest). Retired keys sign nothing more and stay
published, so that what they signed can be checked; a compromised one is marked as such, since when.
Never shows, logs or returns a private key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import insert
from sqlmodel import Session, col, select

from audit.note import Signer, thumbprint
from audit.receipt import format_jwk
from gateway.database import clock
from gateway.errors import AwayError, KeysMissingError
from gateway.rows import KeyRow
from gateway.vault import Vault, place_of

Purpose = Literal["receipt", "checkpoint", "webhook", "freshness", "anchor"]
PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)
"""A new purpose is a word more in `Purpose`; `gateway init` and `gateway up` make its first key."""

State = Literal["published", "signing", "retiring", "retired", "compromised"]
STATES: Final[tuple[State, ...]] = get_args(State)

OPTIONAL: Final[frozenset[Purpose]] = frozenset({"anchor"})
"""What the gateway runs without: a database of before has no such key until `gateway init` makes it."""

_SEED_BYTES: Final = 32


class SigningKey:
    """An Ed25519 key that signs for one purpose. Fits `audit.note.Signer`."""

    __slots__ = ("_private", "key_id", "public_key", "purpose")

    def __init__(self, seed: bytes, purpose: Purpose) -> None:
        """Take the 32-byte private seed (RFC 8032)."""
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.purpose = purpose
        self.public_key = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = thumbprint(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        """Show what is public."""
        return f"SigningKey({self.purpose}, {self.key_id})"


class HeldKey:
    """A key whose private half never leaves its token, which may take its time. Fits `audit.note.Signer`."""

    __slots__ = ("_sign", "key_id", "label", "public_key", "purpose")

    def __init__(
        self, label: str, public_key: bytes, purpose: Purpose, sign: Callable[[str, bytes, bytes], bytes]
    ) -> None:
        """`sign`: of a token; takes label, public key and message."""
        self.label = label
        self.public_key = public_key
        self.purpose = purpose
        self.key_id = thumbprint(public_key)
        self._sign = sign

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature.

        Raises:
            AwayError: the token cannot be asked now, or does not have the key: `key_unavailable`.
        """
        return self._sign(self.label, self.public_key, message)

    def __repr__(self) -> str:
        """Show what is public."""
        return f"HeldKey({self.purpose}, {self.key_id}, label {self.label!r})"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a key of ours, and its history. Times are Unix ms, by the database's clock.

    `signs_from`: before that it is published and signs nothing. `retires_at`: when it signs no more, where
    that is known; `retired_at`: when it ceased to. `compromised_at`: since when somebody else may have signed
    with it, as far as is known. `reason`: why it was frozen. `label`: of the key in its token; empty: it is
    in the database.
    """

    id: str
    purpose: Purpose
    public_key: bytes
    created_at: int
    retired_at: int | None = None
    signs_from: int = 0
    retires_at: int | None = None
    compromised_at: int | None = None
    reason: str = ""
    label: str = ""

    def state(self, now: int) -> State:
        """What it is at an instant."""
        if self.compromised_at is not None:
            return "compromised"
        if self.retired_at is not None or (self.retires_at is not None and now >= self.retires_at):
            return "retired"
        if now < self.signs_from:
            return "published"
        return "signing" if self.retires_at is None else "retiring"

    def signs_at(self, now: int) -> bool:
        """Whether it signs at an instant."""
        return self.state(now) in {"signing", "retiring"}

    def is_overdue(self, now: int) -> bool:
        """Whether its time is over, and nobody has written that down yet."""
        return self.retired_at is None and self.retires_at is not None and now >= self.retires_at

    def jwk(self) -> dict[str, Any]:
        """As it stands in the JWK set.

        `iat`, `nbf`, `exp` and `revoked` tell its history, in Unix seconds: published, signs from, signs
        until, compromised since. Source: OpenID Federation 1.0, section 8.7.2 (historical keys).
        """
        whole: dict[str, Any] = {**format_jwk(self.public_key)}
        whole |= {"iat": self.created_at // 1000, "nbf": self.signs_from // 1000}
        end = self.retires_at if self.retired_at is None else self.retired_at
        if end is not None:
            whole["exp"] = end // 1000
        if self.compromised_at is not None:
            whole["revoked"] = self.mark()
        return whole

    def mark(self) -> dict[str, Any]:
        """What is said of a compromised key: since when, in Unix seconds, and that it is that."""
        return {"revoked_at": (self.compromised_at or 0) // 1000, "reason": "compromised"}


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every key of ours at one moment.

    `signers`: for each purpose who signs, newest first. `known`: all public halves, oldest first.

    `at`: that moment, Unix milliseconds by the database's clock.
    """

    signers: Mapping[Purpose, tuple[Signer, ...]]
    known: tuple[PublicKey, ...] = field(default=())
    at: int = 0

    @property
    def receipt(self) -> Signer:
        """The one that signs receipts.

        Raises:
            AwayError: none may sign now: `key_unavailable`.
        """
        return self._newest("receipt")

    @property
    def checkpoints(self) -> tuple[Signer, ...]:
        """All that sign checkpoints, newest first."""
        return self.signing("checkpoint")

    @property
    def anchors(self) -> tuple[Signer, ...]:
        """All that sign checkpoints of the anchor, newest first; none where its key was not made yet."""
        return self.signing("anchor")

    @property
    def webhooks(self) -> tuple[Signer, ...]:
        """All that sign webhooks (`v1a`), newest first."""
        return self.signing("webhook")

    def signing(self, purpose: Purpose) -> tuple[Signer, ...]:
        """All that sign for a purpose, newest first."""
        return self.signers.get(purpose, ())

    def _newest(self, purpose: Purpose) -> Signer:
        signers = self.signing(purpose)
        if not signers:
            text = f"no {purpose} key signs now: the operator has to make another one"
            raise AwayError("key_unavailable", text)
        return signers[0]

    def public_keys(self, purpose: Purpose) -> Mapping[str, bytes]:
        """Raw public keys of a purpose by key id, retired ones too."""
        return {key.id: key.public_key for key in self.known if key.purpose == purpose}

    def trusted(self, purpose: Purpose) -> Mapping[str, bytes]:
        """The same without those that somebody else may have signed with."""
        return {
            key.id: key.public_key
            for key in self.known
            if key.purpose == purpose and key.compromised_at is None
        }

    def ordered(self, purpose: Purpose) -> tuple[PublicKey, ...]:
        """Those that `trusted` names: first who signs now, then who will, then who has ended; newest first.

        Who takes the first one has one that verifies what is signed now.
        """
        ranks = {"signing": 0, "retiring": 0, "published": 1, "retired": 2}
        found = [key for key in reversed(self.known) if key.purpose == purpose]
        trusted = [key for key in found if key.compromised_at is None]
        return tuple(sorted(trusted, key=lambda key: ranks[key.state(self.at)]))

    def compromised(self, purpose: Purpose) -> tuple[PublicKey, ...]:
        """Those that somebody else may have signed with, oldest first."""
        return tuple(key for key in self.known if key.purpose == purpose and key.compromised_at is not None)

    @property
    def leaked(self) -> tuple[bytes, ...]:
        """Raw public keys of those that sign logs, and that somebody else may have signed with."""
        both = (*self.compromised("checkpoint"), *self.compromised("anchor"))
        return tuple(key.public_key for key in both)

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The JWK set (RFC 7517, RFC 8037) of receipt keys, then of webhook keys, retired ones too.

        Newest first of each. Those of webhooks name their `purpose`: they verify no receipt. Checkpoint keys
        are not in it: who takes any key of a set for receipts would take those too. For the same reason
        compromised ones stand apart, in `revoked_keys`.
        """
        known = tuple(reversed(self.known))
        receipts = [(key, key.jwk()) for key in known if key.purpose == "receipt"]
        webhooks = [(key, {**key.jwk(), "purpose": key.purpose}) for key in known if key.purpose == "webhook"]
        both = [*receipts, *webhooks]
        revoked = [jwk for key, jwk in both if key.compromised_at is not None]
        whole = {"keys": [jwk for key, jwk in both if key.compromised_at is None]}
        return {**whole, "revoked_keys": revoked} if revoked else whole


def _no_token(label: str, _public_key: bytes, _message: bytes) -> bytes:
    raise AwayError("key_unavailable", f"the key {label!r} is in a token: set keys.pkcs11 for this process")


@dataclass(frozen=True, slots=True)
class Opener:
    """Makes signers of rows, each once. `token`: signs by label, public key and message.

    `close`: lets the token go, until something is signed again.
    """

    vault: Vault
    token: Callable[[str, bytes, bytes], bytes] = _no_token
    close: Callable[[], None] = lambda: None
    _opened: dict[tuple[str, bytes], Signer] = field(default_factory=dict, init=False, repr=False)

    def open(self, row: KeyRow) -> Signer:
        """The signer of a row.

        Raises:
            SealError: it does not open under this master key.
        """
        place = (row.id, row.sealed)
        if place not in self._opened:
            purpose = _purpose(row.purpose)
            self._opened[place] = (
                HeldKey(row.label, row.public_key, purpose, self.token)
                if row.label
                else SigningKey(self.vault.open(row.sealed, key_place(row.id)), purpose)
            )
        return self._opened[place]


def create_missing(
    session: Session, vault: Vault, *, now: int, entropy: Callable[[int], bytes]
) -> tuple[PublicKey, ...]:
    """Make a key for each purpose that has none; returns the new ones, whose evidence the caller writes."""
    there = {key.purpose for key in load_public(session) if key.retired_at is None}
    return tuple(
        create(session, vault, purpose, now=now, seed=entropy(_SEED_BYTES))
        for purpose in PURPOSES
        if purpose not in there
    )


def load(session: Session, opener: Opener) -> KeyRing:
    """Who signs now, by the database's clock.

    Raises:
        KeysMissingError: for a purpose none does.
        SealError: a key does not open under this master key.
    """
    ring = look(session, opener)
    missing = [purpose for purpose in PURPOSES if not ring.signing(purpose) and purpose not in OPTIONAL]
    if missing:
        raise KeysMissingError(
            f"no signing key for {' and '.join(missing)}: run `gateway init` once for this database"
        )
    return ring


def look(session: Session, opener: Opener) -> KeyRing:
    """As `load`, also where nobody signs for some purpose: what is asked to sign then refuses."""
    now = clock(session)
    signers: dict[Purpose, tuple[Signer, ...]] = dict.fromkeys(PURPOSES, ())
    rows = _rows(session)
    for row in rows:
        if _public(row).signs_at(now):
            purpose = _purpose(row.purpose)
            # Newest first: rows are in the order in which they begin to sign.
            signers[purpose] = (opener.open(row), *signers[purpose])
    return KeyRing(signers, tuple(map(_public, rows)), now)


def load_public(session: Session) -> tuple[PublicKey, ...]:
    """The public halves of all keys, in the order in which they begin to sign."""
    return tuple(map(_public, _rows(session)))


def create(
    session: Session, vault: Vault, purpose: Purpose, *, now: int, seed: bytes, signs_from: int | None = None
) -> PublicKey:
    """Keep a new key, sealed. `signs_from` None: it signs at once."""
    key = SigningKey(seed, purpose)
    sealed = vault.seal(seed, key_place(key.key_id))
    begins = now if signs_from is None else signs_from
    return keep(session, PublicKey(key.key_id, purpose, key.public_key, now, signs_from=begins), sealed)


def keep(session: Session, key: PublicKey, sealed: bytes = b"") -> PublicKey:
    """Keep a new key. `sealed` empty: its token holds it, under its label."""
    row = {
        "id": key.id,
        "purpose": key.purpose,
        "sealed": sealed,
        "public_key": key.public_key,
        "created_at": key.created_at,
        "signs_from": key.signs_from,
        "label": key.label or None,
    }
    session.execute(insert(KeyRow), [row])
    return key


def key_place(key_id: str) -> str:
    """The place of a signing key's secret half: what it is sealed for."""
    return place_of("gateway_key", key_id, "sealed")


def _rows(session: Session) -> list[KeyRow]:
    """Those that begin to sign first come first. Keys for what only a newer program knows are left out."""
    found = session.exec(select(KeyRow).where(col(KeyRow.purpose).in_(PURPOSES)))
    return sorted(found, key=lambda row: (_begin(row), row.created_at, row.id))


def _begin(row: KeyRow) -> int:
    return row.created_at if row.signs_from is None else row.signs_from


def _public(row: KeyRow) -> PublicKey:
    return PublicKey(
        row.id,
        _purpose(row.purpose),
        row.public_key,
        row.created_at,
        row.retired_at,
        _begin(row),
        row.retires_at,
        row.compromised_at,
        row.reason or "",
        row.label or "",
    )


def _purpose(text: str) -> Purpose:
    return next(purpose for purpose in PURPOSES if purpose == text)
