"""Our signing keys: one for each purpose, sealed in the database, published as a JWK set.

A key signs for one purpose only, for ever: what a receipt key signed can never pass for a checkpoint.
Retired keys sign nothing more and stay published, so that what they signed can be checked.
Never shows, logs or returns a private key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import insert
from sqlmodel import Session, col, select

from audit.note import thumbprint
from audit.receipt import format_jwk
from gateway.errors import KeysMissingError
from gateway.rows import KeyRow
from gateway.vault import Vault, place_of

Purpose = Literal["receipt", "checkpoint", "webhook", "freshness", "anchor"]
PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)

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


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a key of ours. `retired_at`: Unix milliseconds, None while it signs."""

    id: str
    purpose: Purpose
    public_key: bytes
    created_at: int
    retired_at: int | None = None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every key of ours at one moment: one signer for each purpose, and all public halves, oldest first."""

    receipt: SigningKey
    checkpoint: SigningKey
    webhook: SigningKey
    freshness: SigningKey
    known: tuple[PublicKey, ...] = field(default=())
    anchor: SigningKey | None = None

    @property
    def anchors(self) -> tuple[SigningKey, ...]:
        """All that sign checkpoints of the anchor."""
        return () if self.anchor is None else (self.anchor,)

    def public_keys(self, purpose: Purpose) -> Mapping[str, bytes]:
        """Raw public keys of a purpose by key id, retired ones too: what a verifier may accept."""
        return {key.id: key.public_key for key in self.known if key.purpose == purpose}

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The JWK set (RFC 7517, RFC 8037) of receipt keys, then of webhook keys, retired ones too.

        Newest first of each. Those of webhooks name their `purpose`: they verify no receipt. Checkpoint keys
        are not in it: who takes any key of a set for receipts would take those too.
        """
        known = tuple(reversed(self.known))
        receipts = [format_jwk(key.public_key) for key in known if key.purpose == "receipt"]
        webhooks = [
            {**format_jwk(key.public_key), "purpose": key.purpose}
            for key in known
            if key.purpose == "webhook"
        ]
        return {"keys": [*receipts, *webhooks]}


def create_missing(
    session: Session, vault: Vault, *, now: int, entropy: Callable[[int], bytes]
) -> tuple[PublicKey, ...]:
    """Make a key for each purpose that has none; returns the new ones, whose evidence the caller writes."""
    active = {key.purpose for key in _known(session) if key.retired_at is None}
    return tuple(
        _create(session, vault, purpose, now=now, seed=entropy(_SEED_BYTES))
        for purpose in PURPOSES
        if purpose not in active
    )


def load(session: Session, vault: Vault) -> KeyRing:
    """Open the newest active key of each purpose.

    Raises:
        KeysMissingError: a purpose has no active key.
        SealError: a key does not open under this master key.
    """
    rows = select(KeyRow).where(col(KeyRow.retired_at).is_(None)).order_by(col(KeyRow.created_at))
    signers: dict[str, SigningKey] = {}
    for row in session.exec(rows):
        seed = vault.open(row.sealed, _place(row.id))
        signers[row.purpose] = SigningKey(seed, _purpose(row.purpose))
    missing = [purpose for purpose in PURPOSES if purpose not in signers and purpose not in OPTIONAL]
    if missing:
        raise KeysMissingError(
            f"no signing key for {' and '.join(missing)}: run `gateway init` once for this database"
        )
    needed = (signers["receipt"], signers["checkpoint"], signers["webhook"], signers["freshness"])
    return KeyRing(*needed, _known(session), signers.get("anchor"))


def load_public(session: Session) -> tuple[PublicKey, ...]:
    """The public halves of every key of ours, retired ones too, oldest first; no master key is needed."""
    return _known(session)


def _create(session: Session, vault: Vault, purpose: Purpose, *, now: int, seed: bytes) -> PublicKey:
    key = SigningKey(seed, purpose)
    row = {
        "id": key.key_id,
        "purpose": purpose,
        "sealed": vault.seal(seed, _place(key.key_id)),
        "public_key": key.public_key,
        "created_at": now,
        "retired_at": None,
    }
    session.execute(insert(KeyRow), [row])
    return PublicKey(key.key_id, purpose, key.public_key, now)


def _known(session: Session) -> tuple[PublicKey, ...]:
    rows = session.exec(select(KeyRow).order_by(col(KeyRow.created_at), col(KeyRow.id)))
    return tuple(
        PublicKey(row.id, _purpose(row.purpose), row.public_key, row.created_at, row.retired_at)
        for row in rows
    )


def _purpose(text: str) -> Purpose:
    for purpose in PURPOSES:
        if purpose == text:
            return purpose
    raise KeysMissingError(
        f"the database has a key for {text!r}, which this program does not know: upgrade it"
    )


def _place(key_id: str) -> str:
    return place_of("gateway_key", key_id, "sealed")
