"""Exports as Parquet, by pyarrow, which is loaded here alone and only when a file is written or read.

Not every installation has it: `partner-gateway[parquet]`. The reader takes the columns of an export and no
others, a batch at a time, and compares nothing: that is `audit.export`'s work. pyarrow is much code for bytes
from outside: who verifies exports of strangers asks for JSON lines or Avro.

Source: docs/formats.md section 13.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from audit.errors import MalformedError, MissingLibraryError
from audit.export_row import AT, COLUMNS, Plain, Value

_BATCH: Final = 2_000
_PLAIN_BYTES: Final = 1 << 30
"""What a file may say to hold once it is unpacked."""

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

    def add(self, rows: Sequence[tuple[Value, ...]]) -> None:
        """Take the next rows; they are columns from here on, a fraction of their size."""
        pairs = zip(zip(*rows, strict=True), self._schema, strict=True)
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
    writer.add(rows)
    return writer.end()


def decode_table(raw: bytes) -> Iterator[tuple[Value, ...]]:
    """The rows of a file.

    Raises:
        MalformedError: it is no Parquet, or has other columns.
        MissingLibraryError: pyarrow is not installed.
    """
    arrow, parquet = _library()
    # What pyarrow raises has several roots: of its own, and of Python.
    broken = (arrow.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError)
    try:
        file = parquet.ParquetFile(arrow.BufferReader(raw))
        described = file.metadata
        plain = sum(described.row_group(one).total_byte_size for one in range(described.num_row_groups))
        if not file.schema_arrow.equals(_schema(arrow)) or plain > _PLAIN_BYTES:
            raise MalformedError("export: the Parquet file has other columns, or is too large unpacked")
        batches = file.iter_batches(batch_size=_BATCH)
        while True:
            batch = next(batches, None)
            if batch is None:
                return
            columns = [batch.column(place) for place in range(len(COLUMNS))]
            columns[AT] = columns[AT].cast(arrow.int64())
            yield from zip(*(column.to_pylist() for column in columns), strict=True)
    except broken as error:
        raise MalformedError("export: the Parquet file cannot be read") from error


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
