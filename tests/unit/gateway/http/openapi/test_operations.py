from typing import Any

from gateway.http.catalogue import CATALOGUE
from gateway.http.gates import GATES
from gateway.http.guard import Gate
from gateway.http.openapi.operations import codes_of, describe, may_call, operation_ids, path_of


def gate_of(method: str, path: str) -> Gate:
    [found] = [one for one in GATES if (one.method, one.path) == (method, path)]
    return found


def described(method: str, path: str) -> dict[str, Any]:
    gate = gate_of(method, path)
    assert gate.told is not None
    return describe(gate, gate.told, "it")


def test_our_sides_twin_of_a_partners_route_has_a_name_of_its_own() -> None:
    ids = operation_ids(GATES)
    assert ids["GET", "/v1/history"] == "listHistory"
    assert ids["GET", "/v1/partners/{p}/history"] == "listHistoryForPartner"
    assert ids["GET", "/v1/partners/{p}"] == "showPartner"
    assert ids["GET", "/registry"] != ids["GET", "/registry/"]


def test_a_tile_keeps_its_path_but_not_our_way_to_write_it() -> None:
    assert (
        path_of(gate_of("GET", "/log/{name}/{epoch}/tile/{rest:path}")) == "/log/{name}/{epoch}/tile/{rest}"
    )


def test_a_route_without_credentials_has_no_error_of_one() -> None:
    assert not {code for code in codes_of(gate_of("GET", "/docs")) if CATALOGUE[code].status in {401, 403}}
    assert {"credential_missing", "scope_missing"} <= codes_of(gate_of("GET", "/v1/me"))


def test_only_parameters_that_a_route_offers_are_told() -> None:
    own = {one["name"] for one in described("GET", "/v1/stream")["parameters"]}
    named = {one["name"] for one in described("GET", "/v1/partners/{p}/stream")["parameters"]}
    assert named - own == {"p", "direction"}


def test_errors_are_told_by_status_beside_the_good_answers() -> None:
    told = described("GET", "/v1/history/{ref}/proof")
    assert set(told["responses"]) >= {"200", "400", "401", "403", "404", "409", "429", "500", "503"}
    assert told["responses"]["409"]["description"] == "`proof_pending`"
    assert "Retry-After" in told["responses"]["503"]["headers"]
    ready = described("GET", "/readyz")["responses"]["503"]
    assert list(ready["content"]) == ["application/json"]


def test_the_registry_answers_errors_in_its_own_shape() -> None:
    told = described("POST", "/registry/subjects/{subject}/versions")
    media = told["responses"]["409"]["content"]["application/vnd.schemaregistry.v1+json"]
    assert media["schema"] == {"$ref": "#/components/schemas/RegistryError"}
    assert "x-error-codes" not in told


def test_who_may_call_is_a_matter_of_the_role_alone() -> None:
    assert may_call(gate_of("GET", "/docs"), "auditor")
    assert not may_call(gate_of("POST", "/v1/events"), "auditor")
    assert may_call(gate_of("POST", "/v1/events"), None)
