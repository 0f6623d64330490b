"""What processes cost, read from /proc: CPU seconds and the highest resident memory. Linux only."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")
_RESET_PEAK: Final = "5"
CORES: Final = os.cpu_count() or 1


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU that these processes and their children have used so far; those that have ended count as none."""
    wanted = set(pids)
    parents = dict(_parents())
    total = 0.0
    for pid in wanted | {child for child in parents if _has_ancestor(child, wanted, parents)}:
        fields = _stat(pid)
        if fields:
            # A child that was waited for counts with its parent.
            total += sum(int(field) for field in fields[11:15]) / _TICKS
    return total


def machine_seconds() -> float:
    """CPU that the whole machine has used so far, all cores together."""
    fields = [int(field) for field in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _wait, irq, soft, _steal = fields
    return (user + nice + system + irq + soft) / _TICKS


def stolen_seconds() -> float:
    """CPU that the host took from this virtual machine so far."""
    return int((_PROC / "stat").read_text().split("\n", 1)[0].split()[8]) / _TICKS


def reset_peak(pids: Iterable[int]) -> None:
    """Begin anew with the highest resident memory."""
    for pid in pids:
        (_PROC / str(pid) / "clear_refs").write_text(_RESET_PEAK)


def peak_bytes(pids: Iterable[int]) -> int:
    """The highest resident memory since the last reset, all processes together."""
    total = 0
    for pid in pids:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
        total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    return total


def resident_bytes(pids: Iterable[int]) -> int:
    """The resident memory now, all processes together."""
    total = 0
    for pid in pids:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
        total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    return total


def child_with(word: str) -> int:
    """The process of ours with this word in its command line.

    Raises:
        LookupError: there is none.
    """
    for pid, parent in _parents():
        if parent == os.getpid() and word.encode() in (_PROC / str(pid) / "cmdline").read_bytes():
            return pid
    raise LookupError(f"no child process has {word} in its command line")


def _stat(pid: int) -> list[str]:
    """The fields behind the name of the program, from the state on; empty where there is no such process."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _parents() -> Iterable[tuple[int, int]]:
    for path in _PROC.iterdir():
        if path.name.isdigit():
            fields = _stat(int(path.name))
            if fields:
                yield int(path.name), int(fields[1])


def _has_ancestor(pid: int, wanted: set[int], parents: dict[int, int]) -> bool:
    seen = parents.get(pid, 0)
    while seen:
        if seen in wanted:
            return True
        seen = parents.get(seen, 0)
    return False
