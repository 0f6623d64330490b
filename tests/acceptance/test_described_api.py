"""The program against its own OpenAPI document: whatever is asked, the answer is one that the document tells.

Requests are made by schemathesis, always the same ones; FUZZ_EXAMPLES makes more of each operation.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.acceptance.running import CONTRACT, ORDER, Gateway
from tests.generated_client import make_client, use_client

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
JSON = "application/json"
ENDING = {"suspendPartner", "resumePartner", "closePartner"}
"""What would take the partner away from all other operations."""
OPAQUE = (
    "application/jose",
    "application/x-ndjson",
    "application/avro",
    "application/vnd.apache.avro",
    "application/vnd.confluent.avro",
)


@schemathesis.serializer(*OPAQUE)
def _as_it_is(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@dataclass
class Reader:
    """Who reads which document, and the things that exist for it."""

    gateway: Gateway
    key: str
    path: str
    parts: dict[str, str]

    def document(self) -> dict[str, Any]:
        with self.gateway.client(self.key) as client:
            answer = client.get(self.path)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("described") / "data").start()
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="module")
def readers(gateway: Gateway) -> dict[str, Reader]:
    assert gateway.apply().status_code == 201
    spare = {"contract": CONTRACT.replace("acme", "spare"), "files": {"order.avsc": json.dumps(ORDER)}}
    with gateway.operator() as client:
        assert client.put("/v1/partners/spare/contract", json=spare).status_code == 201
    partner, operator = gateway.partner_key(), gateway.operator_key()
    with gateway.client(partner) as client:
        sent = client.post("/v1/events/order.placed", json={"order_id": "A-1", "qty": 1})
        assert sent.status_code == 201, sent.text
        proof = client.get(f"{sent.headers['location']}/proof", params={"wait": 20})
        assert proof.status_code == 200, proof.text
        log = client.get("/v1/me").json()["logs"][0]["url"].rsplit("/", 2)
    parts = {
        "p": "acme",
        "ref": sent.json()["ref"],
        "type": "order.placed",
        "subject": "partners.acme.inbound-com.acme.Order",
        "name": log[-2],
        "epoch": log[-1],
        "index": "0",
        "version": "latest",
    }
    return {
        "partner": Reader(gateway, partner, "/v1/openapi.json", parts),
        "operator": Reader(gateway, operator, "/v1/openapi.json", parts),
        "house": Reader(gateway, operator, "/v1/partners/acme/openapi.json", parts),
    }


def closed(shape: Any) -> Any:
    """A schema in which no object may have members that are not told."""
    if isinstance(shape, list):
        return [closed(one) for one in shape]
    if not isinstance(shape, dict):
        return shape
    found = {name: closed(one) for name, one in shape.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def operations(document: dict[str, Any]) -> dict[str, Any]:
    """Every operation by its id, its answers closed; nothing is made up that proves who calls."""
    whole = {**document, "components": {**document["components"]}}
    whole["components"]["schemas"] = closed(document["components"]["schemas"])
    config = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
    found: dict[str, Any] = {}
    loaded = schemathesis.openapi.from_dict(whole, config=config)
    loaded.validate()  # against the schema of OpenAPI itself
    for result in loaded.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        found[operation.definition.raw["operationId"]] = operation
    return found


def cases(operation: Any, parts: dict[str, str]) -> st.SearchStrategy[Any]:
    """Requests for what exists, for what may not, and such as the document forbids."""
    modes = schemathesis.GenerationMode
    names = {one.name for one in operation.path_parameters}
    real: dict[str, Any] = {name: text for name, text in parts.items() if name in names}
    there: dict[str, Any] = {"path_parameters": real} if real else {}
    ways = [
        operation.as_strategy(modes.POSITIVE, **there),
        operation.as_strategy(modes.NEGATIVE, **there),
    ]
    if names:
        ways.append(operation.as_strategy(modes.POSITIVE))
    media = operation.definition.raw.get("requestBody", {}).get("content", {})
    if "example" in media.get(JSON, {}):
        body = media[JSON]["example"]
        ways.append(operation.as_strategy(modes.POSITIVE, body=body, media_type=JSON, query={}, **there))
    return st.one_of(ways)


def verify(operation: Any, answer: Any, case: Any | None = None) -> None:
    """Fail where an answer is none that the document tells of this operation."""
    told = operation.definition.raw
    assert str(answer.status_code) in told["responses"]
    if not answer.content:
        # 304 has no body, nor has `return=minimal`; a document cannot say that there may be none.
        assert answer.headers.get("etag" if answer.status_code == 304 else "gateway-receipt")
        return
    if case is None:
        operation.validate_response(answer)
    else:
        # The registry passes over what it does not know, as Confluent's does.
        is_strict = "Registry" not in told["tags"]
        case.validate_response(answer, checks=[*CHECKS, negative_data_rejection] if is_strict else CHECKS)
    [media] = Response.from_any(answer).headers.get("content-type", [""])
    if media.startswith("application/problem+json"):
        assert json.loads(answer.content)["code"] in told["x-error-codes"]


def try_out(reader: Reader, operation: Any, session: requests.Session) -> None:
    headers = {"Authorization": f"Bearer {reader.key}"}

    is_ending = operation.definition.raw["operationId"] in ENDING
    parts = {**reader.parts, "p": "spare"} if is_ending else reader.parts

    @seed(20261126)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(operation, parts))
    def run(case: Any) -> None:
        verify(operation, case.call(base_url=reader.gateway.url, session=session, headers=headers), case)

    run()


@pytest.mark.parametrize("who", ["partner", "operator", "house"])
def test_every_answer_is_one_that_the_document_tells(readers: dict[str, Reader], who: str) -> None:
    found = operations(readers[who].document())
    if who == "house":  # the others are the operator's, too
        found = {name: one for name, one in found.items() if "/acme/" in one.path}
    assert len(found) > (0 if who == "house" else 30)
    session = requests.Session()
    session.trust_env = False
    wrong = []
    with session:
        for name, operation in found.items():
            try:
                try_out(readers[who], operation, session)
            except (AssertionError, Failure, FailureGroup) as error:
                wrong.append(f"{name}\n{error}")
    assert wrong == []


ORDER_1 = {"order_id": "D-1", "customer": "c", "qty": 1}
OTHERS = [{"order_id": "D-2", "qty": 2}, {"order_id": "D-3", "qty": "three"}]
LINES = "\n".join(json.dumps(one) for one in OTHERS)
EVENT = {"specversion": "1.0", "type": "order.placed", "id": "D-4", "data": {"order_id": "D-4", "qty": 4}}
NDJSON = {"Content-Type": "application/x-ndjson"}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
MINIMAL = {"Prefer": "return=minimal"}
LENIENT = {**NDJSON, "Prefer": "handling=lenient"}
DAY: tuple[tuple[str, str, str, int, dict[str, Any]], ...] = (
    ("sendOrderPlaced", "POST", "events/order.placed?dry_run=true", 200, {"json": ORDER_1}),
    ("sendOrderPlaced", "POST", "events/order.placed", 201, {"json": ORDER_1}),
    ("sendOrderPlaced", "POST", "events/order.placed", 200, {"json": ORDER_1}),
    ("sendOrderPlaced", "POST", "events/order.placed", 200, {"json": ORDER_1, "headers": MINIMAL}),
    ("sendOrderPlaced", "POST", "events/order.placed?dry_run=true", 200, {"json": ORDER_1}),
    ("sendOrderPlaced", "POST", "events/order.placed", 409, {"json": {**ORDER_1, "qty": 2}}),
    ("sendOrderPlaced", "POST", "events/order.placed", 422, {"content": LINES, "headers": NDJSON}),
    ("sendEventOfType", "POST", "events/order.placed", 207, {"content": LINES, "headers": LENIENT}),
    ("sendEvent", "POST", "events", 201, {"content": json.dumps(EVENT), "headers": STRUCTURED}),
    ("createImport", "POST", "imports?type=order.placed", 202, {"content": LINES, "headers": NDJSON}),
    ("createImport", "POST", "imports?type=order.other", 422, {"content": LINES, "headers": NDJSON}),
    ("listImports", "GET", "imports", 200, {}),
    ("showMe", "GET", "me", 200, {}),
    ("listHistory", "GET", "history", 200, {}),
    ("listHistory", "GET", "history?state=refused", 200, {}),
    ("readStream", "GET", "stream", 200, {}),
    ("listTypes", "GET", "types", 200, {}),
    ("showTypeSchema", "GET", "types/order.placed/schema?as=jsonschema", 200, {}),
    ("showTypeSample", "GET", "types/order.placed/sample", 200, {}),
    ("showContract", "GET", "contract", 200, {}),
    ("listCredentials", "GET", "credentials", 200, {}),
    ("createCredential", "POST", "credentials?dry_run=true", 200, {"json": {"role": "auditor"}}),
    ("createCredential", "POST", "credentials", 201, {"json": {"role": "auditor", "expires_at": "1d"}}),
    ("createCredential", "POST", "credentials", 400, {"json": {"role": "operator"}}),
    ("showConsistency", "GET", "log/consistency?old=0", 200, {}),
)


def test_a_partners_day_is_told_from_the_first_request_to_the_last(readers: dict[str, Reader]) -> None:
    reader = readers["partner"]
    found = operations(reader.document())
    with reader.gateway.client(reader.key) as client:
        for name, method, path, status, sent in DAY:
            answer = client.request(method, f"/v1/{path}", **sent)
            assert answer.status_code == status, (name, answer.text)
            verify(found[name], answer)


def test_an_answer_that_the_document_does_not_tell_is_found(readers: dict[str, Reader]) -> None:
    reader = readers["partner"]
    document = reader.document()
    found = operations(document)
    with reader.gateway.client(reader.key) as client:
        for name, path in (("showMe", "me"), ("listTypes", "types")):
            verify(found[name], client.get(f"/v1/{path}"))
    del document["components"]["schemas"]["Me"]["properties"]["server_time"]
    document["components"]["schemas"]["Me"]["required"].remove("server_time")
    del document["paths"]["/v1/types"]["get"]["responses"]["200"]
    found = operations(document)
    with reader.gateway.client(reader.key) as client:
        for name, path in (("showMe", "me"), ("listTypes", "types")):
            with pytest.raises((AssertionError, Failure, FailureGroup)):
                verify(found[name], client.get(f"/v1/{path}"))


@pytest.mark.kafka  # for its Java and Maven: the generator of clients is a program in Java
def test_a_client_made_of_the_document_sends_an_event_and_reads_the_history(
    readers: dict[str, Reader], tmp_path: Path
) -> None:
    reader = readers["partner"]
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(reader.document()))
    said = use_client(make_client(document, tmp_path), reader.gateway.url, reader.key).split()
    with reader.gateway.client(reader.key) as client:
        [event] = client.get("/v1/history", params={"id": "G-1"}).json()["items"]
    assert said == [event["ref"], "not_found"]
