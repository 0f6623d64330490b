"""Which of our schemas a record was written with is read from its receipt, whatever stands there."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import operational
from gateway.operational import CONTRACT_CHANGED, Kind, registration_in
from partners.endpoint import OPERATIONAL

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["schema", "id", "version", "fingerprint", "type"]) | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)


def our_kind() -> Kind:
    found = operational.kind_of(CONTRACT_CHANGED)
    assert found is not None
    return found


def receipt(payload: bytes) -> str:
    return f"e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.c2ln"


def members(**changed: Any) -> dict[str, Any]:
    named = {"id": 7, "version": 2, "fingerprint": our_kind().schema.fingerprint.hex()}
    return {"type": CONTRACT_CHANGED, "schema": {**named, **changed}}


def test_a_receipt_names_schema_id_and_version() -> None:
    found = registration_in(receipt(json.dumps(members()).encode()), our_kind())
    assert found is not None
    assert (found.id, found.number, found.schema) == (7, 2, our_kind().schema)


@pytest.mark.parametrize(
    "wrong",
    [
        members(fingerprint="00" * 32),
        members(id=0),
        members(id=True),
        members(version=1 << 31),
        {**members(), "type": "order.placed"},
        {"type": CONTRACT_CHANGED},
        [],
    ],
)
def test_one_of_anything_else_names_none(wrong: object) -> None:
    assert registration_in(receipt(json.dumps(wrong).encode()), our_kind()) is None


@given(JSON.map(lambda one: json.dumps(one).encode()) | st.binary(max_size=60))
def test_whatever_stands_in_a_receipt_names_one_of_ours_or_none(payload: bytes) -> None:
    assert registration_in(receipt(payload), our_kind()) is None


@given(st.text(max_size=40))
def test_what_is_no_receipt_names_none(text: str) -> None:
    assert registration_in(text, our_kind()) is None


def test_a_depth_that_no_reader_takes_names_none() -> None:
    assert registration_in(receipt(b"[" * 17_000), our_kind()) is None


def test_every_type_can_be_asked_for_and_has_a_schema() -> None:
    assert operational.types() == tuple(sorted(OPERATIONAL))
    for one in operational.types():
        kind = operational.kind_of(one)
        assert kind is not None
        assert kind.schema.name.startswith("gateway.")
    assert operational.kind_of("order.placed") is None
