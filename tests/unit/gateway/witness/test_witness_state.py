"""A witness's memory: compared and stored in one step, whoever comes at once and whoever dies."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from audit.checkpoint import Checkpoint, read_checkpoint
from audit.cosignature import cosign
from audit.errors import MalformedError
from audit.note import format_line
from audit.witness import Fault, Refused, Submission, read_submission
from gateway.errors import SetupError, StoreError
from gateway.witness.state import State, open_state
from tests.unit.audit.builders import ORIGIN
from tests.unit.gateway.witness.submissions import COSIGNER, FORGED, HONEST, LOGS, submission


def sent(old: int, size: int, leaves: list[bytes] = HONEST) -> Submission:
    read = read_submission(submission(old, size, leaves), LOGS)
    assert isinstance(read, Submission)
    return read


def sign(checkpoint: Checkpoint) -> str:
    return cosign(checkpoint, COSIGNER, 1_700_000_000)


def held(state: State) -> int:
    note = state.newest(ORIGIN)
    return 0 if note is None else read_checkpoint(note)[0].size


def test_what_was_cosigned_is_remembered_over_a_restart(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    assert isinstance(state.advance(sent(0, 5), sign), str)
    state.close()
    state = open_state(tmp_path / "state")
    assert held(state) == 5
    refused = state.advance(sent(0, 7), sign)
    assert isinstance(refused, Refused)
    assert (refused.fault, refused.held) == (Fault.CONFLICT, 5)
    assert isinstance(state.advance(sent(5, 7), sign), str)
    assert held(state) == 7
    state.close()


def test_killed_before_the_answer_the_repeat_is_cosigned_again(tmp_path: Path) -> None:
    """The client heard nothing: it asks once more, hears the size, and proves nothing from there."""
    state = open_state(tmp_path / "state")
    state.advance(sent(5, 9), sign)
    state.advance(sent(0, 9), sign)
    refused = state.advance(sent(0, 9), sign)
    assert isinstance(refused, Refused)
    assert refused.held == 9
    assert isinstance(state.advance(sent(9, 9), sign), str)
    state.close()


def test_killed_before_the_commit_nothing_is_remembered(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.advance(sent(0, 5), sign)

    def dies(_: Checkpoint) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        state.advance(sent(5, 9), dies)
    assert held(state) == 5
    assert isinstance(state.advance(sent(5, 7), sign), str)
    state.close()


def test_of_two_forks_that_come_at_once_one_is_cosigned(tmp_path: Path) -> None:
    """Over and over, through two connections to one file, as two programs would have them."""
    for number in range(20):
        path = tmp_path / f"state{number}"
        states = [open_state(path), open_state(path)]
        states[0].advance(sent(0, 6), sign)
        with ThreadPoolExecutor(2) as threads:
            answers = list(
                threads.map(
                    lambda pair: pair[0].advance(pair[1], sign),
                    zip(states, (sent(6, 20), sent(6, 20, FORGED)), strict=True),
                )
            )
        assert sum(isinstance(answer, str) for answer in answers) == 1
        for state in states:
            state.close()


def test_a_state_has_one_owner(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    assert state.owner() is None
    state.belongs_to(str(COSIGNER.key))
    state.belongs_to(str(COSIGNER.key))
    with pytest.raises(SetupError, match="belongs to the witness"):
        state.belongs_to("another")
    state.close()


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"no database at all" * 100)
    with pytest.raises(SetupError, match="cannot be used"):
        open_state(tmp_path / "state")
    with pytest.raises(SetupError, match="cannot be used"):
        open_state(tmp_path / "missing" / "state")


def test_a_full_or_broken_disk_is_told_and_nothing_is_signed_for_anybody(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.advance(sent(0, 5), sign)
    state.close()
    connection = sqlite3.connect(f"file:{tmp_path / 'state'}?mode=ro", uri=True, isolation_level=None)
    broken = State(connection)
    with pytest.raises(StoreError):
        broken.advance(sent(5, 9), sign)
    assert held(broken) == 5
    broken.close()


def test_a_state_of_before_that_holds_too_many_lines_is_mended(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.mend(LOGS)
    state.belongs_to(str(COSIGNER.key))
    state.advance(sent(0, 5), sign)
    kept = state.newest(ORIGIN)
    assert kept is not None
    *_, own = kept.splitlines(keepends=True)
    junk = b"".join(format_line(f"nobody{number}", b"aaaa", bytes(64)).encode() for number in range(99))
    write(tmp_path / "state", kept.removesuffix(own) + junk + own)
    with pytest.raises(MalformedError):
        held(state)
    state.mend(LOGS)
    assert state.newest(ORIGIN) == kept
    assert isinstance(state.advance(sent(5, 9), sign), str)
    write(tmp_path / "state", b"no checkpoint")
    with pytest.raises(SetupError, match="damaged"):
        state.mend(LOGS)
    state.close()


def write(path: Path, note: bytes) -> None:
    """As another version would have left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE log SET note = ?", (note,))
