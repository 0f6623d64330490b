"""The procedure of docs/verification.md with openssl and sha256sum, command by command."""

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from audit.bundle import write_tar
from audit.receipt import format_jwk
from tests.dossier import CONTENT, RECEIVER, dossier, pem
from tests.unit.audit.builders import RECEIPT_SIGNER, papers

DOCUMENT = Path(__file__).parents[2] / "docs" / "verification.md"
WHOLE = dossier()
SAID = (
    "the key is one that you pinned",
    "Signature Verified Successfully",
    "order.json is named",
    "schema.json is named",
    "contract-7 is named",
    "it is the log that you pinned",
    "Signature Verified Successfully",
    "the log has it",
    "Signature Verified Successfully",
)


def commands() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(folder: Path, bundle: bytes, *, content: bytes = CONTENT) -> tuple[int, str]:
    """All commands in one shell, as they stand in the document; its exit code, and what it said."""
    (folder / "evidence.tar").write_bytes(bundle)
    (folder / "receipt-keys.json").write_text(
        json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)]}, separators=(",", ":"))
    )
    (folder / "log.vkey").write_text(f"{WHOLE.keys.logs[0]}\n")
    (folder / "order.json").write_bytes(content)
    (folder / "receiver.pub").write_bytes(pem(RECEIVER))
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands())],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.returncode, ran.stdout + ran.stderr


def found(said: str) -> Sequence[str]:
    """The sentences that a reader is told to look for, in the order they came."""
    return re.findall("|".join(map(re.escape, dict.fromkeys(SAID))), said)


def test_an_honest_bundle_is_proved_by_hand(tmp_path: Path) -> None:
    code, said = run(tmp_path, WHOLE.raw)
    assert code == 0, said
    assert found(said) == list(SAID), said


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        pytest.param("receipt.jws", papers(4).receipt, id="another receipt"),
        pytest.param("receipt.jws", WHOLE.files["receipt.jws"][:-4] + b"AAAA", id="another signature"),
        pytest.param("keys/receipt.der", WHOLE.files["keys/receipt.der"][:-1] + b"\0", id="another key"),
        pytest.param("schema.json", b"{}", id="another schema"),
        pytest.param("contract-7", b"", id="another contract"),
        pytest.param(
            "entries/1/1.tlog-proof",
            WHOLE.files["entries/1/1.tlog-proof"].replace(b"\n11\n", b"\n12\n"),
            id="size",
        ),
        pytest.param("entries/1/1.tlog-proof", WHOLE.files["entries/1/2.tlog-proof"], id="another proof"),
    ],
)
def test_no_other_bundle_is_proved_by_hand(name: str, raw: bytes, tmp_path: Path) -> None:
    assert WHOLE.files[name] != raw
    code, said = run(tmp_path, write_tar({**WHOLE.files, name: raw}))
    assert code != 0 or found(said) != list(SAID)


def test_another_content_is_not_named(tmp_path: Path) -> None:
    code, said = run(tmp_path, WHOLE.raw, content=b"another")
    assert code != 0 or "order.json is named" not in said
