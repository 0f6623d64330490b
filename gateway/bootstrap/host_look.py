"""What the doctor sees of this host: files, disks, ports, names. Looks, and leaves everything as it is."""

import errno
import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from pathlib import Path
from threading import Thread
from typing import Final

from gateway.doctor.disk import DiskSeen
from gateway.doctor.folder import FileSeen, FolderSeen
from gateway.doctor.network import PortSeen, PortState
from gateway.units import Address

_SECONDS: Final = 2.0
_STATES: Final[dict[int, PortState]] = {
    errno.EADDRINUSE: "taken",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EADDRNOTAVAIL: "elsewhere",
}
_KEEPERS: Final = {
    "systemd-timesyncd": ("/run/systemd/timesync/synchronized",),
    "chrony": ("/run/chrony/chronyd.pid", "/run/chronyd.pid", "/var/run/chrony/chronyd.pid"),
    "ntpd": ("/run/ntpd.pid", "/var/run/ntpd.pid", "/run/ntpsec/ntpd.pid"),
}
_SECRETS: Final = ("master.key", "operator.key", "gateway.db", "broker.db", "tls/dev-key.pem")
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def look_folder(folder: Path) -> FolderSeen:
    """Look at the data folder. Raises OSError."""
    there = [folder / name for name in _SECRETS if (folder / name).exists()]
    return FolderSeen(
        folder=_look_file(folder),
        user=os.geteuid(),
        is_writable=os.access(folder, os.W_OK | os.X_OK),
        holder=_holder(folder / "lock"),
        filesystem=filesystem_of(folder),
        files=tuple(_look_file(path) for path in there),
    )


def filesystem_of(path: Path) -> str:
    """The kind of file system that a path lies on; empty where the system does not tell."""
    wanted, best, kind = str(path.resolve()), "", ""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(" - ")
        place = before.split()[4].replace("\\040", " ")
        if (wanted + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best):
            best, kind = place, after.split()[0]
    return kind


def look_disks(paths: Sequence[Path], may_take: dict[Path, int]) -> Iterator[DiskSeen]:
    """Look at the file systems that existing paths lie on, each once. Raises OSError."""
    by_device: dict[int, list[Path]] = {}
    for path in paths:
        here = next((one for one in (path, *path.parents) if one.exists()), None)
        if here is not None:
            by_device.setdefault(here.stat().st_dev, []).append(path)
    for found in by_device.values():
        here = next(one for one in (found[0], *found[0].parents) if one.exists())
        room = os.statvfs(here)
        yield DiskSeen(
            paths=", ".join(str(one) for one in found),
            free_bytes=room.f_bavail * room.f_frsize,
            inodes=room.f_favail if room.f_files else None,
            may_take=sum(may_take.get(one, 0) for one in found),
        )


def look_port(name: str, address: Address, *, tls: bool) -> PortSeen:
    """Try whether an address can be listened on, without listening; ask who is there if not."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    state: PortState = "free"
    why = ""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            state, why = _STATES.get(error.errno or 0, "failed"), error.strerror or "unknown reason"
    if state == "taken" and is_gateway(address, tls=tls):
        state = "ours"
    return PortSeen(name, str(address), address.port, state, why)


def is_gateway(address: Address, *, tls: bool) -> bool:
    """Whether a gateway answers at an address of this machine: `/livez`, or what the public side has."""
    wild = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not listened on
    host = wild.get(address.host, address.host)
    for path, member, value in (("/livez", "status", "live"), ("/errors/internal", "code", "internal")):
        answer = _get(host, address.port, path, tls=tls)
        if isinstance(answer, dict) and answer.get(member) == value:
            return True
    return False


def look_names(hosts: Sequence[str]) -> dict[str, str | None]:
    """Ask the system's resolver, each name for a few seconds at most."""
    asked = {host: _resolve(host) for host in dict.fromkeys(hosts)}
    found: dict[str, str | None] = {}
    for host, future in asked.items():
        try:
            found[host] = future.result(_SECONDS)
        except (LateError, OSError, UnicodeError):
            found[host] = None
    return found


def look_authorities() -> tuple[int, str]:
    """How many authorities HTTPS is checked by, and where they come from."""
    paths = ssl.get_default_verify_paths()
    known = ssl.create_default_context().cert_store_stats()["x509_ca"]
    folder = Path(paths.capath) if paths.capath else None
    if not known and folder is not None and folder.is_dir():
        known = sum(1 for _ in folder.iterdir())
    return known, paths.cafile or paths.capath or ""


def look_time_keepers() -> list[str]:
    """Programs that keep the clock right, by the files that they leave while they run."""
    return [name for name, files in _KEEPERS.items() if any(Path(one).exists() for one in files)]


def is_container() -> bool:
    """Whether this looks like a container, whose clock is its host's."""
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return True
    try:
        first = Path("/proc/1/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return True
    return first not in {"systemd", "init", "launchd", "openrc-init", "runit"}


def proxies(environ: Sequence[str]) -> list[str]:
    """The variables among `environ` that name a proxy."""
    return sorted(name for name in environ if name.upper() in _PROXIES)


def _look_file(path: Path) -> FileSeen:
    found = path.stat()
    return FileSeen(str(path), found.st_mode, found.st_uid)


def _holder(lock: Path) -> str:
    """Who holds the lock of a folder, as the system lists it: to try it would hold up a start."""
    try:
        inode = lock.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    for line in lines:
        words = line.split()
        if "FLOCK" in words and any(word.endswith(f":{inode}") for word in words):
            return f"process {words[words.index('WRITE') + 1]}" if "WRITE" in words else "a process"
    return ""


def _get(host: str, port: int, path: str, *, tls: bool) -> object:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # who is there is asked, and nothing of ours is told
    made = (
        http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)
        if tls
        else http.client.HTTPConnection(host, port, timeout=_SECONDS)
    )
    try:
        made.request("GET", path, headers={"Accept": "application/json"})
        return json.loads(made.getresponse().read(4_096))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        made.close()


def _resolve(host: str) -> "Future[str | None]":
    future: Future[str | None] = Future()

    def ask() -> None:
        try:
            future.set_result(str(socket.getaddrinfo(host, None)[0][4][0]))
        except (OSError, UnicodeError):
            future.set_result(None)

    # A daemon: a resolver that hangs for half a minute must not hold up the end of the program.
    Thread(target=ask, name="resolve", daemon=True).start()
    return future
