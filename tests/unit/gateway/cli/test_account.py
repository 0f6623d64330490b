import httpx

from tests.unit.gateway.cli.conftest import Canned, Desk, Shell

ME = {"role": "partner", "partner": {"slug": "acme"}, "logs": [{"origin": "gw/log/x/1", "keys": ["k"]}]}
ORDER = b'{"order_id": "A-1", "qty": 1}'


async def test_me_names_partner_and_log_key(desk: Desk) -> None:
    sent = await desk.run("send", "order.placed", "-", "--json", stdin=ORDER, by="acme")
    await desk.run("history", "proof", sent.document()["ref"], by="acme")
    ended = await desk.run("me", by="acme")
    assert (ended.code, "slug=acme" in ended.out, "log  127.0.0.1:8080/log/" in ended.out) == (0, True, True)
    assert (await desk.run("me", "--json", by="acme")).document()["role"] == "partner"


def test_a_login_is_kept_and_used_afterwards(shell: Shell) -> None:
    canned = Canned(httpx.Response(200, json=ME))
    shell.transport = canned
    shell.environ["XDG_CONFIG_HOME"] = str(shell.folder / "config")
    key = shell.write("acme.key", "gw_acme\n")
    key.chmod(0o600)
    assert shell.run("login", "https://gw.example/", "--key", str(key)).code == 0
    assert shell.run("me").code == 0
    assert canned.asked[-1].url == "https://gw.example/v1/me"
    assert canned.asked[-1].headers["authorization"] == "Bearer gw_acme"


def test_a_login_that_does_not_work_is_not_kept(shell: Shell) -> None:
    answer = {"code": "credential_invalid", "detail": "This API key is not known."}
    shell.transport = Canned(
        httpx.Response(401, headers={"content-type": "application/problem+json"}, json=answer)
    )
    shell.environ["XDG_CONFIG_HOME"] = str(shell.folder / "config")
    key = shell.write("acme.key", "gw_acme\n")
    assert shell.run("login", "https://gw.example", "--key", str(key)).code == 3
    assert not (shell.folder / "config").exists()


def test_a_login_needs_the_file_of_a_key(shell: Shell) -> None:
    ended = shell.run("login", "https://gw.example")
    assert (ended.code, "--key FILE" in ended.err) == (2, True)
