"""Exports as Parquet, by pyarrow, which is loaded here alone and only when a file is written or read.

Not every installation has it: `partner-gateway[parquet]`. The reader takes the columns of an export and no
others, a batch at a time, and compares nothing: that is `audit.export`'s work. pyarrow is much code for bytes
from outside: who verifies exports of strangers asks for JSON lines or Avro.

Source: docs/formats.md section 13.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from audit.errors import MalformedError, MissingLibraryError
from audit.export_pages import measure
from audit.export_row import AT, COLUMNS, Plain, Value
from audit.manifest import FILE_ENTRIES, PLAIN_BYTES

_BATCH: Final = 2_000
_BATCH_BYTES: Final = 16 * 2**20
"""Rows that are read at once, and what they may come to where all are alike."""

_END_BYTES: Final = 256 * 1024
"""What stands at the end of a file: its columns, and where they lie."""

_WRITER: Final = "parquet-cpp-arrow "

_FEW: Final = (
    "kind",
    "hour",
    "partner",
    "direction",
    "type",
    "source",
    "endpoint",
    "credential",
    "code",
    "reason",
)
"""Columns that hold few different values, one time after the other."""


def verify_installed() -> None:
    """Make sure that Parquet can be written and read here.

    Raises:
        MissingLibraryError: pyarrow is not installed.
    """
    _library()


class TableWriter:
    """A file that grows by rows, at least one. However they come in: the same rows, the same bytes."""

    def __init__(self) -> None:
        """Begin it.

        Raises:
            MissingLibraryError: pyarrow is not installed.
        """
        self._arrow, self._parquet = _library()
        self._schema = _schema(self._arrow)
        self._batches: list[Any] = []

    def add(self, columns: Sequence[Sequence[Value]]) -> None:
        """Take the next rows, column by column; from here on they are a fraction of their size."""
        pairs = zip(columns, self._schema, strict=True)
        arrays = [self._arrow.array(values, type=field.type) for values, field in pairs]
        self._batches.append(self._arrow.record_batch(arrays, schema=self._schema))

    def end(self) -> bytes:
        """The file over all of them."""
        table = self._arrow.Table.from_batches(self._batches, schema=self._schema).combine_chunks()
        self._batches.clear()
        sink = self._arrow.BufferOutputStream()
        self._parquet.write_table(
            table,
            sink,
            compression="zstd",
            compression_level=1,
            use_dictionary=list(_FEW),
            write_statistics=["epoch", "index", "at", "kind"],
            row_group_size=max(1, table.num_rows),
        )
        return bytes(sink.getvalue())


def encode_table(rows: Sequence[tuple[Value, ...]]) -> bytes:
    """The file over these rows; the same rows and the same pyarrow give the same bytes.

    Raises:
        MissingLibraryError: pyarrow is not installed.
    """
    writer = TableWriter()
    writer.add(tuple(zip(*rows, strict=True)))
    return writer.end()


def decode_table(raw: bytes, most: int = FILE_ENTRIES) -> Iterator[tuple[Value, ...]]:
    """The rows of a file, `most` at most; nothing is unpacked before it is known what it comes to.

    Raises:
        MalformedError: it is no Parquet, has other columns, or is not as `encode_table` writes it.
        MissingLibraryError: pyarrow is not installed.
    """
    arrow, parquet = _library()
    # What pyarrow raises has several roots: of its own, and of Python.
    broken = (arrow.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError)
    try:
        if int.from_bytes(raw[-8:-4], "little") > _END_BYTES:
            raise MalformedError("export: what the Parquet file says at its end is too large")
        source = arrow.BufferReader(raw)
        described = parquet.ParquetFile(source)
        if not described.schema_arrow.equals(_schema(arrow)):
            raise MalformedError("export: the Parquet file has other columns")
        total = _plain_bytes(raw, described.metadata, most)
        if total > PLAIN_BYTES:
            raise MalformedError("export: the Parquet file is too large unpacked")
        file = parquet.ParquetFile(source, metadata=described.metadata, read_dictionary=list(_FEW))
        few = max(1, described.metadata.num_rows * _BATCH_BYTES // max(1, total))
        batches = file.iter_batches(batch_size=min(_BATCH, few))
        while True:
            batch = next(batches, None)
            if batch is None:
                return
            columns = [batch.column(place) for place in range(len(COLUMNS))]
            columns[AT] = columns[AT].cast(arrow.int64())
            yield from zip(*(_values(arrow, column) for column in columns), strict=True)
    except broken as error:
        raise MalformedError("export: the Parquet file cannot be read") from error


def _plain_bytes(raw: bytes, described: Any, most: int) -> int:
    """What all pages come to.

    Raises:
        ValueError: the file is not as `TableWriter` writes it, or has more than `most` rows.
    """
    is_ours = str(described.created_by).startswith(_WRITER) and described.num_row_groups == 1
    if not is_ours or not 0 < described.num_rows <= most:
        raise ValueError("more rows than there can be, or another writer's file")
    rows, group, total = described.num_rows, described.row_group(0), 0
    for place, name in enumerate(COLUMNS):
        column = group.column(place)
        first = column.dictionary_page_offset
        start = column.data_page_offset if first is None else first
        end = start + column.total_compressed_size
        is_one = column.num_values == rows and column.compression == "ZSTD" and 0 < start <= end <= len(raw)
        if not is_one or start > column.data_page_offset or (first is not None and name not in _FEW):
            raise ValueError("a column that lies elsewhere, or is packed otherwise")
        total += measure(raw, start, end, rows, has_dictionary=name in _FEW)
    return total


def _values(arrow: Any, column: Any) -> list[Any]:
    """The values of a column; one that a dictionary holds once is one value, wherever it stands."""
    if not arrow.types.is_dictionary(column.type):
        found: list[Any] = column.to_pylist()
        return found
    numbers = column.indices.to_pylist()
    known: dict[int | None, Any] = {one: column.dictionary[one].as_py() for one in set(numbers) - {None}}
    return [known.get(one) for one in numbers]


def _schema(arrow: Any) -> Any:
    types: Mapping[Plain, Any] = {
        "count": arrow.int64(),
        "instant": arrow.timestamp("ms", tz="UTC"),
        "flag": arrow.bool_(),
        "text": arrow.string(),
    }
    return arrow.schema(
        [arrow.field(name, types[plain], nullable=may_lack) for name, (plain, may_lack) in COLUMNS.items()]
    )


def _library() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: ICN001, PLC0415 - heavy, and not everybody has it
        import pyarrow.parquet  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingLibraryError(
            "Parquet needs pyarrow, which is not installed here: pip install 'partner-gateway[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet
