import gzip
import json

import httpx

from audit.bundle import parse_bundle
from tests.unit.gateway.cli.conftest import Canned, Desk, Shell, orders
from tests.waiting import until


async def send_one(desk: Desk) -> str:
    """Send an event and wait for its log entry; its ref."""
    order = json.dumps(orders(1)[0]).encode()
    sent = (await desk.run("send", "order.placed", "-", "--json", stdin=order, by="acme")).document()
    shown = await desk.run("history", "show", sent["ref"], "--json", by="acme")
    assert shown.document()["receipt"] == sent["receipt"]
    return str(sent["ref"])


async def test_an_event_is_listed_for_its_partner_and_for_operators(desk: Desk) -> None:
    ref = await send_one(desk)
    for by, arguments in (("acme", []), ("operator", ["--partner", "acme"])):
        ended = await desk.run("history", "list", *arguments, by=by)
        assert (ended.code, ref in ended.out, "order.placed" in ended.out) == (0, True, True)


async def test_filters_are_passed_on(desk: Desk) -> None:
    await send_one(desk)
    found = await desk.run("history", "list", "--id", "A-1", "--since", "1h", "--json", by="acme")
    assert [one["id"] for one in found.document()["items"]] == ["A-1"]
    none = await desk.run("history", "list", "--state", "refused", "--json", by="acme")
    assert none.document()["items"] == []
    assert (await desk.run("history", "list", "--state", "nonsense", by="acme")).code == 2


async def test_entries_are_listed_by_their_kind(desk: Desk) -> None:
    ref = await send_one(desk)
    entries = await desk.run("history", "list", "--kind", "event.accepted,contract.changed", by="acme")
    assert (entries.code, ref in entries.out, "contract.changed" in entries.out) == (0, True, True)
    assert "revision=1" in entries.out
    ours = await desk.run("history", "list", "--house", "--kind", "key.changed")
    assert (ours.code, "purpose=" in ours.out, "action=created" in ours.out) == (0, True, True)
    assert (await desk.run("history", "list", "--house", by="acme")).code == 3


async def test_events_are_found_by_value_and_by_digest(desk: Desk) -> None:
    await send_one(desk)
    for arguments in (("--search", "nothing"), ("--digest", "0" * 64), ("--endpoint", "ep_1")):
        ended = await desk.run("history", "list", *arguments, "--json", by="acme")
        assert ended.document()["items"] == []
    assert (await desk.run("history", "list", "--digest", "12", by="acme")).code == 2


async def test_a_refused_event_is_listed_with_its_code(desk: Desk) -> None:
    await desk.run("send", "order.placed", "-", stdin=b"{}", by="acme")
    listed = [""]

    async def is_there() -> bool:
        listed[:] = [(await desk.run("history", "list", by="acme")).out]
        return "order.placed" in listed[0]

    await until(is_there, lambda: listed)
    assert "refused (event_invalid)" in listed[0]


async def test_an_operator_needs_no_partner_to_show_an_event(desk: Desk) -> None:
    ref = await send_one(desk)
    ended = await desk.run("history", "show", ref)
    assert (ended.code, "order.placed" in ended.out) == (0, True)
    assert (await desk.run("history", "show", "evt_" + "a" * 52)).code == 4


async def test_a_proof_is_verified_offline_under_pinned_keys(desk: Desk) -> None:
    ref = await send_one(desk)
    folder = desk.shell.folder
    paper, keys = str(folder / "a.tlog-proof"), str(folder / "keys.json")
    saved = await desk.run("history", "proof", ref, "-o", paper, "--keys-file", keys)
    assert saved.code == 0
    bundle = parse_bundle((folder / "a.tlog-proof").read_bytes())
    pin = str(bundle.offered.logs[0])
    assert pin in saved.err
    content = str(desk.shell.write("o.json", json.dumps(orders(1)[0])))
    arguments = ("verify", paper, "--keys", keys, "--log-key", pin, "--content", content)
    ended = desk.shell.run(*arguments)
    assert (ended.code, ended.out.splitlines()[0]) == (0, "proved")
    # Without the pins the same papers prove nothing.
    assert desk.shell.run("verify", paper).code == 9


async def test_evidence_is_verified_offline_under_pinned_keys(desk: Desk) -> None:
    ref = await send_one(desk)
    folder = desk.shell.folder
    keys = str(folder / "keys.json")
    await desk.run("history", "proof", ref, "-o", str(folder / "unused"), "--keys-file", keys)
    for by, arguments in (("acme", []), ("operator", ["-p", "acme"])):
        file = str(folder / f"{by}.tar")
        saved = await desk.run("history", "evidence", ref, "-o", file, *arguments, by=by)
        assert (saved.code, "1 entries" in saved.err or "2 entries" in saved.err) == (0, True)
        pin = next(line for line in saved.err.split() if line.count("+") > 1)
        content = str(desk.shell.write("o.json", json.dumps(orders(1)[0])))
        ended = desk.shell.run("verify", file, "--keys", keys, "--log-key", pin, "--content", content)
        assert (ended.code, ended.out.splitlines()[0]) == (0, "proved")
        assert "the content is your copy, byte for byte" in ended.out
        told = desk.shell.run("verify", file, "--keys", keys, "--log-key", pin, "--json").document()
        assert told["verified"] is True
        assert all(told[name] for name in ("proved", "word", "not_proved"))
        assert desk.shell.run("verify", file).code == 9
    assert (await desk.run("history", "evidence", "evt_" + "a" * 52, by="acme")).code == 4


async def test_a_proof_without_a_file_goes_to_stdout(desk: Desk) -> None:
    ended = await desk.run("history", "proof", await send_one(desk), by="acme")
    assert parse_bundle(ended.out.encode()).proof is not None


async def test_a_proof_that_cannot_be_saved_is_a_usage_error(desk: Desk) -> None:
    ended = await desk.run("history", "proof", await send_one(desk), "-o", "/nowhere/file", by="acme")
    assert ended.code == 2


async def test_what_has_no_receipt_has_no_proof_and_is_no_fault_of_ours(desk: Desk) -> None:
    await desk.run("send", "order.placed", "-", stdin=b'{"order_id": "A-9"}', by="acme")

    async def refused() -> list[str]:
        listed = await desk.run("history", "list", "--state", "refused", "--json", by="acme")
        return [one["ref"] for one in listed.document()["items"]]

    (ref,) = await until(refused, lambda: "never refused")
    ended = await desk.run("history", "proof", ref, by="acme")
    assert (ended.code, "has no receipt: it is refused" in ended.err) == (4, True)
    shown = {"partner": {"slug": "acme"}, "ref": ref, "state": "erased", "receipt": None}
    desk.shell.transport = Canned(httpx.Response(200, json=shown))
    ended = desk.shell.run("history", "proof", ref, "--url", "https://gw.example")
    assert (ended.code, "has no receipt: it is erased" in ended.err) == (4, True)


async def test_a_receipt_is_shown_by_its_beginning_and_whole_as_json(desk: Desk) -> None:
    ref = await send_one(desk)
    receipt = (await desk.run("history", "show", ref, "--json", by="acme")).document()["receipt"]
    shown = (await desk.run("history", "show", ref, by="acme")).out
    assert receipt[:20] in shown
    assert receipt not in shown
    assert max(map(len, shown.splitlines())) < 200


def test_deliveries_are_told_by_their_endpoints_names(shell: Shell) -> None:
    deliveries = [
        {"endpoint": "ep_1", "name": "hook", "state": "delivered", "attempts": 1},
        {"endpoint": "ep_2", "name": None, "state": "parked", "attempts": 9},
    ]
    me = httpx.Response(200, json={"partner": {"slug": "acme"}})
    shell.transport = Canned(me, httpx.Response(200, json={"ref": "evt_1", "deliveries": deliveries}))
    out = shell.run("history", "show", "evt_1").out
    assert [word in out for word in ("hook", "ep_1", "ep_2")] == [True, False, True]


async def test_of_another_partner_nothing_is_found(desk: Desk) -> None:
    ref = await send_one(desk)
    await desk.run("apply", "-f", desk.contract(), "--yes")
    await desk.house.issue("bolt", "partner", "bolt")
    await desk.house.world.parts.catalog.refresh()
    assert (await desk.run("history", "show", ref, by="bolt")).code == 4


async def test_content_is_saved_as_it_was_received(desk: Desk) -> None:
    body = b'{"order_id":  "C-1", "qty": 1}'
    sent = await desk.run("send", "order.placed", "-", "--json", stdin=body, by="acme")
    ref, file = sent.document()["ref"], desk.shell.folder / "content"
    saved = await desk.run("history", "content", ref, "-o", str(file), by="acme")
    assert saved.code == 0
    shown = await desk.run("history", "content", ref, "-p", "acme")
    assert shown.out.encode() == file.read_bytes()
    assert (await desk.run("history", "content", "evt_" + "a" * 52, by="acme")).code == 4


async def test_compressed_content_is_saved_compressed_and_not_printed(desk: Desk) -> None:
    body, file = gzip.compress(b'{"order_id": "C-2", "qty": 1}'), desk.shell.folder / "content"
    async with desk.house.client("acme") as client:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        sent = await client.post("/v1/events/order.placed", content=body, headers=headers)
    saved = await desk.run("history", "content", sent.json()["ref"], "-o", str(file), by="acme")
    assert (saved.code, file.read_bytes(), "gzip" in saved.err) == (0, body, True)
    assert (await desk.run("history", "content", sent.json()["ref"], by="acme")).code == 2


async def test_a_list_that_goes_on_says_so_and_how(desk: Desk) -> None:
    for number in range(3):
        event = json.dumps({"order_id": f"M-{number}", "qty": 1}).encode()
        assert (await desk.run("send", "order.placed", "-", stdin=event, by="acme")).code == 0
    told = ("history", "list", "--limit", "2")
    ended = await desk.run(*told, by="acme")
    assert (ended.code, "M-2" in ended.out, "M-0" in ended.out) == (0, True, False)
    assert "There are more: a larger --limit, or the same command with --cursor " in ended.err
    first = (await desk.run(*told, "--json", by="acme")).document()
    rest = await desk.run(*told, "--cursor", first["next"], by="acme")
    assert ("M-0" in rest.out, "M-2" in rest.out, rest.err) == (True, False, "")
    whole = (await desk.run("history", "list", "--json", by="acme")).document()
    assert (len(whole["items"]), whole["next"]) == (3, None)
