import pytest

from gateway.broker.port import BrokerError
from gateway.cli.errors import AnswerError, CommandError, ProblemError, UnreachableError, UsageError
from gateway.cli.exits import BY_CODE, Exit, exit_of
from gateway.errors import (
    AWAY_CODES,
    CALLER_CODES,
    AwayError,
    BugError,
    RevisionError,
    SettingsError,
    SetupError,
    StoreDamagedError,
)
from gateway.http.catalogue import CATALOGUE
from partners.errors import ContractFileError


def refused(code: str, status: int) -> ProblemError:
    return ProblemError({"code": code}, status=status, retry_after_seconds=None)


def test_every_code_of_the_catalogue_has_an_exit_code_and_no_other_has() -> None:
    assert set(BY_CODE) == CALLER_CODES | AWAY_CODES | {"internal"} == set(CATALOGUE)


def test_whatever_is_away_ends_with_8() -> None:
    assert {BY_CODE[code] for code in AWAY_CODES} == {Exit.AWAY}


def test_what_may_pass_later_is_away_and_nothing_else_is() -> None:
    later = {code for code, meaning in CATALOGUE.items() if meaning.retry != "no"} - {"internal"}
    assert {code for code, exit_code in BY_CODE.items() if exit_code == Exit.AWAY} == later


def test_no_refusal_ends_as_a_failed_verification_or_as_done() -> None:
    assert not {Exit.NOT_PROVED, Exit.DONE, Exit.CHANGES} & set(BY_CODE.values())


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_not_let_in_ends_with_3(status: int) -> None:
    codes = [code for code, meaning in CATALOGUE.items() if meaning.status == status]
    assert codes
    assert {BY_CODE[code] for code in codes} == {Exit.CREDENTIAL}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refused("event_conflict", 409), 5),
        (refused("a_code_of_tomorrow", 503), 8),
        (refused("a_code_of_tomorrow", 422), 1),
        (AnswerError("x", status=502), 8),
        (AnswerError("x", status=200), 1),
        (UsageError("x"), 2),
        (SettingsError(("x",)), 2),
        (UnreachableError("x"), 8),
        (AwayError("store_unavailable", "x"), 8),
        (BrokerError("broker_unavailable", "x"), 8),
        (BrokerError("broker_refused", "x"), 5),
        (SetupError("x"), 5),
        (RevisionError("x"), 5),
        (StoreDamagedError("x"), 5),
        (ContractFileError([]), 6),
        (CommandError("x"), 1),
        (BugError("x"), 1),
    ],
)
def test_errors_end_with_their_code(error: Exception, code: int) -> None:
    assert exit_of(error) == code
