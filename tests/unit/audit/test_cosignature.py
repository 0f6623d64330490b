"""Cosignatures of both kinds: known answers, and what no verifier may take."""

import base64
import hashlib

import pytest

from audit.checkpoint import Checkpoint, read_checkpoint, verify_checkpoint
from audit.cosignature import (
    ED25519,
    ML_DSA_44,
    CosignerKey,
    cosign,
    cosigned_message,
    parse_cosigner_key,
    verify_cosignatures,
)
from audit.errors import MalformedError, VerificationError
from audit.note import VerifierKey, parse_note, parse_verifier_key
from gateway.witness.key import CosigningKey
from tests.unit.audit.builders import LOG_SIGNER, load_vectors

V3, V5 = load_vectors("log.json")["v3"], load_vectors("log.json")["v5"]
WITNESS = parse_cosigner_key(V3["witness_key"])
AT = 1_700_000_000
COSIGNER = CosigningKey("witness.example/w1", ED25519, bytes(range(0x20, 0x40)))
QUANTUM = CosigningKey(V5["name"], ML_DSA_44, bytes.fromhex(V5["seed"]))
CHECKPOINT = Checkpoint("gw.example/log/acme", 300, bytes.fromhex(V3["root_300"]))


def times_of(raw: bytes, *keys: CosignerKey, latest: int | None = None) -> dict[str, int]:
    checkpoint, note = read_checkpoint(raw)
    found = verify_cosignatures(note, checkpoint, keys, latest=latest)
    return {key.name: time for key, time in found.items()}


def changed(raw: bytes, blob: bytes) -> bytes:
    """The vector with another blob in the line of its witness."""
    *before, last = raw.decode().removesuffix("\n").split("\n")
    name = last.split(" ")[1]
    return "\n".join([*before, f"\u2014 {name} {base64.b64encode(blob).decode()}", ""]).encode()


def blob_of(raw: bytes) -> bytes:
    line = parse_note(raw).lines[-1]
    return line.key_id + line.signature


RAW: bytes = V3["checkpoint_70000"].encode()


def test_the_vectors_cosignatures_are_right() -> None:
    assert times_of(RAW, WITNESS) == {"witness.example/w1": AT}
    proof = V3["proof_299_of_300"].encode().partition(b"\n\n")[2]
    assert times_of(proof, WITNESS) == {"witness.example/w1": AT}


def test_our_line_is_the_vectors_to_the_byte() -> None:
    line = V3["proof_299_of_300"].splitlines(keepends=True)[-1]
    assert cosign(CHECKPOINT, COSIGNER, AT) == line
    assert str(COSIGNER.key) == V3["witness_key"]


def test_the_message_of_ml_dsa_is_the_vectors() -> None:
    message = cosigned_message(CHECKPOINT, QUANTUM.key, AT)
    assert len(message) == V5["message_bytes"]
    assert hashlib.sha256(message).hexdigest() == V5["message_sha256"]
    assert QUANTUM.key.key_id.hex() == V5["key_id"]
    assert hashlib.sha256(QUANTUM.key.public_key).hexdigest() == V5["public_key_sha256"]


def test_lines_of_another_implementation_are_verified() -> None:
    """Ed25519 and ML-DSA-44, by Go; made on a checkpoint of ours."""
    vector = load_vectors("cosigned.json")
    keys = [parse_cosigner_key(text) for text in vector["witness_keys"]]
    found = times_of(vector["checkpoint"].encode(), *keys)
    assert sorted(found) == ["go.example/ed", "go.example/pq", "w.example/1", "w.example/2"]
    assert sorted(key.algorithm for key in keys) == [ED25519, ED25519, ML_DSA_44, ML_DSA_44]
    verify_checkpoint(vector["checkpoint"].encode(), [parse_verifier_key(vector["log_key"])])


def test_an_ml_dsa_cosignature_is_verified_and_names_its_cosigner() -> None:
    raw = RAW + cosign(read_checkpoint(RAW)[0], QUANTUM, AT).encode()
    assert times_of(raw, QUANTUM.key, WITNESS) == {V5["name"]: AT, "witness.example/w1": AT}
    renamed = CosignerKey("witness.example/other", ML_DSA_44, QUANTUM.key.public_key)
    line = cosign(read_checkpoint(RAW)[0], QUANTUM, AT).split(" ")[2]
    blob = renamed.key_id + base64.b64decode(line)[4:]
    raw = RAW + f"\u2014 {renamed.name} {base64.b64encode(blob).decode()}\n".encode()
    with pytest.raises(VerificationError, match="is wrong"):
        times_of(raw, renamed)


@pytest.mark.parametrize("key", [WITNESS, QUANTUM.key], ids=["ed25519", "ml-dsa-44"])
def test_a_key_reads_back(key: CosignerKey) -> None:
    assert parse_cosigner_key(str(key)) == key


def test_lines_of_others_are_passed_over_and_no_line_is_no_cosignature() -> None:
    stranger = CosigningKey("witness.example/w1", ED25519, b"\x77" * 32)
    raw = RAW + cosign(read_checkpoint(RAW)[0], stranger, AT).encode()
    assert times_of(raw, WITNESS) == {"witness.example/w1": AT}
    assert times_of(RAW, stranger.key) == {}


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(lambda blob: blob[:-1], id="71 bytes"),
        pytest.param(lambda blob: blob + b"\0", id="73 bytes"),
        pytest.param(lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]), id="a flipped bit"),
        pytest.param(lambda blob: blob[:4] + (AT + 1).to_bytes(8) + blob[12:], id="another time"),
        pytest.param(lambda blob: blob[:4] + bytes(8) + blob[12:], id="no time"),
        pytest.param(lambda blob: blob[:4] + b"\xff" * 8 + blob[12:], id="a time beyond 2^63"),
    ],
)
def test_a_wrong_line_of_a_known_witness_spoils_the_whole_note(blob: object) -> None:
    assert callable(blob)
    with pytest.raises(VerificationError, match=r"witness\.example/w1"):
        times_of(changed(RAW, blob(blob_of(RAW))), WITNESS)


def test_a_time_that_has_not_come_yet_is_refused_where_the_time_is_known() -> None:
    assert times_of(RAW, WITNESS, latest=AT)
    with pytest.raises(VerificationError, match="has not come yet"):
        times_of(RAW, WITNESS, latest=AT - 1)


def test_a_plain_signature_by_the_same_key_is_no_cosignature() -> None:
    """Type 1 and type 4 have other ids, so that the one is never read as the other."""
    plain = VerifierKey("witness.example/w1", WITNESS.public_key)
    assert plain.key_id != WITNESS.key_id


def test_a_cosignature_of_one_checkpoint_is_none_of_another() -> None:
    other = Checkpoint("gw.example/log/acme", 301, CHECKPOINT.root)
    head = f"{other.origin}\n301\n{base64.b64encode(other.root).decode()}\n\n".encode()
    log = f"\u2014 x {base64.b64encode(bytes(68)).decode()}\n".encode()
    with pytest.raises(VerificationError, match="is wrong"):
        times_of(head + log + cosign(CHECKPOINT, COSIGNER, AT).encode(), WITNESS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "witness.example/w1",
        "witness.example/w1+20324abe",
        "witness.example/w1+20324abe+",
        f"witness.example/w1+00000000+{V3['witness_key'].split('+', 2)[2]}",
        V3["log_key"],
        str(VerifierKey("gw.example/log/x", LOG_SIGNER.public_key)),
    ],
)
def test_what_is_no_cosigners_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_cosigner_key(text)


def test_no_key_is_made_that_could_not_be_written() -> None:
    for name, algorithm, size in (
        ("a b", ED25519, 32),
        ("w", 1, 32),
        ("w", ML_DSA_44, 32),
        ("x" * 256, 4, 32),
    ):
        with pytest.raises(MalformedError):
            CosignerKey(name, algorithm, bytes(size))


def test_two_keys_that_cannot_be_told_apart_are_refused() -> None:
    _, note = read_checkpoint(RAW)

    class Same(CosignerKey):
        __slots__ = ()

        @property
        def key_id(self) -> bytes:
            return WITNESS.key_id

    twin = Same(WITNESS.name, ED25519, b"\x01" * 32)
    with pytest.raises(VerificationError, match="share a name and an id"):
        verify_cosignatures(note, read_checkpoint(RAW)[0], [WITNESS, twin])
