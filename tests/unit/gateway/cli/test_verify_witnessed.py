"""`gateway verify --policy`: what witnesses saw is proved, or it is said that it is not."""

import json
from typing import Any

import pytest

from audit.anchor import VERSION, format_anchor_proof
from audit.bundle import write_tar
from audit.note import VerifierKey
from audit.receipt import format_jwk, issue
from gateway.witness.key import CosigningKey
from tests.unit.audit.anchors import ANCHOR, ANCHOR_SIGNER, SEEN_AT, WITNESSES, Anchor
from tests.unit.audit.builders import RECEIPT_SIGNER, Papers, papers, proof_of
from tests.unit.gateway.cli.conftest import Shell

NOW = SEEN_AT + 60


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier's clock: a minute after the witnesses'."""
    monkeypatch.setattr("gateway.bootstrap.ground.clock", lambda: NOW * 1_000)


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


def with_members(shell: Shell, **members: object) -> None:
    """`anchor.json` with members that no proof has."""
    whole = json.loads((shell.folder / "anchor.json").read_bytes())
    shell.write("anchor.json", {**whole, **members})


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_receipt_in_the_anchors_paper_is_not_taken_for_the_one_that_was_verified(
    shell: Shell, *, is_signed: bool
) -> None:
    arguments, event = files_of(shell, Anchor())
    # The log never got event 4; event 3, which it has, is to speak for it.
    shell.write("receipt", papers(4, 11).receipt)
    head, said, _signature = event.receipt.decode().split(".")
    with_members(shell, receipt=event.receipt.decode() if is_signed else f"{head}.{said}.{'A' * 86}")
    ended = run(shell, arguments, "receipt", "anchor.json")
    assert ended.code == 9
    assert "other members than a proof has: receipt" in ended.out


def test_evidence_of_an_entry_that_was_not_proved_is_nothing_that_witnesses_saw(shell: Shell) -> None:
    arguments, _ = files_of(shell, Anchor())
    other = papers(4, 11)
    entry = {"entries/1/4.json": other.evidence.raw, "entries/1/4.tlog-proof": other.proof}
    anchor = (shell.folder / "anchor.json").read_bytes()
    shell.write("evidence.tar", write_tar({**entry, "anchor.json": anchor}))
    ended = run(shell, arguments, "evidence.tar")
    assert ended.code == 9
    assert "entry 3 of gw.example/log/k3v9q2/1, which is not proved here" in ended.out


def test_two_different_proofs_of_anchoring_are_refused(shell: Shell) -> None:
    arguments, event = files_of(shell, Anchor())
    other = format_anchor_proof(Anchor(cosigners=WITNESSES[:2]).proof())
    shell.write("evidence.tar", write_tar({"receipt.jws": event.receipt, "anchor.json": other}))
    assert run(shell, arguments, "evidence.tar").code == 0
    ended = run(shell, arguments, "evidence.tar", "anchor.json")
    assert ended.code == 9
    assert "anchor.json: two different ones were given" in ended.out
    shell.write("anchor.json", other)
    assert run(shell, arguments, "evidence.tar", "anchor.json").code == 0


def test_another_history_than_the_witnesses_saw_is_a_fork(shell: Shell) -> None:
    """The witnesses saw a log of eleven entries; what the partner got of it has another root."""
    arguments, event = files_of(shell, Anchor())
    shell.write("proof", proof_of(event.evidence, 5, others="other"))
    assert run(shell, arguments[:4], "receipt", "proof").code == 0
    ended = run(shell, [*arguments, "--json"], "receipt", "proof", "anchor.json")
    assert (ended.code, ended.document()["code"]) == (9, "log_inconsistent")
    assert "fork: two histories, by the root of 11 entries of" in ended.document()["detail"]


@pytest.mark.parametrize(("ahead", "code"), [(300, 0), (301, 9), (32_503_680_000 - NOW, 9)])
def test_a_witness_whose_time_has_not_come_saw_nothing(shell: Shell, ahead: int, code: int) -> None:
    arguments, _ = files_of(shell, Anchor(seen_at=NOW + ahead))
    ended = run(shell, arguments, "receipt", "proof", "anchor.json")
    assert ended.code == code
    assert ("has not come yet" in ended.out) == (code == 9)


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
