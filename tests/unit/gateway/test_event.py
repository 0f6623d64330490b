import json
from pathlib import Path

import pytest

from audit.ref import format_ref, parse_ref
from gateway.event import (
    MAX_POINTER_BYTES,
    Direction,
    EventKey,
    default_source,
    event_digest,
    has_control,
    is_time,
    short_pointer,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "formats.json").read_text())


@pytest.mark.parametrize("case", VECTORS["ref"])
def test_refs_are_those_of_the_vectors(case: dict[str, str]) -> None:
    direction: Direction = "inbound" if case["direction"] == "inbound" else "outbound"
    ref = EventKey(case["partner"], direction, case["source"], case["id"]).ref()
    assert (ref.hex(), format_ref(ref)) == (case["sha256"], case["text"])
    assert parse_ref(case["text"]) == ref


@pytest.mark.parametrize("case", VECTORS["event_digest"])
def test_event_digests_are_those_of_the_vectors(case: dict[str, str]) -> None:
    given = dict(json.loads(json.dumps(case["attributes"])))
    event_type = given.pop("type")
    unseen = {"traceparent": "00-1", "datacontenttype": "application/json", "dataschema": "urn:x"}
    fingerprint, datum = bytes.fromhex(case["fingerprint"]), bytes.fromhex(case["datum"])
    assert event_digest(fingerprint, event_type, {**given, **unseen}, datum).hex() == case["sha256"]


def test_identity_does_not_run_together() -> None:
    assert EventKey("a", "inbound", "bc", "d").ref() != EventKey("a", "inbound", "b", "cd").ref()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evt_",
        "EVT_" + "a" * 52,
        "evt_" + "A" * 52,
        "evt_" + "1" * 52,
        "evt_" + "a" * 51 + "b",  # bits beyond the 256th
        "evt_" + "a" * 51 + "ß",
        "evt_" + "a" * 53,
    ],
)
def test_what_is_no_ref_has_none(text: str) -> None:
    assert parse_ref(text) is None


@pytest.mark.parametrize(
    "text", ["2026-11-22T13:05:00Z", "2026-11-22t13:05:00.123456789z", "2024-02-29T00:00:00-23:59"]
)
def test_times_of_rfc_3339_are_times(text: str) -> None:
    assert is_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22",
        "2026-11-22T13:05:00",
        "2026-11-22 13:05:00Z",
        "2026-02-29T13:05:00Z",
        "2026-11-22T25:05:00Z",
        "2026-11-22T13:05:00+99:00",
        "2026-11-22T13:05:00+01:60",
        "2026-11-22T13:05:00Z\n",
        "٢٠٢٦-11-22T13:05:00Z",
        "Tomorrow",
    ],
)
def test_other_texts_are_no_times(text: str) -> None:
    assert not is_time(text)


def test_control_characters_are_found_anywhere() -> None:
    assert all(has_control(f"a{char}b") for char in "\x00\n\x1f\x7f\x85\x9f\ufdd0\ufffe\U0001ffff\U0010fffe")
    assert not has_control("côte 東京 🚚")


@pytest.mark.parametrize("token", ["\x00", "東", "a", '"', "\\"])
def test_a_pointer_in_evidence_has_a_bound_however_it_is_escaped(token: str) -> None:
    short = short_pointer("/" + token * 5_000)
    written = len(json.dumps(short, ensure_ascii=False).encode())
    assert short.startswith("/" + token)
    assert MAX_POINTER_BYTES // 2 < written <= MAX_POINTER_BYTES
    assert short_pointer("/lines/0/qty") == "/lines/0/qty"


def test_sources_that_nobody_names() -> None:
    assert default_source("acme", "inbound") == "/partners/acme"
    assert default_source("acme", "outbound") == "/house"
