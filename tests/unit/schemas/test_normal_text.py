import json

from hypothesis import given, settings

from schemas.likeness import likeness
from schemas.normal_text import normal_text
from schemas.schema import parse_schema
from tests.property.avro_schemas import schemas_and_data


@settings(deadline=None, max_examples=60)
@given(schemas_and_data(any_root=True))
def test_the_normal_form_is_the_same_schema_and_its_own_normal_form(drawn: tuple[str, list[object]]) -> None:
    text = drawn[0]
    normal = normal_text(text)
    before, after = parse_schema(text), parse_schema(normal)
    assert likeness(after.root) == likeness(before.root)
    assert after.fingerprint == before.fingerprint
    assert normal_text(normal) == normal
    assert json.loads(normal_text(json.dumps(json.loads(text), indent=2, sort_keys=True))) == json.loads(
        normal
    )


def test_members_have_one_order_and_nothing_that_a_reader_uses_is_lost() -> None:
    text = """{"fields": [{"default": {"b": 1, "a": 2}, "aliases": ["y"], "order": "ignore", "doc": "d",
        "type": {"values": {"type": "int"}, "type": "map"}, "name": "x"}],
        "zeta": 1, "doc": "D", "alpha": 2, "namespace": "n", "name": "R", "type": "record"}"""
    assert normal_text(text) == (
        '{"type":"record","name":"R","namespace":"n","doc":"D","fields":[{"name":"x",'
        '"type":{"type":"map","values":"int"},"doc":"d","default":{"b":1,"a":2},"order":"ignore",'
        '"aliases":["y"]}],"alpha":2,"zeta":1}'
    )


def test_what_only_looks_like_a_record_is_left_as_it_is() -> None:
    assert normal_text('{"type": "string", "fields": [1]}') == '{"type":"string","fields":[1]}'
