# ruff: noqa: INP001 - a program by itself, in no package
"""Feed one event type of a topic into a lake of Parquet files, each record exactly once.

    python examples/data_lake/feed.py kafka:9092 partners.acme.inbound order.placed \
        https://gw.example gateway.key lake

A run reads what is there, and ends. Run it as often as you like, one at a time for each type and topic. A
file holds a run of records of one partition, of one day and one schema, and its name says which:

    lake/order.placed/date=2026-11-22/TOPIC-PARTITION-FIRST-LAST.parquet

Files appear whole or not at all, in the order of their offsets. So a run goes on behind the highest offset
that a name tells, wherever the last one ended or was killed: the files are the only memory there is.

`date` is the day (UTC) of the record's time, when the gateway accepted the event. The event's data is the
column `data`; beside it stand its place on the topic, its id and source, and its receipt.
"""

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from pyarrow import parquet

MOST_ROWS = 50_000
DECIMAL128_DIGITS = 38
NAME = re.compile(r"-(\d+)-(\d{20})-(\d{20})\.parquet\Z")

Convert = Callable[[Any], Any]
Fetch = Callable[[int], Any]
"""The schema text, decoded, of a schema's id."""

PLACE = [("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64())]
EVENT = [("accepted_at", pa.timestamp("ms", "UTC"))]
EVENT += [(name, pa.string()) for name in ("id", "source", "receipt")]
SIMPLE = {
    "null": pa.null(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "fixed": pa.binary(),
    "string": pa.string(),
    "enum": pa.string(),
}
LOGICAL = {
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
}


def column(avro: Any, named: dict[str, tuple[Any, Convert]]) -> tuple[Any, Convert]:
    """The Arrow type of an Avro type, and how its values get there. A union of several types is JSON text.

    `named`: the named types so far, by full name.
    """
    if isinstance(avro, list):
        kinds = [one for one in avro if one != "null"]
        if len(kinds) != 1:
            return pa.string(), lambda value: json.dumps(value, default=str)
        kind, convert = column(kinds[0], named)
        return kind, lambda value: None if value is None else convert(value)
    if isinstance(avro, str):
        return named[avro] if avro in named else (SIMPLE[avro], _same)
    found = _logical(avro) or _composed(avro, named)
    if "name" in avro:
        named[avro["name"]] = found
    return found


def _logical(avro: Mapping[str, Any]) -> tuple[Any, Convert] | None:
    kind = avro.get("logicalType")
    if kind == "decimal":
        digits = avro["precision"]
        make = pa.decimal128 if digits <= DECIMAL128_DIGITS else pa.decimal256
        return make(digits, avro.get("scale", 0)), _same
    if kind == "uuid" and avro["type"] == "string":
        return pa.string(), str
    return (LOGICAL[kind], _same) if kind in LOGICAL else None


def _composed(avro: Mapping[str, Any], named: dict[str, tuple[Any, Convert]]) -> tuple[Any, Convert]:
    if avro["type"] == "array":
        kind, convert = column(avro["items"], named)
        return pa.list_(kind), lambda values: [convert(one) for one in values]
    if avro["type"] == "map":
        kind, convert = column(avro["values"], named)
        return pa.map_(pa.string(), kind), lambda found: [(k, convert(v)) for k, v in found.items()]
    if avro["type"] == "record":
        fields = {one["name"]: column(one["type"], named) for one in avro["fields"]}
        kind = pa.struct([(name, kind) for name, (kind, _) in fields.items()])
        return kind, lambda datum: {name: convert(datum[name]) for name, (_, convert) in fields.items()}
    return column(avro["type"], named)


def _same(value: Any) -> Any:
    return value


class Shape:
    """One schema: how its data is read, and what it is in Arrow."""

    def __init__(self, schema: Any) -> None:
        self._avro = fastavro.parse_schema(schema)
        kind, self._convert = column(self._avro, {})
        self.columns = pa.schema([*PLACE, *EVENT, ("data", kind)])

    def row(self, record: Any, headers: Mapping[str, bytes]) -> dict[str, Any]:
        """The row of a record of this schema, whichever framing it has."""
        value = record.value() if "__value_schema_id" in headers else record.value()[5:]
        return {
            "topic": record.topic(),
            "partition": record.partition(),
            "offset": record.offset(),
            "accepted_at": record.timestamp()[1],
            "id": headers["ce_id"].decode(),
            "source": headers["ce_source"].decode(),
            "receipt": headers["gateway_receipt"].decode(),
            "data": self._convert(fastavro.schemaless_reader(io.BytesIO(value), self._avro)),
        }


@dataclass
class Run:
    """Rows of one partition that will be one file."""

    schema_id: int
    day: str
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Lake:
    """The files of one event type of one topic. `fetch`: where schemas come from."""

    folder: Path
    topic: str
    event_type: str
    fetch: Fetch
    most_rows: int = MOST_ROWS
    _shapes: dict[int, Shape] = field(default_factory=dict)

    def starts(self) -> dict[int, int]:
        """The offset behind the last one of each partition that is in the lake."""
        found: dict[int, int] = {}
        for path in (self.folder / self.event_type).glob("date=*/*.parquet"):
            match = NAME.search(path.name)
            if match and path.name[: match.start()] == self.topic:
                partition, last = int(match[1]), int(match[3])
                found[partition] = max(found.get(partition, 0), last + 1)
        return found

    def take(self, records: Iterable[Any]) -> int:
        """Write what is of the type and not there yet; how many records that were."""
        starts, runs, count = self.starts(), dict[int, Run](), 0
        for record in records:
            headers = dict(record.headers() or [])
            is_there = record.offset() < starts.get(record.partition(), 0)
            is_ours = "gateway_receipt" in headers and headers["ce_type"] == self.event_type.encode()
            if is_there or not is_ours:
                continue
            schema_id = int(headers["ce_dataschema"].rsplit(b"/", 1)[1])
            day = datetime.fromtimestamp(record.timestamp()[1] / 1000, UTC).date().isoformat()
            run = runs.setdefault(record.partition(), Run(schema_id, day))
            if (run.schema_id, run.day) != (schema_id, day) or len(run.rows) >= self.most_rows:
                self._write(run)
                run = runs[record.partition()] = Run(schema_id, day)
            run.rows.append(self._shape(schema_id).row(record, headers))
            count += 1
        for run in runs.values():
            self._write(run)
        return count

    def _shape(self, schema_id: int) -> Shape:
        if schema_id not in self._shapes:
            self._shapes[schema_id] = Shape(self.fetch(schema_id))
        return self._shapes[schema_id]

    def _write(self, run: Run) -> None:
        first, last = run.rows[0], run.rows[-1]
        folder = self.folder / self.event_type / f"date={run.day}"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.topic}-{first['partition']}-{first['offset']:020}-{last['offset']:020}"
        table = pa.Table.from_pylist(run.rows, schema=self._shape(run.schema_id).columns)
        part = folder / f"{name}.part"
        with part.open("wb") as out:
            parquet.write_table(table, out)
            out.flush()
            os.fsync(out.fileno())
        part.replace(folder / f"{name}.parquet")


def read_topic(servers: str, topic: str, starts: Mapping[int, int]) -> Iterator[Any]:
    """What lies on the topic from `starts` on, up to where each partition ends just now."""
    settings = {"bootstrap.servers": servers, "group.id": "lake", "enable.partition.eof": True}
    consumer = Consumer({**settings, "enable.auto.commit": False, "auto.offset.reset": "error"})
    try:
        reading = []
        for partition in consumer.list_topics(topic, 30).topics[topic].partitions:
            lowest, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), 30)
            start = starts.get(partition, lowest)
            if start < lowest:
                sys.stderr.write(f"offsets {start} to {lowest - 1} of partition {partition} are gone\n")
            reading.append(TopicPartition(topic, partition, max(start, lowest)))
        consumer.assign(reading)
        left = {one.partition for one in reading}
        while left:
            for record in consumer.consume(1_000, 1.0):
                error = record.error()
                if error is None:
                    yield record
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - spelled so by the library
                    left.discard(record.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def main(words: list[str]) -> None:
    """Run once; the words are those of the example above, in their order."""
    servers, topic, event_type, gateway, key_file, folder = words
    key = Path(key_file).read_text().strip()

    def fetch(schema_id: int) -> Any:
        url = f"{gateway}/v1/schemas/{schema_id}"  # never the URL in a record: it would be given the key
        return httpx.get(url, headers={"Authorization": f"Bearer {key}"}).raise_for_status().json()

    lake = Lake(Path(folder), topic, event_type, fetch)
    sys.stdout.write(f"{lake.take(read_topic(servers, topic, lake.starts()))} records\n")


if __name__ == "__main__":
    main(sys.argv[1:])
