"""Evidence: exact bytes of every kind, and nothing else read as one."""

import json
from typing import Any

import pytest

from audit.errors import EvidenceRuleError, EvidenceTooLargeError, MalformedError
from audit.evidence import Kind, make_evidence, parse_evidence
from audit.merkle import hash_leaf
from audit.ref import format_ref, parse_ref
from tests.unit.audit.builders import evidence, load_vectors, members_of

VECTORS = load_vectors("formats.json")["evidence"]
FRAME: dict[str, Any] = {
    "iss": VECTORS["iss"],
    "log": VECTORS["log"],
    "at": VECTORS["at"],
    "salt": bytes.fromhex(VECTORS["salt_hex"]),
}
ACCEPTED = members_of("event.accepted")
SPOILED = {
    "delivery.attempted": ("number", '"number":2', '"number":"2"'),
    "event.accepted": ("contract", '"contract":7', '"contract":"7"'),
}
RAW: bytes = VECTORS["kinds"][0]["evidence"].encode()


@pytest.mark.parametrize("case", VECTORS["kinds"], ids=lambda case: str(case["kind"]))
def test_each_kind_is_the_vectors_to_the_byte(case: dict[str, Any]) -> None:
    made = make_evidence(Kind(case["kind"]), case["members"], **FRAME)
    assert made.raw.decode() == case["evidence"]
    assert made.commitment().hex() == case["commitment"]
    assert made.leaf().decode() == case["leaf"]
    assert hash_leaf(made.leaf()).hex() == case["leaf_hash"]
    read = parse_evidence(case["evidence"].encode())
    assert read == made
    assert (read.kind, read.iss, read.log, read.at, read.ref) == (
        made.kind,
        made.iss,
        made.log,
        made.at,
        made.ref,
    )
    assert read.members == case["members"]


@pytest.mark.parametrize("case", VECTORS["earlier"], ids=lambda case: str(case["kind"]))
def test_what_was_written_before_a_kind_had_more_members_is_read_and_not_made(case: dict[str, Any]) -> None:
    read = parse_evidence(case["evidence"].encode())
    assert (read.members, read.commitment().hex()) == (case["members"], case["commitment"])
    assert hash_leaf(read.leaf()).hex() == case["leaf_hash"]
    with pytest.raises(EvidenceRuleError, match="has the members"):
        make_evidence(Kind(case["kind"]), case["members"], **FRAME)
    name, was, spoiled = SPOILED.get(case["kind"], ("by", '{"role":"operator"', '{"rule":"operator"'))
    assert was in case["evidence"]
    with pytest.raises(MalformedError, match=f"{name} must be"):
        parse_evidence(case["evidence"].replace(was, spoiled).encode())


def test_every_kind_has_a_vector() -> None:
    assert {case["kind"] for case in VECTORS["kinds"]} == {kind.value for kind in Kind}


def test_reference_reads_back() -> None:
    for case in load_vectors("formats.json")["ref"]:
        assert format_ref(bytes.fromhex(case["sha256"])) == case["text"]
        assert parse_ref(case["text"]) == bytes.fromhex(case["sha256"])


@pytest.mark.parametrize(
    "text", ["", "evt_", "evt_" + "a" * 51 + "1", "evt_" + "A" * 52, "a" * 52, "evt_" + "b" * 52]
)
def test_text_that_is_no_reference(text: str) -> None:
    assert parse_ref(text) is None


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ACCEPTED.items() if key != name}


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({}, id="none"),
        pytest.param(without("keep"), id="one missing"),
        pytest.param({**ACCEPTED, "more": 1}, id="one too many"),
        pytest.param({"direction": "inbound", **ACCEPTED}, id="another order"),
        pytest.param({**ACCEPTED, "direction": "sideways"}, id="another direction"),
        pytest.param({**ACCEPTED, "contract": "7"}, id="text for a number"),
        pytest.param({**ACCEPTED, "contract": True}, id="truth for a number"),
        pytest.param({**ACCEPTED, "contract": 7.0}, id="broken number"),
        pytest.param({**ACCEPTED, "contract": -1}, id="number below zero"),
        pytest.param({**ACCEPTED, "contract": 1 << 63}, id="number too large"),
        pytest.param({**ACCEPTED, "event_sha256": "AB" * 32}, id="upper-case digest"),
        pytest.param({**ACCEPTED, "event_sha256": None}, id="null"),
        pytest.param({**ACCEPTED, "ref": "evt_1"}, id="another reference"),
        pytest.param({**ACCEPTED, "attributes": {"b": "1", "a": "2"}}, id="names not sorted"),
        pytest.param({**ACCEPTED, "attributes": {"a": 1}}, id="attribute that is no text"),
        pytest.param({**ACCEPTED, "auth": {"credential": None, "method": "x"}}, id="order inside"),
        pytest.param({**ACCEPTED, "origin": "some"}, id="another origin"),
        pytest.param({**ACCEPTED, "id": "half \ud800"}, id="half a surrogate pair"),
    ],
)
def test_members_of_another_shape_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(EvidenceRuleError, match=r"^evidence"):
        make_evidence(Kind.ACCEPTED, members, **FRAME)


@pytest.mark.parametrize(
    "changes",
    [{"salt": bytes(31)}, {"at": -1}, {"at": 253_402_300_800_000}, {"at": 1.5}, {"log": None}, {"iss": 1}],
)
def test_frame_of_another_shape_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EvidenceRuleError):
        make_evidence(Kind.ACCEPTED, ACCEPTED, **{**FRAME, **changes})


def test_more_than_twenty_faults_are_refused() -> None:
    faults = [{"pointer": "/a", "code": "type"}] * 21
    with pytest.raises(EvidenceRuleError, match="at most 20"):
        evidence(1, kind=Kind.REFUSED, faults=faults)


def test_record_that_is_too_large_is_refused_by_name() -> None:
    with pytest.raises(EvidenceTooLargeError, match="16384"):
        evidence(1, attributes={"subject": "x" * 16_000})


def test_record_of_exactly_the_limit_is_made() -> None:
    spare = 16_384 - len(evidence(1, attributes={"subject": ""}).raw)
    raw = evidence(1, attributes={"subject": "x" * spare}).raw
    assert len(raw) == 16_384
    assert parse_evidence(raw).raw == raw


def changed(old: str, new: str) -> bytes:
    assert old.encode() in RAW
    return RAW.replace(old.encode(), new.encode(), 1)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no members"),
        pytest.param(RAW + b"\n", id="line feed at the end"),
        pytest.param(changed('"v":1', '"v": 1'), id="white space"),
        pytest.param(changed('"v":1', '"v":1.0'), id="broken number"),
        pytest.param(changed('"v":1', '"v":2'), id="another version"),
        pytest.param(changed('"v":1', '"v":true'), id="truth for a version"),
        pytest.param(changed('"v":1', '"v":1,"v":1'), id="member twice"),
        pytest.param(changed("acme", "\\u0061cme"), id="needless escape"),
        pytest.param(changed("c\u00f4te", "c\\u00f4te"), id="escape for UTF-8"),
        pytest.param(changed("acme", "\\ud800"), id="half a surrogate pair"),
        pytest.param(changed('"contract":7', '"contract":NaN'), id="no number"),
        pytest.param(changed('"contract":7', '"contract":' + "9" * 5000), id="endless number"),
        pytest.param(changed("event.accepted", "event.imagined"), id="unknown kind"),
        pytest.param(changed("AAEC", "AAED")[:-1], id="cut short"),
        pytest.param(RAW.replace(b"acme", b"\xff"), id="not UTF-8"),
        pytest.param(b"[" * 16_384, id="depth"),
        pytest.param(b'{"a":' * 3_000, id="depth of objects"),
        pytest.param(RAW + b" " * 16_384, id="too long"),
    ],
)
def test_other_bytes_are_not_read_as_evidence(raw: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^evidence"):
        parse_evidence(raw)


def test_bytes_are_kept_and_never_made_again() -> None:
    assert parse_evidence(RAW).raw is RAW


def test_leaf_tells_hour_and_kind_alone() -> None:
    first, second = evidence(1, at=1_795_352_400_000), evidence(1, at=1_795_355_999_999)
    assert first.leaf().split(b"\n")[:3] == second.leaf().split(b"\n")[:3]
    assert b"acme" not in first.leaf()


def test_salt_makes_two_like_records_differ() -> None:
    first = make_evidence(Kind.ACCEPTED, ACCEPTED, **FRAME)
    second = make_evidence(Kind.ACCEPTED, ACCEPTED, **{**FRAME, "salt": bytes(32)})
    assert first.commitment() != second.commitment()


def test_repr_holds_no_salt_and_no_content() -> None:
    text = repr(make_evidence(Kind.ACCEPTED, ACCEPTED, **FRAME))
    assert json.loads(RAW)["salt"] not in text
    assert "A-1001" not in text
