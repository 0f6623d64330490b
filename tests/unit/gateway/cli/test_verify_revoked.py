import json

from audit.receipt import format_jwk
from tests.unit.audit.builders import RECEIPT_SIGNER, papers
from tests.unit.gateway.cli.conftest import Shell


def test_a_receipt_by_a_compromised_key_counts_only_with_its_proof(shell: Shell) -> None:
    honest = papers()
    receipt, proof = shell.write("r.jws", honest.receipt), shell.write("p.tlog-proof", honest.proof)
    marked = {**format_jwk(RECEIPT_SIGNER.public_key), "revoked": {"revoked_at": 5, "reason": "compromised"}}
    pins = (
        "--keys",
        str(shell.write("k.json", {"keys": [], "revoked_keys": [marked]})),
        "--log-key",
        str(honest.keys.logs[0]),
    )
    alone = shell.run("verify", str(receipt), *pins)
    assert (alone.code, "compromised since" in alone.out) == (9, True)
    both = shell.run("verify", str(receipt), str(proof), *pins, "--json")
    assert both.code == 0, both.out
    said = json.loads(both.out)
    assert any("entry 3" in words for words in said["proved"])
    assert any("compromised since" in words for words in said["not_proved"])


def test_keys_whose_marks_nobody_can_read_are_wrong_usage(shell: Shell) -> None:
    receipt = shell.write("r.jws", papers().receipt)
    pins = ("--keys", str(shell.write("k.json", {"keys": [], "revoked_keys": 1})))
    assert shell.run("verify", str(receipt), *pins).code == 2
