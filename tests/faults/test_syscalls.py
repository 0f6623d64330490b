"""A sample of what `make faults` does: system calls of an append fail, or kill it."""

from random import Random

import pytest

from tests.faults.appending import ROUNDS
from tests.faults.syscalls import FATES, Outcome, count_calls, every_fault, forging, try_fault

SAMPLE = 40


@pytest.mark.faults
@pytest.mark.strace
def test_a_failed_system_call_leaves_a_log_that_is_whole() -> None:
    outcome = Outcome()
    with forging() as (forge, template, work):
        calls = count_calls(forge, template, work)
        # Each round commits twice, and so does the broker's file: fewer calls would be of something else.
        assert calls["fdatasync"] >= 3 * ROUNDS
        faults = every_fault(calls)
        assert len(faults) >= 1_000
        for fault in Random(len(faults)).sample(faults, SAMPLE):  # noqa: S311 - the same ones on each machine
            try_fault(forge, template, work, fault, outcome)
    assert outcome.faults == []
    assert (outcome.runs, len(FATES)) == (SAMPLE, 3)
    assert outcome.killed > 0
