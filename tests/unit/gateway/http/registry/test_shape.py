import pytest
from starlette.requests import Request

from gateway.errors import AwayError, BugError, CallerError, StoreError
from gateway.http.registry.shape import MEDIA_TYPES, refusal
from schemas.errors import SchemaError, SubjectError
from schemas.refusal import RegistryError
from tests.unit.gateway.http.registry.conftest import Asker

V1 = MEDIA_TYPES[0]


def request(accept: str | None = None) -> Request:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RegistryError(40401, "no"), 404, 40401),
        (RegistryError(409, "no"), 409, 409),
        (RegistryError(42201, "no"), 422, 42201),
        (SchemaError("name", "no", "/name"), 422, 42201),
        (SchemaError("size", "is 300000 bytes long"), 422, 42209),
        (SubjectError("no"), 422, 42208),
        (CallerError("credential_invalid", "no"), 401, 401),
        (CallerError("scope_missing", "no"), 403, 403),
        (CallerError("body_too_large", "no"), 413, 413),
        (StoreError("store_unavailable", "no"), 503, 50001),
        (AwayError("overloaded", "no"), 503, 503),
        (BugError("secret of ours"), 500, 500),
        (KeyError("secret of ours"), 500, 500),
    ],
)
def test_every_error_has_the_shape_that_clients_know(error: Exception, status: int, code: int) -> None:
    answer = refusal(request(), error, "req_1")
    assert answer.status_code == status
    assert f'"error_code":{code},"message":"'.encode() in bytes(answer.body)
    assert b"secret of ours" not in bytes(answer.body)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert answer.headers.get("www-authenticate", "").startswith("Basic") == (status == 401)


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        (None, V1),
        ("*/*", V1),
        ("text/html", V1),
        (", ".join(MEDIA_TYPES), V1),
        ("application/json", "application/json"),
        ("application/vnd.schemaregistry+json; q=0.9", MEDIA_TYPES[1]),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_no_accept_header_is_refused(asker: Asker, accept: str | None, told: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    for line in ("GET /subjects", "GET /nowhere", "PUT /contexts"):
        answer = await asker.ask(line, headers=headers)
        assert answer.status_code in {200, 404, 405}
        assert answer.headers["content-type"] == told


@pytest.mark.asyncio(loop_scope="module")
async def test_paths_and_methods_that_do_not_exist_are_told_in_this_shape(asker: Asker) -> None:
    assert (await asker.refused("GET /nowhere"))[:2] == (404, 404)
    assert (await asker.refused("GET /subjects/a/b"))[:2] == (404, 404)
    assert (await asker.refused("PATCH /config", {}))[:2] == (405, 405)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_media_type_that_is_no_json_is_refused(asker: Asker) -> None:
    answer = await asker.ask("PUT /config", {}, headers={"Content-Type": "text/xml"})
    assert (answer.status_code, answer.json()["error_code"]) == (415, 415)
    for media_type in (*MEDIA_TYPES, "application/json; charset=utf-8", "application/octet-stream"):
        answer = await asker.ask(
            "PUT /config", {"compatibility": "BACKWARD"}, headers={"Content-Type": media_type}
        )
        assert answer.status_code == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_beyond_the_limit_is_refused(asker: Asker) -> None:
    answer = await asker.refused("POST /subjects/s/versions", b" " * (1 << 20) + b"{}")
    assert answer[:2] == (413, 413)
