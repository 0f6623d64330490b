"""Checkpoints: three lines, one spelling, signed by the log itself."""

import base64

import pytest

from audit.checkpoint import (
    Checkpoint,
    format_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    split_origin,
    verify_checkpoint,
)
from audit.errors import MalformedError, UnpinnedKeyError, VerificationError
from audit.note import VerifierKey, parse_verifier_key, sign_note
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, OTHER_SIGNER, load_vectors

V3 = load_vectors("log.json")["v3"]
ROOT = base64.b64encode(bytes(32)).decode()
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes(32))
KEY = VerifierKey(ORIGIN, LOG_SIGNER.public_key)


def test_text_reads_back() -> None:
    assert format_checkpoint(CHECKPOINT) == f"{ORIGIN}\n7\n{ROOT}\n"
    assert parse_checkpoint(format_checkpoint(CHECKPOINT)) == CHECKPOINT


def test_vector_with_a_witness_line_is_verified_by_the_logs_key_alone() -> None:
    checkpoint = verify_checkpoint(V3["checkpoint_70000"].encode(), [parse_verifier_key(V3["log_key"])])
    assert (checkpoint.origin, checkpoint.size) == ("gw.example/log/acme", 70_000)
    assert checkpoint.root.hex() == V3["root_70000"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{ORIGIN}\n07\n{ROOT}\n", id="leading zero"),
        pytest.param(f"{ORIGIN}\n+7\n{ROOT}\n", id="plus sign"),
        pytest.param(f"{ORIGIN}\n-7\n{ROOT}\n", id="minus sign"),
        pytest.param(f"{ORIGIN}\n 7\n{ROOT}\n", id="space before"),
        pytest.param(f"{ORIGIN}\n7 \n{ROOT}\n", id="space after"),
        pytest.param(f"{ORIGIN}\n\u0667\n{ROOT}\n", id="another script's digit"),
        pytest.param(f"{ORIGIN}\n\n{ROOT}\n", id="no size"),
        pytest.param(f"{ORIGIN}\n9223372036854775808\n{ROOT}\n", id="2^63"),
        pytest.param(f"{ORIGIN}\n7\n{base64.b64encode(bytes(31)).decode()}\n", id="root of 31 bytes"),
        pytest.param(f"{ORIGIN}\n7\n{base64.b64encode(bytes(33)).decode()}\n", id="root of 33 bytes"),
        pytest.param(f"{ORIGIN}\n7\n{ROOT[:-1]}\n", id="unpadded root"),
        pytest.param(f"{ORIGIN}\n7\n{ROOT[:-2]}B=\n", id="root with stray bits"),
        pytest.param(f"{ORIGIN}\n7\n{ROOT}\nextension\n", id="extension line"),
        pytest.param(f"{ORIGIN}\n7\n{ROOT}", id="missing final line feed"),
        pytest.param(f"{ORIGIN}\r\n7\r\n{ROOT}\r\n", id="CRLF"),
        pytest.param(f"\n7\n{ROOT}\n", id="no origin"),
        pytest.param(f"gw.example/log/a+b\n7\n{ROOT}\n", id="plus in the origin"),
        pytest.param(f"gw.example/log/a b\n7\n{ROOT}\n", id="space in the origin"),
    ],
)
def test_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_checkpoint(text)


def test_signature_under_another_name_than_the_origin_is_refused() -> None:
    """A key that may sign for one partner's log says nothing about another's."""
    other = "gw.example/log/other/1"
    raw = sign_note(format_checkpoint(CHECKPOINT), other, LOG_SIGNER)
    with pytest.raises(VerificationError, match=r"signed by gw\.example/log/other/1"):
        verify_checkpoint(raw, [VerifierKey(other, LOG_SIGNER.public_key)])


def test_unknown_key_is_said_to_be_not_pinned() -> None:
    raw = sign_checkpoint(CHECKPOINT, OTHER_SIGNER)
    with pytest.raises(UnpinnedKeyError, match="not pinned"):
        verify_checkpoint(raw, [KEY])


def test_signed_checkpoint_is_the_same_each_time() -> None:
    """A process killed before publishing signs the same text again."""
    assert sign_checkpoint(CHECKPOINT, LOG_SIGNER) == sign_checkpoint(CHECKPOINT, LOG_SIGNER)


def test_origin_is_a_log_and_an_epoch() -> None:
    assert split_origin("127.0.0.1:8080/log/k3v9q2/12") == ("127.0.0.1:8080/log/k3v9q2", 12)


@pytest.mark.parametrize("origin", ["", "name", "/1", "gw.example/log/x/", "gw.example/log/x/01", "a/-1"])
def test_origin_without_epoch_is_refused(origin: str) -> None:
    with pytest.raises(MalformedError):
        split_origin(origin)


def test_checkpoint_that_could_not_be_written_is_not_built() -> None:
    with pytest.raises(MalformedError):
        Checkpoint(ORIGIN, -1, bytes(32))
