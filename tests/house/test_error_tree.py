"""Every error of ours ends in Error, descends from its package's root, and owns its stable code."""

import importlib
import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import pytest

CODE = re.compile(r"[a-z]+(_[a-z0-9]+)*")
PACKAGES = ("audit", "gateway", "partners", "schemas")
# A port is used by adapters that know nothing else of the gateway, so it brings its own family.
PORT_ROOTS = {"gateway.broker.port.BrokerError"}


def own_errors(names: Iterable[str]) -> Iterator[type[BaseException]]:
    """The exception classes that the modules define."""
    for name in names:
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == name:
                yield value


def shared_codes(errors: Iterable[type[BaseException]]) -> list[str]:
    """Codes that two classes of one package spell out, a class that inherits its parent's not counted."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for error in errors:
        code = vars(error).get("code")
        if isinstance(code, str):
            owners[error.__module__.partition(".")[0], code].append(error.__qualname__)
    return [
        f"{package}: {code}: {', '.join(names)}"
        for (package, code), names in owners.items()
        if len(names) > 1
    ]


@pytest.fixture(scope="module")
def errors(modules: tuple[str, ...]) -> tuple[type[BaseException], ...]:
    return tuple(own_errors(modules))


def test_errors_are_named_as_errors(errors: tuple[type[BaseException], ...]) -> None:
    assert errors
    assert [error.__qualname__ for error in errors if not error.__name__.endswith("Error")] == []


def roots(errors: Sequence[type[BaseException]], package: str) -> list[str]:
    """The package's errors that descend from none of it; private ones never leave their module."""
    ours = [error for error in errors if error.__module__.partition(".")[0] == package]
    return [
        f"{error.__module__}.{error.__qualname__}"
        for error in ours
        if not error.__name__.startswith("_") and not any(base in ours for base in error.__mro__[1:])
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_one_root_that_its_errors_descend_from(
    package: str, errors: tuple[type[BaseException], ...]
) -> None:
    found = [name for name in roots(errors, package) if name not in PORT_ROOTS]
    assert len(found) == 1
    # Its module draws the tree; a verifier may load less of it than all.
    drawn = vars(importlib.import_module(f"{package}.errors"))
    assert found[0].rpartition(".")[2] in drawn


def test_a_second_root_is_seen() -> None:
    first = type("AuditError", (Exception,), {"__module__": "audit.errors"})
    heir = type("HeirError", (first,), {"__module__": "audit.log"})
    private = type("_HookError", (OSError,), {"__module__": "audit.log"})
    stray = type("StrayError", (ValueError,), {"__module__": "audit.log"})
    assert roots([first, heir, private, stray], "audit") == [
        "audit.errors.AuditError",
        "audit.log.StrayError",
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_is_drawn_where_it_is_defined(package: str, errors: tuple[type[BaseException], ...]) -> None:
    drawing = inspect.getdoc(importlib.import_module(f"{package}.errors")) or ""
    ours = [error.__name__ for error in errors if error.__module__ == f"{package}.errors"]
    assert [name for name in ours if not re.search(rf"\b{name}\b", drawing)] == []


def test_codes_are_stable_words(errors: tuple[type[BaseException], ...]) -> None:
    codes = [code for error in errors if isinstance(code := vars(error).get("code"), str)]
    assert codes
    assert [code for code in codes if not CODE.fullmatch(code)] == []


def test_no_two_errors_of_a_package_share_a_code(errors: tuple[type[BaseException], ...]) -> None:
    assert shared_codes(errors) == []


def test_a_shared_code_is_seen() -> None:
    first = type("FirstError", (Exception,), {"code": "lost", "__module__": "audit.errors"})
    heir = type("HeirError", (first,), {"__module__": "audit.errors"})
    second = type("SecondError", (Exception,), {"code": "lost", "__module__": "audit.log"})
    elsewhere = type("ElsewhereError", (Exception,), {"code": "lost", "__module__": "gateway.errors"})
    assert shared_codes([first, heir, second, elsewhere]) == ["audit: lost: FirstError, SecondError"]
