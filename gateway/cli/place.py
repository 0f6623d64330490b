"""Which gateway a command speaks to, and with which key: flags, environment, login, the data folder here.

A key goes only to the address that it belongs to, and never in clear beyond this machine.
"""

import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.cli.errors import UsageError

DEFAULT_URL: Final = "http://127.0.0.1:8080"
DEFAULT_FOLDER: Final = "gateway-data"
ADDRESS: Final = "address"
OPERATOR_KEY: Final = "operator.key"
_SETTINGS: Final = "gateway.toml"
_LOGIN: Final = "login.json"
_MAX_KEY_BYTES: Final = 4_096
_KEY_START: Final = "gw_"
_OTHERS: Final = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says; empty: nothing. `key` and `cacert` are paths of files."""

    url: str = ""
    key: str = ""
    cacert: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway to speak to. `key` empty: none was found. `warnings`: for people, beside the result."""

    url: str
    key: str = field(default="", repr=False)
    cacert: Path | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """An address with the key that belongs to it: in a file of its own, or here."""

    url: str
    key_file: Path | None
    cacert: Path | None
    key: str = field(default="", repr=False)


def find_place(wanted: Wanted, environ: Mapping[str, str]) -> Place:
    """Find address, key and certificate authority.

    Steps: 1. the address: flag, GATEWAY_URL, login, data folder, default; 2. the key: flag, GATEWAY_KEY,
    GATEWAY_KEY_FILE, else the one that belongs to this address; 3. the authority alike; 4. no key in clear
    beyond loopback.

    Raises:
        UsageError: a file cannot be read, the address is none, or a key would go in clear over a network.
    """
    here, there = _beside(wanted, environ), load_login(environ)
    known = [one for one in ((here, there) if wanted.folder else (there, here)) if one is not None]
    # 1.
    named = wanted.url or environ.get("GATEWAY_URL", "")
    url = check_url(named or (known[0].url if known else DEFAULT_URL))
    # 2. A key found by itself is not sent to whatever address a flag or a variable names.
    own = next((one for one in known if check_url(one.url) == url), None)
    warnings: list[str] = []
    key = _given_key(wanted, environ, warnings)
    if not key and own is not None:
        key = own.key if own.key_file is None else read_key(own.key_file, warnings)
    # 3.
    cacert = wanted.cacert or environ.get("GATEWAY_CACERT", "")
    authority = Path(cacert) if cacert else (own.cacert if own is not None else None)
    # 4.
    if key and not is_private(url):
        raise UsageError(f"the key would go to {url} in clear: use https://")
    return Place(url, key, authority, tuple(warnings))


def check_url(text: str) -> str:
    """The address without a path.

    Raises:
        UsageError: it is no http or https URL.
    """
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is no URL") from error
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        raise UsageError(f"{text!r} is no address of a gateway: write a URL such as {DEFAULT_URL}")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def is_private(url: str) -> bool:
    """Whether what is sent there stays unread: TLS, or this machine's own loopback."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def read_key(path: Path, warnings: list[str]) -> str:
    """The key in a file, without its line break.

    Raises:
        UsageError: the file cannot be read, or holds no key.
    """
    try:
        with path.open("rb") as file:
            mode, raw = os.fstat(file.fileno()).st_mode, file.read(_MAX_KEY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the key file {path} cannot be read: {error.strerror}") from error
    # What is longer was not read to its end.
    text = raw.decode("ascii", "replace").strip() if len(raw) <= _MAX_KEY_BYTES else ""
    _verify_key(text, f"the key file {path}")
    if mode & _OTHERS:
        warnings.append(f"warning: others can read {path}: chmod 600 {path}")
    return text


def _verify_key(text: str, where: str) -> str:
    is_key = 0 < len(text) <= _MAX_KEY_BYTES and text.isascii() and text.isprintable() and " " not in text
    if not is_key:
        raise UsageError(f"{where} holds no key")
    return text


def load_login(environ: Mapping[str, str]) -> _Known | None:
    """What `gateway login` kept; None where nobody logged in.

    Raises:
        UsageError: the file is not one of ours.
    """
    path = _login_path(environ)
    return None if path is None else _read_known(path, path.parent)


@dataclass(frozen=True, slots=True)
class Login:
    """What `gateway login` keeps. `key_file`: where the key lies; None: it is kept itself."""

    url: str
    cacert: Path | None
    key_file: Path | None = None
    key: str = field(default="", repr=False)


def save_login(environ: Mapping[str, str], login: Login) -> Path:
    """Keep a login, for this user alone; returns where.

    Raises:
        UsageError: there is no home folder, or it cannot be written.
    """
    path = _login_path(environ)
    if path is None:
        raise UsageError("there is no home folder to keep the login in: set HOME or XDG_CONFIG_HOME")
    kept = {
        "url": login.url,
        **({"key": login.key} if login.key_file is None else {"key_file": str(login.key_file)}),
        "cacert": None if login.cacert is None else str(login.cacert),
    }
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put_secret(path, json.dumps(kept, indent=1) + "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return path


def forget_login(environ: Mapping[str, str]) -> Path | None:
    """Forget what `gateway login` kept; where it was, or None where nobody had logged in.

    Raises:
        UsageError: it cannot be removed.
    """
    path = _login_path(environ)
    if path is None or not path.exists():
        return None
    try:
        for each in (path, *path.parent.glob(f"{_LOGIN}.*")):  # drafts too, of logins that were killed
            each.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be removed: {error.strerror}") from error
    return path


def write_secret(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, whatever its rights were before. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, 0o600)
        file.write(text)


def _put_secret(path: Path, text: str) -> None:
    """As `write_secret`, in one step: whoever reads, or a kill, finds the old file or the new one whole."""
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        write_secret(draft, text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _given_key(wanted: Wanted, environ: Mapping[str, str], warnings: list[str]) -> str:
    if wanted.key.startswith(_KEY_START) and not Path(wanted.key).exists():
        raise UsageError(
            "--key takes the path of a file, not the key itself: other users can read a command line",
            hint="Put the key into a file of mode 0600, or into the variable GATEWAY_KEY.",
        )
    if wanted.key:
        return read_key(Path(wanted.key), warnings)
    if environ.get("GATEWAY_KEY"):
        return _verify_key(environ["GATEWAY_KEY"].strip(), "the variable GATEWAY_KEY")
    if environ.get("GATEWAY_KEY_FILE"):
        return read_key(Path(environ["GATEWAY_KEY_FILE"]), warnings)
    return ""


def _beside(wanted: Wanted, environ: Mapping[str, str]) -> _Known | None:
    """The gateway whose data folder is at hand."""
    folder = Path(wanted.folder or environ.get("GATEWAY_DATA") or _said_folder(environ) or DEFAULT_FOLDER)
    found = _read_known(folder / ADDRESS, folder)
    key = folder / OPERATOR_KEY
    key_file = key if key.is_file() else None
    if found is not None:
        return _Known(found.url, key_file, found.cacert)
    return None if key_file is None else _Known(DEFAULT_URL, key_file, None)


def _said_folder(environ: Mapping[str, str]) -> str:
    """`data` of the settings' file; empty: it says none. What else is in there, a client does not judge."""
    path = Path(environ.get("GATEWAY_CONFIG") or _SETTINGS)
    try:
        folder = tomllib.loads(path.read_text(encoding="utf-8")).get("data")
    except (OSError, ValueError):
        return ""
    return folder if isinstance(folder, str) else ""


def _read_known(path: Path, folder: Path) -> _Known | None:
    try:
        members = json.loads(path.read_bytes())
        url, key_file, cacert = members["url"], members.get("key_file"), members.get("cacert")
        key = members.get("key", "")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not what the gateway wrote: remove it") from error
    # A relative path is meant from the folder of the file that names it.
    return _Known(
        str(url),
        folder / str(key_file) if key_file else None,
        _authority(folder, str(cacert)) if cacert else None,
        str(key),
    )


def _authority(folder: Path, text: str) -> Path:
    path = Path(text)
    return path if path.exists() else folder / path.name


def _login_path(environ: Mapping[str, str]) -> Path | None:
    if environ.get("XDG_CONFIG_HOME"):
        return Path(environ["XDG_CONFIG_HOME"]) / "gateway" / _LOGIN
    return Path(environ["HOME"]) / ".config" / "gateway" / _LOGIN if environ.get("HOME") else None
