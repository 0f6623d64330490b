import pytest

from gateway.doctor.disk import DiskSeen, judge_disk
from gateway.doctor.finding import Level

GIB = 1 << 30


@pytest.mark.parametrize(
    ("free", "may_take", "level", "words"),
    [
        (20 * GIB, 10 * GIB, Level.OK, "20.0 GiB are free for /data"),
        (5 * GIB, 10 * GIB, Level.WARNING, "the embedded broker may take 10.0 GiB more"),
        (GIB // 2, 0, Level.WARNING, "512 MiB are free"),
        (99 << 20, 0, Level.FAULT, "503 storage_full"),
    ],
)
def test_room_is_judged_by_what_may_still_be_written(
    free: int, may_take: int, level: Level, words: str
) -> None:
    (found,) = judge_disk(DiskSeen("/data", free, None, may_take))
    assert found.level is level
    assert words in found.what


def test_no_inodes_is_a_fault_though_there_is_room() -> None:
    room, inodes = judge_disk(DiskSeen("/data", 20 * GIB, 7))
    assert (room.level, inodes.level) == (Level.OK, Level.FAULT)
