"""Our JSON reader on any bytes: one family of errors, one meaning for both ways, exact slices."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import PayloadError
from schemas.findings import Findings
from schemas.json_builder import build_json
from schemas.json_reader import members, read_json, split_array

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)
_SCRAPS = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            '"a"',
            '"b"',
            "1",
            "-0",
            "1.5",
            "1e999",
            "NaN",
            "true",
            " ",
            '"\\ud800"',
            "\\",
            '"',
        ]
    ),
    max_size=14,
).map("".join)


@settings(deadline=None)
@given(_VALUES, st.sampled_from(["ascii", "utf-8"]), st.sampled_from([None, 2]))
def test_both_ways_read_the_same_value_as_the_standard_library(
    value: Any, charset: str, indent: int | None
) -> None:
    raw = json.dumps(value, ensure_ascii=charset == "ascii", indent=indent).encode()
    findings = Findings()
    careful = build_json(raw, findings)
    assert findings.total == 0
    assert careful == read_json(raw)
    assert json.loads(json.dumps(careful, default=float)) == value


@settings(deadline=None)
@given(_SCRAPS | st.binary(max_size=30))
def test_any_bytes_are_read_or_refused_by_one_family(scrap: str | bytes) -> None:
    raw = scrap.encode() if isinstance(scrap, str) else scrap
    for read in (read_json, split_array, members):
        try:
            read(raw)
        except PayloadError:
            continue
        json.loads(raw)  # what was taken, the standard library takes too


@settings(deadline=None)
@given(st.lists(_VALUES, max_size=5))
def test_a_split_array_is_its_elements_byte_for_byte(values: list[Any]) -> None:
    parts = [json.dumps(value, ensure_ascii=False).encode() for value in values]
    assert split_array(b" [ " + b" , ".join(parts) + b" ] ") == parts


@settings(deadline=None)
@given(st.dictionaries(_TEXT, _VALUES, max_size=5))
def test_members_are_names_and_values_byte_for_byte(value: dict[str, Any]) -> None:
    parts = {name: json.dumps(item, ensure_ascii=False).encode() for name, item in value.items()}
    body = b" , ".join(json.dumps(name).encode() + b" : " + part for name, part in parts.items())
    assert members(b"{" + body + b"}") == list(parts.items())
