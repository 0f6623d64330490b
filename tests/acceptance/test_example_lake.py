"""The example feed: each record once, whenever it ends, and what DuckDB reads is what was sent."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from examples.data_lake.feed import Lake
from gateway.channels import Channel
from gateway.record import Framing
from partners.contract import IdRule
from tests.acceptance.messages import Message, accepted
from tests.unit.gateway.ingress.channels import NOW, channel

TOPIC = "partners.acme.inbound"
DAY_MS = 86_400_000
LINE = {
    "type": "record",
    "name": "Line",
    "fields": [{"name": "sku", "type": "string"}, {"name": "qty", "type": "int"}],
}
FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "string"},
    {"name": "n", "type": "long"},
    {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
    {"name": "placed", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "ships", "type": ["null", {"type": "int", "logicalType": "date"}]},
    {"name": "key", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
    {"name": "lines", "type": {"type": "array", "items": LINE}},
    {"name": "first", "type": ["null", "com.acme.Line"]},
    {"name": "tags", "type": {"type": "map", "values": "int"}},
    {"name": "either", "type": ["null", "int", "string"]},
    {"name": "raw", "type": "bytes"},
]
ORDERS = channel(FIELDS, rule=IdRule("pointers", ("/id",)))


def order(number: int) -> dict[str, Any]:
    return {
        "id": f"A-{number}",
        "n": number,
        "amount": f"{number}.25",
        "placed": "2026-11-22T13:05:00.123Z",
        "ships": "2026-12-01" if number % 2 else None,
        "key": "6f1a2b3c-0000-4000-8000-000000000001",
        "kind": "B",
        "lines": [{"sku": "x", "qty": number}, {"sku": "y", "qty": 1}],
        "first": {"sku": "z", "qty": 2},
        "tags": {"a": 1},
        "either": "text",
        "raw": "AP8=",
    }


def schemas_of(on: Channel) -> dict[int, Any]:
    return {one.schema_id: json.loads(one.schema.text) for one in on.versions}


def lake(folder: Path, on: Channel = ORDERS, most_rows: int = 50_000) -> Lake:
    return Lake(folder, TOPIC, "order.placed", schemas_of(on).__getitem__, most_rows)


def orders(numbers: Sequence[int], framing: Framing = "prefix") -> list[Message]:
    """A record an order, at its number's offset; ten of them a day."""
    return [
        accepted(order(n), ORDERS, offset=n, framing=framing, now=NOW + n // 10 * DAY_MS) for n in numbers
    ]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def ask(folder: Path, question: str) -> list[tuple[Any, ...]]:
    """Ask DuckDB about all files; the table is `lake`."""
    source = (
        f"read_parquet('{folder}/order.placed/*/*.parquet', hive_partitioning = true, union_by_name = true)"
    )
    with duckdb.connect() as connection:
        return connection.execute(f"WITH lake AS (FROM {source}) {question}").fetchall()


@pytest.mark.parametrize("framing", ["prefix", "header"])
def test_counts_and_sums_are_those_of_what_was_sent(tmp_path: Path, framing: Framing) -> None:
    assert lake(tmp_path).take(orders(range(25), framing)) == 25
    total = 'SELECT count(*), count(DISTINCT (partition, "offset")), sum(data.n), sum(data.amount) FROM lake'
    assert ask(tmp_path, total) == [(25, 25, 300, Decimal("306.25"))]
    daily = "SELECT date, count(*), sum(data.lines[1].qty) FROM lake GROUP BY date ORDER BY date"
    assert ask(tmp_path, daily) == [
        (date(2026, 11, 22), 10, 45),
        (date(2026, 11, 23), 10, 145),
        (date(2026, 11, 24), 5, 110),
    ]


def test_every_kind_of_value_arrives(tmp_path: Path) -> None:
    lake(tmp_path).take(orders([1]))
    question = """SELECT id, source, topic, "offset", accepted_at = make_timestamptz(?), receipt[:2] = 'ey',
        data.placed = TIMESTAMPTZ '2026-11-22 13:05:00.123Z', data.ships, data."key", data.kind,
        data.lines[2].sku, data.first.qty, data.tags['a'], data.either, data.raw FROM lake"""
    assert ask(tmp_path, question.replace("?", str(NOW * 1000))) == [
        (
            "A-1",
            "/partners/acme",
            TOPIC,
            1,
            True,
            True,
            True,
            date(2026, 12, 1),
            "6f1a2b3c-0000-4000-8000-000000000001",
            "B",
            "y",
            2,
            1,
            '"text"',
            b"\x00\xff",
        )
    ]


def test_names_tell_which_offsets_a_file_holds(tmp_path: Path) -> None:
    other = replace(orders([30])[0], record=replace(orders([30])[0].record, partition=7))
    lake(tmp_path, most_rows=8).take([*orders(range(12)), other])
    name = f"{TOPIC}-{{}}-{{:020}}-{{:020}}.parquet"
    assert files(tmp_path) == [
        f"order.placed/date=2026-11-22/{name.format(0, 0, 7)}",
        f"order.placed/date=2026-11-22/{name.format(0, 8, 9)}",
        f"order.placed/date=2026-11-23/{name.format(0, 10, 11)}",
        f"order.placed/date=2026-11-25/{name.format(7, 30, 30)}",
    ]
    assert lake(tmp_path).starts() == {0: 12, 7: 31}


def test_a_second_run_adds_only_what_is_new(tmp_path: Path) -> None:
    lake(tmp_path).take(orders(range(15)))
    before = files(tmp_path)
    assert lake(tmp_path).take(orders(range(15))) == 0
    assert files(tmp_path) == before
    assert lake(tmp_path).take(orders(range(5, 20))) == 5
    assert ask(tmp_path, 'SELECT count(*), count(DISTINCT "offset") FROM lake') == [(20, 20)]


@pytest.mark.parametrize("end", range(1, 25, 4))
def test_wherever_a_run_is_killed_the_next_one_completes_it(tmp_path: Path, end: int) -> None:
    def breaking_off() -> Iterator[Message]:
        yield from orders(range(end))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lake(tmp_path, most_rows=4).take(breaking_off())
    for part in (tmp_path / "order.placed" / "date=2026-11-22").glob("*.parquet"):
        part.with_suffix(".part").write_bytes(b"half a file")
    lake(tmp_path, most_rows=4).take(orders(range(25)))
    total = 'SELECT count(*), count(DISTINCT "offset"), sum(data.n) FROM lake'
    assert ask(tmp_path, total) == [(25, 25, 300)]


def test_other_types_and_topics_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "order.placed" / "date=2026-11-22"
    folder.mkdir(parents=True)
    (folder / f"{TOPIC}-other-0-{0:020}-{99:020}.parquet").touch()
    (folder / "notes.txt").touch()
    records = orders(range(3))
    foreign = [
        records[0].changed(ce_type=b"order.changed"),
        replace(records[1], record=replace(records[1].record, headers=())),
    ]
    assert lake(tmp_path).starts() == {}
    assert lake(tmp_path).take([*foreign, records[2]]) == 1


def test_versions_of_a_schema_are_read_together(tmp_path: Path) -> None:
    both = channel(
        [*FIELDS[:2], {"name": "note", "type": ["null", "string"], "default": None}],
        FIELDS[:2],
        rule=IdRule("pointers", ("/id",)),
    )
    older = replace(both, versions=both.versions[1:])
    records = [
        accepted({"id": "A-1", "n": 1}, older, offset=0),
        accepted({"id": "A-2", "n": 2, "note": "new"}, both, offset=1),
    ]
    assert lake(tmp_path, both).take(records) == 2
    assert len(files(tmp_path)) == 2
    assert ask(tmp_path, "SELECT data.n, data.note FROM lake ORDER BY 1") == [(1, None), (2, "new")]
