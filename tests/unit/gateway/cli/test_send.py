import json

import httpx
import pytest

from tests.unit.gateway.cli.conftest import Canned, Desk, Shell, lines, orders, problem

ORDER = b'{"order_id": "A-1", "qty": 1}'


async def test_one_event_is_sent_and_a_repeat_has_the_same_receipt(desk: Desk) -> None:
    path = desk.shell.write("o.json", ORDER)
    first = (await desk.run("send", "order.placed", f"@{path}", "--json", by="acme")).document()
    again = (await desk.run("send", "order.placed", "-", "--json", stdin=ORDER, by="acme")).document()
    assert again == {**first, "duplicate": True} | {"record": again["record"]}
    told = await desk.run("send", "order.placed", "-", stdin=ORDER, by="acme")
    assert "sent before" in told.out


async def test_our_side_sends_to_a_partner(desk: Desk) -> None:
    ended = await desk.run("send", "acme", "order.accepted", "-", "--json", stdin=ORDER, by="team")
    assert (ended.code, ended.document()["type"]) == (0, "order.accepted")


async def test_another_content_under_one_id_is_a_conflict(desk: Desk) -> None:
    await desk.run("send", "order.placed", "-", stdin=ORDER, by="acme")
    ended = await desk.run("send", "order.placed", "-", stdin=ORDER.replace(b"1}", b"2}"), by="acme")
    assert (ended.code, "event_conflict" in ended.err) == (5, True)


async def test_every_fault_is_told_with_its_pointer(desk: Desk) -> None:
    ended = await desk.run(
        "send", "order.placed", "-", stdin=b'{"order_id": "A", "qty": "x", "zzz": 1}', by="acme"
    )
    assert ended.code == 6
    assert "/qty: is a string (expected int)" in ended.err
    assert "/zzz" in ended.err


async def test_a_refusal_in_json_is_the_problem_document(desk: Desk) -> None:
    ended = await desk.run("send", "order.placed", "-", "--json", stdin=b"{}", by="acme")
    assert (ended.code, ended.document()["code"]) == (6, "event_invalid")


async def test_a_dry_run_leaves_nothing(desk: Desk) -> None:
    ended = await desk.run("send", "order.placed", "-", "--dry-run", stdin=ORDER, by="acme")
    assert (ended.code, "would be accepted" in ended.out) == (0, True)
    assert "0 accepted" not in ended.out
    assert (await desk.run("history", "list", "--json", by="acme")).document()["items"] == []


async def test_a_file_of_lines_is_sent_as_far_as_it_is_good(desk: Desk) -> None:
    good = lines(*orders(3))
    path = desk.shell.write(
        "many.ndjson", good + b'\n\n{"order_id": "A-9", "qty": "x"}\n' + lines(*orders(1, 7))
    )
    ended = await desk.run("send", "order.placed", f"@{path}", by="acme")
    assert ended.code == 6
    assert "4 accepted, 0 sent before, 1 refused" in ended.out
    assert "line 6:\n  event_invalid" in ended.err


async def test_the_same_file_again_doubles_nothing(desk: Desk) -> None:
    for expected in ("3 accepted, 0 sent before", "0 accepted, 3 sent before"):
        ended = await desk.run("send", "order.placed", "-", "--batch", stdin=lines(*orders(3)), by="acme")
        assert (ended.code, expected in ended.out) == (0, True)


async def test_a_file_of_which_nothing_is_good_is_told_line_by_line(desk: Desk) -> None:
    ended = await desk.run("send", "order.placed", "-", "--batch", stdin=b"{}\n{}\n", by="acme")
    assert ended.code == 6
    assert "line 1:" in ended.err
    assert "line 2:" in ended.err
    assert "0 accepted, 0 sent before, 2 refused" in ended.out


async def test_a_long_file_goes_in_several_requests(desk: Desk) -> None:
    ended = await desk.run(
        "send", "order.placed", "-", "--batch", "--json", stdin=lines(*orders(501)), by="acme"
    )
    assert ended.document() == {"accepted": 501, "duplicates": 0, "refused": 0}
    assert len([one for one in desk.bridge.asked if one.method == "POST"]) == 2


def test_a_rate_spreads_a_file_over_time(shell: Shell) -> None:
    canned = Canned(httpx.Response(200, json={"accepted": 2, "duplicates": 0, "refused": 0, "results": []}))
    shell.transport = canned
    ended = shell.run("send", "t", "-", "--batch", "--rate", "2/s", stdin=lines(*orders(6)))
    assert ended.code == 0
    # The clock of this shell stands still, so that each pause is the whole time up to that group's end.
    assert (len(canned.asked), shell.pauses) == (3, [1, 2, 3])


def test_a_batch_that_breaks_off_tells_how_far_it_came(shell: Shell) -> None:
    answer = httpx.Response(200, json={"accepted": 500, "duplicates": 0, "refused": 0, "results": []})
    shell.transport = Canned(answer, problem(503, "outcome_unknown", retry="as_is"))
    ended = shell.run("send", "t", "-", "--batch", stdin=lines(*orders(501)))
    assert (ended.code, "500 accepted" in ended.out) == (8, True)


def test_the_id_travels_in_the_header(shell: Shell) -> None:
    answer = httpx.Response(201, json={"ref": "evt_1", "id": "X"})
    canned = Canned(answer, answer)
    shell.transport = canned
    assert shell.run("send", "t", "-", "--id", "X", stdin=b"{}").code == 0
    assert canned.asked[0].headers["ce-id"] == "X"
    assert shell.run("send", "t", "-", "--id", "100% é", stdin=b"{}").code == 0
    assert canned.asked[1].headers["ce-id"] == "100%25%20%C3%A9"


def test_a_partner_or_type_cannot_leave_its_place_in_the_path(shell: Shell) -> None:
    canned = Canned(httpx.Response(201, json={"ref": "evt_1", "id": "X"}))
    shell.transport = canned
    shell.run("send", "a/../../b", "t?dry_run=true", "-", stdin=b"{}")
    assert canned.asked[0].url.raw_path == b"/v1/partners/a%2F..%2F..%2Fb/events/t%3Fdry_run%3Dtrue"


@pytest.mark.parametrize(
    "words",
    [
        ["t"],
        ["a", "b", "c", "d"],
        ["t", "file.json"],
        ["t", "@nowhere.json"],
        ["t", "-", "--rate", "fast"],
        ["t", "-", "--rate", "0"],
        ["t", "-", "--batch", "--id", "x"],
    ],
)
def test_a_wrong_command_line_sends_nothing(shell: Shell, words: list[str]) -> None:
    canned = Canned(httpx.Response(201, json={}))
    shell.transport = canned
    assert shell.run("send", *words, stdin=b"{}\n").code == 2
    assert canned.asked == []


def test_a_terminal_is_not_steered_by_an_answer(shell: Shell) -> None:
    shell.transport = Canned(problem(422, "event_invalid", detail="\x1b[2J\u202eevil"))
    ended = shell.run("send", "t", "-", stdin=b"{}")
    assert "\x1b" not in ended.err
    assert "\u202e" not in ended.err


def test_refused_lines_in_json_are_documents_a_line(shell: Shell) -> None:
    result = {"index": 0, "status": 422, "problem": {"code": "event_invalid"}}
    shell.transport = Canned(problem(422, "batch_refused", refused=1, results=[result]))
    ended = shell.run("send", "t", "-", "--batch", "--json", stdin=b"\n{}\n")
    first, second = (json.loads(line) for line in ended.out.splitlines())
    assert first == {"line": 2, "problem": {"code": "event_invalid"}}
    assert second == {"accepted": 0, "duplicates": 0, "refused": 1}
