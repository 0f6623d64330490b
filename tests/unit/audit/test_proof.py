"""Proof files: what is written reads back, and nothing else is read."""

import base64

import pytest

from audit.errors import MalformedError
from audit.proof import (
    ConsistencyProof,
    InclusionProof,
    format_consistency,
    format_proof,
    parse_consistency,
    parse_proof,
)
from tests.unit.audit.builders import load_vectors

VECTOR: bytes = load_vectors("log.json")["v3"]["proof_299_of_300"].encode()
HASH = base64.b64encode(bytes(32))
CHECKPOINT = b"origin\n1\nroot\n\nsignatures\n"
START = b"c2sp.org/tlog-proof@v1\n"


def test_the_vector_reads_and_is_written_back() -> None:
    proof = parse_proof(VECTOR)
    assert (proof.index, len(proof.hashes), proof.extra) == (299, 5, None)
    assert proof.checkpoint.startswith(b"gw.example/log/acme\n300\n")
    assert format_proof(proof) == VECTOR


@pytest.mark.parametrize("extra", [b"", b"a remark \xff"])
@pytest.mark.parametrize("count", [0, 1, 63])
def test_inclusion_reads_back(extra: bytes, count: int) -> None:
    proof = InclusionProof(12, (bytes(32),) * count, CHECKPOINT, extra)
    assert parse_proof(format_proof(proof)) == proof


@pytest.mark.parametrize("count", [0, 1, 63])
def test_consistency_reads_back(count: int) -> None:
    proof = ConsistencyProof(12, (bytes(32),) * count, CHECKPOINT)
    assert parse_consistency(format_consistency(proof)) == proof


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\n\n", id="empty lines"),
        pytest.param(START + b"index 1\n" + HASH + b"\n", id="no checkpoint"),
        pytest.param(b"c2sp.org/tlog-proof@v2\nindex 1\n\n" + CHECKPOINT, id="another version"),
        pytest.param(START + b"\n" + CHECKPOINT, id="no index"),
        pytest.param(START + b"index 01\n\n" + CHECKPOINT, id="leading zero"),
        pytest.param(START + b"index -1\n\n" + CHECKPOINT, id="sign"),
        pytest.param(START + b"index  1\n\n" + CHECKPOINT, id="space"),
        pytest.param(START + b"index 9223372036854775808\n\n" + CHECKPOINT, id="2^63"),
        pytest.param(START + b"index 1\nextra AAAA\n\n" + CHECKPOINT, id="extra after the index"),
        pytest.param(START + b"extra A\nindex 1\n\n" + CHECKPOINT, id="extra that is no base64"),
        pytest.param(START + b"index 1\n" + HASH[:-1] + b"\n\n" + CHECKPOINT, id="unpadded hash"),
        pytest.param(START + b"index 1\n" + HASH[:-2] + b"B=\n\n" + CHECKPOINT, id="hash with stray bits"),
        pytest.param(START + b"index 1\nAAAA\n\n" + CHECKPOINT, id="short hash"),
        pytest.param(START + b"index 1\n" + (HASH + b"\n") * 64 + b"\n" + CHECKPOINT, id="64 hashes"),
        pytest.param(START + b"index \xd9\xa7\n\n" + CHECKPOINT, id="not ASCII"),
        pytest.param(VECTOR.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(VECTOR + b" " * 1_010_001, id="too long"),
    ],
)
def test_malformed_proof_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^proof"):
        parse_proof(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"new 1\n\n" + CHECKPOINT,
        b"old 01\n\n" + CHECKPOINT,
        b"old 1\n" + CHECKPOINT.replace(b"\n\n", b"\n"),
        b"old 1\nAAAA\n\n" + CHECKPOINT,
    ],
)
def test_malformed_consistency_proof_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^consistency proof"):
        parse_consistency(raw)
