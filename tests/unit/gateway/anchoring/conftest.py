"""A ledger on each kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.database import Database
from tests.unit.gateway.anchoring.ledgers import Ledger


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    database = Database(database_url)
    yield Ledger(database)
    database.close()


@pytest.fixture
def fork(tmp_path: Path, migrated_file: Path) -> Iterator[Ledger]:
    """Another database, whose entropy is another."""
    (tmp_path / "fork.db").write_bytes(migrated_file.read_bytes())
    database = Database(f"sqlite:///{tmp_path}/fork.db")
    yield Ledger(database, taken=1_000)
    database.close()
