"""What every verifier must refuse, each made of the one honest vector by one change."""

import base64
from collections.abc import Sequence

import pytest

from audit import merkle, papers
from audit.errors import UnpinnedKeyError, VerificationError
from audit.merkle import hash_leaf, hash_node
from audit.note import SignatureLine, VerifierKey, parse_verifier_key, sign_note
from audit.papers import read_checkpoint, read_path
from tests.unit.audit.builders import LOG_SIGNER, OTHER_SIGNER, SeedSigner, load_vectors

V1 = load_vectors("log.json")["v1"]
V3 = load_vectors("log.json")["v3"]
PROOF = V3["proof_299_of_300"].encode()
KEY = parse_verifier_key(V3["log_key"])
BEFORE = r"c2sp\.org/tlog-proof@v1\nindex "
INDEX, PATH, NOTE = read_path(PROOF, BEFORE, "proof")
ROOT = read_checkpoint(NOTE, [KEY])[2]
LEAF = b"entry-299"
TEXT = NOTE.partition(b"\n\n")[0]
LINE = next(line for line in NOTE.splitlines(keepends=True) if b" gw.example" in line)


def proved(index: int, size: int, path: Sequence[bytes], leaf: bytes = LEAF) -> bool:
    """By the verifier's own walk, and by the one that the makers use: they must agree."""
    try:
        papers.verify_inclusion(leaf, index, size, path, ROOT)
        is_so = True
    except VerificationError:
        is_so = False
    try:
        merkle.verify_inclusion(hash_leaf(leaf), index, size, path, ROOT)
    except VerificationError:
        assert not is_so
    else:
        assert is_so
    return is_so


def test_the_honest_vector_is_proved() -> None:
    assert (INDEX, read_checkpoint(NOTE, [KEY])[:2]) == (299, (KEY, 300))
    assert proved(299, 300, PATH)


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        pytest.param(299, 300, PATH[:-1], id="one hash short"),
        pytest.param(299, 300, [*PATH, bytes(32)], id="one hash long"),
        pytest.param(300, 300, PATH, id="index is the size"),
        pytest.param(299, 299, PATH, id="size reduced by one"),
        pytest.param(299, 301, PATH, id="size increased by one"),
        pytest.param(298, 300, PATH, id="another entry"),
        pytest.param(299, 300, PATH[::-1], id="hashes in another order"),
        pytest.param(299, 0, [], id="empty tree"),
    ],
)
def test_no_other_path_is_proved(index: int, size: int, path: list[bytes]) -> None:
    assert not proved(index, size, path)


def test_neither_a_leaf_hashed_as_a_node_nor_a_node_passed_off_as_a_leaf_is_proved() -> None:
    assert not proved(299, 300, PATH, b"\x01" + LEAF)
    below = hash_leaf(LEAF), PATH[0]
    assert hash_node(below[1], below[0])
    assert not proved(149, 150, PATH[1:], below[1] + below[0])


@pytest.mark.parametrize("index", range(8))
def test_both_walks_agree_on_every_entry_of_the_classic_tree(index: int) -> None:
    inputs = [bytes.fromhex(one) for one in V1["inputs"]]
    for size in range(index + 1, 9):
        for other in range(size):
            path = _path(inputs[:size], index)
            root = bytes.fromhex(V1["roots"][size])
            try:
                papers.verify_inclusion(inputs[other], index, size, path, root)
                found = True
            except VerificationError:
                found = False
            assert found == (other == index or inputs[other] == inputs[index])


def _path(entries: Sequence[bytes], index: int) -> list[bytes]:
    """The definition of RFC 6962, section 2.1.1."""
    if len(entries) == 1:
        return []
    split = 1 << (len(entries) - 1).bit_length() - 1
    if index < split:
        return [*_path(entries[:split], index), _root(entries[split:])]
    return [*_path(entries[split:], index - split), _root(entries[:split])]


def _root(entries: Sequence[bytes]) -> bytes:
    if len(entries) == 1:
        return hash_leaf(entries[0])
    split = 1 << (len(entries) - 1).bit_length() - 1
    return hash_node(_root(entries[:split]), _root(entries[split:]))


def signed(text: bytes, name: str = "gw.example/log/acme") -> bytes:
    """A text that the log itself has signed, whatever it says."""
    blob = KEY.key_id + LOG_SIGNER.sign(text)
    return text + b"\n" + f"\u2014 {name} {base64.b64encode(blob).decode()}\n".encode()


def test_what_the_log_signs_so_is_read() -> None:
    assert read_checkpoint(signed(TEXT + b"\n"), [KEY])[1] == 300


SIZES = ["0300", "+300", "-1", " 300", "300 ", "3e2", "0x1", "", "99999999999999999999"]
ROOTS = [base64.b64encode(bytes(size)).decode() for size in (0, 31, 33)]


@pytest.mark.parametrize("size", SIZES)
def test_a_size_has_one_spelling(size: str) -> None:
    text = TEXT.replace(b"\n300\n", f"\n{size}\n".encode()) + b"\n"
    with pytest.raises(VerificationError):
        read_checkpoint(signed(text), [KEY])


@pytest.mark.parametrize("root", [*ROOTS, "rrsCfVw90Ihx7lJXemH8gxItDRQ1J5GUNjm9TBLTaUN=", "x" * 43])
def test_a_root_has_32_bytes_in_canonical_base64(root: str) -> None:
    text = TEXT.rpartition(b"\n")[0] + f"\n{root}\n".encode()
    with pytest.raises(VerificationError):
        read_checkpoint(signed(text), [KEY])


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(NOTE.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(NOTE[:-1], id="no final line feed"),
        pytest.param(TEXT + b"\n", id="no signature"),
        pytest.param(TEXT + b"\n\n", id="no signature line"),
        pytest.param(signed(TEXT + b"\nextension\n"), id="extension line"),
        pytest.param(NOTE.replace(b" N7Bi", b" N7Bi\n"), id="a line in two"),
        pytest.param(NOTE + LINE.replace(b"gw.example", b"gw+example"), id="a name with a plus sign"),
        pytest.param(NOTE + LINE.replace(b"gw.example", b"gw example"), id="a name with a space"),
        pytest.param(NOTE + LINE.replace(b"=\n", b"\n"), id="base64 without padding"),
        pytest.param(NOTE + b"-" + LINE[3:], id="a hyphen for the dash"),
        pytest.param(NOTE + LINE * 100, id="more than 100 signature lines"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff" + NOTE, id="no UTF-8"),
    ],
)
def test_a_note_has_one_form(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        read_checkpoint(raw, [KEY])


def test_the_right_name_with_another_key_id_is_nobody_we_know() -> None:
    blob = base64.b64encode(b"\0\0\0\0" + LOG_SIGNER.sign(TEXT + b"\n")).decode()
    with pytest.raises(UnpinnedKeyError):
        read_checkpoint(TEXT + f"\n\n\u2014 {KEY.name} {blob}\n".encode(), [KEY])


def test_one_wrong_signature_of_a_known_key_refuses_the_note_though_another_is_right() -> None:
    second = VerifierKey(KEY.name, OTHER_SIGNER.public_key)
    blob = base64.b64encode(second.key_id + bytes(64)).decode()
    raw = NOTE + f"\u2014 {KEY.name} {blob}\n".encode()
    assert read_checkpoint(raw, [KEY])[1] == 300
    with pytest.raises(VerificationError, match="signature is wrong"):
        read_checkpoint(raw, [KEY, second])


def test_a_cosigner_is_no_log() -> None:
    witness = SeedSigner(bytes(range(32, 64)))
    with pytest.raises(VerificationError):
        read_checkpoint(NOTE, [VerifierKey("witness.example/w1", witness.public_key)])


def test_a_good_signature_under_another_partners_name_is_refused() -> None:
    foreign = sign_note(
        "gw.example/log/globex/1\n300\n" + TEXT.decode().split("\n")[2] + "\n", "x", LOG_SIGNER
    )
    assert isinstance(SignatureLine("x", b"", b""), SignatureLine)
    with pytest.raises(UnpinnedKeyError):
        read_checkpoint(foreign, [KEY, VerifierKey("x", LOG_SIGNER.public_key)])
