import json
from typing import Any

import pytest

from schemas.branches import is_ambiguous
from schemas.codec import Codec, compile_codec
from schemas.errors import DatumError
from schemas.schema import parse_schema


def _record(full_name: str, /, **fields: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": full_name,
        "fields": [{"name": one, "type": fields[one]} for one in fields],
    }


_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
_UUID = {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}
_TIME = {"type": "long", "logicalType": "timestamp-millis"}
_STATE = {"type": "enum", "name": "State", "symbols": ["OPEN", "SHUT"]}
_CAT = _record("a.Cat", name="string")
_DOG = _record("a.Dog", name="string")
_PET = _record("Pet", name="string")
_CART = _record("Cart", Pet="string")
_MAP = {"type": "map", "values": "string"}
_MAPS = {"type": "map", "values": {"type": "map", "values": "int"}}


def _codec(kind: Any) -> Codec:
    return compile_codec(parse_schema(json.dumps(_record("R", v=kind))), (), "plain")


def _branch(kind: Any, value: str) -> int:
    return _codec(kind).avro_from_json(f'{{"v":{value}}}'.encode()).avro[0] // 2


def _is_ambiguous(kind: Any) -> bool:
    root: Any = parse_schema(json.dumps(kind)).root
    return is_ambiguous(root)


def test_a_union_is_ambiguous_where_two_branches_take_one_kind_of_json() -> None:
    plain = (
        ["null", "string"],
        ["null", "int", "string", {"type": "array", "items": "int"}, _MAP],
        ["null", _MONEY],
    )
    assert not any(map(_is_ambiguous, plain))
    blurred = (
        ["long", "double"],
        ["string", "bytes"],
        ["string", "null", _STATE],
        [_CAT, _DOG],
        [_MAP, _CAT],
    )
    assert all(map(_is_ambiguous, blurred))


@pytest.mark.parametrize(
    ("kind", "value", "branch"),
    [
        (["string", "bytes"], '"AAAA"', 0),
        (["string", "bytes"], '{"bytes":"AAAA"}', 1),
        (["bytes", "string"], '"AAAA"', 0),
        (["bytes", "string"], '"A"', 1),
        ([_STATE, "string"], '"OPEN"', 0),
        ([_STATE, "string"], '"open"', 1),
        ([_STATE, "string"], '{"string":"OPEN"}', 1),
        (["string", _STATE], '"OPEN"', 0),
        (["string", _STATE], '{"State":"OPEN"}', 1),
        ([_TIME, "string"], '"2026-01-01T00:00:00Z"', 0),
        ([_TIME, "string"], '"tomorrow"', 1),
        ([_UUID, "string"], '"123e4567-e89b-12d3-a456-426614174000"', 0),
        ([_UUID, "null", "string"], "null", 1),
        (["string", _UUID, "null"], "null", 2),
        ([_CAT, _DOG], '{"name":"x"}', 0),
        ([_CAT, _DOG], '{"a.Dog":{"name":"x"}}', 1),
        ([_PET, _CART], '{"Pet":"x"}', 1),
        ([_PET, _CART], '{"Pet":{"name":"x"}}', 0),
        ([_MAP, _DOG], '{"name":"x"}', 0),
        ([_MAP, _DOG], '{"a.Dog":"x"}', 0),
        ([_MAP, _DOG], '{"a.Dog":{"name":"x"}}', 1),
        (["int", "long"], "1", 0),
        (["int", "long"], "2147483648", 1),
        (["int", "long"], '{"long":1}', 1),
        (["float", "double"], '{"double":0.1}', 1),
        ([_MONEY, "double"], "1.5", 0),
        ([_MONEY, "double"], "1.555", 1),
        ([_MONEY, "double"], '{"double":1.5}', 1),
        (["null", _MAP], '{"map":"x"}', 1),
    ],
)
def test_a_value_means_the_branch_that_it_names_or_the_first_that_fits(
    kind: Any, value: str, branch: int
) -> None:
    assert _branch(kind, value) == branch


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (["string", "bytes"], '{"bytes":"AAAA"}'),
        (["bytes", "string"], '"A"'),
        (["bytes", "string"], '{"string":"AAAA"}'),
        ([_STATE, "string"], '"open"'),
        ([_STATE, "string"], '{"string":"OPEN"}'),
        (["string", _STATE], '{"State":"OPEN"}'),
        ([_CAT, _DOG], '{"name":"x"}'),
        ([_CAT, _DOG], '{"a.Dog":{"name":"x"}}'),
        (["int", "long"], '{"long":1}'),
        (["long", "double"], "1.0"),
        ([_MONEY, "double"], '{"double":1.5}'),
        ([_MONEY, "double"], "1.555"),
        (["string", _MONEY], "1.50"),
        (["long", {**_MONEY, "scale": 0}], '"1"'),
        ([_MAPS, _CAT], '{"map":{"map":{}}}'),
        ([_MAP, _CAT], '{"a.Cat":{"name":"x"}}'),
        ([_MAP, _CAT], '{"a.Cat":"x"}'),
        (["null", _MAPS], '{"map":{}}'),
    ],
)
def test_the_writer_names_a_branch_only_where_it_must(kind: Any, value: str) -> None:
    codec = _codec(kind)
    text = f'{{"v":{value}}}'.encode()
    datum = codec.avro_from_json(text)
    assert codec.json_from_avro(datum.avro) == text


@pytest.mark.parametrize(
    ("kind", "value", "faults"),
    [
        (["string", "bytes"], '{"bytes":"A"}', [("/v/bytes", "format")]),
        (["string", "bytes"], '{"other":"A"}', [("/v", "union")]),
        (["string", "bytes"], '{"bytes":"A","string":"A"}', [("/v", "union")]),
        (["null", "bytes"], '{"bytes":"AAAA"}', [("/v", "type")]),
        ([_CAT, _DOG], '{"a.Dog":{}}', [("/v/a.Dog/name", "missing")]),
        ([_CAT, _DOG], '{"nam":"x"}', [("/v", "union")]),
        (["int", "long", _CAT], '{"a.Cat":{}}', [("/v/a.Cat/name", "missing")]),
        (["string", _STATE, _CAT], '{"State":"AJAR"}', [("/v/State", "enum")]),
    ],
)
def test_a_named_branch_that_does_not_fit_is_a_fault_where_it_stands(
    kind: Any, value: str, faults: list[tuple[str, str]]
) -> None:
    with pytest.raises(DatumError) as caught:
        _codec(kind).avro_from_json(f'{{"v":{value}}}'.encode())
    assert [(fault.pointer, fault.code) for fault in caught.value.faults] == faults
