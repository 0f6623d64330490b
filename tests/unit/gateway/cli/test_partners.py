from tests.unit.gateway.cli.conftest import Desk


async def known(desk: Desk) -> list[str]:
    """The ids of acme's credentials."""
    listed = (await desk.run("credentials", "list", "-p", "acme", "--json")).document()
    return [one["id"] for one in listed["items"]]


async def test_partners_are_listed_and_shown(desk: Desk) -> None:
    assert "acme" in (await desk.run("partners", "list")).out
    assert (await desk.run("partners", "list", "--json")).document()["items"][0]["slug"] == "acme"
    assert "partners.acme.inbound" in (await desk.run("partners", "show", "acme")).out


async def test_a_partner_may_not_list_partners(desk: Desk) -> None:
    ended = await desk.run("partners", "list", by="acme")
    assert (ended.code, "scope_missing" in ended.err) == (3, True)


async def test_a_new_key_works_and_is_shown_once(desk: Desk) -> None:
    made = await desk.run(
        "credentials", "create", "-p", "acme", "--name", "erp", "--expires", "30d", "--json"
    )
    document = made.document()
    desk.house.keys["erp"] = document["secret"]
    assert (await desk.run("me", by="erp")).code == 0
    shown = await desk.run("credentials", "show", document["id"], "-p", "acme")
    assert document["secret"] not in shown.out


async def test_a_new_key_goes_to_a_file_of_its_owner(desk: Desk) -> None:
    path = desk.shell.folder / "erp.key"
    ended = await desk.run("credentials", "create", "-p", "acme", "-o", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip() not in ended.out + ended.err
    assert "The key is in" in ended.err


async def test_no_key_is_made_where_it_could_not_be_kept(desk: Desk) -> None:
    before = await known(desk)
    path = desk.shell.write("other.key", "gw_other")
    assert (await desk.run("credentials", "create", "-p", "acme", "-o", str(path))).code == 2
    assert (await desk.run("credentials", "create", "-p", "acme", "-o", "/nowhere/key")).code == 2
    assert await known(desk) == before


async def test_a_file_is_not_left_behind_where_no_key_was_made(desk: Desk) -> None:
    path = desk.shell.folder / "erp.key"
    refused = await desk.run("credentials", "create", "-p", "acme", "--expires", "soon", "-o", str(path))
    assert (refused.code, path.exists()) == (2, False)
    given = desk.shell.write("given.key", "")
    await desk.run("credentials", "create", "-p", "acme", "--expires", "soon", "-o", str(given))
    assert given.read_bytes() == b""


async def test_a_wrong_expiry_is_told_of_the_option(desk: Desk) -> None:
    ended = await desk.run("credentials", "create", "-p", "acme", "--expires", "soon")
    assert "--expires must be an RFC 3339 time" in ended.err
    beyond = await desk.run("credentials", "create", "-p", "acme", "--expires", "3y")
    assert (beyond.code, "within 365 days" in beyond.err) == (2, True)
    assert (await desk.run("credentials", "create", "-p", "acme", "--expires", "1y")).code == 0


async def test_roles_and_scopes_are_passed_on(desk: Desk) -> None:
    ended = await desk.run(
        "credentials", "create", "-p", "acme", "--role", "auditor", "--scopes", "audit", "--json"
    )
    assert (ended.document()["role"], ended.document()["scopes"]) == ("auditor", ["audit"])
    assert (await desk.run("credentials", "create", "-p", "acme", "--role", "king")).code == 2


async def test_a_dry_run_makes_no_key(desk: Desk) -> None:
    before = await known(desk)
    path = desk.shell.folder / "erp.key"
    ended = await desk.run("credentials", "create", "-p", "acme", "--dry-run", "-o", str(path))
    assert (ended.code, path.exists()) == (0, False)
    assert ended.out.startswith("Would make an API key: role partner of acme. Nothing was changed.\n")
    own = await desk.run("credentials", "create", "--scopes", "send", "--dry-run", "--json", by="acme")
    assert (own.document()["scopes"], own.document()["dry_run"]) == (["send"], True)
    assert await known(desk) == before


async def test_a_dry_run_is_refused_where_making_would_be(desk: Desk) -> None:
    command = ("credentials", "create", "-p", "acme", "--dry-run")
    assert (await desk.run(*command, "--role", "king")).code == 2
    assert (await desk.run("credentials", "create", "-p", "nobody", "--dry-run")).code == 4
    assert (await desk.run("credentials", "create", "-p", "acme")).code == 0
    assert (await desk.run(*command)).code == 5


async def test_a_revoked_key_is_refused_with_3(desk: Desk) -> None:
    credential = desk.house.credentials["acme"].id
    asked = await desk.run("credentials", "revoke", credential, "-p", "acme")
    assert asked.code == 2
    dry = await desk.run("credentials", "revoke", credential, "-p", "acme", "--dry-run")
    assert (dry.code, f"Would revoke {credential}: role partner of acme" in dry.out) == (0, True)
    assert (await desk.run("me", by="acme")).code == 0
    revoked = await desk.run("credentials", "revoke", credential, "-p", "acme", "--yes", "--reason", "leaked")
    assert (revoked.code, "revoked" in revoked.out) == (0, True)
    await desk.house.world.parts.catalog.refresh()
    ended = await desk.run("me", by="acme")
    assert (ended.code, "credential_revoked" in ended.err) == (3, True)
    again = await desk.run("credentials", "revoke", credential, "-p", "acme", "--dry-run")
    assert "is revoked already" in again.out


async def test_an_unknown_credential_is_not_found(desk: Desk) -> None:
    assert (await desk.run("credentials", "show", "crd_nothing", "-p", "acme")).code == 4


async def test_a_partner_is_suspended_resumed_and_closed(desk: Desk) -> None:
    assert (await desk.run("partners", "suspend", "acme")).code == 2
    dry = await desk.run("partners", "suspend", "acme", "--reason", "unpaid", "--dry-run")
    assert (dry.code, dry.out) == (0, "acme is active, and would be suspended. Nothing was changed.\n")
    assert (await desk.run("partners", "suspend", "acme", "--reason", "unpaid")).code == 0
    sent = await desk.run("send", "order.placed", "-", stdin=b'{"order_id": "A-1", "qty": 1}', by="acme")
    assert (sent.code, "partner_suspended" in sent.err) == (3, True)
    assert (await desk.run("history", "list", by="acme")).code == 0
    again = await desk.run("partners", "suspend", "acme", "--reason", "unpaid")
    assert "is suspended already" in again.out
    resumed = await desk.run("partners", "resume", "acme", "--reason", "paid")
    assert resumed.out == "acme was suspended, and is active.\n"
    asked = await desk.run("partners", "close", "acme", "--reason", "over")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    closed = await desk.run("partners", "close", "acme", "--reason", "over", "--yes", "--json")
    assert (closed.document()["state"], closed.document()["before"]) == ("closed", "active")
    assert (await desk.run("partners", "resume", "acme", "--reason", "sorry")).code == 5
    assert (await desk.run("partners", "close", "nobody", "--reason", "x", "--yes")).code == 4
