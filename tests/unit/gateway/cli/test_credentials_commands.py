"""Credentials of every kind on the command line."""

import asyncio
import json
import re
from collections import Counter
from datetime import UTC, datetime

import httpx
import pytest

from tests.certificates import certified, public_pem
from tests.unit.gateway.cli.conftest import Desk, Ended

LEAF = certified(begins=datetime(2026, 1, 1, tzinfo=UTC), days=3_000)
HOOK = ("--kind", "webhook_secret")
ROOT = certified("root", is_authority=True, usages=(), begins=datetime(2026, 1, 1, tzinfo=UTC), days=3_000)


async def create(desk: Desk, *words: str, stdin: bytes = b"", by: str = "operator") -> Ended:
    whose = () if by == "acme" else ("-p", "acme")
    return await desk.run("credentials", "create", *whose, *words, "--json", stdin=stdin, by=by)


async def test_the_kind_follows_from_what_is_given(desk: Desk) -> None:
    pem, ca = desk.shell.write("a.pem", LEAF.pem), desk.shell.write("ca.pem", ROOT.pem)
    key = desk.shell.write("key.pem", public_pem(LEAF.key))
    whsec = b"whsec_" + b"c2VjcmV0LW9mLWEtc2VuZGVyLW9mLXdlYmhvb2tzLi4=" + b"\n"
    made = [
        await create(desk, "--certificate", str(pem)),
        await create(desk, "--ca", str(ca), "--uri", "spiffe://acme/gw"),
        await create(desk, "--public-key", str(key), "--name", "signs"),
        await create(desk, "--issuer", "https://id.acme.example", "--subject", "s", "--audience", "gw"),
        await create(desk, "--secret-file", "-", stdin=whsec),
        await create(desk, "--kind", "webhook_secret"),
    ]
    shown = [one.document() for one in made]
    assert [one["kind"] for one in shown] == [
        "certificate",
        "certificate",
        "public_key",
        "oauth_client",
        "webhook_secret",
        "webhook_secret",
    ]
    assert [("secret" in one) for one in shown] == [False] * 5 + [True]
    assert shown[0]["sha256"] == LEAF.sha256
    listed = await desk.run("credentials", "list", "-p", "acme")
    assert all(word in listed.out for word in ("oauth_client", "last_used_at", "signs"))


async def test_what_it_is_made_of_is_never_an_argument(desk: Desk) -> None:
    for option, text in (("--secret-file", "whsec_c2VjcmV0"), ("--certificate", LEAF.pem)):
        ended = await create(desk, option, text)
        assert (ended.code, "other users can read a command line" in ended.err) == (2, True)
        assert "c2VjcmV0" not in ended.err
    missing = await create(desk, "--certificate", "/nowhere.pem")
    assert (missing.code, "cannot be read" in missing.err) == (2, True)
    mixed = await create(desk, "--kind", "api_key", "--certificate", str(desk.shell.write("a.pem", LEAF.pem)))
    assert (mixed.code, "not of the kind api_key" in mixed.err) == (2, True)
    empty = await create(desk, "--secret-file", "-")
    assert (empty.code, "empty" in empty.err) == (2, True)


async def test_a_key_is_rotated_with_an_overlap(desk: Desk) -> None:
    old, file = desk.house.credentials["acme"].id, desk.shell.folder / "next.key"
    dry = await desk.run("credentials", "rotate", old, "--overlap", "24h", "--dry-run", by="acme")
    assert (dry.code, "Would make an API key, the successor of" in dry.out) == (0, True)
    ended = await desk.run("credentials", "rotate", old, "--overlap", "24h", "-o", str(file), by="acme")
    assert (ended.code, f"The old one, {old}, ends at 20" in ended.out) == (0, True)
    desk.house.keys["next"] = file.read_text().strip()
    assert desk.house.keys["next"] not in ended.out + ended.err
    me = (await desk.run("me", "--json", by="next")).document()
    shown = (await desk.run("credentials", "show", old, "--json", by="next")).document()
    assert (me["scopes"], me["credential"]["name"]) == (shown["scopes"], shown["name"])
    left = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
    assert 23 < left.total_seconds() / 3_600 <= 24
    third = await desk.run("credentials", "rotate", old, by="acme")
    assert (third.code, "limit_reached" in third.err) == (5, True)


class Cut(httpx.BaseTransport):
    """The way to a gateway that is lost as soon as something was made."""

    def __init__(self, bridge: httpx.BaseTransport) -> None:
        self._bridge = bridge
        self._is_made = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._is_made:
            raise httpx.ConnectError("a test said so", request=request)
        self._is_made = request.method == "POST"
        return self._bridge.handle_request(request)


@pytest.mark.parametrize("flags", [(), ("--json",)])
async def test_a_successor_is_told_even_where_its_predecessor_cannot_be_ended(
    desk: Desk, flags: tuple[str, ...]
) -> None:
    desk.shell.transport = Cut(desk.bridge)
    old = desk.house.credentials["acme"].id
    ended = await desk.run("credentials", "rotate", old, "--overlap", "24h", *flags, by="acme")
    assert ended.code != 0
    secret = re.search(r"gw_[A-Za-z0-9_-]+", ended.out)
    assert secret is not None, ended
    assert "nobody answers" in ended.err
    desk.house.keys["next"], desk.shell.transport = secret[0], desk.bridge
    assert (await desk.run("me", by="next")).code == 0


async def test_no_successor_is_made_whose_predecessor_cannot_be_ended_as_asked(desk: Desk) -> None:
    old = desk.house.credentials["acme"].id
    before = (await desk.run("credentials", "list", "--json", by="acme")).document()
    ended = await desk.run("credentials", "rotate", old, "--overlap", "400d", by="acme")
    after = (await desk.run("credentials", "list", "--json", by="acme")).document()
    assert (ended.code, "earlier" in ended.err) == (2, True)
    assert len(before["items"]) == len(after["items"])


async def test_a_certificate_s_successor_is_another_certificate(desk: Desk) -> None:
    pem = desk.shell.write("a.pem", LEAF.pem)
    made = (await create(desk, "--certificate", str(pem), "--name", "tls")).document()
    assert (await desk.run("credentials", "rotate", made["id"], "-p", "acme")).code == 2
    other = certified(begins=datetime(2026, 1, 1, tzinfo=UTC), days=3_000)
    path = str(desk.shell.write("b.pem", other.pem))
    ended = await desk.run("credentials", "rotate", made["id"], "-p", "acme", "--certificate", path, "--json")
    assert (ended.document()["new"]["sha256"], ended.document()["new"]["name"]) == (other.sha256, "tls")
    key = str(desk.shell.write("key.pem", public_pem(LEAF.key)))
    misfit = await desk.run("credentials", "rotate", made["id"], "-p", "acme", "--public-key", key)
    assert (misfit.code, "is of the kind certificate" in misfit.err) == (2, True)


async def test_a_leaked_key_s_uses_are_listed_as_it_is_revoked(desk: Desk) -> None:
    event = json.dumps({"order_id": "L-1", "qty": 1}).encode()
    assert (await desk.run("send", "order.placed", "-", stdin=event, by="acme")).code == 0
    leaked = desk.house.credentials["acme"].id
    told = ("credentials", "revoke", leaked, "-p", "acme", "--reason", "leaked", "--since", "1h", "--yes")
    dry = await desk.run(*told, "--dry-run")
    assert "1 event sent with it since 1h" in dry.out, dry
    ended = await desk.run(*told)
    assert ended.code == 0
    for words in ("It opens nothing after 20", "reason", "leaked", "1 event sent", "L-1"):
        assert words in ended.out
    again = (await desk.run(*told, "--json")).document()
    assert [(one["id"], one["partner"]) for one in again["uses"]] == [("L-1", "acme")]
    listed = await desk.run("history", "list", "-p", "acme", "--credential", leaked)
    assert "L-1" in listed.out
    other = await desk.run("history", "list", "-p", "acme", "--credential", "crd_other")
    assert "L-1" not in other.out
    team = desk.house.credentials["team"].id
    unused = await desk.run("credentials", "revoke", team, "--since", "1h", "--yes")
    assert "No event was sent with it since 1h." in unused.out


async def test_what_was_made_from_hand_to_hand_is_looked_for_once_in_each_log(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many credentials were made; of a partner's own in the partner's log alone."""
    await desk.run("apply", "-f", desk.contract(), "--yes")

    async def make(*words: str, by: str) -> str:
        made = await desk.run("credentials", "create", *words, "--json", by=by)
        assert made.code == 0, made
        document = made.document()
        desk.house.keys[document["id"]] = document["secret"]
        return str(document["id"])

    async def revoke(name: str, count: int) -> tuple[set[str], list[str]]:
        for _ in range(500):
            desk.bridge.asked.clear()
            ended = await desk.run("credentials", "revoke", name, "--since", "1h", "--dry-run", "--json")
            found = {one["id"] for one in ended.document()["made"]}
            if len(found) == count:
                break
            await asyncio.sleep(0.02)
        return found, [one.url.path for one in desk.bridge.asked if one.url.path.endswith("history")]

    leaked = await make("--role", "operator", by="operator")
    at_acme = [await make("-p", "acme", *kind, by=leaked) for kind in ((), HOOK)]
    below = await make(*HOOK, by=at_acme[0])
    found, looks = await revoke(leaked, 3)
    assert found == {*at_acme, below}
    acme, bolt, house = (f"/v1/{one}/history" for one in ("partners/acme", "partners/bolt", "house"))
    assert Counter(looks) == {acme: 2 + 1, bolt: 2, house: 1}

    second = await make("--role", "operator", by=leaked)
    at_bolt = [await make("-p", "bolt", *kind, by=second) for kind in ((), (), HOOK, HOOK)]
    found, looks = await revoke(leaked, 8)
    assert found == {*at_acme, below, second, *at_bolt}
    assert Counter(looks) == {acme: 2 + 1, bolt: 2 + 1, house: 1 + 1}

    monkeypatch.setattr("gateway.cli.uses._MOST", 1)
    cut = await desk.run("credentials", "revoke", leaked, "--since", "1h", "--dry-run")
    assert f"{acme} has more than 1 changes of credentials: what older ones made is not looked for" in cut.err


async def test_an_operator_needs_the_id_alone_and_a_partner_no_name(desk: Desk) -> None:
    event = json.dumps({"order_id": "L-2", "qty": 1}).encode()
    assert (await desk.run("send", "order.placed", "-", stdin=event, by="acme")).code == 0
    old = desk.house.credentials["acme"].id
    rotated = await desk.run("credentials", "rotate", old, "--overlap", "24h", "--json")
    assert (rotated.code, rotated.document()["new"]["partner"]) == (0, "acme")
    desk.house.keys["next"] = rotated.document()["new"]["secret"]
    told = ("credentials", "revoke", old, "--since", "1h", "--yes")
    for by in ("operator", "next"):
        ended = await desk.run(*told, by=by)
        assert (ended.code, "1 event sent with it since 1h" in ended.out) == (0, True), ended


async def test_a_revocation_is_told_even_where_its_uses_cannot_be(desk: Desk) -> None:
    leaked = desk.house.credentials["acme"].id
    ended = await desk.run("credentials", "revoke", leaked, "--since", "yesterday", "--yes")
    assert (ended.code, "It opens nothing after 20" in ended.out) == (2, True)
    assert "parameter_invalid" in ended.err


async def test_what_may_send_less_is_made_listed_shown_and_rotated(desk: Desk) -> None:
    usual = await desk.run("credentials", "list", by="acme")
    made = await create(
        desk, "--send-types", "order.placed, order.changed", "--rate", "50/s", "--name", "erp"
    )
    credential = made.document()
    assert (credential["send_types"], credential["events_per_second"]) == (
        ["order.changed", "order.placed"],
        50,
    )
    listed = await desk.run("credentials", "list", by="acme")
    shown = await desk.run("credentials", "show", credential["id"], by="acme")
    assert "send_types" not in usual.out
    assert all(word in listed.out for word in ("send_types", "events_per_second", "order.placed"))
    assert re.search(r"^events_per_second +50$", shown.out, re.MULTILINE)
    desk.house.keys["erp"] = credential["secret"]
    me = await desk.run("me", by="erp")
    assert re.search(r"^send_types +.*order\.placed", me.out, re.MULTILINE)
    rotated = await desk.run("credentials", "rotate", credential["id"], "--dry-run", "--json", by="operator")
    assert rotated.code != 0  # there are two already
    await desk.run("credentials", "revoke", desk.house.credentials["acme"].id, "--yes", by="operator")
    successor = (await desk.run("credentials", "rotate", credential["id"], "--json", by="erp")).document()
    for name in ("send_types", "events_per_second", "scopes", "name"):
        assert successor["new"][name] == credential[name]


@pytest.mark.parametrize("rate", ["0", "fast", "50/m", "-1"])
async def test_a_rate_that_is_none_is_refused(desk: Desk, rate: str) -> None:
    ended = await create(desk, "--rate", rate)
    assert ended.code == 2
