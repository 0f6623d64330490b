"""Every route says what it is: in the OpenAPI document, on the page, and in a row of the tenancy tests."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.http.catalogue import CATALOGUE
from gateway.http.gates import GATES
from gateway.http.guard import Gate
from gateway.http.openapi.components import SCHEMAS
from gateway.http.openapi.document import Place, Reader, compose
from gateway.http.openapi.operations import codes_of, operation_ids, path_of
from tests.tenancy import test_tenancy, test_tenancy_registry

DOCUMENT = compose(GATES, Place("https://gw.example", "1"), Reader())


def name_of(gate: Gate) -> str:
    return f"{gate.method} {gate.path}"


@pytest.mark.parametrize("gate", GATES, ids=name_of)
def test_a_route_is_described_and_each_of_its_parameters(gate: Gate) -> None:
    assert gate.told is not None, "put words beside what answers it: gateway.http.told.tells"
    operation = DOCUMENT["paths"][path_of(gate)][gate.method.lower()]
    assert operation["summary"]
    assert any(status.startswith("2") for status in operation["responses"])
    told = {(one["in"], one["name"]) for one in operation.get("parameters", ())}
    parts = set(re.findall(r"\{([a-z]+)", gate.path))
    assert {name for place, name in told if place == "path"} == parts
    if gate.side != "registry":
        assert {name for place, name in told if place == "query"} == set(gate.offered)


@pytest.mark.parametrize("gate", GATES, ids=name_of)
def test_a_body_that_is_sent_is_described(gate: Gate) -> None:
    assert gate.told is not None
    if gate.method in {"PUT", "PATCH"}:
        assert gate.told.body is not None


@pytest.mark.parametrize(
    "gate", [gate for gate in GATES if gate.side not in {"open", "private"}], ids=name_of
)
def test_a_route_has_a_row_in_the_matrix_of_tenants(gate: Gate) -> None:
    assert gate in test_tenancy.GUARDED or gate in test_tenancy_registry.REGISTRY


def test_names_of_operations_are_words_and_no_two_are_alike() -> None:
    names = Counter(operation_ids(GATES).values())
    assert [name for name, times in names.items() if times > 1] == []
    assert [name for name in names if re.fullmatch("[a-z][A-Za-z]+", name) is None] == []


def test_every_error_of_a_route_is_one_of_the_catalogue() -> None:
    assert {code for gate in GATES for code in codes_of(gate)} <= set(CATALOGUE)


def references(shape: Any) -> Iterator[str]:
    if isinstance(shape, list):
        for one in shape:
            yield from references(one)
    elif isinstance(shape, dict):
        if isinstance(shape.get("$ref"), str):
            yield shape["$ref"]
        for one in shape.values():
            yield from references(one)


def test_every_reference_leads_somewhere_and_no_schema_stands_idle() -> None:
    found = set(references(DOCUMENT))
    names = {one.removeprefix("#/components/schemas/") for one in found if "/schemas/" in one}
    assert names == set(SCHEMAS)
    for one in found:
        place: Any = DOCUMENT
        for step in one.removeprefix("#/").split("/"):
            place = place[step]
