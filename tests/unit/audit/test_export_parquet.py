"""Exports as Parquet: read by DuckDB and pandas as the document shows, and in one form only."""

import io
import re
from collections.abc import Iterator
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
        writer.add(ROWS[start : start + 70])
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


def test_what_says_to_be_too_large_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_parquet, "_PLAIN_BYTES", 1_000)
    with pytest.raises(MalformedError, match="too large"):
        list(decode_table(FILE))


def test_where_pyarrow_is_missing_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    for work in (verify_installed, lambda: encode_table(ROWS), lambda: list(decode_table(FILE))):
        with pytest.raises(MissingLibraryError, match=r"partner-gateway\[parquet\]"):
            work()
