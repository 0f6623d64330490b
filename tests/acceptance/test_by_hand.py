"""The procedure of docs/verification.md with openssl and sha256sum, command by command."""

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from audit.bundle import write_tar
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.evidence import Evidence, Kind, parse_evidence
from audit.parties import encode_key
from audit.proof import InclusionProof, format_proof
from audit.receipt import format_jwk, issue, payload_of
from audit.tree import Head, prove_inclusion
from tests.dossier import CONTENT, RECEIVER, dossier, pem
from tests.unit.audit.builders import (
    LOG_SIGNER,
    ORIGIN,
    OTHER_SIGNER,
    RECEIPT_SIGNER,
    evidence,
    papers,
    reader,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "verification.md"
WHOLE = dossier()
PROVED = ("it is the log that you pinned", "Signature Verified Successfully", "the log has it")
SAID = (
    "the key is one that you pinned",
    "Signature Verified Successfully",
    "it was accepted",
    "order.json is named",
    "schema.json is named",
    *PROVED,
    "the receipt is in the log",
    *PROVED,
    "contract-7 is named",
    "Signature Verified Successfully",
    "it names this event",
)
KEYS = {"keys": [format_jwk(RECEIPT_SIGNER.public_key)]}


def commands() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(
    folder: Path,
    bundle: bytes,
    *,
    content: bytes = CONTENT,
    keys: Mapping[str, Any] = KEYS,
    words: str | None = None,
) -> tuple[int, str]:
    """Commands (None: all of the document) in one shell, as they stand; its exit code, and what it said."""
    folder.mkdir(exist_ok=True)
    (folder / "evidence.tar").write_bytes(bundle)
    (folder / "receipt-keys.json").write_text(json.dumps(keys, separators=(",", ":")))
    (folder / "log.vkey").write_text(f"{WHOLE.keys.logs[0]}\n")
    (folder / "order.json").write_bytes(content)
    (folder / "receiver.pub").write_bytes(pem(RECEIVER))
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", words or "\n".join(commands())],
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


FORGED = b'{"order_id":"A-3","qty":3000}'
DIGEST = hashlib.sha256(FORGED).hexdigest()
SUBJECTS = {
    "plain": {"subject": DIGEST},
    "as a member": {"subject": f'","content":{{"sha256":"{DIGEST}'},
    "as another": {"content": DIGEST, "sha256": DIGEST, "subject": f'{{"sha256":"{DIGEST}"}}'},
    "with a line": {"subject": f'x\n"content"/"sha256" "{DIGEST}"\n\\'},
}


@pytest.mark.parametrize("name", ["9999", "0", "00"])
def test_an_entry_that_nothing_proves_names_no_content(name: str, tmp_path: Path) -> None:
    said = WHOLE.files["entries/1/1.json"].replace(
        hashlib.sha256(CONTENT).hexdigest().encode(), DIGEST.encode()
    )
    code, told = run(tmp_path, write_tar({**WHOLE.files, f"entries/1/{name}.json": said}), content=FORGED)
    assert code != 0 or "order.json is named" not in told


@pytest.mark.parametrize("attributes", SUBJECTS.values(), ids=SUBJECTS)
def test_what_a_sender_writes_names_no_content(attributes: dict[str, str], tmp_path: Path) -> None:
    """A partner that sent one order, and says that it had sent another."""
    bundle = dossier(attributes=tuple(attributes.items())).raw
    code, told = run(tmp_path / "a", bundle)
    assert (code, found(told)) == (0, list(SAID)), told
    code, told = run(tmp_path / "b", bundle, content=FORGED)
    assert code != 0 or "order.json is named" not in told


def test_another_contract_is_named_by_no_entry_that_nothing_proves(tmp_path: Path) -> None:
    said = WHOLE.files["entries/1/0.json"].replace(
        hashlib.sha256(WHOLE.files["contract-7"]).hexdigest().encode(),
        hashlib.sha256(b"other").hexdigest().encode(),
    )
    for number, more in enumerate(
        [{"entries/1/9999.json": said}, {"entries/1/0.json": said}, {"entries/1/00.json": said}]
    ):
        files = {**WHOLE.files, **more, "contract-7": b"other"}
        code, told = run(tmp_path / f"{number}", write_tar(files))
        assert code != 0 or "contract-7 is named" not in told


@pytest.mark.parametrize(
    "keys",
    [
        {"keys": [format_jwk(OTHER_SIGNER.public_key)], "revoked_keys": KEYS["keys"]},
        {"revoked_keys": KEYS["keys"], "keys": []},
        {"keys": [{**format_jwk(RECEIPT_SIGNER.public_key), "purpose": "webhook"}]},
        {"keys": [{"x": OTHER_SIGNER.key_id, "kid": format_jwk(RECEIPT_SIGNER.public_key)["x"]}]},
    ],
    ids=["revoked", "revoked first", "of webhooks", "as another member"],
)
def test_a_key_counts_only_where_receipt_keys_stand(keys: dict[str, Any], tmp_path: Path) -> None:
    code, told = run(tmp_path, WHOLE.raw, keys=keys)
    assert code != 0 or "one that you pinned" not in told.split("order.json")[0]


@pytest.mark.parametrize(
    "der",
    [
        encode_key(OTHER_SIGNER.public_key) + RECEIPT_SIGNER.public_key,
        encode_key(OTHER_SIGNER.public_key) + encode_key(RECEIPT_SIGNER.public_key),
        encode_key(OTHER_SIGNER.public_key),
    ],
    ids=["with the pinned bytes behind it", "with the pinned key behind it", "alone"],
)
def test_a_key_of_the_bundle_verifies_nothing(der: bytes, tmp_path: Path) -> None:
    """OpenSSL reads the first key of a file and passes over what follows it."""
    forged = issue(parse_evidence(payload_of(WHOLE.files["receipt.jws"].decode())), OTHER_SIGNER).token
    files = {**WHOLE.files, "receipt.jws": forged.encode(), "keys/receipt.der": der}
    code, told = run(tmp_path, write_tar(files))
    assert code != 0
    assert "Signature Verified Successfully" not in told


@pytest.mark.parametrize("is_first", [True, False])
def test_one_pinned_key_of_a_rotation_is_enough(is_first: bool, tmp_path: Path) -> None:  # noqa: FBT001 - as given
    both = (LOG_SIGNER, OTHER_SIGNER) if is_first else (OTHER_SIGNER, LOG_SIGNER)
    code, told = run(tmp_path, dossier(signers=both).raw)
    assert (code, found(told)) == (0, list(SAID)), told


def test_what_lies_in_a_bundle_stands_for_nothing_of_yours(tmp_path: Path) -> None:
    """Neither pinned keys, nor one's own copy, can be brought along."""
    theirs = {
        "receipt-keys.json": b'{"keys":[]}',
        "log.vkey": b"x",
        "order.json": FORGED,
        "receiver.pub": b"",
    }
    code, told = run(tmp_path, write_tar({**WHOLE.files, **theirs}))
    assert (code, found(told)) == (0, list(SAID)), told


def produced() -> dict[str, bytes]:
    """A bundle of an event that a team's own producer put on the topic: nobody has accepted it."""
    contract, accepted, *_ = WHOLE.evidence
    digest = hashlib.sha256(CONTENT).hexdigest()
    attempt = evidence(
        4, kind=Kind.ATTEMPTED, content_sha256=digest, schema=accepted.members["schema"], contract=7
    )
    files = {name: WHOLE.files[name] for name in ("contract-7", "schema.json")}
    return files | logged(contract, attempt, shown=(0, 1))


def logged(*said: Evidence, shown: Sequence[int]) -> dict[str, bytes]:
    """Some entries of a log that holds these."""
    head, nodes = Head(ORIGIN).append([one.leaf() for one in said])
    note = sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), LOG_SIGNER)
    files: dict[str, bytes] = {}
    for index in shown:
        proof = InclusionProof(index, prove_inclusion(index, head.size, reader(nodes)), note)
        files |= {f"entries/1/{index}.json": said[index].raw}
        files |= {f"entries/1/{index}.tlog-proof": format_proof(proof)}
    return files


def of_an_attempt() -> str:
    """The commands that are left for such a bundle: of step 1 the archive, of step 2 the schema."""
    functions, first, second, *rest = commands()
    taken = "cp papers/entries/1/1.json evidence.json"
    return "\n".join([functions, first.splitlines()[0], taken, second.splitlines()[-1], *rest])


def test_what_nobody_accepted_is_proved_by_an_attempt(tmp_path: Path) -> None:
    said = ["schema.json is named", *PROVED, "the receipt is in the log", *PROVED, "contract-7 is named"]
    files = produced()
    code, told = run(tmp_path / "a", write_tar(files), words=of_an_attempt())
    assert (code, found(told)) == (0, said), told
    for number, name in enumerate(files):
        raw = files[name].replace(b"e", b"E")
        code, told = run(tmp_path / f"{number}", write_tar({**files, name: raw}), words=of_an_attempt())
        assert code != 0 or found(told) != said, name


LATER = evidence(9, kind=Kind.CONTRACT_CHANGED, revision=7, after_sha256=hashlib.sha256(b"other").hexdigest())


def test_a_contract_that_was_written_down_afterwards_is_not_named(tmp_path: Path) -> None:
    """Neither for a receipt, which names the text, nor for an attempt, which names a revision."""
    contract, accepted, *_ = WHOLE.evidence
    kept = {name: raw for name, raw in WHOLE.files.items() if not name.startswith("entries/")}
    files = kept | {"contract-7": b"other"} | logged(contract, accepted, LATER, shown=(1, 2))
    code, told = run(tmp_path / "a", write_tar(files))
    assert "the receipt is in the log" in told
    assert "contract-7 is named" not in told
    attempt = parse_evidence(produced()["entries/1/1.json"])
    files = {"schema.json": WHOLE.files["schema.json"], "contract-7": b"other"}
    files |= logged(contract, attempt, LATER, shown=(1, 2))
    code, told = run(tmp_path / "b", write_tar(files), words=of_an_attempt())
    assert code != 0 or "contract-7 is named" not in told


def test_heads_of_several_sizes_are_shown(tmp_path: Path) -> None:
    _, accepted, *_ = WHOLE.evidence
    kept = {name: raw for name, raw in WHOLE.files.items() if not name.startswith("entries/1/4.")}
    head = f"\n{ORIGIN} "
    _, told = run(tmp_path / "a", write_tar(kept))
    assert told.count(head) == 1, told
    _, told = run(tmp_path / "b", write_tar(kept | logged(LATER, accepted, shown=(0,))))
    assert told.count(head) == 2, told


@pytest.mark.parametrize("place", ["index", "size"])
def test_a_number_in_a_proof_is_no_command(place: str, tmp_path: Path) -> None:
    """Shells evaluate what stands where they want a number."""
    proof = WHOLE.files["entries/1/1.tlog-proof"]
    command = b"node[$(touch run)]"
    old, new = (b"index 1\n", b"index %s\n") if place == "index" else (b"\n11\n", b"\n%s\n")
    raw = proof.replace(old, new % command)
    assert raw != proof
    code, told = run(tmp_path, write_tar({**WHOLE.files, "entries/1/1.tlog-proof": raw}))
    assert code != 0 or found(told) != list(SAID)
    assert not list(tmp_path.rglob("run"))
