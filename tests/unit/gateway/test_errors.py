import inspect

import pytest

from gateway import errors
from gateway.errors import (
    AWAY_CODES,
    CALLER_CODES,
    AwayError,
    BugError,
    CallerError,
    GatewayError,
    OverloadedError,
    SettingsError,
    StoreError,
    StoreUnknownError,
)


def test_code_outside_the_catalogue_is_our_bug() -> None:
    with pytest.raises(BugError):
        CallerError("made_up", "x")
    with pytest.raises(BugError):
        AwayError("event_invalid", "x")


def test_no_code_says_both_change_it_and_try_again() -> None:
    assert not CALLER_CODES & AWAY_CODES


def test_caller_error_keeps_what_a_problem_document_needs() -> None:
    error = CallerError("event_conflict", "another event", hint="look", members={"ref": "evt_x"})
    assert (error.code, str(error), error.hint) == ("event_conflict", "another event", "look")
    assert error.members == {"ref": "evt_x"}


def test_store_errors_can_be_told_apart_by_class_and_code() -> None:
    unknown = StoreUnknownError("lost")
    assert isinstance(unknown, StoreError)
    assert isinstance(unknown, AwayError)
    assert unknown.code == "outcome_unknown"
    assert StoreError("storage_full", "full").code == "storage_full"
    assert OverloadedError("full").code == "overloaded"


def test_every_fault_of_the_settings_is_in_the_text() -> None:
    assert str(SettingsError(("a: wrong", "b: wrong"))) == "a: wrong\nb: wrong"


def test_tree_in_the_docstring_is_the_tree_of_the_module() -> None:
    classes = [
        each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, GatewayError)
    ]
    assert classes
    assert [each.__name__ for each in classes if each.__name__ not in str(errors.__doc__)] == []
    assert all(each.__name__.endswith("Error") and each.code for each in classes)
