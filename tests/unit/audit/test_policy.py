"""Policy files: k of n in groups of groups, and every line that is none."""

import pytest

from audit.cosignature import ED25519, CosignerKey
from audit.errors import MalformedError
from audit.note import VerifierKey
from audit.policy import NONE, Policy, parse_policy
from tests.unit.audit.builders import LOG_SIGNER

LOG = VerifierKey("gw.example/log/anchor/1", LOG_SIGNER.public_key)
NAMES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")
KEYS = {name: CosignerKey(f"w.example/{name}", ED25519, name.encode() * 16) for name in NAMES}
WITNESSES = "".join(f"witness {name} {key}\n" for name, key in KEYS.items())
EXAMPLE = f"""
# The example of the specification.
log {LOG}

{WITNESSES}
group X-witnesses 2 X1 X2 X3
  group\tY-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def read(text: str) -> Policy:
    return parse_policy(text.encode())


@pytest.mark.parametrize(
    ("cosigned", "expected"),
    [
        ("X1 X2 Y1", True),
        ("X1 X3 Y3", True),
        ("X1 X2 X3 Y1 Y2 Y3", True),
        ("X1 Y1 Y2 Y3", False),
        ("X1 X2 X3", False),
        ("", False),
    ],
)
def test_a_quorum_of_groups_is_met_or_not(cosigned: str, expected: object) -> None:
    policy = read(EXAMPLE)
    assert policy.log_keys == (LOG,)
    assert [one.name for one in policy.witnesses] == list(NAMES)
    assert policy.is_met({KEYS[name] for name in cosigned.split()}) is expected


def test_one_witness_may_be_the_quorum_and_so_may_none() -> None:
    policy = read(f"witness w {KEYS['X1']} https://w.example/prefix\nquorum w\n")
    assert policy.witnesses[0].url == "https://w.example/prefix"
    assert policy.is_met({KEYS["X1"]})
    assert not policy.is_met({KEYS["X2"]})
    assert read("quorum none").is_met(())
    assert read("quorum none").quorum == NONE


def test_a_strangers_key_counts_for_nothing() -> None:
    policy = read(f"witness w {KEYS['X1']}\nquorum w\n")
    same_name = CosignerKey(KEYS["X1"].name, ED25519, b"\x02" * 32)
    assert not policy.is_met({same_name})


def test_names_are_octets() -> None:
    kelvin = "\u212a"
    policy = read(f"witness K {KEYS['X1']}\nwitness {kelvin} {KEYS['X2']}\nquorum {kelvin}\n")
    assert not policy.is_met({KEYS["X1"]})
    raw = f"witness \udcff {KEYS['X1']}\nquorum \udcff\n".encode("utf-8", "surrogateescape")
    assert parse_policy(raw).is_met({KEYS["X1"]})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "no line 'quorum", id="empty"),
        pytest.param(f"witness w {KEYS['X1']}\n", "no line 'quorum", id="no quorum"),
        pytest.param("quorum none\nquorum none\n", "second quorum", id="two quorums"),
        pytest.param("quorum w\n", "no witness or group 'w'", id="unknown quorum"),
        pytest.param(f"quorum w\nwitness w {KEYS['X1']}\n", "line 1", id="quorum before its witness"),
        pytest.param(f"witness none {KEYS['X1']}\nquorum none\n", "taken", id="a witness called none"),
        pytest.param(f"{WITNESSES}group none 1 X1\nquorum none\n", "taken", id="a group called none"),
        pytest.param(f"{WITNESSES}group g 1 none\nquorum g\n", "no witness", id="none as a member"),
        pytest.param(f"{WITNESSES}group X1 1 X2\nquorum X1\n", "taken", id="a name twice"),
        pytest.param(f"{WITNESSES}group g 1 X1 X1\nquorum g\n", "twice", id="a member twice"),
        pytest.param(f"{WITNESSES}group g 0 X1\nquorum g\n", "0 of 1", id="threshold of 0"),
        pytest.param(f"{WITNESSES}group g 2 X1\nquorum g\n", "2 of 1", id="threshold above all"),
        pytest.param(f"{WITNESSES}group g 01 X1 X2\nquorum g\n", "threshold", id="leading zero"),
        pytest.param(f"{WITNESSES}group g -1 X1\nquorum g\n", "threshold", id="negative"),
        pytest.param(f"{WITNESSES}group g 1\nquorum g\n", "expected", id="no member"),
        pytest.param(f"{WITNESSES}group g 1 g\nquorum g\n", "no witness or group 'g'", id="itself"),
        pytest.param(
            f"witness a {KEYS['X1']}\nwitness b {KEYS['X1']}\nquorum a\n", "another", id="one key twice"
        ),
        pytest.param(f"log {LOG}\nlog {LOG}\nquorum none\n", "twice", id="one log twice"),
        pytest.param(f"witness w {LOG}\nquorum w\n", "type", id="a log's key as a witness's"),
        pytest.param("log nonsense\nquorum none\n", "line 1", id="no key"),
        pytest.param("believe everybody\nquorum none\n", "expected log", id="unknown line"),
        pytest.param(f"log {LOG} https://a b\nquorum none\n", "expected", id="too many words"),
        pytest.param("quorum none\r\n", "control", id="CRLF"),
        pytest.param("quorum none\x00", "control", id="NUL"),
        pytest.param("quorum none\x7f", "control", id="DEL"),
    ],
)
def test_another_text_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        read(text)


def test_a_blank_is_a_space_or_a_tab_alone() -> None:
    with pytest.raises(MalformedError):
        read("quorum\u00a0none\n")


def test_a_policy_has_its_bounds() -> None:
    with pytest.raises(MalformedError, match="bytes"):
        parse_policy(b"#" * 1_000_001)
    witnesses = "".join(
        f"witness w{number} {CosignerKey('w', ED25519, number.to_bytes(32))}\n" for number in range(101)
    )
    with pytest.raises(MalformedError, match="more than 100"):
        read(f"{witnesses}quorum none\n")
