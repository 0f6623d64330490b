"""All that happens to a datum under one schema: bytes in, bytes out. Nothing else decoded leaves the package.

Compiled once per schema, set of pointers and JSON flavour; immutable, and safe to use from several threads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.avro_reader import ReadAvro, compile_reader
from schemas.check import Check, compile_check
from schemas.encoder import Encode, compile_encoder
from schemas.errors import DatumError
from schemas.fault import Fault
from schemas.findings import Findings
from schemas.json_reader import read_with_findings
from schemas.json_writer import Write, compile_writer
from schemas.leaf import JsonFlavour
from schemas.pointers import Pick, compile_pointers
from schemas.schema import Schema


@dataclass(frozen=True, slots=True)
class Encoded:
    """A bare Avro datum, and the text at each pointer that the codec was compiled with (None: null)."""

    avro: bytes = field(repr=False)
    values: Mapping[str, str | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The JSON text of a datum, and the text at each pointer that the codec knows (None: null)."""

    json: bytes = field(repr=False)
    values: Mapping[str, str | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Codec:
    """One schema, ready to use."""

    schema: Schema
    _check: Check = field(repr=False)
    _encode: Encode = field(repr=False)
    _read: ReadAvro = field(repr=False)
    _write: Write = field(repr=False)
    _picks: tuple[tuple[str, Pick], ...] = field(repr=False)

    def avro_from_json(self, raw: bytes) -> Encoded:
        """Validate a JSON text and encode it.

        Raises:
            JsonTextError: no JSON text.
            DatumError: it has faults; all of them, up to a hundred.
        """
        findings = Findings()
        datum = self._check(read_with_findings(raw, findings), None, findings)
        findings.verify()
        out = bytearray()
        self._encode(datum, out)
        return Encoded(bytes(out), self._values(datum))

    def checked_avro(self, raw: bytes) -> Encoded:
        """Accept an Avro datum from outside, if it is exactly what this codec would write for it.

        Raises:
            DatumError: it is no datum of the schema, breaks a logical type, or is not canonical.
        """
        datum = self._read(raw)
        out = bytearray()
        self._encode(datum, out)
        if out != raw:
            text = "is not canonical Avro: one block an array or map, decimals in their shortest form"
            raise DatumError((Fault("", "encoding", text),), 1)
        return Encoded(raw, self._values(datum))

    def json_from_avro(self, raw: bytes) -> bytes:
        """The JSON text of an Avro datum; `avro_from_json` gives the same datum back.

        Takes legal Avro that is not canonical too (several blocks, decimals with sign extension): stock
        producers write it.

        Raises:
            DatumError: it is no datum of the schema, or breaks a logical type.
        """
        return self.decode(raw).json

    def decode(self, raw: bytes) -> Decoded:
        """As `json_from_avro`, with the texts at the pointers.

        Raises:
            DatumError: it is no datum of the schema, or breaks a logical type.
        """
        datum = self._read(raw)
        return Decoded(self._write(datum).encode(), self._values(datum))

    def _values(self, datum: Any) -> dict[str, str | None]:
        return {pointer: pick(datum) for pointer, pick in self._picks}


def compile_codec(schema: Schema, pointers: Sequence[str], json: JsonFlavour) -> Codec:
    """Compile a schema for one JSON flavour, with the pointers whose text is wanted.

    Raises:
        SchemaError: a pointer leads nowhere, or to something without a stable text.
    """
    root = schema.root
    return Codec(
        schema=schema,
        _check=compile_check(root, json),
        _encode=compile_encoder(root),
        _read=compile_reader(root),
        _write=compile_writer(root, json),
        _picks=compile_pointers(root, pointers),
    )
