from pathlib import Path

from gateway.errors import AWAY_CODES, CALLER_CODES
from gateway.http.catalogue import AS, CATALOGUE, RETRY_AFTER_SECONDS, public_code, render_markdown

ROOT = Path(__file__).parents[4]


def test_every_code_that_may_be_raised_has_its_meaning() -> None:
    assert set(CATALOGUE) == CALLER_CODES | AWAY_CODES | {"internal"}


def test_callers_codes_are_4xx_and_away_codes_503() -> None:
    assert {code for code in CALLER_CODES if not 400 <= CATALOGUE[code].status < 500} == set()
    assert {CATALOGUE[code].status for code in AWAY_CODES} == {503}


def test_every_503_says_when_to_come_again() -> None:
    assert {code for code, one in CATALOGUE.items() if one.status == 503} <= set(RETRY_AFTER_SECONDS)


def test_only_an_open_outcome_asks_to_repeat_as_is() -> None:
    assert {code for code, one in CATALOGUE.items() if one.retry == "as_is"} == {
        "outcome_unknown",
        "internal",
    }


def test_other_names_lead_into_the_catalogue() -> None:
    assert {public_code(code) for code in AS} <= set(CATALOGUE)
    assert public_code("log_head_stale") == "internal"
    assert public_code("event_invalid") == "event_invalid"


def test_the_page_for_people_is_rendered_from_the_catalogue() -> None:
    assert (ROOT / "docs/errors.md").read_text() == render_markdown()
