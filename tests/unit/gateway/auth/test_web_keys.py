import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.web_keys import KNOWN, MAX_KEYS, read_keys, stranger
from gateway.errors import AwayError
from tests.issuers import b64, ec_signer, ed_signer, key_set, rsa_signer

RSA, PSS, EC, ED = rsa_signer("r"), rsa_signer("p", "PS256"), ec_signer("e"), ed_signer("d")
SIGNERS = {"RS256": RSA, "PS256": PSS, "ES256": EC, "EdDSA": ED, "Ed25519": ED}


@pytest.mark.parametrize("algorithm", SIGNERS)
def test_each_algorithm_is_verified_by_keys_of_its_own_type_alone(algorithm: str) -> None:
    (key,) = read_keys(key_set(SIGNERS[algorithm].jwk()))
    signature = SIGNERS[algorithm].sign(b"signed")
    assert key.is_signed(algorithm, b"signed", signature)
    assert not key.is_signed(algorithm, b"other", signature)
    assert not key.is_signed(algorithm, b"signed", signature[:-1])
    assert not key.is_signed(algorithm, b"signed", b"")
    others = {"none", "HS256", *KNOWN} - {algorithm} - ({"EdDSA", "Ed25519"} if key.kid == "d" else set())
    assert not any(key.is_signed(one, b"signed", signature) for one in others)


def test_a_key_that_names_an_algorithm_is_for_that_one() -> None:
    (key,) = read_keys(key_set(RSA.jwk(alg="RS256")))
    assert key.algorithms == {"RS256"}
    assert read_keys(key_set(RSA.jwk()))[0].algorithms == {"RS256", "PS256"}


GOOD = EC.jwk()
LEFT_OUT: dict[str, dict[str, Any]] = {
    "secret": {"kty": "oct", "k": b64(b"k" * 32), "kid": "e"},
    "private": {**GOOD, "d": b64(b"d" * 32)},
    "encryption": {**GOOD, "use": "enc"},
    "not for verifying": {**GOOD, "key_ops": ["sign"]},
    "operations of no list": {**GOOD, "key_ops": "verify"},
    "another algorithm": {**GOOD, "alg": "RS256"},
    "an algorithm of no text": {**GOOD, "alg": 5},
    "no type": {name: value for name, value in GOOD.items() if name != "kty"},
    "unknown type": {**GOOD, "kty": "AKP"},
    "unknown curve": {**GOOD, "crv": "P-521"},
    "another curve": {**GOOD, "crv": "secp256k1"},
    "no point of the curve": {**GOOD, "y": b64(b"\x01" * 32)},
    "short coordinate": {**GOOD, "x": "AQ"},
    "coordinate of no text": {**GOOD, "x": 7},
    "kid of no text": {**GOOD, "kid": 7},
    "kid too long": {**GOOD, "kid": "k" * 513},
    "weak RSA": {"kty": "RSA", "n": b64(b"\xff" * 128), "e": "AQAB"},
    "huge RSA": {"kty": "RSA", "n": b64(b"\xff" * 1024), "e": "AQAB"},
    "slow exponent": {**RSA.jwk(), "e": b64(b"\xff" * 64)},
    "exponent of one": {**RSA.jwk(), "e": "AQ"},
    "X25519": {**ED.jwk(), "crv": "X25519"},
    "Ed25519 that anybody can sign for": {**ED.jwk(), "x": b64(b"\x01" + bytes(31))},
    "Ed25519 too short": {**ED.jwk(), "x": b64(b"x" * 31)},
}


@pytest.mark.parametrize("left_out", LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_may_verify_no_token_is_left_out(left_out: dict[str, Any]) -> None:
    assert [one.kid for one in read_keys(key_set(left_out, ED.jwk(), {}))] == ["d"]
    with pytest.raises(AwayError, match="no key that may verify"):
        read_keys(key_set(left_out))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[1,null,"x"]}',
        b'{"keys":[],"keys":[]}',
        b"\xff",
        b"[" * 5_000,
        json.dumps({"keys": [GOOD] * (MAX_KEYS + 1)}).encode(),
    ],
)
def test_what_is_no_key_set_is_unusable(raw: bytes) -> None:
    with pytest.raises(AwayError) as caught:
        read_keys(raw)
    assert caught.value.code == "issuer_unavailable"


def test_a_hundred_keys_are_read() -> None:
    assert len(read_keys(key_set(*[GOOD] * MAX_KEYS))) == MAX_KEYS


@pytest.mark.parametrize("algorithm", sorted(KNOWN))
def test_there_is_a_key_of_nobody_for_each_algorithm(algorithm: str) -> None:
    key = stranger(algorithm)
    assert key is not None
    assert not key.is_signed(algorithm, b"signed", SIGNERS[algorithm].sign(b"signed"))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["RSA", "EC", "OKP", "AQAB"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*GOOD, "n", "e", "alg", "key_ops", "oth"]), JSON), st.binary(max_size=40)
)
def test_any_key_and_any_bytes_raise_one_error(members: dict[str, Any], raw: bytes) -> None:
    for text in (key_set({**GOOD, **members}), raw):
        with suppress(AwayError):
            read_keys(text)
