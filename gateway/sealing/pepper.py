"""The pepper of API keys, kept sealed: it outlives the version of the master key that it was derived from."""

from typing import Final

from sqlmodel import Session

from audit.bulk import insert_new_rows
from gateway.sealing.rows import SecretRow
from gateway.vault import Vault, place_of

NAME: Final = "api-key-pepper"


def load_pepper(session: Session, vault: Vault) -> bytes:
    """The key for digests of API keys; derived, where a program of before has not kept it.

    Raises:
        SealError: it does not open, or was never kept and version 1 of the master key is gone.
    """
    row = session.get(SecretRow, NAME)
    return vault.pepper() if row is None else vault.open(row.sealed, secret_place(NAME))


def keep_pepper(session: Session, vault: Vault) -> None:
    """Keep it, unless it is kept.

    Raises:
        SealError: it was never kept, and version 1 of the master key is gone.
    """
    if session.get(SecretRow, NAME) is None:
        sealed = vault.seal(vault.pepper(), secret_place(NAME))
        insert_new_rows(session, SecretRow, [{"name": NAME, "sealed": sealed}])


def secret_place(name: str) -> str:
    """The place of a secret of the gateway's own: what it is sealed for."""
    return place_of("gateway_secret", name, "sealed")
