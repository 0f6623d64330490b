import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from partners.contract_file import read_contract
from partners.contract_schema import contract_schema
from partners.errors import ContractFileError

VALIDATOR: Final = Draft202012Validator(contract_schema())
EXAMPLES: Final = sorted(Path("examples").glob("*.yaml"))
WHOLE: Final[dict[str, Any]] = {
    "gateway": "v1",
    "partner": "acme",
    "name": "Acme GmbH",
    "contacts": {"technical": "edi@acme.example"},
    "authentication": {
        "accept": ["api_key", "mtls", "message_signature"],
        "require_signature": True,
        "certificates": ["certs/acme.pem", {"ca": "certs/ca.pem", "uri": "spiffe://acme.example/gw"}],
        "oauth": {"issuer": "https://id.acme.example", "audience": "gw", "subject": "acme-prod"},
        "addresses": ["203.0.113.0/24", "2001:db8::1"],
    },
    "sends": {
        "order.placed": {
            "schema": "schemas/order.avsc",
            "id": ["/symbol", "/date"],
            "json": "avro",
            "key": "/customer_id",
            "time": "/placed_at",
            "search": ["/order_id"],
            "compatibility": "FULL_TRANSITIVE",
            "accept_versions": 3,
            "forward": {"to": "globex", "as": "order.received"},
        }
    },
    "receives": {"order.accepted": {"schema": "schemas/accepted.avsc", "id": "generated"}},
    "limits": {
        "events_per_second": 200,
        "bytes_per_day": "5GiB",
        "event_bytes": "256KiB",
        "endpoints": 10,
        "streams": 5,
    },
    "delivery": {"retry": ["0s", "1m", "1h"], "order": "key", "hold": "30d"},
    "endpoints": {
        "hosts": ["*.acme.example"],
        "verification": "none",
        "declared": [
            {
                "name": "orders",
                "url": "https://hooks.acme.example/in",
                "events": ["order.accepted"],
                "order": "endpoint",
                "concurrency": 4,
                "rate": "50/s",
                "retry": "standard-75h",
                "filter": {
                    "all": [
                        {"pointer": "/total", "at_least": 5, "below": "10.5"},
                        {
                            "any": [
                                {"pointer": "/to", "in": ["DE", "AT"]},
                                {"pointer": "/to", "exists": False},
                            ]
                        },
                        {"not": {"pointer": "/note", "equals": "x"}},
                    ]
                },
                "format": "binary",
                "headers": {"X-Team": "orders"},
            }
        ],
    },
    "topics": {"framing": "header"},
    "keep": {"content": "90d", "evidence": "7y"},
}
ODD: Final[tuple[Any, ...]] = (None, True, 0, -1, 10**9, "", "x", " ", "..", "/", [], [0], {}, {"x": 1})
"""No number with a fraction: to the reader that is a text, since no field takes one."""


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(node, dict):
        for name, item in node.items():
            yield from places(item, (*path, name))
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from places(item, (*path, index))


PLACES: Final = [path for path in places(WHOLE) if path]


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(WHOLE)
    holder: Any = document
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return document


def is_read(document: Any) -> bool:
    try:
        read_contract(yaml.safe_dump(document), name="c.yaml")
    except ContractFileError:
        return False
    return True


@pytest.mark.parametrize(
    ("accept", "is_right"),
    [
        (None, False),
        (["api_key", "mtls", "jwt"], False),
        (["api_key", "hmac"], True),
        (["message_signature"], True),
    ],
)
def test_signatures_that_nobody_could_make_are_demanded_of_nobody(
    accept: list[str] | None, *, is_right: bool
) -> None:
    document = changed(("authentication",), {"require_signature": True})
    if accept is not None:
        document["authentication"]["accept"] = accept
    assert (VALIDATOR.is_valid(document), is_read(document)) == (is_right, is_right)


def test_it_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(contract_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_the_examples_are_of_this_format(path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


def test_a_contract_with_everything_is_taken_by_both() -> None:
    assert is_read(WHOLE)
    VALIDATOR.validate(WHOLE)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: "/".join(map(str, path)))
def test_what_it_refuses_the_reader_refuses(path: tuple[Any, ...]) -> None:
    for value in ODD:
        document = changed(path, value)
        if not VALIDATOR.is_valid(document):
            assert not is_read(document), (path, value)


@pytest.mark.parametrize("name", ["partnr", "sendz", "x"])
@pytest.mark.parametrize("at", [(), ("sends", "order.placed"), ("limits",), ("keep",), ("endpoints",)])
def test_a_field_that_nobody_knows_is_refused_by_both(at: tuple[Any, ...], name: str) -> None:
    document = changed((*at, name), "1d")
    assert not VALIDATOR.is_valid(document)
    assert not is_read(document)


@settings(deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(PLACES))
def test_no_part_that_stands_in_another_s_place_is_refused_by_it_alone(
    at: tuple[Any, ...], source: tuple[Any, ...]
) -> None:
    value: Any = WHOLE
    for step in source:
        value = value[step]
    document = changed(at, value)
    assert VALIDATOR.is_valid(document) or not is_read(document)


def test_what_editors_are_given_is_plain_json() -> None:
    assert json.loads(json.dumps(contract_schema())) == contract_schema()


@pytest.mark.parametrize(
    "name", ["webhook-id", "WebHook-Id", "AUTHORIZATION", "content-type", "Host", "X Team"]
)
def test_a_header_of_somebody_else_is_refused_by_the_schema_too(name: str) -> None:
    contract = copy.deepcopy(WHOLE)
    contract["endpoints"]["declared"][0]["headers"] = {name: "x"}
    assert not VALIDATOR.is_valid(contract)
    with pytest.raises(ContractFileError):
        read_contract(yaml.safe_dump(contract), name="acme.yaml")


def test_its_patterns_are_those_of_any_language() -> None:
    assert "(?i" not in json.dumps(contract_schema())
