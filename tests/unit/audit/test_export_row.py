"""Columns are what the history says, and steer no spreadsheet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.entry import draft_entry
from audit.errors import MalformedError
from audit.evidence import Kind
from audit.export_row import COLUMNS, ToldByMembers, erased_row, row_of, safe
from tests.made_logs import HOSTILE
from tests.unit.audit.builders import evidence

FORMULAS = "=+-@\uff1d\uff0b\uff0d\uff20"


@pytest.mark.parametrize("text", [one for one in HOSTILE if one and "caf" not in one])
def test_what_a_spreadsheet_would_run_stands_behind_an_apostrophe(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "A-1001", "/partners/acme", "caf\u00e9", "a=1", "(1)", "{}", " A"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert safe(text) == text


@given(
    st.one_of(st.text(), st.builds(lambda a, b: a + b, st.sampled_from([*FORMULAS, *"\t\r\n '"]), st.text()))
)
def test_no_text_begins_a_formula_and_each_can_be_had_back(text: str) -> None:
    shown = safe(text)
    assert not shown.lstrip().startswith(tuple(FORMULAS))
    assert not shown.startswith(("\t", "\r", "\n"))
    assert (shown.removeprefix("'")) == text


@pytest.mark.parametrize("kind", Kind)
def test_columns_say_what_the_history_says(kind: Kind) -> None:
    made = evidence(7, kind=kind)
    drafted = draft_entry(made)
    told = ToldByMembers(kind.value, made.at, made.members)
    row = dict(zip(COLUMNS, row_of(1, 7, made.leaf().decode(), made.raw.decode(), told, None), strict=True))
    assert (row["kind"], row["at"], row["erased"]) == (kind.value, made.at, False)
    assert (row["direction"], row["code"]) == (drafted.direction, drafted.code)
    assert (row["partner"], row["source"], row["endpoint"]) == (
        drafted.partner,
        drafted.source,
        drafted.endpoint,
    )
    assert (row["type"], row["id"]) == (drafted.event_type, drafted.event_id)
    assert drafted.credential is None or row["credential"] == drafted.credential.removeprefix("by ")
    assert row["hour"] == made.leaf().decode().split("\n")[2]


def test_an_erased_entry_tells_what_its_leaf_tells() -> None:
    leaf = evidence(3).leaf().decode()
    row = dict(zip(COLUMNS, erased_row(2, 3, leaf), strict=True))
    kept = {name: value for name, value in row.items() if value is not None}
    assert kept == {
        "epoch": 2,
        "index": 3,
        "kind": "event.accepted",
        "hour": leaf.split("\n")[2],
        "erased": True,
        "leaf": leaf,
    }
    for other in ("", leaf[:-1], leaf + "\n", leaf.replace("v1", "v2"), leaf.replace("=", "+", 1)):
        with pytest.raises(MalformedError):
            erased_row(2, 3, other)
