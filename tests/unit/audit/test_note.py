"""Signed notes: who signed, and all that is refused."""

import base64

import pytest

from audit.errors import MalformedError, UnpinnedKeyError, VerificationError
from audit.note import VerifierKey, parse_note, parse_verifier_key, sign_note, thumbprint, verify_note
from tests.unit.audit.builders import LOG_SIGNER, OTHER_SIGNER, load_vectors

V2 = load_vectors("log.json")["v2"]
RECEIPT = load_vectors("formats.json")["receipt"]
NAME = "gw.example/log/k3v9q2/1"
TEXT = "first\n\nsecond\n"
KEY = VerifierKey(NAME, LOG_SIGNER.public_key)
NOTE = sign_note(TEXT, NAME, LOG_SIGNER)
LINE = NOTE.partition(b"\n\n\xe2")[2]
LINE = b"\xe2" + LINE
OTHER_LINE = sign_note(TEXT, "other.example", OTHER_SIGNER).rpartition(b"\n\n")[2]


def flipped(line: bytes) -> bytes:
    """The line with one bit of its signature changed."""
    head, _, encoded = line.strip().rpartition(b" ")
    blob = bytearray(base64.b64decode(encoded))
    blob[-1] ^= 1
    return head + b" " + base64.b64encode(blob) + b"\n"


def test_key_id_of_the_specifications_example() -> None:
    key = parse_verifier_key(V2["key"])
    assert key.key_id.hex() == V2["key_id"]
    assert str(key) == V2["key"]


def test_thumbprint_is_the_vectors() -> None:
    public_key = base64.urlsafe_b64decode(RECEIPT["public_key"] + "=")
    assert thumbprint(public_key) == RECEIPT["kid"]


def test_signed_note_is_verified() -> None:
    note = parse_note(NOTE)
    assert note.text == TEXT
    assert verify_note(note, [KEY]) == (KEY,)


def test_lines_of_unknown_keys_are_ignored() -> None:
    note = parse_note(f"{TEXT}\n".encode() + OTHER_LINE + LINE)
    assert len(note.lines) == 2
    assert verify_note(note, [KEY]) == (KEY,)


def test_a_repeated_line_of_a_checked_key_is_ignored() -> None:
    note = parse_note(NOTE + flipped(LINE))
    assert verify_note(note, [KEY]) == (KEY,)


def test_one_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    other = VerifierKey("other.example", OTHER_SIGNER.public_key)
    note = parse_note(NOTE + flipped(OTHER_LINE))
    with pytest.raises(VerificationError, match=r"other\.example is wrong"):
        verify_note(note, [KEY, other])


def test_altered_text_is_refused() -> None:
    with pytest.raises(VerificationError, match="is wrong"):
        verify_note(parse_note(NOTE.replace(b"first", b"First")), [KEY])


def test_right_name_with_another_key_is_unknown() -> None:
    with pytest.raises(UnpinnedKeyError, match="not pinned"):
        verify_note(parse_note(NOTE), [VerifierKey(NAME, OTHER_SIGNER.public_key)])


def test_without_keys_nothing_is_verified() -> None:
    with pytest.raises(UnpinnedKeyError):
        verify_note(parse_note(NOTE), [])


def test_a_hundred_signature_lines_are_read() -> None:
    note = parse_note(f"{TEXT}\n".encode() + OTHER_LINE * 99 + LINE)
    assert verify_note(note, [KEY]) == (KEY,)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(NOTE[:-1], id="missing final line feed"),
        pytest.param(NOTE.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(b"text\n", id="no signatures"),
        pytest.param(b"\n\n" + LINE, id="no text"),
        pytest.param(NOTE + LINE * 100, id="101 signature lines"),
        pytest.param(NOTE + b"\n", id="an empty line at the end"),
        pytest.param(NOTE.replace(b"first", b"fir\tst"), id="control character"),
        pytest.param(NOTE.replace(b"first", b"fir\xffst"), id="not UTF-8"),
        pytest.param(NOTE.replace(b"\xe2\x80\x94", b"-"), id="another dash"),
        pytest.param(
            b"text\n\n\xe2\x80\x94 a+b " + base64.b64encode(bytes(68)) + b"\n", id="plus in the name"
        ),
        pytest.param(
            b"text\n\n\xe2\x80\x94 a b " + base64.b64encode(bytes(68)) + b"\n", id="space in the name"
        ),
        pytest.param("text\n\n\u2014 a\u00a0b AAAAAAA=\n".encode(), id="Unicode space in the name"),
        pytest.param(b"text\n\n\xe2\x80\x94  AAAAAAA=\n", id="empty name"),
        pytest.param(b"text\n\n\xe2\x80\x94 name\n", id="no base64"),
        pytest.param(b"text\n\n\xe2\x80\x94 name AAAA\n", id="no key id"),
        pytest.param(b"text\n\n\xe2\x80\x94 name AAAAAA==\n", id="no signature"),
        pytest.param(b"text\n\n\xe2\x80\x94 name AAAAAAA\n", id="unpadded base64"),
        pytest.param(b"text\n\n\xe2\x80\x94 name AAAAAAB=\n", id="base64 with stray bits"),
        pytest.param(b"text\n\n\xe2\x80\x94 name AAAA_AA=\n", id="base64 of another alphabet"),
        pytest.param(b"x" * 1_000_001, id="too long"),
    ],
)
def test_malformed_note_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^(note|key name)"):
        parse_note(raw)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        "name+00000000+AAAA",
        V2["key"].replace("530d903a", "530d903b"),
        V2["key"].replace("530d903a", "530D903A"),
        V2["key"].replace("/foo", "/f oo"),
        V2["key"].replace("/foo", "/f\ud800oo"),
        V2["key"][:-1],
        load_vectors("log.json")["v3"]["witness_key"],
    ],
)
def test_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_verifier_key(text)


def test_key_of_another_length_is_refused() -> None:
    with pytest.raises(MalformedError, match="31 bytes"):
        VerifierKey(NAME, bytes(31))


@pytest.mark.parametrize("text", ["no line feed", "", "two\n\u2014 x\r\n"])
def test_text_that_no_note_can_carry_is_not_signed(text: str) -> None:
    with pytest.raises(MalformedError):
        sign_note(text, NAME, LOG_SIGNER)


def test_two_keys_of_one_name_and_id_are_refused() -> None:
    """Key ids are four bytes: whoever looks finds two keys with one. The text must not say which signed."""

    class Twin(VerifierKey):
        __slots__ = ()

        @property
        def key_id(self) -> bytes:
            return KEY.key_id

    with pytest.raises(VerificationError, match="share a name"):
        verify_note(parse_note(NOTE), [KEY, Twin(NAME, OTHER_SIGNER.public_key)])
