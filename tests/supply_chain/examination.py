"""Whether what is installed is what was locked."""

from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from typing import Final

from packaging.utils import canonicalize_name

from tests.supply_chain.lock import Package

WITHOUT_LOCK: Final = frozenset({"pip", "setuptools", "wheel", "partner-gateway"})
"""What comes with an environment, and the program itself."""


def installed_versions() -> Mapping[str, str]:
    """The packages of the environment that this runs in, by name."""
    return {canonicalize_name(one.name): one.version for one in distributions() if one.name}


def differences(packages: Sequence[Package], installed: Mapping[str, str]) -> tuple[str, ...]:
    """How the environment differs from the lock, in words; none: it does not."""
    found = []
    for one in packages:
        there = installed.get(one.name)
        if there is None and one.is_wanted():
            found.append(f"{one.name} {one.version} is in the lock and not installed: make setup")
        elif there is not None and there != one.version:
            found.append(f"{one.name} is installed as {there}, the lock says {one.version}: make setup")
    return tuple(found)


def strangers(packages: Sequence[Package], installed: Mapping[str, str]) -> tuple[str, ...]:
    """What is installed and in no lock."""
    known = {one.name for one in packages} | WITHOUT_LOCK
    return tuple(sorted(f"{name} {version}" for name, version in installed.items() if name not in known))
