import json
import re
from itertools import count

import httpx
import pytest

from tests.unit.gateway.cli.conftest import Canned, Desk, Shell, problem

ORDER = b'{"order_id": "A-1", "qty": 1}'


def page(*events: dict[str, object], cursor: str, caught_up: bool) -> httpx.Response:
    return httpx.Response(200, json={"items": events, "cursor": cursor, "caught_up": caught_up})


async def test_events_are_printed_decoded(desk: Desk) -> None:
    await desk.run("send", "acme", "order.accepted", "-", stdin=ORDER, by="team")
    ended = await desk.run("stream", "--json", by="acme")
    (event,) = (json.loads(line) for line in ended.out.splitlines())
    assert (event["type"], event["data"]["order_id"]) == ("order.accepted", "A-1")
    told = await desk.run("stream", "acme", "--direction", "outbound", by="team")
    assert "order.accepted  id A-1" in told.out


async def test_an_event_without_a_time_is_shown_with_its_records(desk: Desk) -> None:
    await desk.run("send", "acme", "order.accepted", "-", stdin=ORDER, by="team")
    ended = await desk.run("stream", by="acme")
    assert re.match(r"20\d\d-\d\d-\d\dT[\d:.]+Z  order.accepted  id A-1\n", ended.out)


def test_an_events_own_time_comes_first(shell: Shell) -> None:
    body = {"items": [{"id": "1", "time": "T1"}, {"id": "2"}], "recorded_at": ["R1", "R2"]}
    shell.transport = Canned(httpx.Response(200, json={**body, "cursor": "c", "caught_up": True}))
    assert [line[:2] for line in shell.run("stream").out.splitlines()[::2]] == ["T1", "R2"]


async def test_our_side_reads_what_the_partner_sent(desk: Desk) -> None:
    await desk.run("send", "order.placed", "-", stdin=ORDER, by="acme")
    ended = await desk.run("stream", "acme", "--types", "order.placed")
    assert (ended.code, "order.placed" in ended.out) == (0, True)


def test_pages_are_read_until_there_is_nothing_more(shell: Shell) -> None:
    canned = Canned(
        page({"id": "1"}, cursor="c1", caught_up=False), page({"id": "2"}, cursor="c2", caught_up=True)
    )
    shell.transport = canned
    assert len(shell.run("stream", "--json").out.splitlines()) == 2
    first, second = (request.url.params for request in canned.asked)
    assert (first["from"], second["cursor"]) == ("earliest", "c1")
    assert "from" not in second


def test_a_consumer_begins_at_its_place_and_elsewhere_only_where_that_is_said(shell: Shell) -> None:
    canned = Canned(*(page(cursor="c", caught_up=True) for _ in range(2)))
    shell.transport = canned
    shell.run("stream", "--consumer", "desk")
    shell.run("stream", "--consumer", "desk", "--from", "earliest")
    first, second = (request.url.params for request in canned.asked)
    assert (first.get("from"), first.get("over_gap")) == (None, None)
    assert (second["from"], second["over_gap"]) == ("earliest", "true")


def streamed(*blocks: str) -> httpx.Response:
    text = "".join(f"{block}\n\n" for block in ("retry: 2000\nid: c0", *blocks))
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=text.encode())


def event(number: int) -> str:
    return (
        f'id: c{number}\nrecorded_at: R{number}\ndata: {{"id": "{number}\u2028", "type": "t", "data": {{}}}}'
    )


class Interrupted(Canned):
    """Ctrl-C, once all answers were given."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.left = len(answers)
        super().__init__(*answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self.left and request.method == "GET":
            raise KeyboardInterrupt
        self.left -= 1
        return super().handle_request(request)


AWAY = problem(503, "overloaded", retry="later")


def test_who_follows_starts_now_and_goes_on_where_it_was_cut(shell: Shell) -> None:
    canned = Interrupted(streamed(event(1), ":"), AWAY, httpx.ReadError("cut"), streamed(event(2)))
    shell.transport = canned
    ended = shell.run("stream", "--follow", "--json")
    assert (ended.code, [json.loads(line)["id"] for line in ended.out.split("\n") if line]) == (
        130,
        ["1\u2028", "2\u2028"],
    )
    assert {one.headers["accept"] for one in canned.asked} == {"text/event-stream"}
    assert {one.url.params["from"] for one in canned.asked} == {"now"}
    assert [one.headers.get("last-event-id") for one in canned.asked] == [None, "c1", "c1", "c1"]
    assert shell.pauses == [1, 2, 4, 1]


def test_a_proxy_whose_gateway_is_away_for_a_moment_is_waited_for(shell: Shell) -> None:
    page = httpx.Response(502, text="<h1>Bad Gateway</h1>")
    shell.transport = Interrupted(streamed(event(1)), page, streamed(event(2)))
    assert (shell.run("stream", "--follow").code, shell.pauses) == (130, [1, 2, 1])
    shell.transport = Canned(httpx.Response(502, text="<h1>Bad Gateway</h1>"))
    assert shell.run("stream", "--follow").code != 130, "not at the beginning"
    shell.transport = Canned(streamed(event(1)), httpx.Response(404, text="<h1>Not Found</h1>"))
    assert shell.run("stream", "--follow").code != 130, "nor what does not pass"


def test_who_may_not_follow_any_more_is_told_so(shell: Shell) -> None:
    shell.transport = Canned(streamed(event(1)), problem(401, "credential_revoked", retry="no"))
    ended = shell.run("stream", "--follow")
    assert (ended.code, ended.out.splitlines()[0]) == (3, "R1  t  id 1?")


def test_nobody_there_at_the_beginning_is_told_at_once(shell: Shell) -> None:
    shell.transport = Canned(httpx.ConnectError("refused"))
    assert (shell.run("stream", "--follow").code, shell.pauses) == (8, [])


def test_a_consumer_acknowledges_what_was_printed(shell: Shell) -> None:
    said = httpx.Response(200, json={})
    canned = Canned(
        page({"id": "1"}, cursor="c1", caught_up=False),
        said,
        page({"id": "2"}, cursor="c2", caught_up=True),
        said,
    )
    shell.transport = canned
    assert shell.run("stream", "--consumer", "main", "--types", "t").code == 0
    first, word, second, last = canned.asked
    assert (first.url.params["consumer"], first.url.params.get("from")) == ("main", None)
    assert "consumer" not in second.url.params
    assert (word.method, word.url.path, word.url.params["types"]) == ("PUT", "/v1/stream/consumers/main", "t")
    assert [json.loads(one.content) for one in (word, last)] == [{"cursor": "c1"}, {"cursor": "c2"}]


def test_a_consumer_that_follows_has_its_last_word_at_ctrl_c(shell: Shell) -> None:
    canned = Interrupted(streamed(event(1), event(2)))
    shell.transport = canned
    assert shell.run("stream", "acme", "--follow", "--consumer", "main").code == 130
    word = canned.asked[-1]
    assert (word.method, word.url.path) == ("PUT", "/v1/partners/acme/stream/consumers/main")
    assert json.loads(word.content) == {"cursor": "c2"}


@pytest.mark.parametrize(
    "trouble",
    [
        [problem(503, "store_unavailable", retry="later")] * 5,
        [httpx.ReadError("cut")],
        [httpx.Response(502, text="<h1>Bad Gateway</h1>")],
    ],
    ids=["problem", "cut", "proxy"],
)
def test_who_follows_goes_on_where_a_place_cannot_be_kept_and_says_it_later(
    shell: Shell, trouble: list[httpx.Response | Exception]
) -> None:
    kept = httpx.Response(200)
    canned = Interrupted(streamed(event(1), event(2)), *trouble, kept, streamed(event(3)), kept)
    shell.transport, shell.ticks = canned, count(10, 10).__next__
    ended = shell.run("stream", "--follow", "--consumer", "main")
    assert ended.code == 130
    assert [line.split()[-1] for line in ended.out.splitlines()[::2]] == ["1?", "2?", "3?"]
    assert "the place of the consumer could not be kept" in ended.err
    words = [one for one in canned.asked if one.method == "PUT"]
    assert [json.loads(one.content)["cursor"] for one in words[-2:]] == ["c2", "c3"]


def test_a_last_word_that_failed_before_is_tried_at_the_end(shell: Shell) -> None:
    canned = Interrupted(streamed(event(1)), httpx.ReadError("cut"), httpx.Response(200))
    canned.left = 2
    shell.transport, shell.ticks = canned, count(10, 10).__next__
    assert shell.run("stream", "--follow", "--consumer", "main").code == 130
    assert [one.method for one in canned.asked] == ["GET", "PUT", "PUT"]
    assert json.loads(canned.asked[-1].content) == {"cursor": "c1"}


def test_a_place_that_is_refused_ends_it(shell: Shell) -> None:
    canned = Canned(streamed(event(1), event(2)), problem(403, "scope_missing", retry="no"))
    shell.transport, shell.ticks = canned, count(10, 10).__next__
    assert shell.run("stream", "--follow", "--consumer", "main").code == 3
    assert [one.method for one in canned.asked] == ["GET", "PUT"]


async def test_a_consumer_goes_on_behind_what_was_printed(desk: Desk) -> None:
    await desk.run("send", "acme", "order.accepted", "-", stdin=ORDER, by="team")
    first = await desk.run("stream", "--consumer", "main", by="acme")
    second = await desk.run("stream", "--consumer", "main", by="acme")
    assert ("id A-1" in first.out, second.out) == (True, "")
