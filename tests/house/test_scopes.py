"""Routes that any credential of the right role may call, whatever its scopes: a short list, said aloud."""

from gateway.http.gates import GATES

# Who one is and what was agreed: a credential with one scope needs them as much as one with all.
SELF = {
    "GET /v1/me",
    "GET /v1/contract",
    "GET /v1/contract/revisions",
    "GET /v1/contract/revisions/{revision}",
    "GET /v1/openapi.json",
    "GET /v1/types",
    "GET /v1/types/{type}",
    "GET /v1/types/{type}/schema",
    "GET /v1/types/{type}/sample",
    "GET /v1/schemas/{id}",
}
# The same of a partner, for our side; and what an operator watches.
OURS = {
    "GET /v1/partners/{p}/contract",
    "GET /v1/partners/{p}/contract/revisions",
    "GET /v1/partners/{p}/contract/revisions/{revision}",
    "GET /v1/partners/{p}/openapi.json",
    "GET /v1/partners/{p}/types",
    "GET /v1/partners/{p}/types/{type}",
    "GET /v1/partners/{p}/types/{type}/schema",
    "GET /v1/partners/{p}/types/{type}/sample",
    "GET /v1/partners/{p}/schemas/{id}",
    "GET /v1/partners",
    "GET /v1/partners/{p}",
    "GET /v1/status",
}


def test_every_other_route_demands_a_scope() -> None:
    scopeless = {
        f"{gate.method} {gate.path}"
        for gate in GATES
        if gate.scope is None and gate.side not in {"open", "private", "registry"}
    }
    assert scopeless == SELF | OURS


def test_the_registry_is_read_without_a_scope_and_changed_with_one() -> None:
    gates = [gate for gate in GATES if gate.side == "registry"]
    assert {gate.scope for gate in gates if gate.method == "GET"} == {None}
    assert {gate.scope for gate in gates if gate.method != "GET"} == {"send"}


def test_routes_without_credentials_are_these() -> None:
    bare = {f"{gate.method} {gate.path}" for gate in GATES if not gate.who}
    assert bare == {
        "GET /.well-known/jwks.json",
        "GET /.well-known/partner-gateway",
        "GET /docs",
        "GET /docs/page.css",
        "GET /docs/page.js",
        "GET /errors/{code}",
        "GET /livez",
        "GET /log/anchor/keys",
        "GET /log/anchor/{epoch}/checkpoint",
        "GET /log/anchor/{epoch}/tile/{rest:path}",
        "GET /log/checkpoint",
        "GET /readyz",
        "GET /metrics",
    }
