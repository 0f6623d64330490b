import base64

import pytest

from audit.checkpoint import Checkpoint, format_checkpoint, sign_checkpoint, verify_checkpoint
from audit.errors import MalformedError, VerificationError
from audit.freshness import fresh_at, freshness_key, make_line, parse_freshness_key
from audit.note import VerifierKey, parse_note
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, OTHER_SIGNER, SeedSigner

NAME = "gw.example/freshness"
SIGNER = SeedSigner(bytes(range(0x20, 0x40)))
KEY = freshness_key(NAME, SIGNER.public_key)
AT = 1_700_000_000
CHECKPOINT = Checkpoint(ORIGIN, 3, bytes(range(32)))


def note(*lines: str) -> bytes:
    return sign_checkpoint(CHECKPOINT, LOG_SIGNER) + "".join(lines).encode()


def line(seconds: int = AT, text: str = "", name: str = NAME) -> str:
    return make_line(text or format_checkpoint(CHECKPOINT), name, SIGNER, seconds)


def test_the_cosignature_of_vector_v3_is_made_and_verified_to_the_byte() -> None:
    # Go's x/mod accepted these bytes.
    text = "gw.example/log/acme\n70000\npipUvjMpT/1aXExjf9dUYwtxqJLoNW46Zmpcin/9FRg=\n"
    wanted = (
        "\u2014 witness.example/w1 IDJKvgAAAABlU/EAft8p54tBMK7ebHiRvskbb9ns4cXYIGckLejdi1P3xEY2Q11ye5OGiElBC"
        "JXGxn7O27EJfNhjeo3rWoTQtrUPBQ==\n"
    )
    witness = parse_freshness_key("witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X")
    assert witness == freshness_key("witness.example/w1", SIGNER.public_key)
    assert make_line(text, witness.name, SIGNER, AT) == wanted
    assert fresh_at(parse_note(f"{text}\n{wanted}".encode()), [witness]) == AT


def test_the_newest_time_counts_and_lines_of_others_say_nothing() -> None:
    assert fresh_at(parse_note(note()), [KEY]) is None
    assert fresh_at(parse_note(note(line(), line(AT + 9), line(AT + 99, name="other"))), [KEY]) == AT + 9
    stranger = freshness_key(NAME, OTHER_SIGNER.public_key)
    assert fresh_at(parse_note(note(line())), [stranger]) is None


def test_the_log_s_own_signature_is_verified_beside_it_as_before() -> None:
    keys = [VerifierKey(ORIGIN, LOG_SIGNER.public_key)]
    assert verify_checkpoint(note(line()), keys) == CHECKPOINT


def test_a_line_that_was_made_for_another_checkpoint_or_time_is_refused() -> None:
    elsewhere = line(text=format_checkpoint(Checkpoint(ORIGIN, 4, bytes(32))))
    with pytest.raises(VerificationError, match="is wrong"):
        fresh_at(parse_note(note(elsewhere)), [KEY])
    blob = bytearray(base64.b64decode(line().split(" ")[2]))
    blob[11] ^= 1
    moved = f"\u2014 {NAME} {base64.b64encode(blob).decode()}\n"
    with pytest.raises(VerificationError, match="is wrong"):
        fresh_at(parse_note(note(moved)), [KEY])
    short = f"\u2014 {NAME} {base64.b64encode(bytes(blob[:-1])).decode()}\n"
    with pytest.raises(MalformedError, match="has 71 bytes"):
        fresh_at(parse_note(note(short)), [KEY])


def test_a_key_is_read_as_it_is_written_and_one_of_another_type_is_none() -> None:
    assert parse_freshness_key(str(KEY)) == KEY
    plain = str(VerifierKey(NAME, SIGNER.public_key))
    for text in ("", "a+b", plain, str(KEY).replace(KEY.key_id.hex(), "00000000"), f"{NAME}+00+!"):
        with pytest.raises(MalformedError):
            parse_freshness_key(text)
    with pytest.raises(MalformedError):
        freshness_key(NAME, b"short")
    with pytest.raises(MalformedError):
        freshness_key("with blank", SIGNER.public_key)
