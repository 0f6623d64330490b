import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.cli.client import Client, path_of, under
from gateway.cli.errors import AnswerError, CommandError, ProblemError, UnreachableError, UsageError
from gateway.cli.place import Place
from gateway.http.server import Server
from gateway.http.tls import make_dev_certificate, server_context
from gateway.units import Address
from tests.unit.gateway.cli.conftest import Canned, problem

NOW = 1_800_000_000_000
PLACE = Place("http://127.0.0.1:8080", "gw_key")


def client(*answers: httpx.Response | Exception) -> tuple[Client, Canned, list[float]]:
    canned, pauses = Canned(*answers), list[float]()
    return Client(PLACE, pause=pauses.append, transport=canned), canned, pauses


def page(items: Sequence[int], following: str | None) -> httpx.Response:
    return httpx.Response(200, json={"items": items, "next": following})


def test_the_key_travels_in_the_header_only() -> None:
    one, canned, _ = client(httpx.Response(200, json={}))
    one.get("/v1/me", {"wait": 1, "dry_run": True, "left_out": None})
    assert canned.asked[0].headers["authorization"] == "Bearer gw_key"
    assert str(canned.asked[0].url) == "http://127.0.0.1:8080/v1/me?wait=1&dry_run=true"


def test_without_a_key_there_is_no_header() -> None:
    canned = Canned(httpx.Response(200, json={}))
    Client(Place(PLACE.url), pause=lambda _: None, transport=canned).get("/v1/me")
    assert "authorization" not in canned.asked[0].headers


def test_a_problem_becomes_an_error_with_its_document() -> None:
    one, _, _ = client(problem(422, "event_invalid", hint="h", errors=[{"pointer": "/a"}]))
    with pytest.raises(ProblemError) as caught:
        one.post("/v1/events", b"{}")
    assert (caught.value.code, caught.value.status, caught.value.hint) == ("event_invalid", 422, "h")
    assert caught.value.document["errors"] == [{"pointer": "/a"}]


def test_what_may_pass_later_is_repeated_as_it_was() -> None:
    away = problem(503, "overloaded", retry="later", headers={"retry-after": "1"})
    one, canned, pauses = client(away, away, httpx.Response(201, json={"ref": "evt_1"}))
    assert one.post("/v1/events", b"{}").document() == {"ref": "evt_1"}
    assert [request.content for request in canned.asked] == [b"{}"] * 3
    assert pauses == [1, 1]


def test_patience_ends() -> None:
    one, canned, pauses = client(problem(503, "overloaded", retry="later"))
    with pytest.raises(ProblemError):
        one.get("/v1/me")
    assert (len(canned.asked), pauses) == (5, [1, 2, 4, 8])


@pytest.mark.parametrize(
    "answer",
    [
        problem(503, "outcome_unknown", retry="as_is"),
        problem(409, "proof_pending", retry="later"),
        problem(409, "event_conflict", retry="no"),
    ],
)
def test_what_is_not_sure_to_have_done_nothing_is_not_repeated(answer: httpx.Response) -> None:
    one, canned, _ = client(answer)
    with pytest.raises(ProblemError):
        one.post("/v1/events", b"{}")
    assert len(canned.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, html="<h1>Bad gateway</h1>"),
        httpx.Response(302, headers={"location": "https://elsewhere.example"}),
        httpx.Response(400, headers={"content-type": "application/problem+json"}, content=b"no json"),
        httpx.Response(400, headers={"content-type": "application/problem+json"}, content=b"[]"),
    ],
)
def test_an_answer_that_no_gateway_gives_is_told_apart(answer: httpx.Response) -> None:
    one, canned, _ = client(answer)
    with pytest.raises(AnswerError):
        one.get("/v1/me")
    assert len(canned.asked) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_a_body_that_is_no_object_is_told_apart(body: bytes) -> None:
    one, _, _ = client(httpx.Response(200, content=body))
    with pytest.raises(AnswerError):
        one.get("/v1/me").document()


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
def test_nobody_there_says_how_to_start_one(error: Exception) -> None:
    one, _, _ = client(error)
    with pytest.raises(UnreachableError) as caught:
        one.get("/v1/me")
    assert "gateway up" in caught.value.hint


def test_a_broken_answer_says_that_repeating_is_safe() -> None:
    one, _, _ = client(httpx.ReadError("gone"))
    with pytest.raises(UnreachableError) as caught:
        one.post("/v1/events", b"{}")
    assert "same receipt" in caught.value.hint


def test_an_unknown_authority_names_the_option() -> None:
    one, _, _ = client(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"))
    with pytest.raises(UsageError) as caught:
        one.get("/v1/me")
    assert "--cacert" in caught.value.hint


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("{}")(scope, receive, send)


async def asked(url: str, server: Server, certificate: Path) -> Exception:
    """The error of a client that speaks to a server in the wrong way."""
    stop = asyncio.Event()
    await server.listen()
    place = Place(f"{url}:{server.port}", cacert=certificate)
    with Client(place, pause=lambda _: None) as one:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.run(stop))
            with pytest.raises(CommandError) as caught:
                await asyncio.to_thread(one.get, "/v1/me")
            stop.set()
    return caught.value


async def test_tls_at_a_plain_port_is_named(tmp_path: Path) -> None:
    certificate, _ = make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom)
    error = await asked("https://127.0.0.1", Server(hello, Address("127.0.0.1", 0)), certificate)
    assert isinstance(error, UsageError)
    assert "no TLS is spoken at this port" in error.text
    assert "http://" in error.hint


async def test_a_request_in_clear_at_a_tls_port_is_named(tmp_path: Path) -> None:
    certificate, key = make_dev_certificate(tmp_path, now=NOW, entropy=os.urandom)
    server = Server(hello, Address("127.0.0.1", 0), tls=server_context(certificate, key))
    error = await asked("http://127.0.0.1", server, certificate)
    assert isinstance(error, UnreachableError)
    assert "write https:// instead of http://" in error.hint


def test_an_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    with pytest.raises(UsageError, match="certificate authority"):
        Client(Place("https://gw.example", cacert=path), pause=lambda _: None)


def test_a_host_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(UsageError, match="no address"):
        Client(Place("https://\u2603.example"), pause=lambda _: None, transport=Canned(page([], None)))


def test_pages_are_read_until_there_are_no_more() -> None:
    one, canned, _ = client(page([1, 2], "c1"), page([3], None))
    assert list(one.pages("/v1/history")) == [1, 2, 3]
    assert canned.asked[1].url.params["cursor"] == "c1"


def test_pages_stop_at_the_number_asked_for() -> None:
    one, canned, _ = client(page([1, 2], "c1"), page([3], "c2"))
    assert list(one.pages("/v1/history", most=3)) == [1, 2, 3]
    assert [request.url.params["limit"] for request in canned.asked] == ["3", "1"]


def test_parts_of_a_path_stay_parts() -> None:
    assert path_of("v1", "a/b?c#d", "..%") == "/v1/a%2Fb%3Fc%23d/..%25"
    assert under("acme", "history") == "/v1/partners/acme/history"
    assert under(None, "history") == "/v1/history"
