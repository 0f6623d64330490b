"""A token: what it holds signs, what it lacks is said, and it comes back after it was away."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import AwayError, CallerError
from gateway.keys import SigningKey
from gateway.pkcs11 import Token
from tests.softhsm import PIN, TOKEN, SoftToken

pytestmark = pytest.mark.softhsm


@pytest.fixture(scope="module")
def held(soft_token: SoftToken) -> SoftToken:
    soft_token.add("one", "two")
    return soft_token


@pytest.fixture
def token(held: SoftToken) -> Iterator[Token]:
    opened = Token(held.module, TOKEN, held.pin_file)
    yield opened
    opened.close()


@pytest.fixture
def pin_file(tmp_path: Path) -> Path:
    file = tmp_path / "pin"
    file.touch(mode=0o600)
    file.write_text(PIN)
    return file


def refusal(token: Token, label: str = "one") -> str:
    with pytest.raises(AwayError) as refused:
        token.find(label)
    assert refused.value.code == "key_unavailable"
    assert PIN not in str(refused.value)
    return str(refused.value)


def test_keys_are_told_apart_by_their_labels(token: Token) -> None:
    one, two = token.find("one"), token.find("two")
    assert one != two
    assert token.sign("one", one, b"m") == token.sign("one", one, b"m") != token.sign("two", two, b"m")


def test_a_label_that_is_not_there_is_the_operators_to_mend(token: Token) -> None:
    with pytest.raises(CallerError) as refused:
        token.find("none")
    assert (refused.value.code, "'none'" in str(refused.value)) == ("state_conflict", True)


def test_another_key_under_the_same_label_signs_nothing(token: Token) -> None:
    stranger = SigningKey(b"\x05" * 32, "checkpoint").public_key
    with pytest.raises(AwayError, match="another one"):
        token.sign("one", stranger, b"m")


def test_a_key_that_was_taken_out_is_away(token: Token) -> None:
    with pytest.raises(AwayError, match="NoSuchKey"):
        token.sign("gone", token.find("one"), b"m")


def test_a_token_that_was_restarted_is_asked_again(token: Token) -> None:
    one = token.find("one")
    token.sign("one", one, b"m")
    token._session.close()
    assert len(token.sign("one", one, b"m")) == 64


def test_who_has_closed_it_is_logged_out(held: SoftToken, token: Token, pin_file: Path) -> None:
    other = Token(held.module, TOKEN, pin_file)
    one = token.find("one")
    pin_file.write_text("wrong")
    token.close()
    token.close()
    assert "PinIncorrect" in refusal(other)
    assert len(token.sign("one", one, b"m")) == 64


def test_what_cannot_be_opened_is_said_without_the_pin(held: SoftToken, pin_file: Path) -> None:
    assert "cannot be loaded" in refusal(Token(Path("/nowhere.so"), TOKEN, pin_file))
    assert "NoSuchToken" in refusal(Token(held.module, "other", pin_file))
    assert "cannot be read" in refusal(Token(held.module, TOKEN, pin_file.with_name("none")))
    pin_file.chmod(0o644)
    assert "chmod 600" in refusal(Token(held.module, TOKEN, pin_file))


def test_one_that_does_not_answer_is_not_waited_for_by_all(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pkcs11.WAIT_SECONDS", 0.05)
    inside, leave = threading.Event(), threading.Event()

    def stuck(_session: object) -> None:
        inside.set()
        leave.wait(30)

    thread = threading.Thread(target=lambda: token._ask(stuck))
    thread.start()
    assert inside.wait(30)
    assert "does not answer" in refusal(token)
    leave.set()
    thread.join(30)
    assert len(token.find("one")) == 32
