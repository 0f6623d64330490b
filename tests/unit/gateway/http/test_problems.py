import importlib
import inspect
import json

import pytest

from gateway.broker.port import BrokerError
from gateway.errors import AwayError, BugError, CallerError, StoreUnknownError
from gateway.http.catalogue import CATALOGUE, public_code
from gateway.http.problems import Trouble, trouble_of, trouble_of_refusal
from gateway.ingress.outcome import Failed, First, Refused
from partners.errors import ContractFileError, NotFoundError, Problem
from schemas.errors import DatumError, JsonTextError
from schemas.fault import Fault

ORIGIN = "https://gw.example"
MODULES = ("gateway.errors", "partners.errors", "schemas.errors", "audit.errors")


def codes() -> list[str]:
    found = []
    for name in MODULES:
        for _, value in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            code = vars(value).get("code")
            if isinstance(code, str):
                found.append(code)
    return found


@pytest.mark.parametrize("code", codes())
def test_every_error_of_every_package_has_a_status(code: str) -> None:
    assert public_code(code) in CATALOGUE


def test_a_document_has_the_members_of_rfc_9457_and_ours() -> None:
    trouble = trouble_of(CallerError("held", "it is held", hint="lift it", members={"hold": "h1"}))
    assert trouble.document(ORIGIN, "req_1") == {
        "type": "https://gw.example/errors/held",
        "title": CATALOGUE["held"].title,
        "status": 409,
        "detail": "It is held",
        "code": "held",
        "retry": "no",
        "hold": "h1",
        "hint": "lift it",
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AwayError("storage_full", "full"), "storage_full"),
        (StoreUnknownError("open"), "outcome_unknown"),
        (BrokerError("broker_unavailable", "gone"), "broker_unavailable"),
        (BrokerError("broker_refused", "acl"), "broker_unavailable"),
        (NotFoundError("no such"), "not_found"),
        (DatumError((Fault("/a", "duplicate_key", "twice"),), 1), "body_malformed"),
    ],
)
def test_errors_of_all_packages_become_problems(error: Exception, code: str) -> None:
    assert trouble_of(error).code == code


def test_a_brokers_words_are_not_for_callers() -> None:
    raw = bytes(trouble_of(BrokerError("broker_unavailable", "host of ours")).response(ORIGIN, "r").body)
    assert b"host of ours" not in raw
    assert json.loads(raw)["code"] == "broker_unavailable"


@pytest.mark.parametrize("error", [BugError("secret of ours"), KeyError("secret of ours"), RuntimeError()])
def test_our_mistakes_say_nothing_of_us(error: Exception) -> None:
    raw = bytes(trouble_of(error).response(ORIGIN, "req_1").body)
    assert b"secret of ours" not in raw
    assert json.loads(raw)["code"] == "internal"


def test_no_json_text_says_where_it_breaks() -> None:
    document = trouble_of(JsonTextError("a comma too many", offset=7, line=2)).document(ORIGIN, None)
    assert (document["code"], document["offset"], document["line"]) == ("body_malformed", 7, 2)
    assert "request_id" not in document


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("is not UTF-8", "The body is not UTF-8 (byte 3, line 1)."),
        ("ends too early", "The body ends too early (byte 3, line 1)."),
        ("a colon is missing", "The body is no JSON: a colon is missing (byte 3, line 1)."),
    ],
)
def test_what_is_wrong_with_a_json_text_is_said_once(text: str, detail: str) -> None:
    assert trouble_of(JsonTextError(text, offset=3, line=1)).detail == detail


def test_faults_of_a_contract_file_say_file_line_and_pointer() -> None:
    problem = Problem("acme.yaml", 12, "/sends", "unknown_field", "did you mean x?")
    document = trouble_of(ContractFileError([problem])).document(ORIGIN, "r")
    assert document["errors"] == [
        {
            "file": "acme.yaml",
            "line": 12,
            "pointer": "/sends",
            "code": "unknown_field",
            "detail": "did you mean x?",
        }
    ]


def test_a_conflict_describes_the_first_event_and_no_content() -> None:
    refused = Refused("event_conflict", "another", first=First(bytes(32), 0, b"\x01" * 32, b"\x02" * 32))
    document = trouble_of_refusal(refused).document(ORIGIN, "r")
    assert document["status"] == 409
    assert document["first"]["ref"].startswith("evt_")
    assert document["first"]["received_at"] == "1970-01-01T00:00:00.000Z"


def test_more_faults_than_are_listed_are_counted() -> None:
    faults = tuple(Fault(f"/{number}", "type", "is a string", "int") for number in range(100))
    document = trouble_of_refusal(Refused("event_invalid", "many", faults, 250)).document(ORIGIN, "r")
    assert len(document["errors"]) == 100
    assert document["errors_total"] == 250
    assert document["errors"][0] == {
        "pointer": "/0",
        "code": "type",
        "expected": "int",
        "detail": "is a string",
    }


@pytest.mark.parametrize("code", [code for code, one in CATALOGUE.items() if one.status == 503])
def test_every_503_carries_retry_after(code: str) -> None:
    response = trouble_of_refusal(Failed(code, "away")).response(ORIGIN, "r")
    assert int(response.headers["retry-after"]) >= 1


def test_a_401_names_its_scheme() -> None:
    response = Trouble("credential_missing", "none").response(ORIGIN, "r")
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["content-type"] == "application/problem+json"
