import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from schemas.codec import Codec, compile_codec
from schemas.compiled import PATIENCE, Parts, Shelf
from schemas.errors import DatumError, SchemaError
from schemas.fast_source import source_of
from schemas.schema import Reference, Schema, parse_schema


def _schema(number: int) -> Schema:
    fields = [{"name": "v", "type": "int"}, {"name": "id", "type": "string"}]
    return parse_schema(json.dumps({"type": "record", "name": f"R{number:03}", "fields": fields}))


_WEIGHT = len(_schema(0).text)
_EVENT = b'{"v":1,"id":"x"}'


def _codecs(shelf: Shelf, count: int) -> list[Codec]:
    return [compile_codec(_schema(number), ("/id",), "plain", shelf=shelf) for number in range(count)]


def test_nothing_is_compiled_before_it_is_asked_for() -> None:
    shelf = Shelf(1 << 20)
    codecs = _codecs(shelf, 3)
    assert shelf.filled() == 0
    codecs[1].avro_from_json(_EVENT)
    assert shelf.filled() == 1


def test_a_wrong_pointer_is_refused_before_anything_is_compiled() -> None:
    with pytest.raises(SchemaError):
        compile_codec(_schema(0), ("/nowhere",), "plain", shelf=Shelf(1 << 20))


def test_no_more_is_kept_than_the_shelf_holds_and_what_is_gone_comes_back() -> None:
    shelf = Shelf(3 * _WEIGHT)
    codecs = _codecs(shelf, 10)
    first = [codec.avro_from_json(_EVENT) for codec in codecs]
    assert shelf.filled() == 3
    assert [codec.avro_from_json(_EVENT) for codec in codecs] == first
    assert [codec.checked_avro(one.avro) for codec, one in zip(codecs, first, strict=True)] == first
    assert shelf.filled() == 3


def test_a_path_is_compiled_for_a_codec_that_is_used_again_and_again() -> None:
    codec = compile_codec(_schema(0), ("/id",), "plain", shelf=Shelf(1 << 20))
    first = codec.avro_from_json(_EVENT)
    parts = codec._place.parts
    assert parts is not None
    ways: list[tuple[str, Callable[[], object]]] = [
        ("encode_json", lambda: codec.avro_from_json(_EVENT)),
        ("check_avro", lambda: codec.checked_avro(first.avro)),
        ("print_avro", lambda: codec.decode(first.avro)),
    ]
    for path, work in ways:
        before = [work() for _ in range(PATIENCE)]
        after = work()
        assert before == [after] * PATIENCE
        assert source_of(parts.__dict__[path])


def test_what_is_busy_stays_while_what_is_idle_goes() -> None:
    shelf = Shelf(4 * _WEIGHT)
    busy, *others = _codecs(shelf, 40)
    busy.avro_from_json(_EVENT)
    kept = busy._place.parts
    for codec in others:
        codec.avro_from_json(_EVENT)
        busy.avro_from_json(_EVENT)
    assert busy._place.parts is kept
    assert sum(codec._place.parts is not None for codec in others) == 3


def test_a_schema_heavier_than_the_shelf_is_kept_alone() -> None:
    shelf = Shelf(1)
    codecs = _codecs(shelf, 2)
    for codec in codecs:
        codec.avro_from_json(_EVENT)
    assert shelf.filled() == 1
    assert codecs[1]._place.parts is not None


def test_a_schema_weighs_as_much_as_all_texts_that_it_leans_on() -> None:
    def around(name: str, inner: Schema) -> Schema:
        text = json.dumps({"type": "record", "name": name, "fields": [{"name": "v", "type": inner.name}]})
        return parse_schema(text, [Reference(inner.name, inner.name, 1, inner)])

    base = _schema(0)
    middle = around("Middle", base)
    top = around("Top", middle)
    weights = [compile_codec(one, (), "plain")._place.weight for one in (base, middle, top)]
    assert weights == [_WEIGHT, _WEIGHT + len(middle.text), _WEIGHT + len(middle.text) + len(top.text)]


def test_what_a_compiled_path_takes_the_reference_does_not_see() -> None:
    codec = compile_codec(_schema(0), ("/id",), "plain", shelf=Shelf(1 << 20))

    def work() -> tuple[object, ...]:
        raw = b"\x02\x02x"
        return codec.avro_from_json(_EVENT), codec.checked_avro(raw), codec.decode(raw)

    wanted = [work() for _ in range(PATIENCE + 1)]
    parts = codec._place.parts
    assert parts is not None
    for part in ("check", "encode", "read", "write", "picks"):
        parts.__dict__[part] = None
    assert wanted == [work()] * len(wanted)


def test_threads_that_drive_each_other_off_the_shelf_get_right_answers_all_the_same() -> None:
    shelf = Shelf(2 * _WEIGHT)
    codecs = _codecs(shelf, 6)

    def work(start: int) -> list[tuple[bytes, str | None]]:
        found: list[tuple[bytes, str | None]] = []
        for step in range(60):
            encoded = codecs[(start + step) % 6].avro_from_json(_EVENT)
            found.append((encoded.avro, encoded.values["/id"]))
        return found

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(work, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert results == [[(b"\x02\x02x", "x")] * 60] * 4
    assert shelf.filled() <= 4


@pytest.mark.parametrize("text", ['{"v":"x","id":"x"}', '{"v":1,"v":1,"id":"x"}'])
def test_faults_come_from_the_reference_whatever_the_compiled_path_met(text: str) -> None:
    codec = compile_codec(_schema(0), (), "plain")
    for _ in range(PATIENCE + 1):
        codec.avro_from_json(_EVENT)
    with pytest.raises(DatumError) as caught:
        codec.avro_from_json(text.encode())
    assert [fault.pointer for fault in caught.value.faults] == ["/v"]


def test_codecs_of_the_same_schema_pointers_and_flavour_are_equal() -> None:
    shelf = Shelf(1)
    one, other = (compile_codec(_schema(7), ("/id",), "plain", shelf=shelf) for _ in range(2))
    assert one == other
    assert one != compile_codec(_schema(7), ("/id",), "avro", shelf=shelf)
    assert one != compile_codec(_schema(7), (), "plain", shelf=shelf)


def test_a_large_datum_goes_by_the_compiled_path_at_once() -> None:
    fields = [{"name": "v", "type": "string"}]
    root = parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields})).root
    small, large = b'{"v":"x"}', b'{"v":"' + b"x" * 20_000 + b'"}'
    parts = Parts(root, "plain", (), patience=3)
    encode = parts.encode_json
    assert encode is not None
    assert encode(small) is None
    found = encode(large)
    assert found is not None
    assert found[0].endswith(b"x" * 20_000)
