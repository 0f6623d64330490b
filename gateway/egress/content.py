"""The data of an event as values, for those who look into it: read once, and only where somebody looks."""

import json
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from gateway.egress.intake import Carried
from schemas.codec import Codec, compile_codec
from schemas.schema import Schema


def content_of(carried: Carried) -> Callable[[], object]:
    """Gives the data in plain JSON, whatever the line's flavour; numbers with a fraction are `Decimal`."""
    known: list[object] = []

    def read() -> object:
        if not known:
            known.append(json.loads(_plain(carried), parse_float=Decimal))
        return known[0]

    return read


def _plain(carried: Carried) -> bytes:
    """The checked data once more, where it is in the JSON of Avro, whose unions are wrapped."""
    if carried.version.codec.json == "plain":
        return carried.json
    datum = carried.version.codec.avro_from_json(carried.json).avro
    return _codec(carried.version.schema).json_from_avro(datum)


@lru_cache(256)
def _codec(schema: Schema) -> Codec:
    return compile_codec(schema, (), "plain")
