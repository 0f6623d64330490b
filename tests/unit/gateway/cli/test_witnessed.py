"""`gateway verify --policy`: what witnesses saw is proved, or it is said that it is not."""

import json
from typing import Any

import pytest

from audit.anchor import VERSION, format_anchor_proof
from audit.bundle import write_tar
from audit.note import VerifierKey
from audit.receipt import format_jwk, issue
from gateway.witness.key import CosigningKey
from tests.unit.audit.anchors import ANCHOR, ANCHOR_SIGNER, WITNESSES, Anchor
from tests.unit.audit.builders import RECEIPT_SIGNER, Papers, papers
from tests.unit.gateway.cli.conftest import Shell


def files_of(shell: Shell, anchor: Anchor) -> tuple[list[str], Papers]:
    """Papers of entry 3, `anchor.json` and a policy, as files; the arguments."""
    event = papers(3, 11)
    shell.write("receipt", event.receipt)
    shell.write("proof", event.proof)
    shell.write("anchor.json", format_anchor_proof(anchor.proof()))
    keys = [f"witness w{number} {one.key}" for number, one in enumerate(WITNESSES, 1)]
    log = f"log {VerifierKey(ANCHOR, ANCHOR_SIGNER.public_key)}"
    shell.write("policy", "\n".join([log, *keys, "group g 2 w1 w2 w3", "quorum g", ""]).encode())
    shell.write("keys", json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)]}).encode())
    pins = ["--keys", str(shell.folder / "keys"), "--log-key", str(event.keys.logs[0])]
    return [*pins, "--policy", str(shell.folder / "policy")], event


def run(shell: Shell, arguments: list[str], *names: str) -> Any:
    return shell.run("verify", *(str(shell.folder / name) for name in names), *arguments)


def test_what_enough_witnesses_saw_is_proved(shell: Shell) -> None:
    arguments, _ = files_of(shell, Anchor())
    ended = run(shell, arguments, "receipt", "proof", "anchor.json")
    assert ended.code == 0, ended
    assert "+ it is entry 3, and the head of 11 entries" in ended.out
    assert "seen by 3 of 3 witnesses" in ended.out
    assert "~ when witnesses saw it: each states a time of its own" in ended.out
    # Blinded as heads are, one roll may hold two of one log.
    assert "that everybody is shown this same log" in ended.out


def test_what_too_few_saw_is_not_proved_and_ends_with_9(shell: Shell) -> None:
    arguments, _ = files_of(shell, Anchor(cosigners=WITNESSES[:1]))
    ended = run(shell, arguments, "receipt", "anchor.json")
    assert ended.code == 9
    assert "- that enough witnesses saw it: the head of 11 entries" in ended.out
    assert "+ https://gw.example accepted" in ended.out


def test_a_bundle_says_without_a_policy_that_nobody_looked(shell: Shell) -> None:
    arguments, event = files_of(shell, Anchor())
    anchor = (shell.folder / "anchor.json").read_bytes()
    tar = write_tar({"receipt.jws": event.receipt, "event.tlog-proof": event.proof, "anchor.json": anchor})
    shell.write("evidence.tar", tar)
    ended = run(shell, arguments[:4], "evidence.tar")
    assert ended.code == 0
    assert "- that any witness saw it" in ended.out
    ended = run(shell, arguments, "evidence.tar")
    assert ended.code == 0
    assert "that any witness saw it" not in ended.out
    assert "seen by 3 of 3 witnesses" in ended.out


def test_a_proof_of_anchoring_is_not_passed_over_in_silence_without_a_policy(shell: Shell) -> None:
    arguments, _ = files_of(shell, Anchor())
    ended = run(shell, arguments[:4], "receipt", "proof", "anchor.json")
    assert ended.code == 0
    assert "- that any witness saw it" in ended.out


def test_a_paper_that_only_names_the_format_is_no_proof_of_anchoring(shell: Shell) -> None:
    arguments, event = files_of(shell, Anchor())
    shell.write("answer.json", {"receipt": event.receipt.decode(), "note": VERSION})
    ended = run(shell, arguments[:4], "answer.json")
    assert ended.code == 0, ended
    assert "+ https://gw.example accepted" in ended.out


@pytest.mark.parametrize(
    ("anchor", "why"),
    [
        (Anchor(signer=RECEIPT_SIGNER), "signed by keys you have not pinned"),
        (Anchor(log="gw.example/log/k3v9q2"), "the entry is of"),
        (Anchor(cosigners=[CosigningKey("w.example/1", 4, bytes([1]) * 32)], seen_at=0), "states no time"),
    ],
)
def test_what_does_not_fit_fails_the_whole(shell: Shell, anchor: Anchor, why: str) -> None:
    arguments, _ = files_of(shell, anchor)
    ended = run(shell, arguments, "receipt", "anchor.json")
    assert ended.code == 9
    assert why in ended.out


def test_an_anchor_of_another_log_that_holds_the_same_proves_nothing_of_this_one(shell: Shell) -> None:
    anchor = Anchor(of="gw.example/log/other/1")
    arguments, event = files_of(shell, anchor)
    ended = run(shell, arguments, "receipt", "proof", "anchor.json")
    assert ended.code == 9
    assert "gw.example/log/other" in ended.out
    # The same once its evidence was erased: which log it is of, its own proof says.
    tar = {"entries/1/3.leaf": anchor.leaf, "entries/1/3.tlog-proof": event.proof}
    shell.write("erased.tar", write_tar({**tar, "anchor.json": format_anchor_proof(anchor.proof())}))
    assert run(shell, arguments, "erased.tar").code == 9
    shell.write("erased.tar", write_tar({**tar, "anchor.json": format_anchor_proof(Anchor().proof())}))
    assert run(shell, arguments, "erased.tar").code == 0


def test_an_anchor_of_another_event_proves_nothing_of_this_one(shell: Shell) -> None:
    arguments, _ = files_of(shell, Anchor())
    shell.write("receipt", papers(4, 11).receipt)
    ended = run(shell, arguments, "receipt", "anchor.json")
    assert ended.code == 9
    assert "does not lead to the root" in ended.out


def test_a_policy_without_anything_that_witnesses_saw_is_not_met(shell: Shell) -> None:
    arguments, _ = files_of(shell, Anchor())
    ended = run(shell, arguments, "receipt", "proof")
    assert ended.code == 9
    assert "no anchor.json was given" in ended.out


def test_what_is_no_policy_is_wrong_usage(shell: Shell) -> None:
    arguments, _ = files_of(shell, Anchor())
    shell.write("policy", b"believe everybody\n")
    assert run(shell, arguments, "receipt", "anchor.json").code == 2


def test_the_receipt_is_one_that_a_gateway_makes() -> None:
    """The builder's papers and the anchor's entry are of one event."""
    assert issue(Anchor().entry, RECEIPT_SIGNER).token.encode() == papers(3, 11).receipt
