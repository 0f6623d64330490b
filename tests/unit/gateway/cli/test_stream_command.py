import json
import re

import httpx

from tests.unit.gateway.cli.conftest import Canned, Desk, Shell

ORDER = b'{"order_id": "A-1", "qty": 1}'


def page(*events: dict[str, object], cursor: str, caught_up: bool) -> httpx.Response:
    return httpx.Response(200, json={"items": events, "cursor": cursor, "caught_up": caught_up})


async def test_events_are_printed_decoded(desk: Desk) -> None:
    await desk.run("send", "acme", "order.accepted", "-", stdin=ORDER, by="team")
    ended = await desk.run("stream", "--json", by="acme")
    (event,) = (json.loads(line) for line in ended.out.splitlines())
    assert (event["type"], event["data"]["order_id"]) == ("order.accepted", "A-1")
    assert "order.accepted  id A-1" in (await desk.run("stream", "acme", by="team")).out


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
    ended = await desk.run("stream", "acme", "--direction", "inbound", "--types", "order.placed")
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


def test_who_follows_starts_now_and_waits_for_more_until_ctrl_c(shell: Shell) -> None:
    class Interrupted(Canned):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().handle_request(request)

    canned = Interrupted(page(cursor="c1", caught_up=True))
    shell.transport = canned
    ended = shell.run("stream", "--follow")
    assert (ended.code, ended.err) == (130, "")
    assert canned.asked[0].url.params["from"] == "now"
    assert (canned.asked[1].url.params["cursor"], canned.asked[1].url.params["wait"]) == ("c1", "20")
