"""The lock as values: each package with its exact version, the digests of its files, and who asked for it."""

import re
from dataclasses import dataclass
from typing import Final

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_COMMENT: Final = re.compile(r"^#.*\n", re.MULTILINE)
_PIN: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?"
    r"==(?P<version>[\w.!+-]+)(?: ; (?P<marker>[^\\\n]+))?"
)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")
_VIA: Final = re.compile(r"^    # (?:via|  ) *([A-Za-z0-9][\w.\[\],-]*)", re.MULTILINE)


class LockError(Exception):
    """An entry of a lock is no exact pin with digests; says which."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package of a lock. `marker`: on which machines; None: on all. `wanted_by`: names, sorted."""

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    wanted_by: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version.replace('!', '%21').replace('+', '%2B')}"

    def is_wanted(self, **environment: str) -> bool:
        """Whether it is to be installed on this machine, or on one of another environment."""
        return self.marker is None or Marker(self.marker).evaluate(dict(environment))


def read_lock(text: str) -> tuple[Package, ...]:
    """Read a requirements file with digests, in its own order.

    Raises:
        LockError: an entry is no exact pin, has no digest, or stands twice.
    """
    found: dict[str, Package] = {}
    for entry in re.split(r"\n(?=[^\s#])", _COMMENT.sub("", text).strip()):
        if not entry.strip():
            continue
        one = _read(entry)
        if one.name in found:
            raise LockError(f"{one.name} stands twice: make the lock anew with make lock")
        found[one.name] = one
    return tuple(found.values())


def _read(entry: str) -> Package:
    pin = _PIN.match(entry)
    first = entry.splitlines()[0][:80]
    if pin is None or _rest(entry, pin.end()).strip("\\ ") != "":
        raise LockError(f"{first}: no exact pin, name==version")
    hashes = tuple(sorted(_HASH.findall(entry)))
    if not hashes:
        raise LockError(f"{first}: no --hash=sha256, so that anybody's file would do")
    marker = pin["marker"].strip() if pin["marker"] else None
    try:
        Version(pin["version"])
        if marker is not None:
            Marker(marker)
    except (InvalidVersion, InvalidMarker) as error:
        raise LockError(f"{first}: {error}") from error
    names = {canonicalize_name(one.partition("[")[0]) for one in _VIA.findall(entry)}
    return Package(canonicalize_name(pin["name"]), pin["version"], marker, hashes, tuple(sorted(names)))


def _rest(entry: str, at: int) -> str:
    """What stands behind the pin on its line."""
    return entry[at:].partition("\n")[0]
