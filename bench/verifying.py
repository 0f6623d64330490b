"""What verifying a receipt costs beside the one thing in it that cannot be saved: an Ed25519 verification.

`python -m bench.verifying`: CPU time of one thread, in turns, the middle of all turns. Receipts are all
different, and are verified as `gateway verify` does it, from bytes to the three lists.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.papers import Keys, read_receipt
from audit.receipt import issue
from audit.whole import verify_files
from tests.unit.audit.builders import RECEIPT_SIGNER, evidence, papers

RESULTS: Final = Path(__file__).with_name("results-verifying.json")
_TURNS: Final = 21
_RECEIPTS: Final = 500
_LEAST_A_SECOND: Final = 3_000


def main(arguments: Sequence[str]) -> int:
    """Measure, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.verifying", description=__doc__)
    parser.add_argument("--receipts", type=int, default=_RECEIPTS)
    parser.add_argument("--turns", type=int, default=_TURNS)
    options = parser.parse_args(arguments)
    found = measure(options.receipts, options.turns)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(render_verifying(found) + "\n")
    return 0


def measure(receipts: int, turns: int) -> dict[str, Any]:
    """Microseconds of CPU: a receipt, a receipt with its proof, and the bare signature."""
    tokens = [issue(evidence(number), RECEIPT_SIGNER).token.encode() for number in range(receipts)]
    keys = Keys({RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key})
    honest = papers(300, 1_000)
    raw = RECEIPT_SIGNER.public_key
    signed = [(read_receipt(token)[2], token.rpartition(b".")[0]) for token in tokens]

    def bare() -> None:
        for signature, message in signed:
            Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)

    def whole() -> None:
        for token in tokens:
            verify_files([token], keys)

    def proved() -> None:
        for _ in tokens:
            verify_files([honest.receipt, honest.proof], honest.keys)

    works = {"bare": bare, "receipt": whole, "receipt_and_proof": proved}
    took: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            took[name].append(_cpu(work) / receipts * 1e6)
    return {
        "receipts": receipts,
        "turns": turns,
        **{name: statistics.median(each) for name, each in took.items()},
    }


def _cpu(work: Callable[[], None]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def render_verifying(found: Mapping[str, Any]) -> str:
    """A table."""
    bare = found["bare"]
    rows = {
        "an Ed25519 verification, bare": bare,
        "a receipt": found["receipt"],
        "a receipt and its proof in a log of 1,000 (two signatures)": found["receipt_and_proof"],
    }
    lines = [f"| {name} | {us:.0f} | {1e6 / us:,.0f} | {us / bare:.2f} |" for name, us in rows.items()]
    rate = 1e6 / found["receipt"]
    verdict = "met" if rate >= _LEAST_A_SECOND else "missed"
    goal = f"| at least {_LEAST_A_SECOND:,} receipts/s | | {verdict} | |"
    return "\n".join(["| | us of CPU | a second | times bare |", "|---|---|---|---|", *lines, goal])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
