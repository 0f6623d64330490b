import json

import httpx
import pytest

from tests.certificates import certified
from tests.unit.gateway.cli.conftest import Canned, Desk, Shell

ME = {"role": "partner", "partner": {"slug": "acme"}, "logs": [{"origin": "gw/log/x/1", "keys": ["k"]}]}
ORDER = b'{"order_id": "A-1", "qty": 1}'


async def test_me_names_partner_and_log_key(desk: Desk) -> None:
    sent = await desk.run("send", "order.placed", "-", "--json", stdin=ORDER, by="acme")
    await desk.run("history", "proof", sent.document()["ref"], by="acme")
    ended = await desk.run("me", by="acme")
    assert (ended.code, "slug=acme" in ended.out, "log  127.0.0.1:8080/log/" in ended.out) == (0, True, True)
    assert (await desk.run("me", "--json", by="acme")).document()["role"] == "partner"


def test_me_calls_a_key_that_ended_or_leaked_what_it_is(shell: Shell) -> None:
    marked = {"key": "leaked", "revoked": {"revoked_at": 5, "reason": "compromised"}}
    logs = [{"origin": "gw/log/x/1", "keys": ["k", "old"], "ended_keys": ["old"], "revoked_keys": [marked]}]
    shell.transport = Canned(httpx.Response(200, json={**ME, "logs": logs}))
    shell.environ["GATEWAY_KEY"] = "gw_acme"
    ended = shell.run("me", "--url", "https://gw.example")
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["k"] in lines
    assert ["old", "ended,", "signs", "nothing", "new"] in lines
    assert ["leaked", "compromised,", "not", "to", "be", "trusted"] in lines


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


def test_a_login_needs_a_key(shell: Shell) -> None:
    ended = shell.run("login", "https://gw.example")
    assert (ended.code, "--key FILE" in ended.err) == (2, True)
    assert shell.run("login", "https://gw.example", stdin=b"no key").code == 2
    assert shell.run("login", "https://gw.example", stdin=b"k" * 5_000).code == 2


def test_a_key_from_a_pipe_is_kept_for_its_address_alone_and_forgotten(shell: Shell) -> None:
    canned = Canned(httpx.Response(200, json=ME))
    shell.transport = canned
    shell.environ["XDG_CONFIG_HOME"] = str(shell.folder / "config")
    ended = shell.run("login", "https://gw.example", stdin=b"gw_acme\n")
    assert (ended.code, "gw_acme" in ended.out + ended.err) == (0, False)
    kept = shell.folder / "config/gateway/login.json"
    assert (kept.stat().st_mode & 0o777, "gw_acme" in kept.read_text()) == (0o600, True)
    assert shell.run("me").code == 0
    assert canned.asked[-1].headers["authorization"] == "Bearer gw_acme"
    assert shell.run("me", "--url", "https://other.example").code == 0
    assert "authorization" not in canned.asked[-1].headers
    assert (shell.run("logout").code, kept.exists()) == (0, False)
    assert "nobody was logged in" in shell.run("logout").err
    shell.run("me")
    assert canned.asked[-1].url == "http://127.0.0.1:8080/v1/me"
    assert "authorization" not in canned.asked[-1].headers


def test_a_flag_and_a_variable_go_before_the_login(shell: Shell) -> None:
    canned = Canned(httpx.Response(200, json=ME))
    shell.transport = canned
    shell.environ["XDG_CONFIG_HOME"] = str(shell.folder / "config")
    assert shell.run("login", "https://gw.example", stdin=b"gw_acme\n").code == 0
    shell.environ["GATEWAY_KEY"] = "gw_variable"
    assert shell.run("me").code == 0
    assert canned.asked[-1].headers["authorization"] == "Bearer gw_variable"
    key = shell.write("flag.key", "gw_flag")
    assert shell.run("me", "--key", str(key)).code == 0
    assert canned.asked[-1].headers["authorization"] == "Bearer gw_flag"


@pytest.mark.parametrize("where", ["variable", "data folder"])
def test_the_authority_that_a_login_was_tried_with_is_kept(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    shell.transport = Canned(httpx.Response(200, json=ME))
    shell.environ["XDG_CONFIG_HOME"] = str(shell.folder / "config")
    ca = shell.write("gateway-data/ca.pem", certified("root", is_authority=True, usages=()).pem)
    if where == "variable":
        shell.environ["GATEWAY_CACERT"] = str(ca)
    else:
        shell.write("gateway-data/address", {"url": "https://gw.example", "cacert": str(ca)})
        monkeypatch.chdir(shell.folder)
    assert shell.run("login", "https://gw.example", stdin=b"gw_acme\n").code == 0
    kept = json.loads((shell.folder / "config/gateway/login.json").read_text())
    assert kept["cacert"] == str(ca)
