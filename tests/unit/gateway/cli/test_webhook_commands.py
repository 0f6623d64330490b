"""Signatures by hand."""

import json
from pathlib import Path

import pytest

from gateway.keys import SigningKey
from gateway.standard_webhooks import format_public_key, format_secret, sign
from tests.unit.gateway.cli.conftest import Shell

SECRET, OTHER = b"s" * 32, b"o" * 32
KEY = SigningKey(bytes(range(32)), "webhook")
BODY = b'{"n":1.50}\xff'


@pytest.fixture
def papers(shell: Shell) -> dict[str, Path]:
    (shell.folder / "body").write_bytes(BODY)
    signature = sign([OTHER, SECRET], "evt_1", 1_800_000_000, BODY, lambda message: [KEY.sign(message)])
    lines = f"Webhook-Id: evt_1\r\nwebhook-timestamp: 1800000000\r\nwebhook-signature: {signature}\r\n"
    x = format_public_key(KEY.public_key).removeprefix("whpk_").rstrip("=")
    keys = {"keys": [{"x": "AA"}, {"x": x.replace("+", "-").replace("/", "_"), "purpose": "webhook"}]}
    return {
        "body": shell.folder / "body",
        "headers": shell.write("headers", lines),
        "secret": shell.write("secret", format_secret(SECRET) + "\n"),
        "keys": shell.write("keys", json.dumps(keys)),
    }


def test_what_is_signed_is_verified_by_secret_and_by_key(shell: Shell, papers: dict[str, Path]) -> None:
    body = str(papers["body"])
    signed = shell.run(
        "webhook", "sign", body, "--secret-file", str(papers["secret"]), "--id", "evt_1", "--at", "1800000000"
    )
    assert signed.code == 0, signed.err
    assert "webhook-signature: v1," in signed.out
    head = ("webhook", "verify", body, "--headers", str(papers["headers"]), "--json")
    for words, by in (
        (("--secret-file", str(papers["secret"])), "v1 by secret 1"),
        (("--keys", str(papers["keys"])), f"v1a by {format_public_key(KEY.public_key)}"),
        (("--public-key", format_public_key(KEY.public_key)), f"v1a by {format_public_key(KEY.public_key)}"),
    ):
        ended = shell.run(*head, *words)
        assert (ended.code, ended.document()["by"]) == (0, [by]), ended.err


def test_a_time_before_1970_is_refused(shell: Shell, papers: dict[str, Path]) -> None:
    words = ("--secret-file", str(papers["secret"]), "--id", "evt_1", "--at", "-5")
    ended = shell.run("webhook", "sign", str(papers["body"]), *words)
    assert (ended.code, ended.out) == (2, "")


def test_what_does_not_fit_ends_with_nine(shell: Shell, papers: dict[str, Path]) -> None:
    other = shell.write("other", "{}")
    words = ("--headers", str(papers["headers"]), "--secret-file", str(papers["secret"]))
    ended = shell.run("webhook", "verify", str(other), *words)
    assert (ended.code, "no signature fits" in ended.out) == (9, True)
    bare = shell.write("bare", "Content-Type: x\n")
    ended = shell.run("webhook", "verify", str(other), "--headers", str(bare), *words[2:])
    assert (ended.code, "must all be there" in ended.out) == (9, True)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"keys":[{"x":"AA"}]}', '{"keys":[{"x":7,"purpose":"webhook"}]}']
)
def test_a_file_without_keys_is_refused(shell: Shell, papers: dict[str, Path], text: str) -> None:
    keys = shell.write("keys2", text)
    words = ("--headers", str(papers["headers"]), "--keys", str(keys))
    assert shell.run("webhook", "verify", str(papers["body"]), *words).code == 2
    assert shell.run("webhook", "verify", str(papers["body"]), *words[:2]).code == 2
