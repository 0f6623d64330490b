"""Logical types aside, our verdict on any two schemas is that of Apache Avro's checker."""

import json
from typing import Any

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.name import Names
from avro.schema import make_avsc_object
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from schemas.avro_verdict import avro_accepts
from schemas.compatibility import _Walk, find_differences
from schemas.schema import Schema, parse_schema
from tests.property.avro_schemas import schemas_and_data
from tests.property.evolved_schemas import Pair, pairs

_ANY = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


def _without_logical(document: Any) -> Any:
    """As the checker's parser wants it: of logical types it only warns."""
    if isinstance(document, list):
        return [_without_logical(one) for one in document]
    if isinstance(document, dict):
        return {
            name: value if name == "default" else _without_logical(value)
            for name, value in document.items()
            if name != "logicalType"
        }
    return document


def _raw_verdict(reader: Schema, writer: Schema) -> bool:
    """What the checker says of the texts as they are."""
    made = [make_avsc_object(_without_logical(json.loads(one.text)), Names()) for one in (reader, writer)]
    checker: Any = ReaderWriterCompatibilityChecker
    return bool(checker().get_compatibility(*made).compatibility is SchemaCompatibilityType.compatible)


def _compare(reader: Schema, writer: Schema) -> None:
    found = find_differences(reader=reader, writer=writer, is_strict=False)
    walked = _Walk(is_strict=False).compare(reader.root, writer.root)
    # The walk alone comes to the checker's verdict: it names a difference exactly where there is one.
    assert bool(walked) == (not avro_accepts(reader.root, writer.root)) == bool(found)
    event("compatible" if not found else found[0].kind)
    if _raw_verdict(reader, writer) != (not found):
        # Its quirk: an alias without a namespace is compared as it is written, and then finds nothing.
        assert '"aliases"' in reader.text
        assert not found
    assert not found or find_differences(reader=reader, writer=writer)
    assert all(one.pointer.startswith("/") or one.pointer == "" for one in found)


@_ANY
@given(st.sampled_from(["tame", "usual", "wild"]).flatmap(pairs))
def test_of_evolved_schemas_in_either_direction(pair: Pair) -> None:
    reader, writer = parse_schema(pair.reader.text), parse_schema(pair.writer.text)
    _compare(reader, writer)
    _compare(writer, reader)


@settings(_ANY, max_examples=60)
@given(st.tuples(schemas_and_data(any_root=True), schemas_and_data(any_root=True)))
def test_of_schemas_that_have_nothing_in_common(drawn: Any) -> None:
    (reader, _), (writer, _) = drawn
    _compare(parse_schema(reader), parse_schema(writer))


@settings(_ANY, max_examples=60)
@given(schemas_and_data(any_root=True))
def test_every_schema_reads_itself(drawn: Any) -> None:
    schema = parse_schema(drawn[0])
    assert find_differences(reader=schema, writer=schema) == ()
