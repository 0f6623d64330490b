import pytest

from schemas.levels import effective_level, effective_mode, parse_level, parse_mode
from schemas.refusal import RegistryError


@pytest.mark.parametrize("word", ["FULL", "full", "Full"])
def test_a_level_is_read_in_any_letter_case(word: str) -> None:
    assert parse_level(word) == "FULL"


@pytest.mark.parametrize("word", ["", "ANY", None, 1, ["FULL"], "FULL ", "ANY\x00"])
def test_what_is_no_level_is_refused_with_those_that_are(word: object) -> None:
    with pytest.raises(RegistryError, match="BACKWARD_TRANSITIVE") as refused:
        parse_level(word)
    assert refused.value.number == 42203


@pytest.mark.parametrize("word", ["", "FORWARD", "WRITE", None, 1])
def test_what_is_no_mode_is_refused_with_those_that_are(word: object) -> None:
    with pytest.raises(RegistryError, match="READONLY_OVERRIDE") as refused:
        parse_mode(word)
    assert refused.value.number == 42204


@pytest.mark.parametrize(
    ("own", "whole", "level"),
    [
        (None, None, "BACKWARD"),
        (None, "NONE", "NONE"),
        ("FULL", "NONE", "FULL"),
        ("lost", "NONE", "BACKWARD"),
    ],
)
def test_a_subjects_own_level_goes_first(own: str | None, whole: str | None, level: str) -> None:
    assert effective_level(own, whole) == level


@pytest.mark.parametrize(
    ("own", "whole", "mode"),
    [
        (None, None, "READWRITE"),
        (None, "READONLY", "READONLY"),
        ("IMPORT", "READONLY", "IMPORT"),
        ("READWRITE", "READONLY_OVERRIDE", "READONLY_OVERRIDE"),
    ],
)
def test_a_subjects_own_mode_goes_first_unless_it_is_overridden(
    own: str | None, whole: str | None, mode: str
) -> None:
    assert effective_mode(own, whole) == mode
