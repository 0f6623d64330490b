"""What a vault seals is known to the re-wrap of the master key: nothing is left behind under an old one."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlmodel import SQLModel

from gateway.sealing.rewrap import SEALED

# Each call that seals, by module, and the column that its bytes go to. A new one is a new line here, and has
# an entry in `gateway.sealing.rewrap.SEALED`, unless its column is there already.
SEALS = {
    "gateway/keys.py": "gateway_key.sealed",
    "gateway/sealing/pepper.py": "gateway_secret.sealed",
    "gateway/sealing/rewrap.py": "",  # seals anew what is in any of them
    "partners/endpoint_changes.py": "partners_endpoint.sealed_keys partners_endpoint_access.sealed",
    "partners/minting.py": "partners_credential.secret",
    "partners/onboarding.py": "partners_endpoint.sealed_keys",
}


def seals(tree: ast.Module) -> Iterator[int]:
    """Lines in which something is sealed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "seal":
            yield node.lineno


def test_every_place_that_seals_is_known(trees: Mapping[Path, ast.Module]) -> None:
    found = {str(path) for path, tree in trees.items() if list(seals(tree))}
    assert found == set(SEALS)


def test_every_column_of_sealed_bytes_is_sealed_anew() -> None:
    assert {column for columns in SEALS.values() for column in columns.split()} == set(SEALED)
    for name in SEALED:
        table, _, column = name.partition(".")
        assert column in SQLModel.metadata.tables[table].columns


def test_columns_that_are_named_so_are_in_the_list() -> None:
    named = {
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
        if column.name.startswith("sealed")
    }
    assert named <= set(SEALED)


def test_a_call_that_seals_is_seen() -> None:
    assert list(seals(ast.parse("vault.seal(secret, place)\nseal_cursor(key)\n"))) == [1]
