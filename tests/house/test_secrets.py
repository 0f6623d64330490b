"""What is secret, or opens a secret, is left out of every repr: a traceback may print any value."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

SECRET = re.compile(r"(^|_)(secrets?|passwords?|pepper|private_key|master_key|seed)$")


def shown_secrets(tree: ast.Module) -> Iterator[str]:
    """Fields with a secret's name that their class would print."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and makes_a_repr(node):
            for item in node.body:
                if (
                    isinstance(item, ast.AnnAssign)
                    and isinstance(item.target, ast.Name)
                    and SECRET.search(item.target.id)
                    and not is_hidden(item)
                ):
                    yield f"{node.name}.{item.target.id} (line {item.lineno})"


def makes_a_repr(node: ast.ClassDef) -> bool:
    """Whether a class is a dataclass or a model, whose repr shows its fields."""
    names = [ast.unparse(part) for part in [*node.decorator_list, *node.bases]]
    writes_its_own = any(isinstance(item, ast.FunctionDef) and item.name == "__repr__" for item in node.body)
    return not writes_its_own and any(
        re.match(r"dataclass|SQLModel|Base(Model|Settings)", name) for name in names
    )


def is_hidden(item: ast.AnnAssign) -> bool:
    """Whether a field is declared with repr=False, or its type masks itself."""
    declared = ast.unparse(item.value) if item.value else ""
    return "repr=False" in declared or "Secret" in ast.unparse(item.annotation)


def test_no_repr_shows_a_secret(trees: Mapping[Path, ast.Module]) -> None:
    assert [f"{path}: {field}" for path, tree in trees.items() for field in shown_secrets(tree)] == []


def test_a_shown_secret_is_seen() -> None:
    source = """
@dataclass(frozen=True, slots=True)
class Key:
    id: str
    secret: bytes
    master_key: bytes = field(repr=False)
class KeyRow(SQLModel, table=True):
    sealed_secret: bytes
class Settings(BaseModel):
    password: SecretStr
class Plain:
    secret: bytes
"""
    assert list(shown_secrets(ast.parse(source))) == ["Key.secret (line 5)", "KeyRow.sealed_secret (line 8)"]
