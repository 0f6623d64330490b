"""The text of API keys."""

import base64
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.api_key import ApiKey, RememberedKeys, keyed_digest, mint, parse_api_key, verify_api_key
from partners.credential import Credential, Method
from partners.directory import Directory
from partners.errors import CredentialError, CredentialExpiredError, CredentialRevokedError

PEPPER = b"p" * 32


def entropy(seed: bytes) -> Callable[[int], bytes]:
    state = [seed]

    def draw(count: int) -> bytes:
        state[0] = hashlib.sha512(state[0]).digest()
        return state[0][:count]

    return draw


def stored(key_id: str, secret: bytes) -> Credential:
    return Credential(
        id="crd_1",
        partner="acme",
        role="partner",
        method="api_key",
        match=key_id,
        secret=keyed_digest(PEPPER, ApiKey(key_id, secret)),
        scopes=frozenset({"send"}),
        not_before=0,
        not_after=1_000,
        revoked_at=None,
        name="",
    )


@given(st.binary(min_size=1, max_size=16))
def test_a_minted_key_is_80_characters_and_reads_back(seed: bytes) -> None:
    text, key_id, secret = mint(entropy(seed))
    assert len(text) == 80
    assert text.isascii()
    assert len(secret) == 32
    assert parse_api_key(text) == ApiKey(key_id, secret)


def test_a_minted_key_opens_what_was_stored_for_it() -> None:
    text, key_id, secret = mint(entropy(b"1"))
    credential = stored(key_id, secret)
    assert verify_api_key(text, Directory(1, [], [credential]), PEPPER, now=5) is credential


@given(st.integers(3, 79), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567_"))
def test_every_single_mistyped_character_is_seen_without_a_look_up(place: int, letter: str) -> None:
    text, _, _ = mint(entropy(b"1"))
    wrong = text[:place] + letter + text[place + 1 :]
    if wrong != text:
        with pytest.raises(CredentialError):
            parse_api_key(wrong)


def test_a_secret_has_one_spelling() -> None:
    text, _, _ = mint(entropy(b"1"))
    last = text[71]
    other = f"{text[:71]}{chr(ord(last) + 1)}"
    checksum = base64.b32encode(zlib.crc32(other.encode()).to_bytes(4, "big")).decode().lower().rstrip("=")
    with pytest.raises(CredentialError, match="canonical"):
        parse_api_key(f"{other}_{checksum}")


@given(st.text(max_size=100))
def test_text_that_is_no_key_raises_the_one_error(text: str) -> None:
    with pytest.raises(CredentialError):
        parse_api_key(text)


def test_a_wrong_secret_under_a_known_id_is_told_no_more_than_an_unknown_id() -> None:
    _, key_id, secret = mint(entropy(b"1"))
    other, _, _ = mint(entropy(b"2"))
    directory = Directory(1, [], [replace(stored(key_id, secret), match=parse_api_key(other).id)])
    with pytest.raises(CredentialError) as wrong:
        verify_api_key(other, directory, PEPPER, now=5)
    with pytest.raises(CredentialError) as unknown:
        verify_api_key(other, Directory(1, [], []), PEPPER, now=5)
    assert (str(wrong.value), wrong.value.code) == (str(unknown.value), unknown.value.code)


def test_another_pepper_opens_nothing() -> None:
    text, key_id, secret = mint(entropy(b"1"))
    with pytest.raises(CredentialError):
        verify_api_key(text, Directory(1, [], [stored(key_id, secret)]), b"q" * 32, now=5)


def test_a_digest_copied_to_another_key_id_opens_nothing() -> None:
    _, _, secret = mint(entropy(b"1"))
    assert keyed_digest(PEPPER, ApiKey("a" * 16, secret)) != keyed_digest(PEPPER, ApiKey("b" * 16, secret))


def test_expiry_and_revocation_are_told_only_to_who_has_the_secret() -> None:
    text, key_id, secret = mint(entropy(b"1"))
    expired = Directory(1, [], [stored(key_id, secret)])
    revoked = Directory(1, [], [replace(stored(key_id, secret), revoked_at=4)])
    with pytest.raises(CredentialExpiredError):
        verify_api_key(text, expired, PEPPER, now=1_000)
    with pytest.raises(CredentialRevokedError):
        verify_api_key(text, revoked, PEPPER, now=5)
    foreign = Directory(1, [], [replace(stored(key_id, bytes(32)), revoked_at=4)])
    with pytest.raises(CredentialError) as caught:
        verify_api_key(text, foreign, PEPPER, now=5)
    assert caught.value.code == "credential_invalid"


def test_a_parsed_key_shows_no_secret() -> None:
    text, _, secret = mint(entropy(b"1"))
    assert repr(secret) not in repr(parse_api_key(text))
    assert text.split("_")[2] not in repr(parse_api_key(text))


class _Counted(Directory):
    """Counts how often it is asked."""

    asked = 0

    def credential(self, method: Method, match: str) -> Credential | None:
        self.asked += 1
        return super().credential(method, match)


def test_a_remembered_key_is_asked_of_the_directory_each_time() -> None:
    text, key_id, secret = mint(entropy(b"1"))
    credential, keys = stored(key_id, secret), RememberedKeys(PEPPER)
    known = _Counted(1, [], [credential])
    assert [keys.verify(text, known, now=5) for _ in range(3)] == [credential] * 3
    assert known.asked == 3
    with pytest.raises(CredentialRevokedError):
        keys.verify(text, Directory(2, [], [replace(credential, revoked_at=4)]), now=5)
    with pytest.raises(CredentialExpiredError):
        keys.verify(text, known, now=1_000)
    with pytest.raises(CredentialError, match="not known"):
        keys.verify(text, Directory(3, [], []), now=5)
    other = Directory(4, [], [replace(credential, secret=keyed_digest(PEPPER, ApiKey(key_id, b"x" * 32)))])
    with pytest.raises(CredentialError, match="not known"):
        keys.verify(text, other, now=5)
    assert keys.verify(text, known, now=5) is credential


def test_wrong_keys_are_not_remembered_and_of_right_ones_so_many() -> None:
    made = [mint(entropy(bytes([number]))) for number in range(4)]
    three = [replace(stored(key_id, secret), id=f"crd_{key_id}") for _, key_id, secret in made[:3]]
    known = Directory(1, [], three)
    keys = RememberedKeys(PEPPER, most=2)
    for wrong in (made[3][0], made[0][0][:-1] + "!", "\ud800"):
        with pytest.raises(CredentialError):
            keys.verify(wrong, known, now=5)
    assert len(keys) == 0
    assert [keys.verify(text, known, now=5).match for text, _, _ in made[:3]] == [
        one for _, one, _ in made[:3]
    ]
    assert len(keys) == 2
    assert all(text not in repr(vars(keys)) for text, _, _ in made)
