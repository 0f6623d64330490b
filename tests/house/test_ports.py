"""Every adapter of a port is run by the port's contract suite, so that none of them can promise less."""

import ast
import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest

# Port, and the suite under tests/contract that every class of its shape must appear in.
PORTS = {
    "gateway.broker.port.Broker": "broker",
    "audit.note.Signer": "signer",
}


def members(port: str) -> frozenset[str]:
    """Names of what a port asks for."""
    module, _, name = port.rpartition(".")
    protocol = getattr(importlib.import_module(module), name)
    return frozenset(member for member in vars(protocol) if not member.startswith("_"))


def has(node: ast.ClassDef) -> set[str]:
    """What an object of the class has: methods, declared fields, what its methods set on self."""
    found = set()
    for item in ast.walk(node):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(item.name)
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            found.add(item.target.id)
        elif isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store):
            found.add(item.attr)
    return found


def is_protocol(node: ast.ClassDef) -> bool:
    """Whether a class only says what others must have."""
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def adapters(wanted: frozenset[str], trees: Mapping[Path, ast.Module]) -> set[str]:
    """Classes that have everything a port asks for, and those made of them; the port itself left out."""
    classes = [
        node
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not is_protocol(node)
    ]
    found = {node.name for node in classes if wanted <= has(node)}
    heirs = {
        node.name
        for node in classes
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in found
    }
    return found | heirs


@pytest.mark.parametrize(("port", "subject"), PORTS.items())
def test_every_adapter_of_a_port_is_in_its_contract_suite(
    port: str, subject: str, trees: Mapping[Path, ast.Module], test_sources: Mapping[Path, str]
) -> None:
    suite = "".join(
        text
        for path, text in test_sources.items()
        if path.parts[:2] == ("tests", "contract") and (subject in path.name or path.name == "conftest.py")
    )
    found = adapters(members(port), trees)
    assert found
    assert {name for name in found if name not in suite} == set()


def test_an_adapter_is_known_by_its_shape() -> None:
    source = """
class Port(Protocol):
    def send(self): ...
class Fits:
    limit: int
    async def send(self): ...
class Sets:
    def __init__(self):
        self.limit = 1
    def send(self): ...
class Lacks:
    limit: int
class Heir(Fits):
    limit = 2
"""
    found = adapters(frozenset({"send", "limit"}), {Path("a.py"): ast.parse(source)})
    assert found == {"Fits", "Sets", "Heir"}
