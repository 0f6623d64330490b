"""The file in which a monitor keeps what it knows, and the folder beside it with what alarmed it.

Written whole and at once, durable before the next look: a kill leaves the old state or the new one. One
monitor at a time has a file.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from audit.errors import MalformedError
from audit.monitor_state import STATE_BYTES, Standing, State, format_state, parse_state
from gateway.cli.errors import UsageError

_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Have the file to oneself for as long as the block lasts.

    Raises:
        UsageError: another monitor has it, or its folder cannot be written.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, _MODE)
    except OSError as error:
        raise UsageError(f"{lock} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UsageError(f"another monitor is at work with {path}") from error
    finally:
        os.close(handle)


def load(path: Path) -> State | None:
    """What is kept; None where nothing is yet.

    Raises:
        UsageError: the file cannot be read, or is not what a monitor wrote.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(STATE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return parse_state(raw)
    except MalformedError as error:
        raise UsageError(
            f"{path} is not what a monitor of this version wrote: {error}",
            hint="Restore it from a backup. Another file begins anew: what was known before is not compared.",
        ) from error


def save(path: Path, state: State) -> None:
    """Keep the state. Raises UsageError: the file cannot be written, or nobody could read it again."""
    raw = format_state(state)
    if len(raw) > STATE_BYTES:
        raise UsageError(
            f"{path} would have more than {STATE_BYTES} bytes, with {len(state.receipts)} receipts in it",
            hint="Begin another file with --state, keep this one, and give it the receipts that are new.",
        )
    try:
        _write(path, raw)
        _sync(path.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def keep_papers(path: Path, alarm: Standing, papers: Mapping[str, bytes]) -> Path:
    """Keep by what an alarm was raised, in a folder of its own; returns it. Raises as `save`."""
    folder = folder_of(path, alarm)
    about = {
        "id": alarm.id,
        "kind": alarm.kind.value,
        "text": alarm.text,
        "is_provable": alarm.is_provable,
        "raised_at": alarm.raised_at,
        "papers": sorted(papers),
    }
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        for name, raw in papers.items():
            _write(folder / name, raw)
        _write(folder / "alarm.json", json.dumps(about, ensure_ascii=False, indent=1).encode() + b"\n")
        _sync(folder)
        _sync(folder.parent)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error
    return folder


def folder_of(path: Path, alarm: Standing) -> Path:
    """Where the papers of an alarm are."""
    return path.with_name(f"{path.name}.alarms") / f"{alarm.id:04}-{alarm.kind.value}"


def _write(path: Path, raw: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, _MODE)
        file.write(raw)
        file.flush()
        os.fsync(handle)
    draft.replace(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
