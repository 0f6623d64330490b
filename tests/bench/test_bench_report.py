"""Figures survive the way to JSON and back, and the document says whether the targets were met."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import million
from bench import others as bench_others
from bench.bounds_report import render_bounds
from bench.checking_report import render_checking
from bench.doors_report import render_doors
from bench.exporting_report import render_exports
from bench.fleet_report import render_fleet
from bench.million import render_million
from bench.others import Other
from bench.outcome import Case, Half, Profile, Results, Sample, dump, load
from bench.pages_report import render_pages
from bench.report import line_of, render
from bench.schemas import RESULTS
from bench.schemas_report import render_validation
from bench.streams_report import render_streams

MACHINE = {
    "command": "make bench",
    "took_seconds": 130,
    "at": "2026-11-25",
    "cpu": "a processor",
    "cores": 2,
    "memory_gib": 24,
    "system": "Linux",
    "versions": {"Python": "3.11.7", "Kafka": ""},
}


VALIDATION: dict[str, Any] = json.loads(RESULTS.read_text())
OTHERS = {one.name: one.text() for one in bench_others.OTHERS}


def samples(*rates: float) -> Sequence[Sample]:
    shares = {"gateway": 0.5, "wrk": 0.25, "idle": 0.001}
    return [Sample(rate, 0.5, 100 * 2**20, shares, p50_ms=6.0, p99_ms=15.0, refused=2) for rate in rates]


def case(name: str, gateway: Sequence[float], bare: Sequence[float], partners: int = 1) -> Case:
    return Case(
        name,
        "embedded",
        partners,
        0,
        samples(*gateway),
        samples(*bare),
        half_gateway=Half(450.0, 3.0, 9.0, 20.0, 0.1, 1),
        half_bare=Half(1500.0, 1.0, 2.0, 3.0, 0.2, 0),
        half_proof=Half(450.0, 40.0, 90.0, 120.0, 0.1, 1) if name == "single" else None,
        notes={"receiver": "C"},
        profiles=[Profile(name, "embedded", "up", 1000, {"COMMIT": 0.75, "all else": 0.25})],
    )


SINGLE = case("single", [800, 900, 1000], [3000, 3000, 2500])


def test_ratios_are_those_of_pairs() -> None:
    assert SINGLE.ratios() == pytest.approx([800 / 3000, 0.3, 0.4])


def test_json_gives_back_what_was_found() -> None:
    results = Results(MACHINE, [SINGLE])
    assert load(dump(results)) == results
    without = replace(SINGLE, half_gateway=None, half_bare=None, half_proof=None)
    assert load(dump(Results(MACHINE, [without]))) == Results(MACHINE, [without])


def test_the_document_has_median_range_and_target() -> None:
    text = render(Results(MACHINE, [SINGLE]), OTHERS)
    assert (
        "| single POSTs | embedded, SQLite | **900** | 3,000 | **30%** (27% to 40%) | 50%: missed |" in text
    )
    assert "| 6.0 | 15.0 | 450 | 3.0 | 9.0 | 20.0 | 10% | 7 |" in text
    assert "COMMIT 75%, all else 25%" in text
    assert "gateway 50%, wrk 25% |" in text
    assert "Median of 3 pairs" in text


def test_proofs_are_a_row_of_sequencing_without_a_full_load() -> None:
    text = render(Results(MACHINE, [SINGLE]), OTHERS)
    row = "| sequencing | embedded, SQLite | gateway, in a published checkpoint | - | - | 450 |"
    assert f"{row} 40.0 | 90.0 | 120.0 | 10% | 1 |" in text
    assert "in a published checkpoint |" not in render(
        Results(MACHINE, [replace(SINGLE, half_proof=None)]), OTHERS
    )


def test_what_has_no_latency_at_full_load_shows_none() -> None:
    found = case("deliveries", [700], [3_000])
    flat = [replace(one, p50_ms=None, p99_ms=None, refused=0) for one in found.gateway]
    text = render(Results(MACHINE, [replace(found, gateway=flat)]), OTHERS)
    assert (
        "| webhook deliveries | embedded, SQLite | gateway | - | - | 450 | 3.0 | 9.0 | 20.0 | 10% | 1 |"
        in text
    )


@pytest.mark.parametrize(
    ("name", "rate", "told"),
    [
        ("batch", 1_499, "50%: missed"),
        ("batch", 1_500, "50%: met"),
        ("deliveries", 1_049, "35%: missed, 1,600/s: missed"),
        ("deliveries", 1_050, "35%: met, 1,600/s: missed"),
        ("deliveries", 1_600, "35%: met, 1,600/s: met"),
        ("sequencing", 9_999, "10,000/s: missed"),
        ("sequencing", 10_000, "10,000/s: met"),
    ],
)
def test_each_case_has_its_target(name: str, rate: float, told: str) -> None:
    assert told in render(Results(MACHINE, [case(name, [rate], [3_000])]), OTHERS)


def test_growth_is_told_apart_from_the_first_installation() -> None:
    text = render(Results(MACHINE, [SINGLE, case("single", [10], [100], partners=1_000)]), OTHERS)
    assert "| single POSTs | embedded, SQLite | 1,000 | 0 | 10 | 100 | 10% |" in text
    assert "**10** | 100" not in text


def test_a_case_fits_in_one_line() -> None:
    assert line_of(SINGLE) == (
        "single on embedded, partners 1, before 0: 900/s beside 3,000/s: 30% (27% to 40%)"
    )


def test_validation_stands_beside_its_targets() -> None:
    text = render_validation(VALIDATION)
    slower = {**VALIDATION["events"]["ratios"], "fastavro validate and write / json to checked avro": 3.94}
    other = render_validation({**VALIDATION, "events": {**VALIDATION["events"], "ratios": slower}})
    assert "| JSON to Avro, beside fastavro | 3.9 times as fast | at least 4: missed |" in other
    assert text.count("\n| ") == other.count("\n| ")
    assert VALIDATION["memory"]["codecs"] == 30_000


DOORS = {
    "rate": 500.0,
    "ways": {
        "key": {"p50_ms": 20.0, "p99_ms": 50.0, "cpu_ms": 2.0},
        "mtls": {"p50_ms": 20.0, "p99_ms": 50.0, "cpu_ms": 2.01},
        "signature": {"p50_ms": 21.0, "p99_ms": 55.0, "cpu_ms": 2.4},
    },
    "alone": {"p50_ms": 10.0, "p99_ms": 30.0},
    "beside": {"p50_ms": 12.0, "p99_ms": 33.0, "flood_refused": 0.99},
    "beside_to_alone_p50": 1.2,
    "crowd": {
        "offered": 2_000.0,
        "taken": 450.0,
        "refused": 0.775,
        "p50_ms": 150.0,
        "p99_ms": 240.0,
        "peak_mib": 190.0,
    },
}


def test_the_front_door_has_its_targets() -> None:
    text = render_doors(DOORS)
    assert "| a signature of the request (RFC 9421, Ed25519) | 21.0 | 55.0 | 2.400 | +0.400 |" in text
    assert (
        "| 2,000, four times what it can | 450 | 78% | 150.0 | 240.0 | p99 under 250: met | 190 MiB |" in text
    )
    assert "(99% of that answered 429) | 12.0 | 33.0 | +20% | less than 10 % more: missed |" in text
    assert Other("doors", Path("missing.json"), render_doors, len).text() == "Not measured yet."


STREAMS = {
    "active": 1_000,
    "idle": 5_000,
    "events_a_second_each": 10,
    "seconds": 30,
    "open_seconds": 36.4,
    "received": 300_000,
    "wanted": 300_000,
    "lost": 0,
    "p50_ms": 80.0,
    "p99_ms": 999.0,
    "max_ms": 1_200.0,
    "resident_before_mib": 141.0,
    "resident_open_mib": 350.0,
    "peak_mib": 381.0,
    "core_at_rest": 0.1,
    "core_while_sent": 0.5,
}


def test_streams_are_told_beside_their_targets() -> None:
    text = render(Results(MACHINE, [SINGLE]), OTHERS)
    assert "| p99 under 1 s | met |" in text
    assert "| under 400 MB | met |" in text
    worse = {**STREAMS, "p99_ms": 1_000.0, "peak_mib": 382.0, "received": 299_999}
    text = render_streams(worse)
    assert "| p99 under 1 s | missed |" in text
    assert "| under 400 MB | missed |" in text
    assert "299,999 of 300,000" in text


def test_a_fleet_is_told_beside_its_targets() -> None:
    fast = {"rate": 1_700.0, "cpu_ms": 0.8, "peak_mib": 457.0, "bytes": 393.0}
    slow = fast | {"rate": 900.0, "cpu_ms": 1.1}
    answering = {"p50_ms": 3.9, "p95_ms": 8.6, "p99_ms": 17.0, "share": 1.0}
    found = {
        "rounds": 3,
        "drain": {"endpoints": 50, "events": 20_000, "bare": 10_000.0, "by_1": fast, "by_2": slow},
        "steady": {
            "rate": 200,
            "endpoints": 5,
            "seconds": 15.0,
            "p95_cost": 0.2,
            "answering": answering,
            "black_hole": answering | {"p95_ms": 10.3, "p99_ms": 31.0},
        },
    }
    text = render_fleet(found)
    assert "| deliveries a second | 1,700 | 900 | 1,600: met |" in text
    assert "| 0.80 | 1.10 | under 1.0: missed |" in text
    assert "| of the bare loop (10,000/s) | 17% | 9% | 35%: missed |" in text
    assert "| target | | 10: met | 30: met |" in text
    assert "+20%; within 10 %: missed" in text


def test_bounds_are_told_beside_their_targets() -> None:
    found = {
        "killed": {"partners": 50, "seconds": 9.08, "at_once": 18},
        "dead": {
            "events": 1_000_000,
            "rows": {"gateway_backlog": 1, "gateway_delivery": 2},
            "grown_bytes": 0,
            "peak_mib_few": 161.0,
            "peak_mib": 170.0,
            "noticed_seconds": 5.0,
            "drained": 20_000,
            "drained_a_second": 617.0,
            "in_order": True,
        },
        "rest": {"partners": 1_000, "core": {"relay": 0.051, "Kafka": 0.09, "PostgreSQL": 0.01}},
    }
    text = render_bounds(found)
    assert "| one relay at rest with 1,000 partners | 5.1% of a core | under 5 %: missed |" in text
    assert "| 9.1 s | 15 s: met |" in text
    assert "| 1, 2 | one range: met |" in text
    assert "| 617 a second | in order: met |" in text


def test_exports_are_told_beside_their_target() -> None:
    seen = {
        "entries_a_second": 51_000.0,
        "cpu_seconds": 1.75,
        "verify_cpu_seconds": 6.2,
        "bytes_an_entry": 412.0,
    }
    text = render_exports({"on": {"sqlite": {"parquet": seen, "jsonl": seen}}})
    assert "| sqlite | parquet | 51,000 | 1.75 | 6.20 | 412 | met |" in text
    assert "| sqlite | jsonl | 51,000 | 1.75 | 6.20 | 412 |  |" in text
    slow = {"on": {"sqlite": {"parquet": seen | {"entries_a_second": 49_999.0}}}}
    assert "| missed |" in render_exports(slow)


def test_examinations_and_what_an_entry_takes_are_told_with_their_targets() -> None:
    fast, slow = ({"entries_a_second": rate, "cpu_us": 9.96, "peak_bytes": 7.5e7} for rate in (1e5, 99_999.0))
    small = {"audit_entry": 1_400.0, "audit_node": 99.4, "of it the evidence": 1_142.0}
    found = {
        "sqlite": {"fsck": {"one process": slow, "a process a core": fast}, "bytes": small},
        "postgresql": {"fsck": {"one process": slow}, "bytes": small | {"audit_node, its indexes": 0.6}},
    }
    text = render_checking({"on": found})
    assert "| sqlite | a process a core | 100,000 | 10.0 | 75 | met |" in text
    assert "| postgresql | one process | 99,999 | 10.0 | 75 | missed |" in text
    assert "| together | 1,499 | 1,500 |" in text
    assert "| of it the evidence | 1,142 | 1,142 |" in text
    assert "| target: under 1,500, without claims | met | missed |" in text


def test_a_log_of_a_million_is_told_by_what_was_done_with_it() -> None:
    found = json.loads(million.RESULTS.read_text())
    text = render_million(found | {"entries": 1_000_000, "append_us": 40.2, "heads": 499})
    assert "| entries appended, in rounds of 2,000 | 1,000,000 | 40 us |" in text
    assert "| earlier heads proved to be parts of the last | 499 |" in text


def test_pages_are_told_beside_those_of_a_small_log() -> None:
    small = {"ms": 1.0, "cpu_ms": 1.0}
    found = {
        "times": 200,
        "SQLite": {
            "10000": {"filled in seconds": 2.0, "key": small, "digest": small, "a proof": small},
            "5000000": {"filled in seconds": 9.0, "key": small, "digest": small, "a proof": small},
        },
        "PostgreSQL": {
            "10000": {"key": small, "digest": small, "a proof": small},
            "5000000": {
                "key": {"ms": 9.0, "cpu_ms": 1.9},
                "digest": {"ms": 9.0, "cpu_ms": 2.1},
                "a proof": small,
            },
        },
    }
    text = render_pages(found)
    assert "SQLite, 10,000 entries | SQLite, 5,000,000 entries" in text
    assert "| key | 1.0 (1.0) | 1.0 (1.0) | 1.0 (1.0) | 9.0 (1.9) | the same: met |" in text
    assert "| 9.0 (2.1) | the same: missed |" in text
    assert "| a proof | 1.0 (1.0) | 1.0 (1.0) | 1.0 (1.0) | 1.0 (1.0) | under 5: met |" in text
    assert "filled" not in text
