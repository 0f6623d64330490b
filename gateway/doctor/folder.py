"""The data folder and the files in it: whose they are, who may read them."""

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Area, Finding

FOLDER: Final = Area("folder")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs"}
)


@dataclass(frozen=True, slots=True)
class FileSeen:
    """One file or folder: its path, its mode, who owns it."""

    path: str
    mode: int
    owner: int


@dataclass(frozen=True, slots=True)
class FolderSeen:
    """The data folder as it was found. `holder`: the process that holds its lock, where one does.

    `filesystem`: its kind, empty where unknown. `files`: what is in it, secrets first.
    """

    folder: FileSeen
    user: int
    is_writable: bool
    holder: str
    filesystem: str
    files: Sequence[FileSeen] = ()


def judge_missing(path: str) -> Finding:
    """Judge a folder that is not there."""
    return FOLDER.warning(
        f"there is no data folder {path}: not set up yet",
        "run `gateway init` (or `gateway up`), or say --data",
    )


def judge_folder(seen: FolderSeen) -> Iterator[Finding]:
    """Judge a folder that is there."""
    path = seen.folder.path
    open_ones = [one for one in (seen.folder, *seen.files) if stat.S_IMODE(one.mode) & _OTHERS]
    strangers = [one for one in (seen.folder, *seen.files) if one.owner != seen.user]
    for one in open_ones:
        yield FOLDER.warning(f"{one.path} is open to others (mode {stat.S_IMODE(one.mode):04o})", _close(one))
    for one in strangers:
        yield FOLDER.warning(
            f"{one.path} belongs to user {one.owner}, and this is user {seen.user}",
            "run the doctor, and the gateway, as the user who owns it",
        )
    if not seen.is_writable:
        yield FOLDER.fault(f"{path} cannot be written", "give this user the right, or say --data")
    elif not (open_ones or strangers):
        yield FOLDER.ok(f"{path} is this user's alone, and can be written")
    if is_network(seen.filesystem):
        yield FOLDER.warning(
            f"{path} is on a network file system ({seen.filesystem}): SQLite and locks may fail there",
            "put the data folder on a local disk",
        )
    if seen.holder:
        yield FOLDER.ok(f"a running gateway holds it ({seen.holder})")


def is_network(filesystem: str) -> bool:
    """Whether a kind of file system lives on another machine."""
    return filesystem in _NETWORK


def _close(one: FileSeen) -> str:
    return f"chmod {'700' if stat.S_ISDIR(one.mode) else '600'} {one.path}"
