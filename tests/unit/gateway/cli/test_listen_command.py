import json
import re
from typing import Any

import httpx
import pytest

from audit.ref import format_ref
from gateway.bootstrap.ground import clock
from gateway.cli.errors import UsageError
from gateway.cli.forwarding import read_target
from gateway.event import EventKey
from gateway.standard_webhooks import parse_secret, verify_message
from tests.unit.gateway.cli.conftest import Canned, Shell, problem
from tests.unit.gateway.cli.test_stream_command import streamed

EVENT = {"specversion": "1.0", "id": "A-1", "source": "/house", "type": "order.accepted", "data": {"qty": 1}}
STREAM = streamed(f"id: c1\ndata: {json.dumps(EVENT)}")


class Laptop(httpx.BaseTransport):
    """A gateway whose stream has one event, and a program that answers as it is told, and then Ctrl-C."""

    def __init__(self, *statuses: int, me: dict[str, Any] | None = None) -> None:
        self.statuses = list(statuses)
        self.me = {"partner": {"slug": "acme"}} if me is None else me
        self.posts: list[httpx.Request] = []
        self.paths: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.paths.append(request.url.path)
        if request.method == "POST":
            self.posts.append(request)
            status = self.statuses.pop(0)
            if not status:
                raise httpx.ConnectError("refused")
            return httpx.Response(status)
        if request.url.path == "/v1/me":
            return httpx.Response(200, json=self.me)
        if self.paths.count(request.url.path) > 1:
            raise KeyboardInterrupt
        return httpx.Response(200, headers=STREAM.headers, content=STREAM.content)


def test_an_event_is_posted_as_a_webhook_signed_with_the_secret_that_was_shown(shell: Shell) -> None:
    shell.transport = laptop = Laptop(204)
    ended = shell.run("listen", "--forward", "localhost:3000/hook")
    assert ended.code == 130
    (post,) = laptop.posts
    assert (str(post.url), json.loads(post.content)) == ("http://localhost:3000/hook", EVENT)
    assert post.headers["content-type"] == "application/cloudevents+json"
    assert "authorization" not in post.headers, "the key is for the gateway alone"
    shown = re.search(r"whsec_\S+", ended.err)
    assert shown is not None
    found = verify_message(
        dict(post.headers), post.content, [parse_secret(shown[0])], now_seconds=clock() // 1_000
    )
    assert found == format_ref(EventKey("acme", "outbound", "/house", "A-1").ref())
    assert ended.out == "order.accepted  id A-1  204  0 ms\n"


def test_that_what_comes_is_posted_is_said_once_the_stream_has_begun(shell: Shell) -> None:
    """Who reads it and sends an event at once must not have sent it before the stream's place."""
    words = "what comes is posted to http://localhost:3000/hook; Ctrl-C ends it"
    shell.transport = Laptop(204)
    assert shell.run("listen", "--forward", "localhost:3000/hook").err.count(words) == 1
    me = httpx.Response(200, json={"partner": {"slug": "acme"}})
    shell.transport = Canned(me, problem(403, "forbidden"))
    assert words not in shell.run("listen", "--forward", "localhost:3000/hook").err


def test_what_is_not_taken_is_tried_again_a_few_times(shell: Shell) -> None:
    shell.transport = Laptop(500, 0, 200)
    ended = shell.run("listen", "--forward", "http://127.0.0.1:3000/")
    assert ended.out.splitlines() == [
        "order.accepted  id A-1  500  again in 1 s",
        "order.accepted  id A-1  no answer (ConnectError)  again in 4 s",
        "order.accepted  id A-1  200  0 ms",
    ]
    shell.transport = Laptop(302, 410, 503)
    assert shell.run("listen", "--forward", "[::1]:3000").out.endswith("503  given up\n")


def test_our_side_receives_what_the_partner_sends(shell: Shell) -> None:
    shell.transport = laptop = Laptop(204)
    ended = shell.run("listen", "acme", "--forward", "localhost:3000", "--json")
    assert laptop.paths[0] == "/v1/partners/acme/stream"
    told = json.loads(ended.out)
    assert (told["status"], told["webhook_id"]) == (204, laptop.posts[0].headers["webhook-id"])


def test_a_secret_of_ones_own_is_not_shown(shell: Shell) -> None:
    secret = "whsec_" + "QUFB" * 8
    shell.transport = laptop = Laptop(204)
    file = str(shell.write("secret", f"hook {secret}\n"))
    ended = shell.run("listen", "--forward", "localhost:3000", "--secret-file", file)
    assert "whsec_" not in ended.err
    verify_message(
        dict(laptop.posts[0].headers),
        laptop.posts[0].content,
        [parse_secret(secret)],
        now_seconds=clock() // 1_000,
    )


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_QUFB", "secret"])
def test_a_file_without_a_secret_is_told_and_not_shown(shell: Shell, text: str) -> None:
    file = str(shell.write("secret", text))
    ended = shell.run("listen", "--forward", "localhost:3000", "--secret-file", file)
    assert (ended.code, "secret" in ended.err) == (2, True)
    assert shell.run("listen", "--forward", "localhost:3000", "--secret-file", file + "x").code == 2


def test_our_side_names_the_partner(shell: Shell) -> None:
    shell.transport = Laptop(me={"partner": None})
    ended = shell.run("listen", "--forward", "localhost:3000")
    assert (ended.code, "gateway listen PARTNER" in ended.err) == (2, True)


@pytest.mark.parametrize(
    "text",
    ["example.com/hook", "http://10.0.0.1/", "ftp://localhost/", "http://u:p@localhost/", "localhost:x", ""],
)
def test_events_do_not_leave_this_machine_by_chance(text: str) -> None:
    with pytest.raises(UsageError):
        read_target(text, any_host=False)


def test_another_machine_is_allowed_where_it_is_asked_for() -> None:
    assert read_target("https://dev.example/hook", any_host=True) == "https://dev.example/hook"
