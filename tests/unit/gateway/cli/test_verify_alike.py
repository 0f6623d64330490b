"""`gateway verify` and `python -m audit verify`: the same words, the same exit codes, of whatever papers."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from audit.__main__ import main
from audit.anchor import VERSION, format_anchor_proof
from audit.bundle import write_tar
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.evidence import Kind
from audit.manifest import Format
from audit.note import VerifierKey
from audit.receipt import format_jwk
from gateway.witness.key import CosigningKey
from tests.dossier import CONTENT, RECEIVER, SENDER, dossier, pem
from tests.made_logs import database_at, exported, grow, mixed
from tests.unit.audit.anchors import ANCHOR, ANCHOR_SIGNER, SEEN_AT, WITNESSES, Anchor
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, RECEIPT_SIGNER, papers
from tests.unit.audit.test_verify_deceit import FORGED, MINE, OTHER, accepted, entries, record
from tests.unit.gateway.cli.conftest import Ended, Shell

NOW = SEEN_AT + 60
HONEST, WHOLE, ERASED = papers(), dossier(), dossier(erased=True)
MARKED = {**format_jwk(RECEIPT_SIGNER.public_key), "revoked": {"revoked_at": 5, "reason": "compromised"}}
SILENT = {name: raw for name, raw in ERASED.files.items() if not name.startswith("entries/1/5.")}
PINS = ("--keys", "keys", "--log-key", str(HONEST.keys.logs[0]))
FROZEN = ("--keys", "frozen", *PINS[2:])
WITNESSED = (*PINS, "--policy", "policy")


def signed(size: int, root: bytes = bytes(32)) -> bytes:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root), LOG_SIGNER)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """All papers that there can be."""
    policy = [f"log {VerifierKey(ANCHOR, ANCHOR_SIGNER.public_key)}"]
    policy += [f"witness w{number} {one.key}" for number, one in enumerate(WITNESSES, 1)]
    late = [CosigningKey("w.example/1", 4, bytes([1]) * 32)]
    anchors = {
        "anchor": Anchor(),
        "few": Anchor(cosigners=WITNESSES[:1]),
        "bad": Anchor(signer=RECEIPT_SIGNER),
    }
    anchors |= {"ahead": Anchor(seen_at=NOW + 10_000), "timeless": Anchor(cosigners=late, seen_at=0)}
    return {
        **{name: format_anchor_proof(one.proof()) for name, one in anchors.items()},
        "policy": "\n".join([*policy, "group g 2 w1 w2 w3", "quorum g", ""]).encode(),
        "receipt": HONEST.receipt,
        "proof": HONEST.proof,
        "other": papers(4).proof,
        "bundle.json": json.dumps(
            {"receipt": HONEST.receipt.decode(), "proof": HONEST.proof.decode()}
        ).encode(),
        # A receipt in there is none that an anchor's proof was made for.
        "anchored.json": json.dumps(
            {"format": VERSION, "receipt": HONEST.receipt.decode(), "proof": HONEST.proof.decode()}
        ).encode(),
        # Where an archive has its magic.
        "padded.json": (b'{"":"' + b"x" * 252 + b'ustar","receipt":"' + HONEST.receipt + b'"}'),
        "bundle.tar": write_tar(
            {"receipt.jws": HONEST.receipt, "anchor.json": format_anchor_proof(Anchor().proof())}
        ),
        "evidence.tar": WHOLE.raw,
        "erased.tar": ERASED.raw,
        "silent.tar": write_tar(SILENT),
        "order": CONTENT,
        "sender": pem(SENDER),
        "receiver": pem(RECEIVER),
        "keys": json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)]}).encode(),
        "frozen": json.dumps({"keys": [], "revoked_keys": [MARKED]}).encode(),
        "spelt": json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)], "revoked_keys": [MARKED]})
        .replace("revoked_keys", "revoked\\u005fkeys")
        .encode(),
        "unmarked": json.dumps({"keys": [], "revoked_keys": 1}).encode(),
        "seven": signed(7),
        "forked": signed(7, b"\x01" * 32),
        "nine": signed(9),
        "eleven": signed(11),
        "nothing": b"",
        "braces": b"{}",
        "dots": b"a.b.c",
        "many": b"eyJYXRld2F5LXJlY2VpcHQranNvbiJ9." + b"." * 50_000 + b"\nx",
        "forging.tar": write_tar(
            entries([accepted(), record(Kind.ATTEMPTED, url=f"https://h/{FORGED}")], [0, 1])
        ),
        "twice.tar": write_tar(entries([accepted(MINE), accepted(OTHER)], [0, 1])),
        "junk": b"\xff\x00",
    }


CASES: list[tuple[int, *tuple[str, ...]]] = [
    (0, "receipt", *PINS),
    (0, "receipt", "proof", *PINS),
    (0, "proof", "bundle.json", *PINS),
    (9, "receipt", "other", *PINS),
    (9, "receipt", "proof"),
    (0, "evidence.tar", *PINS),
    (0, "evidence.tar", *PINS, "--content", "order"),
    (9, "evidence.tar", *PINS, "--content", "keys"),
    (0, "erased.tar", *PINS),
    (0, "silent.tar", *PINS),
    (0, "seven", *PINS),
    (0, "seven", "seven", *PINS),
    (0, "seven", "nine", *PINS),
    (9, "seven", "forked", *PINS),
    (9, "seven", "nine"),
    (0, "receipt", "proof", "seven", *PINS),
    (9, "receipt", "proof", "seven", "eleven", *PINS),
    (9, "receipt", *FROZEN),
    (0, "receipt", "proof", *FROZEN),
    (0, "evidence.tar", *FROZEN),
    (9, "receipt", "--keys", "spelt"),
    (0, "receipt", "proof", "--keys", "spelt", *PINS[2:]),
    (0, "evidence.tar", "--keys", "spelt", *PINS[2:]),
    (2, "receipt", "--keys", "unmarked"),
    (9, "anchored.json", *PINS),
    (0, "anchored.json", "receipt", *PINS),
    (0, "padded.json", *PINS),
    (0, "receipt", "proof", "anchor", *WITNESSED),
    (0, "receipt", "proof", "anchor", *PINS),
    (0, "bundle.tar", *PINS),
    (0, "bundle.tar", *WITNESSED),
    (9, "receipt", "few", *WITNESSED),
    (9, "receipt", "bad", *WITNESSED),
    (9, "receipt", "ahead", *WITNESSED),
    (9, "receipt", "timeless", *WITNESSED),
    (9, "receipt", "proof", *WITNESSED),
    (9, "receipt", "anchor", "few", *WITNESSED),
    (2, "receipt", *PINS, "--policy", "order"),
    (9, "anchor", *PINS),
    (2, "seven", *PINS, "--content", "order"),
    (9, "nothing", *PINS),
    (9, "braces", *PINS),
    (9, "dots", *PINS),
    (9, "many", *PINS),
    (0, "forging.tar", *PINS),
    (9, "twice.tar", *PINS),
    (9, "junk", *PINS),
    (2, "nowhere", *PINS),
]


@pytest.mark.parametrize(("code", "words"), [(code, words) for code, *words in CASES])
def test_both_say_the_same(
    files: dict[str, bytes],
    code: int,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell = Shell(tmp_path)
    for name, raw in files.items():
        shell.write(name, raw)
    monkeypatch.setattr("gateway.bootstrap.ground.clock", lambda: NOW * 1_000)
    monkeypatch.setattr("audit.judging.time", SimpleNamespace(time=lambda: NOW))
    there = [str(tmp_path / one) if one in files or one == "nowhere" else one for one in words]
    ours, theirs = shell.run("verify", *there), by_module(there, capsys)
    assert (ours.code, theirs.code) == (code, code), (ours, theirs)
    assert code == 2 or theirs.out == ours.out
    named = [("--sender-key", "--receiver-key"), ("--party-key", "--party-key")]
    if words[0] == "evidence.tar" and code == 0:
        both = [
            [*there, one, str(tmp_path / "sender"), two, str(tmp_path / "receiver")] for one, two in named
        ]
        ours, theirs = shell.run("verify", *both[0]), by_module(both[1], capsys)
        assert (theirs.code, theirs.out) == (ours.code, ours.out)
        is_signed = "the holder of the ecdsa-p256-sha256 key that you gave signed it" in ours.out
        assert is_signed or "--content" not in words


def by_module(words: list[str], capsys: pytest.CaptureFixture[str]) -> Ended:
    try:
        code = main(["verify", *words])
    except SystemExit as ended:
        code = int(str(ended.code))
    told = capsys.readouterr()
    return Ended(code, told.out, told.err)


@pytest.mark.parametrize("kind", ["jsonl", "avro"])
async def test_exports_are_no_exception(
    kind: Format, tmp_path: Path, migrated_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = database_at(tmp_path, migrated_file)
    with database.begin() as session:
        grow(session, [mixed(number) for number in range(20)])
    shell = Shell(tmp_path)
    for number, name in enumerate(("a.tar", "b.tar")):
        stretch = ORIGIN, 10 * number, 10 * number + 10
        shell.write(name, await exported(database, stretch, kind=kind, name=f"exp_{number}"))
    database.close()
    a, b = (tmp_path / "a.tar", tmp_path / "b.tar")
    cut = shell.write("cut.tar", a.read_bytes()[:-700])
    changed = shell.write("changed.tar", a.read_bytes().replace(b"entries-1", b"entries-2"))
    order, receipt = shell.write("order", CONTENT), shell.write("receipt", HONEST.receipt)
    pin = ("--log-key", str(HONEST.keys.logs[0]))
    for code, *words in [
        (0, a, b, *pin),
        (9, b, a, *pin),
        (9, a),
        (9, cut, *pin),
        (9, changed, *pin),
        (9, a, receipt, *pin),
        (2, a, *pin, "--content", order),
    ]:
        ours = shell.run("verify", *map(str, words))
        theirs = by_module(list(map(str, words)), capsys)
        assert (ours.code, theirs.code) == (code, code), (words, ours, theirs)
        assert code == 2 or theirs.out == ours.out
