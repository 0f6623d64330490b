"""Tables stand alone in rows.py, carry their package's prefix and reach into no other package."""

import ast
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, MetaData, Table
from sqlmodel import SQLModel

# Columns that hold Unix milliseconds or offsets: 32 bits end in 1970 and after 2^31 records.
WIDE = ("at", "until", "offset")


def tables_in(tree: ast.Module) -> Iterator[ast.ClassDef]:
    """Classes made with table=True."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(keyword.arg == "table" for keyword in node.keywords):
            yield node


def faults(metadata: MetaData, packages: Mapping[str, str]) -> list[str]:
    """What is wrong with our tables; `packages` maps a table's name to the package that defines it."""
    found = []
    for table in (metadata.tables[name] for name in sorted(packages)):
        prefix = f"{packages[table.name]}_"
        if not table.name.startswith(prefix):
            found.append(f"{table.name}: must start with {prefix}")
        found += [
            f"{table.name}.{key.parent.name}: foreign key into {key.target_fullname}"
            for key in table.foreign_keys
            if not key.target_fullname.startswith(prefix)
        ]
        found += [
            f"{table.name}.{column.name}: must be BigInteger"
            for column in table.columns
            if column.name.rsplit("_", 1)[-1] in WIDE
            and isinstance(column.type, Integer)
            and not isinstance(column.type, BigInteger)
        ]
    return found


@pytest.fixture(scope="module")
def owners(modules: tuple[str, ...]) -> Mapping[str, str]:
    """Table name to the package whose rows.py defines it."""
    found = {}
    for name in modules:
        if name.rpartition(".")[2] == "rows":
            module = importlib.import_module(name)
            for row in vars(module).values():
                if isinstance(row, type) and issubclass(row, SQLModel) and row.__module__ == name:
                    found[str(row.__tablename__)] = name.partition(".")[0]
    return found


def test_tables_are_prefixed_wide_enough_and_within_their_package(owners: Mapping[str, str]) -> None:
    assert owners
    assert faults(SQLModel.metadata, owners) == []


def test_tables_stand_only_in_rows(trees: Mapping[Path, ast.Module]) -> None:
    strays = [
        f"{path}: {row.name}"
        for path, tree in trees.items()
        for row in tables_in(tree)
        if path.name != "rows.py"
    ]
    assert strays == []


def test_tables_are_named_as_rows(trees: Mapping[Path, ast.Module]) -> None:
    rows = [row.name for tree in trees.values() for row in tables_in(tree)]
    assert rows
    assert [name for name in rows if not name.endswith("Row")] == []


def test_rows_hold_nothing_but_rows(trees: Mapping[Path, ast.Module]) -> None:
    strays = [
        f"{path}: {node.name}"
        for path, tree in trees.items()
        if path.name == "rows.py"
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.ClassDef) and node not in set(tables_in(tree)))
    ]
    assert strays == []


def test_each_kind_of_fault_is_seen() -> None:
    metadata = MetaData()
    Table("audit_entry", metadata, Column("id", Integer, primary_key=True), Column("raw", LargeBinary))
    Table(
        "claim",
        metadata,
        Column("seen_at", Integer),
        Column("kept_at", BigInteger),
        Column("entry", ForeignKey("audit_entry.id")),
    )
    assert faults(metadata, {"audit_entry": "audit", "claim": "gateway"}) == [
        "claim: must start with gateway_",
        "claim.entry: foreign key into audit_entry.id",
        "claim.seen_at: must be BigInteger",
    ]
