"""Exports as Parquet: read by DuckDB and pandas as the document shows, and in one form only."""

import io
import re
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit import export_parquet
from audit.errors import MalformedError, MissingLibraryError
from audit.export_avro import _long
from audit.export_parquet import TableWriter, decode_table, encode_table, verify_installed
from audit.export_row import COLUMNS
from tests.made_logs import HOSTILE
from tests.unit.audit.rows_made import rows

ROWS = rows(330)
FILE = encode_table(ROWS)
DOCUMENT = Path(__file__).parents[3] / "docs/exports.md"
SQL, PYTHON = (
    re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
    for language in ("sql", "python")
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where an export was unpacked, in two files."""
    for number, some in enumerate((ROWS[:70], ROWS[70:]), 1):
        (tmp_path / f"entries-1-{number:06d}.parquet").write_bytes(encode_table(some))
    with chdir(tmp_path):
        yield tmp_path


def test_rows_come_back_as_they_were() -> None:
    assert list(decode_table(FILE)) == ROWS
    assert encode_table(ROWS) == FILE


def test_rows_that_come_in_pieces_make_the_same_file() -> None:
    writer = TableWriter()
    for start in range(0, len(ROWS), 70):
        writer.add(tuple(zip(*ROWS[start : start + 70], strict=True)))
    assert writer.end() == FILE


@pytest.mark.parametrize("number", range(len(SQL)))
@pytest.mark.usefixtures("folder")
def test_the_documents_queries_run_in_duckdb(number: int) -> None:
    relation = duckdb.sql(SQL[number])
    assert relation is not None
    found = relation.fetchall()
    assert found
    if "exact_id" in SQL[number]:
        assert {"=1+1", "\t=1", "-5"} <= {one[2] for one in found} <= {*HOSTILE, *(row[10] for row in ROWS)}


@pytest.mark.usefixtures("folder")
def test_the_documents_code_runs_in_pandas() -> None:
    names: dict[str, Any] = {}
    for block in PYTHON:
        exec(compile(block, "exports.md", "exec"), names)  # noqa: S102 - the document's own words
    entries = names["entries"]
    assert len(entries) == len(ROWS)
    assert list(entries.columns) == list(COLUMNS)
    assert names["per_day"].sum() == sum(row[4] is not None for row in ROWS)
    assert names["digests"].str.fullmatch("[0-9a-f]{64}").all()
    assert [None if pd.isna(one) else one for one in entries["id"]] == [row[10] for row in ROWS]


@pytest.mark.usefixtures("folder")
def test_no_cell_of_a_csv_begins_a_formula() -> None:
    """Through both programs that analysts make CSV files with."""
    duckdb.sql("COPY (FROM read_parquet('entries-*.parquet')) TO 'duck.csv'")
    pd.read_parquet("entries-1-000001.parquet").to_csv("panda.csv", index=False)
    for name in ("duck.csv", "panda.csv"):
        cells = pd.read_csv(name, dtype=str, keep_default_na=False).to_numpy().ravel()
        assert len(cells) > 1_000
        wrong = [one for one in cells if one.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))]
        assert wrong == []


def test_a_table_with_other_columns_is_refused() -> None:
    table = pq.read_table(io.BytesIO(FILE))
    others = [
        table.drop_columns(["ms"]),
        table.append_column("more", pa.array([1] * len(table))),
        table.select([*reversed(table.column_names)]),
        table.set_column(1, "index", table["index"].cast(pa.int32())),
    ]
    for other in others:
        target = io.BytesIO()
        pq.write_table(other, target)
        with pytest.raises(MalformedError):
            list(decode_table(target.getvalue()))


@pytest.mark.parametrize("number", range(0, len(FILE), len(FILE) // 60))
def test_a_flipped_byte_raises_one_family_or_makes_other_rows(number: int) -> None:
    raw = bytearray(FILE)
    raw[number] ^= 0x15
    try:
        list(decode_table(bytes(raw)))
    except MalformedError:
        return


@pytest.mark.parametrize("raw", [b"", b"PAR1", b"PAR1PAR1", FILE[:-1], FILE[:500], b"x" * 100])
def test_other_bytes_raise_one_family(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        list(decode_table(raw))


# Bombs


def table(count: int, **values: Any) -> bytes:
    """A file as our writer makes it, of rows that hold nothing but these, the same in each; see `written`."""
    return written(count, values)


def written(count: int, values: Mapping[str, Any], **how: Any) -> bytes:
    """`how`: otherwise than our writer does it."""
    blank = {pa.int64(): 0, pa.bool_(): False, pa.string(): ""}
    schema = export_parquet._schema(pa)
    columns = [
        pa.array([values.get(one.name, None if one.nullable else blank[one.type])] * count, type=one.type)
        for one in schema
    ]
    target = io.BytesIO()
    few = list(export_parquet._FEW)
    usual = {"compression": "zstd", "use_dictionary": few, "row_group_size": count}
    pq.write_table(pa.table(columns, schema=schema), target, **{**usual, **how})
    return target.getvalue()


def lying(raw: bytes) -> bytes:
    """The same file, whose end says that each column, and the whole, comes to nothing once unpacked."""
    group = pq.ParquetFile(io.BytesIO(raw)).metadata.row_group(0)
    sizes = {group.column(place).total_uncompressed_size for place in range(group.num_columns)}
    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    end = raw[start:]
    for size in sorted({size for size in (*sizes, group.total_byte_size) if size > 1 << 20}):
        said = _long(size)
        assert said in end
        end = end.replace(said, b"\x80" * (len(said) - 1) + b"\x00")
    found = raw[:start] + end
    assert pq.ParquetFile(io.BytesIO(found)).metadata.row_group(0).total_byte_size == 0
    return found


def peak_of(raw: bytes, most: int = 100_000) -> tuple[int | None, int]:
    """Rows, None where the file is refused; and the most memory that it took, Arrow's and ours, in bytes."""
    pool, usual = pa.proxy_memory_pool(pa.system_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        count = sum(1 for _ in decode_table(raw, most))
        return count, tracemalloc.get_traced_memory()[1] + (pool.max_memory() or 0)
    except MalformedError:
        return None, tracemalloc.get_traced_memory()[1] + (pool.max_memory() or 0)
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)


LARGE = "x" * (1 << 20)
OTHERWISE: Mapping[str, Mapping[str, Any]] = {
    "values that a dictionary holds once": {"use_dictionary": True, "dictionary_pagesize_limit": 1 << 26},
    "values that repeat the one before": {
        "use_dictionary": False,
        "column_encoding": {"evidence": "DELTA_BYTE_ARRAY"},
    },
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_large_values_that_cost_a_file_nothing_are_refused(how: str) -> None:
    raw = written(20, {"evidence": LARGE}, **OTHERWISE[how])
    assert len(raw) < 10_000
    count, peak = peak_of(raw)
    assert count is None
    assert peak < 1 << 20, peak


@pytest.mark.parametrize("lie", [bytes, lying], ids=["as it is", "as the end tells it"])
def test_pages_that_come_to_more_than_the_writer_makes_are_not_unpacked(
    lie: Callable[[bytes], bytes],
) -> None:
    """Not even one of them; what the end of the file says of their size is not asked."""
    raw = lie(table(140, evidence=LARGE))
    assert len(raw) < 20_000
    count, peak = peak_of(raw)
    assert count is None
    assert peak < 1 << 20, peak


def test_a_value_of_a_dictionary_is_one_value_however_often_it_stands_there() -> None:
    raw = written(50, {"reason": LARGE}, dictionary_pagesize_limit=1 << 26)
    count, peak = peak_of(raw)
    assert count == 50
    assert peak < 8 << 20, peak


def test_large_rows_are_read_a_few_at_a_time() -> None:
    count, peak = peak_of(table(60, evidence=LARGE))
    assert count == 60
    assert peak < 100 << 20, peak


def test_more_rows_than_the_manifest_has_are_refused_before_any_is_made() -> None:
    assert list(decode_table(FILE, len(ROWS))) == ROWS
    assert peak_of(FILE, len(ROWS) - 1)[0] is None
    assert peak_of(table(101), 100)[0] is None


@pytest.mark.parametrize(
    "how",
    [{"compression": "gzip"}, {"row_group_size": 10}, {"data_page_version": "2.0"}],
    ids=lambda one: next(iter(one)),
)
def test_a_file_that_is_written_otherwise_is_refused(how: Mapping[str, Any]) -> None:
    assert peak_of(written(100, {}, **how))[0] is None


@pytest.mark.parametrize("number", range(40))
def test_a_changed_head_of_a_page_raises_one_family_or_makes_no_more_rows(number: int) -> None:
    """Of the first page of each column the first bytes, where its kind and sizes stand."""
    group = pq.ParquetFile(io.BytesIO(FILE)).metadata.row_group(0)
    for place in range(group.num_columns):
        column = group.column(place)
        start = column.dictionary_page_offset or column.data_page_offset
        raw = bytearray(FILE)
        raw[start + number % 10] ^= (0x01, 0x80, 0x15, 0xFF)[number // 10]
        count, peak = peak_of(bytes(raw))
        assert count in {None, len(ROWS)}
        assert peak < 8 << 20, peak


def test_where_pyarrow_is_missing_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    for work in (verify_installed, lambda: encode_table(ROWS), lambda: list(decode_table(FILE))):
        with pytest.raises(MissingLibraryError, match=r"partner-gateway\[parquet\]"):
            work()
