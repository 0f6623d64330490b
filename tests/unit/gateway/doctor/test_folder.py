from dataclasses import replace

from gateway.doctor.finding import Finding, Level
from gateway.doctor.folder import FileSeen, FolderSeen, is_network, judge_folder, judge_missing

GOOD = FolderSeen(
    FileSeen("/d", 0o040700, 7), 7, is_writable=True, holder="", filesystem="ext4",
    files=(FileSeen("/d/master.key", 0o100600, 7),),
)  # fmt: skip


def found(seen: FolderSeen) -> list[Finding]:
    return list(judge_folder(seen))


def test_a_folder_of_ones_own_is_good() -> None:
    (one,) = found(GOOD)
    assert one.level is Level.OK


def test_what_others_may_read_is_named_with_the_command_that_closes_it() -> None:
    seen = replace(GOOD, folder=FileSeen("/d", 0o040755, 7), files=(FileSeen("/d/gateway.db", 0o100640, 7),))
    assert {one.mend for one in found(seen)} == {"chmod 700 /d", "chmod 600 /d/gateway.db"}
    assert {one.level for one in found(seen)} == {Level.WARNING}


def test_another_users_files_are_told_apart() -> None:
    (one,) = [each for each in found(replace(GOOD, user=0)) if each.what.startswith("/d belongs")]
    assert "belongs to user 7, and this is user 0" in one.what


def test_a_folder_that_cannot_be_written_is_a_fault() -> None:
    (one,) = found(replace(GOOD, is_writable=False))
    assert one.level is Level.FAULT


def test_a_running_gateway_is_no_trouble() -> None:
    _, holder = found(replace(GOOD, holder="process 12"))
    assert (holder.level, "process 12" in holder.what) == (Level.OK, True)


def test_a_network_file_system_is_a_warning() -> None:
    assert found(replace(GOOD, filesystem="nfs4"))[-1].level is Level.WARNING
    assert not is_network("ext4")


def test_a_folder_that_is_not_there_is_not_set_up_yet() -> None:
    assert "gateway init" in judge_missing("/d").mend
