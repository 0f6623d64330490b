"""Endpoints on the command line."""

import json

from tests.unit.gateway.cli.conftest import Desk

HOOK = "https://hooks.acme.example/in"


async def test_an_endpoint_is_made_shown_changed_and_removed(desk: Desk) -> None:
    filter_ = desk.shell.write("filter.json", '{"pointer": "/qty", "at_least": 2}')
    file = desk.shell.folder / "secret"
    made = await desk.run(
        "endpoints", "create", HOOK, "--name", "hook", "--events", "order.accepted", "--filter", str(filter_),
        "--header", "X-Team: orders", "--rate", "5/s", "--retry", "0s,1m", "-o", str(file), "--json",
        by="acme",
    )  # fmt: skip
    assert made.code == 0, made.err
    one = made.document()
    assert "secret" not in one
    assert file.read_text().startswith("whsec_")
    assert one["filter"] == {"pointer": "/qty", "at_least": 2}
    assert (one["headers"], one["rate"], one["retry"]) == ({"X-Team": "orders"}, 5, ["0s", "60s"])
    shown = await desk.run("endpoints", "show", "hook", by="acme")
    assert all(word in shown.out for word in ("unverified", "oldest_undelivered_at", "sec_"))
    assert "whsec_" not in shown.out
    changed = await desk.run(
        "endpoints", "update", one["id"], "--filter", "none", "--format", "data", by="acme"
    )
    assert (changed.code, '"format"' in changed.out or "data" in changed.out) == (0, True)
    listed = await desk.run("endpoints", "list", "-p", "acme")
    assert one["id"] in listed.out
    nothing = await desk.run("endpoints", "update", "hook", by="acme")
    assert (nothing.code, "say what changes" in nothing.err) == (2, True)
    dry = await desk.run("endpoints", "delete", "hook", "--dry-run", by="acme")
    assert (dry.code, "Would be removed" in dry.out) == (0, True)
    asked = await desk.run("endpoints", "delete", "hook", by="acme")
    assert asked.code == 2
    removed = await desk.run("endpoints", "delete", "hook", "--yes", by="acme")
    assert removed.code == 0, removed.err
    assert (await desk.run("endpoints", "show", one["id"], by="acme")).code == 4
    assert (await desk.run("endpoints", "show", "hook", by="acme")).code == 2


async def test_what_was_said_is_taken_back_by_none_and_one_wait_is_a_schedule(desk: Desk) -> None:
    said = ("--header", "X-Team: orders", "--rate", "5/s", "--retry")
    late = await desk.run("endpoints", "create", HOOK, *said, "30s", by="acme")
    assert (late.code, "begin the list with 0s" in late.err) == (6, True)
    ended = await desk.run("endpoints", "create", HOOK, *said, "0s", "--json", by="acme")
    assert ended.code == 0, ended.err
    made = ended.document()
    assert (made["headers"], made["rate"], made["retry"]) == ({"X-Team": "orders"}, 5, ["0s"])
    back = ("--header", "none", "--rate", "none", "--retry", "standard-75h")
    ended = await desk.run("endpoints", "update", made["id"], *back, "--json", by="acme")
    assert ended.code == 0, ended.err
    after = ended.document()
    assert (after["headers"], after["rate"], after["retry"]) == ({}, None, "standard-75h")


async def test_faults_are_told_with_their_pointers(desk: Desk) -> None:
    filter_ = desk.shell.write("filter.json", '{"pointer": "/qtyy", "at_least": 2}')
    ended = await desk.run("endpoints", "create", HOOK, "--filter", str(filter_), by="acme")
    assert ended.code == 6
    assert "/filter/pointer" in ended.err
    assert "did you mean /qty?" in ended.err
    for words in (("--filter", "/nowhere.json"), ("--header", "X-Team")):
        assert (await desk.run("endpoints", "create", HOOK, *words, by="acme")).code == 2


async def test_pausing_and_resuming_is_in_its_state_or_not(desk: Desk) -> None:
    made = (await desk.run("endpoints", "create", HOOK, "--json", by="acme")).document()
    assert json.dumps(made).count("whsec_") == 1
    paused = await desk.run("endpoints", "pause", made["id"], by="acme")
    assert (paused.code, "unverified" in paused.err) == (5, True)
    resumed = await desk.run("endpoints", "resume", made["id"], "--backlog", "deliver", by="acme")
    assert resumed.code == 5
    assert (await desk.run("endpoints", "resume", made["id"], by="acme")).code == 2
    wrong = await desk.run("endpoints", "verify", made["id"], "--challenge", "ch_1", by="acme")
    assert (wrong.code, "challenge" in wrong.err) == (6, True)
    rotated = await desk.run("endpoints", "rotate-secret", made["id"], "--overlap", "1h", by="acme")
    assert (rotated.code, "shown this once" in rotated.out) == (0, True)


async def test_the_house_has_endpoints_and_deliveries_of_its_own_with_a_partner(desk: Desk) -> None:
    ours = ("--house", "-p", "acme")
    made = await desk.run("endpoints", "create", HOOK, "--name", "desk", "--json", *ours)
    assert made.code == 0, made.err
    assert made.document()["state"] == "active"
    for words in (("list",), ("show", "desk"), ("pause", "desk"), ("update", "desk", "--rate", "5/s")):
        ended = await desk.run("endpoints", *words, *ours)
        assert (ended.code, "desk" in ended.out) == (0, True), ended.err
    assert "desk" not in (await desk.run("endpoints", "list", "-p", "acme")).out
    proved = await desk.run("endpoints", "verify", "desk", *ours)
    assert (proved.code, "nothing to prove" in proved.err) == (2, True)
    listed = await desk.run("deliveries", "list", "--json", *ours)
    assert (listed.code, listed.document()["items"]) == (0, [])
    for words in (("endpoints", "list"), ("deliveries", "list")):
        ended = await desk.run(*words, "--house")
        assert (ended.code, "--house goes with --partner" in ended.err) == (2, True)
