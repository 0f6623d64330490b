"""All that happens to a datum under one schema: bytes in, bytes out. Nothing else decoded leaves the package.

One set of functions decides what is right: the reference (check, encoder, reader, writer). Beside it stand
paths compiled for the schema, which are asked first and say what the reference would say, or nothing. Both
are compiled when they are first needed. A codec is immutable, and safe to use from several threads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.compiled import MOST_TEXT, PATIENCE, Parts, Place, Shelf
from schemas.errors import DatumError
from schemas.fault import Fault
from schemas.findings import Findings
from schemas.json_reader import read_with_findings
from schemas.leaf import JsonFlavour
from schemas.pointers import compile_pointers
from schemas.schema import Schema

_SHELF: Final = Shelf(MOST_TEXT)


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
    pointers: tuple[str, ...]
    json: JsonFlavour
    _shelf: Shelf = field(repr=False, compare=False)
    _place: Place = field(repr=False, compare=False)

    def avro_from_json(self, raw: bytes) -> Encoded:
        """Validate a JSON text and encode it.

        Raises:
            JsonTextError: no JSON text.
            DatumError: it has faults; all of them, up to a hundred.
        """
        parts = self._parts()
        encode_json = parts.encode_json
        found = None if encode_json is None else encode_json(raw)
        if found is not None:
            return Encoded(found[0], parts.pick_all(found[1]))
        findings = Findings()
        datum = parts.check(read_with_findings(raw, findings), None, findings)
        findings.verify()
        return Encoded(_encoded(parts, datum), _values(parts, datum))

    def checked_avro(self, raw: bytes) -> Encoded:
        """Accept an Avro datum from outside, if it is exactly what this codec would write for it.

        Raises:
            DatumError: it is no datum of the schema, breaks a logical type, or is not canonical.
        """
        found = self.normalised_avro(raw)
        if found.avro != raw:
            text = "is not canonical Avro: one block an array or map, decimals in their shortest form"
            raise DatumError((Fault("", "encoding", text),), 1)
        return found

    def normalised_avro(self, raw: bytes) -> Encoded:
        """The canonical bytes of a legal Avro datum: what this codec writes for it.

        Raises:
            DatumError: it is no datum of the schema, or breaks a logical type.
        """
        parts = self._parts()
        check_avro = parts.check_avro
        found = None if check_avro is None else check_avro(raw)
        if found is not None:
            return Encoded(raw, parts.pick_all(found[0]))
        datum = parts.read(raw)
        return Encoded(_encoded(parts, datum), _values(parts, datum))

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
        parts = self._parts()
        print_avro = parts.print_avro
        found = None if print_avro is None else print_avro(raw)
        if found is not None:
            return Decoded(found[0], parts.pick_all(found[1]))
        datum = parts.read(raw)
        return Decoded(parts.write(datum).encode(), _values(parts, datum))

    def _parts(self) -> Parts:
        place = self._place
        place.is_used = True
        parts = place.parts
        if parts is None:
            made = Parts(self.schema.root, self.json, self.pointers, patience=PATIENCE)
            parts = self._shelf.fill(place, made)
        return parts


def _encoded(parts: Parts, datum: Any) -> bytes:
    out = bytearray()
    parts.encode(datum, out)
    return bytes(out)


def _values(parts: Parts, datum: Any) -> dict[str, str | None]:
    return {pointer: pick(datum) for pointer, pick in parts.picks}


def compile_codec(
    schema: Schema, pointers: Sequence[str], json: JsonFlavour, *, shelf: Shelf = _SHELF
) -> Codec:
    """A codec of a schema for one JSON flavour, with the pointers whose text is wanted.

    `shelf`: where its compiled parts are kept, bounded; by default with those of all others of the process.

    Raises:
        SchemaError: a pointer leads nowhere, or to something without a stable text.
    """
    compile_pointers(schema.root, pointers)
    return Codec(schema, tuple(pointers), json, shelf, Place(_weight(schema)))


def _weight(schema: Schema) -> int:
    """Bytes of its text and of all texts that it leans on."""
    texts = {schema.guid: len(schema.text)}
    waiting = [schema]
    while waiting:
        for reference in waiting.pop().references:
            if reference.schema.guid not in texts:
                texts[reference.schema.guid] = len(reference.schema.text)
                waiting.append(reference.schema)
    return sum(texts.values())
