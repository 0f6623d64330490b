import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.merkle import EMPTY_ROOT
from audit.note import VerifierKey
from audit.receipt import format_jwk, issue
from gateway.origin_evidence import Origin
from tests.signing import Draft, private_key
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, RECEIPT_SIGNER, evidence
from tests.unit.gateway.cli.conftest import Shell


@pytest.mark.parametrize(
    "paper", [b"", b"{}", b"a.b.c", b'{"receipt": "x"}', b"\xff\x00", b"c2sp.org/tlog-proof"]
)
def test_what_proves_nothing_ends_with_9(shell: Shell, paper: bytes) -> None:
    ended = shell.run("verify", str(shell.write("paper", paper)))
    assert (ended.code, ended.out.splitlines()[0]) == (9, "verification failed")


def test_a_failure_in_json_has_a_code(shell: Shell) -> None:
    ended = shell.run("verify", str(shell.write("paper", b"{}")), "--json")
    assert (ended.code, ended.document()["code"]) == (9, "proof_malformed")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nowhere"],
        ["paper", "--keys", "nowhere"],
        ["paper", "--keys", "paper"],
        ["paper", "--log-key", "no key"],
        ["paper", "--content", "nowhere"],
        ["--old", "paper"],
        ["paper", "--nonsense"],
        ["paper", "--sender", "paper"],
        ["paper", "--sender", "nowhere", "--sender-key", "paper"],
    ],
)
def test_a_wrong_command_line_is_no_failed_verification(shell: Shell, arguments: list[str]) -> None:
    shell.write("paper", b"{}")
    there = [str(shell.folder / one) if one in {"paper", "nowhere"} else one for one in arguments]
    assert shell.run("verify", *there).code == 2


def test_a_content_beside_a_checkpoint_is_wrong_usage(shell: Shell) -> None:
    signed = sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), LOG_SIGNER)
    checkpoint, copy = str(shell.write("checkpoint", signed)), str(shell.write("copy", b"{}"))
    ended = shell.run("verify", checkpoint, "--content", copy)
    assert (ended.code, ended.out) == (2, "")
    assert "--content goes with a receipt or a bundle" in ended.err


def test_checkpoints_of_one_size_are_compared(shell: Shell) -> None:
    key = str(VerifierKey(ORIGIN, LOG_SIGNER.public_key))
    one, same, other = (
        str(shell.write(name, sign_checkpoint(Checkpoint(ORIGIN, 7, root), LOG_SIGNER)))
        for name, root in (("one", bytes(32)), ("same", bytes(32)), ("other", b"\x01" * 32))
    )
    assert shell.run("verify", one, same, "--log-key", key).code == 0
    ended = shell.run("verify", one, other, "--log-key", key, "--json")
    assert (ended.code, ended.document()["code"]) == (9, "log_inconsistent")


def test_the_senders_signature_is_proved_beside_the_receipt(shell: Shell) -> None:
    key = private_key("ed25519")
    base = Draft(body=b"{}").base("crd_1")
    origin = Origin("ed25519", "crd_1", base, key.sign(base))
    receipt = issue(evidence(1, origin=origin.sha256()), RECEIPT_SIGNER).token
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)]})
    words = [
        *("verify", str(shell.write("receipt", receipt)), "--keys", str(shell.write("jwks", keys))),
        *(
            "--sender",
            str(shell.write("event", origin.to_json())),
            "--sender-key",
            str(shell.write("pem", pem)),
        ),
    ]
    ended = shell.run(*words)
    assert (ended.code, ended.err) == (0, "")
    assert "the holder of the ed25519 key that you gave signed it, as crd_1" in ended.out
    shell.write("event", Origin("ed25519", "crd_2", base, key.sign(base)).to_json())
    assert shell.run(*words).code == 9


def test_it_asks_nobody(shell: Shell) -> None:
    shell.environ["GATEWAY_URL"] = "no address at all"
    assert shell.run("verify", str(shell.write("paper", json.dumps({"receipt": "a.b.c"})))).code == 9
