"""Seal everything anew under the newest version of the master key, while the gateway runs.

Small transactions; what is sealed under the newest version stays as it is, so that the work can be broken off
and begun again anywhere. Signing keys come first: every process looks at them each second, meets the new
version there, reads its key file again and seals under that version from then on. What was sealed under the
old one before that is found by the next pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import update
from sqlmodel import Session, col, select

from gateway.database import Database
from gateway.keys import key_place
from gateway.rows import KeyRow
from gateway.sealing.pepper import NAME as PEPPER
from gateway.sealing.pepper import keep_pepper, secret_place
from gateway.sealing.rows import SecretRow
from gateway.vault import Vault, version_of
from partners.resealing import Renew, Resealed, reseal_accesses, reseal_credentials, reseal_endpoints
from partners.store import lock

AT_ONCE: Final = 100
"""Rows of one transaction: some 10 ms, for which other changes of partners wait."""


class Work(Protocol):
    """Seals some rows of one column anew, from the one behind `after` on."""

    def __call__(self, session: Session, renew: Renew, *, after: str, limit: int) -> Resealed:
        """Do it in the caller's transaction."""
        ...


def _keys(session: Session, renew: Renew, *, after: str, limit: int) -> Resealed:
    lock(session)
    key = col(KeyRow.id)
    rows = session.exec(select(KeyRow).where(key > after).order_by(key).limit(limit)).all()
    count = 0
    for row in rows:
        renewed = renew(row.sealed, key_place(row.id)) if row.sealed else None
        if renewed is not None:
            session.execute(update(KeyRow).where(key == row.id).values(sealed=renewed))
            count += 1
    return Resealed(count, rows[-1].id if len(rows) == limit else None)


def _secrets(session: Session, renew: Renew, *, after: str, limit: int) -> Resealed:
    lock(session)
    key = col(SecretRow.name)
    rows = session.exec(select(SecretRow).where(key > after).order_by(key).limit(limit)).all()
    count = 0
    for row in rows:
        renewed = renew(row.sealed, secret_place(row.name))
        if renewed is not None:
            session.execute(update(SecretRow).where(key == row.name).values(sealed=renewed))
            count += 1
    return Resealed(count, rows[-1].name if len(rows) == limit else None)


SEALED: Final[Mapping[str, Work]] = {
    "gateway_key.sealed": _keys,
    "gateway_secret.sealed": _secrets,
    "partners_endpoint.sealed_keys": reseal_endpoints,
    "partners_endpoint_access.sealed": reseal_accesses,
    "partners_credential.secret": reseal_credentials,
}
"""Every column that holds what a vault has sealed, and who seals it anew. A house test keeps it complete."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over everything: how many values were sealed anew, or would be, by column."""

    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def rewrap(
    database: Database,
    vault: Vault,
    told: Callable[[str, int], None] = lambda *_: None,
    *,
    at_once: int = AT_ONCE,
) -> Pass:
    """Seal everything anew that is under an older version.

    `told`: gets column and count, after each piece. `at_once`: rows of a transaction.

    Raises:
        StoreError: the database is away; begin again.
        SealError: something does not open under any version; everything before it is done.
    """
    with database.begin() as session:
        keep_pepper(session, vault)

    def renew(sealed: bytes, place: str) -> bytes | None:
        return None if version_of(sealed) == vault.newest else vault.seal(vault.open(sealed, place), place)

    counts: dict[str, int] = {}
    for column, work in SEALED.items():
        counts[column] = 0
        after: str | None = ""
        while after is not None:
            with database.begin() as session:
                done = work(session, renew, after=after, limit=at_once)
            after = done.last
            counts[column] += done.count
            told(column, done.count)
    return Pass(counts)


def count_old(database: Database, vault: Vault) -> Pass:
    """How much is sealed under an older version than the newest; nothing is changed."""
    found: dict[str, int] = {}
    for column, work in SEALED.items():
        count = 0

        def renew(sealed: bytes, _place: str) -> None:
            nonlocal count
            count += version_of(sealed) != vault.newest

        after: str | None = ""
        while after is not None:
            with database.begin() as session:
                after = work(session, renew, after=after, limit=AT_ONCE).last
        found[column] = count
    with database.begin() as session:
        # Without it, version 1 has to stay.
        found["gateway_secret.sealed"] += int(session.get(SecretRow, PEPPER) is None)
    return Pass(found)
