"""Room on disks, against what may still be written."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Area, Finding

DISK: Final = Area("disk")
FAULT_BYTES: Final = 100 << 20
WARN_BYTES: Final = 1 << 30
FAULT_INODES: Final = 100


@dataclass(frozen=True, slots=True)
class DiskSeen:
    """Where `paths` lie, in words. `inodes`: free ones; None where the file system counts none.

    `may_take`: bytes that the embedded broker may still write there.
    """

    paths: str
    free_bytes: int
    inodes: int | None
    may_take: int = 0


def judge_disk(seen: DiskSeen) -> Iterator[Finding]:
    """Judge the free room of one file system."""
    free = _size(seen.free_bytes)
    if seen.free_bytes < FAULT_BYTES:
        yield DISK.fault(f"{free} are free for {seen.paths}: events get 503 storage_full soon", "free some")
    elif seen.free_bytes < WARN_BYTES:
        yield DISK.warning(f"{free} are free for {seen.paths}", "free some before it is full")
    elif seen.free_bytes < seen.may_take:
        yield DISK.warning(
            f"{free} are free for {seen.paths}, and the embedded broker may take {_size(seen.may_take)} more",
            "lower broker.embedded_bytes or broker.retention, or give it a larger disk",
        )
    else:
        yield DISK.ok(f"{free} are free for {seen.paths}")
    if seen.inodes is not None and seen.inodes < FAULT_INODES:
        yield DISK.fault(f"{seen.inodes} inodes are free for {seen.paths}", "delete small files there")


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count >> 20} MiB"
