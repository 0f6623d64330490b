"""Lists of all partners on the command line: `--partner -`."""

import pytest

from gateway.cli.exits import Exit
from tests.unit.gateway.cli.conftest import Desk


@pytest.mark.parametrize(
    "words",
    [
        ("credentials", "list"),
        ("deliveries", "list"),
        ("endpoints", "list"),
        ("erasures", "list"),
        ("export", "list"),
        ("holds", "list"),
        ("imports", "list"),
        ("replays", "list"),
        ("deliveries", "list", "--house"),
        ("endpoints", "list", "--house"),
        ("replays", "list", "--house"),
    ],
    ids=" ".join,
)
async def test_each_list_of_all_partners_names_them(desk: Desk, words: tuple[str, ...]) -> None:
    shown = await desk.run(*words, "--partner", "-")
    assert (shown.code, shown.out.split()[0]) == (Exit.DONE, "partner"), shown.err
    raw = await desk.run(*words, "--partner", "-", "--json")
    assert {one["partner"] for one in raw.document()["items"]} <= {"acme"}


async def test_which_keys_end_soon_and_which_endpoints_fail(desk: Desk) -> None:
    made = await desk.run(
        "credentials", "create", "-p", "acme", "--role", "auditor", "--expires", "20d", "--json"
    )
    soon = ("--partner", "-", "--state", "active", "--expires-before", "30d", "--json")
    (found,) = (await desk.run("credentials", "list", *soon)).document()["items"]
    assert found["id"] == made.document()["id"]
    hook = await desk.run("endpoints", "create", "https://hooks.acme.example/in", "--json", by="acme")
    ids = [
        one["id"] for one in (await desk.run("endpoints", "list", "-p", "-", "--json")).document()["items"]
    ]
    assert hook.document()["id"] in ids
    failing = await desk.run("endpoints", "list", "-p", "-", "--failing", "--state", "unverified", "--json")
    assert failing.document()["items"] == []
    wrong = await desk.run("endpoints", "list", "--state", "broken", by="acme")
    assert (wrong.code, "unverified, active, paused, disabled" in wrong.err) == (Exit.USAGE, True)


async def test_whose_event_it_is_is_asked_of_all_and_only_by_what_is_exact(desk: Desk) -> None:
    order = b'{"order_id":"A-1001","qty":1}'
    sent = await desk.run("send", "order.placed", "-", "--json", stdin=order, by="acme")
    ref = sent.document()["ref"]
    for exact in (("--id", "A-1001"), ("--ref", ref)):
        shown = await desk.run("history", "list", "--partner", "-", *exact)
        assert shown.code == Exit.DONE, shown.err
        assert ("partner" in shown.out, "acme" in shown.out) == (True, True)
    vague = await desk.run("history", "list", "--partner", "-", "--state", "accepted")
    assert (vague.code, "give id, ref, key or digest" in vague.err) == (Exit.USAGE, True)
    found = await desk.run("history", "show", ref, "--json")
    assert found.document()["id"] == "A-1001"
    missing = await desk.run("history", "show", "evt_" + "a" * 52)
    assert (missing.code, "No partner has an event" in missing.err) == (Exit.NOT_FOUND, True)


async def test_what_is_one_partner_s_is_not_asked_of_all(desk: Desk) -> None:
    for words in (
        ("endpoints", "show", "ep_x"),
        ("endpoints", "create", "https://hooks.acme.example/in"),
        ("deliveries", "cancel", "dlv_x", "--yes"),
        ("history", "show", "evt_x"),
        ("export", "create", "--dry-run"),
        ("credentials", "create"),
        ("holds", "set", "--all", "--basis", "x"),
    ):
        ended = await desk.run(*words, "--partner", "-")
        assert (ended.code, "--partner - is for lists" in ended.err) == (Exit.USAGE, True), words
