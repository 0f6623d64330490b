"""Parsers and verifiers of untrusted bytes raise their one documented family, whatever they are given.

Each is given arbitrary bytes, and good bytes with a few changes: most arbitrary bytes die at the first check.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.bundle import Bundle, format_bundle, parse_bundle
from audit.checkpoint import parse_checkpoint, read_checkpoint, split_origin, verify_checkpoint
from audit.errors import MalformedError, VerificationError
from audit.evidence import parse_evidence
from audit.note import parse_note, parse_verifier_key
from audit.papers import Keys
from audit.proof import parse_consistency, parse_proof
from audit.receipt import parse_jwks, parse_receipt, verify_receipt
from audit.tile import Tile, decode_bundle, format_tile_path, parse_tile_path
from audit.whole import verify_files
from tests.unit.audit.builders import load_vectors, papers, verify_growth

V3 = load_vectors("log.json")["v3"]
HONEST = papers()
CHECKPOINT: bytes = V3["checkpoint_70000"].encode()
PROOF: bytes = V3["proof_299_of_300"].encode()
BUNDLE = format_bundle(Bundle(HONEST.receipt, HONEST.proof, HONEST.keys))
CONSISTENCY = b"old 300\n" + b"A" * 43 + b"=\n\n" + CHECKPOINT
GOOD: dict[Callable[[bytes], Any], bytes] = {
    parse_note: CHECKPOINT,
    read_checkpoint: CHECKPOINT,
    parse_proof: PROOF,
    parse_consistency: CONSISTENCY,
    parse_receipt: HONEST.receipt,
    parse_evidence: HONEST.evidence.raw,
    parse_bundle: BUNDLE,
    parse_jwks: b'{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"x"}]}',
    decode_bundle: b"\0\1a\0\2bc",
}
TEXTS: dict[Callable[[str], Any], str] = {
    parse_checkpoint: "gw.example/log/acme\n70000\npipUvjMpT/1aXExjf9dUYwtxqJLoNW46Zmpcin/9FRg=\n",
    parse_verifier_key: V3["log_key"],
    parse_tile_path: "tile/0/x001/x234/067.p/12",
    split_origin: "gw.example/log/acme/1",
}
PIECES = st.one_of(
    st.binary(max_size=4),
    st.sampled_from(
        [b"\n\n", b"\xe2\x80\x94 ", b"\\ud800", b"null", b"{}", b"[", b"1.5", b"9" * 30, b"\xff", b"-"]
    ),
)
ANY_TEXT = st.text(st.characters(codec=None), max_size=60)


@st.composite
def changed(draw: st.DrawFn, good: bytes) -> bytes:
    """Good bytes with up to three pieces replaced, put in or cut out."""
    raw = good
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 8)))
        raw = raw[:start] + draw(PIECES) + raw[end:]
    return raw


def fails_only_as(family: type[Exception], call: Callable[[], object]) -> None:
    """The call returns, or raises the family: any other error fails the test by itself."""
    try:
        call()
    except family as error:
        assert str(error)  # noqa: PT017 - the error is one of two good outcomes


@pytest.mark.parametrize("parse", GOOD, ids=lambda parse: str(parse.__name__))
@given(drawn=st.data())
@settings(max_examples=150, deadline=None)
def test_parsers_of_bytes_raise_malformed_alone(parse: Callable[[bytes], Any], drawn: st.DataObject) -> None:
    raw = drawn.draw(st.one_of(st.binary(max_size=200), changed(GOOD[parse])))
    fails_only_as(MalformedError, lambda: parse(raw))


@pytest.mark.parametrize("parse", TEXTS, ids=lambda parse: str(parse.__name__))
@given(drawn=st.data())
@settings(max_examples=150, deadline=None)
def test_parsers_of_text_raise_malformed_alone(parse: Callable[[str], Any], drawn: st.DataObject) -> None:
    good = TEXTS[parse]
    text = drawn.draw(ANY_TEXT)
    place = drawn.draw(st.integers(0, len(good)))
    for each in (text, good[:place] + text + good[place:], good[:place] + text + good[place + 1 :]):
        fails_only_as(MalformedError, partial(parse, each))


@given(changed(HONEST.receipt))
@settings(max_examples=300, deadline=None)
def test_changed_receipt_is_refused_or_the_same(raw: bytes) -> None:
    """No change may leave a receipt standing: there is one spelling of each."""
    try:
        receipt = verify_receipt(raw, HONEST.keys.receipts)
    except VerificationError:
        assert raw != HONEST.receipt
    else:
        assert receipt.token.encode() == raw == HONEST.receipt


@given(changed(CHECKPOINT))
@settings(max_examples=300, deadline=None)
def test_changed_checkpoint_never_says_another_thing(raw: bytes) -> None:
    key = parse_verifier_key(V3["log_key"])
    try:
        checkpoint = verify_checkpoint(raw, [key])
    except VerificationError:
        assert raw != CHECKPOINT
    else:
        assert checkpoint == verify_checkpoint(CHECKPOINT, [key])


@given(changed(HONEST.evidence.raw))
@settings(max_examples=300, deadline=None)
def test_evidence_that_is_read_is_written_just_so(raw: bytes) -> None:
    try:
        evidence = parse_evidence(raw)
    except MalformedError:
        return
    assert evidence.raw == raw
    assert evidence.leaf().startswith(b"gateway-leaf/v1\nevent.accepted\n")


@given(st.one_of(st.binary(max_size=100), changed(HONEST.receipt)), changed(HONEST.proof))
@settings(max_examples=200, deadline=None)
def test_verifier_of_papers_raises_its_family_alone(receipt: bytes, proof: bytes) -> None:
    for keys in (HONEST.keys, Keys()):
        for papers_given in ([receipt, proof], [HONEST.receipt, proof]):
            fails_only_as(VerificationError, partial(verify_files, papers_given, keys))


@given(
    st.lists(
        st.one_of(st.binary(max_size=100), changed(BUNDLE), changed(PROOF), changed(CHECKPOINT)), max_size=3
    )
)
@settings(max_examples=200, deadline=None)
def test_verifier_of_files_raises_its_family_alone(files: list[bytes]) -> None:
    fails_only_as(VerificationError, lambda: verify_files(files, HONEST.keys))


@given(changed(CHECKPOINT), changed(CONSISTENCY))
@settings(max_examples=200, deadline=None)
def test_verifier_of_growth_raises_its_family_alone(old: bytes, consistency: bytes) -> None:
    pinned = Keys(logs=(parse_verifier_key(V3["log_key"]),))
    fails_only_as(VerificationError, lambda: verify_growth(old, consistency, pinned))


@given(st.integers(0, (1 << 55) - 1), st.integers(1, 256), st.one_of(st.none(), st.integers(0, 63)))
def test_tile_paths_read_back(index: int, width: int, level: int | None) -> None:
    tile = Tile(level, index, width)
    assert parse_tile_path(format_tile_path(tile)) == tile
