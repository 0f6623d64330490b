"""No column can hold anything of an event that nobody has thought of when events are erased."""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlmodel import SQLModel

from gateway.erasing.inventory import INVENTORY, Table


@pytest.fixture(scope="module")
def columns(modules: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """Of each table of ours its columns."""
    for name in modules:
        if name.rpartition(".")[2] == "rows":
            importlib.import_module(name)
    tables = SQLModel.metadata.tables
    prefixes = ("audit_", "gateway_", "partners_", "schemas_")
    return {
        name: frozenset(table.columns.keys()) for name, table in tables.items() if name.startswith(prefixes)
    }


def test_every_column_has_a_fate_when_an_event_is_erased(columns: Mapping[str, frozenset[str]]) -> None:
    found = {name: table.columns() for name, table in INVENTORY.items()}
    assert found == columns, "say in gateway/erasing/inventory.py what becomes of it"


def test_no_column_has_two_fates() -> None:
    twice = [name for name, one in INVENTORY.items() if set(one.kept.split()) & set(one.erased.split())]
    assert twice == []
    assert [name for name, one in INVENTORY.items() if one.kept and not one.why] == []


def test_what_stays_of_an_event_is_told_to_users(root: Path) -> None:
    words = " ".join((root / "docs" / "erasure.md").read_text(encoding="utf-8").split())
    untold = [f"{name}: {one.told}" for name, one in INVENTORY.items() if one.told not in words]
    assert untold == []


def test_columns_that_can_hold_an_event_s_ref_are_told_or_erased(
    columns: Mapping[str, frozenset[str]],
) -> None:
    silent = [
        f"{name}.{column}"
        for name, some in columns.items()
        for column in some
        if re.search(r"(^|_)(ref|refs|raw|content|payload|receipt|evidence)$", column)
        and not (INVENTORY[name].told or column in INVENTORY[name].erased.split())
    ]
    assert silent == []


def test_a_column_is_found_in_either_list() -> None:
    one = Table("a b", "why", erased="c")
    assert one.columns() == {"a", "b", "c"}
