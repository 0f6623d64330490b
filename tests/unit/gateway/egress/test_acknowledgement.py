import base64
import hashlib
import os
from typing import Any

import pytest
from structlog.testing import capture_logs

from audit.acknowledgement import verify_acknowledgement, verify_token
from audit.errors import AuditError, VerificationError
from audit.evidence import Kind, make_evidence, parse_evidence
from audit.ref import format_ref
from gateway.dialler import Answer, Outgoing, Reason
from gateway.egress.acknowledgement import digest_header, spoken, verify_answer
from gateway.egress.lane import Lane
from gateway.egress.posting import Chance, Poster, Secrets
from gateway.egress.statement import verify_statement
from gateway.egress.wording import Voice
from gateway.errors import CallerError
from gateway.origin_evidence import Origin
from partners.directory import Directory
from tests.acknowledging import COVERED, lines_of, pem_of, signed_fields, statement
from tests.signing import KINDS, credential_of, private_key, public_der
from tests.unit.gateway.egress.stage import SECRET, Receiver, endpoint, now
from tests.unit.gateway.egress.test_lane import delivery

NOW = 1_800_000_000_000
SECONDS = NOW // 1000
REF = b"\x07" * 32
BODY = b'{"id": 1}'
CONTENT = hashlib.sha256(BODY).hexdigest()
OUT = Outgoing(
    "https://hooks.acme.example:8443/in?a=%2F",
    (
        ("webhook-id", format_ref(REF)),
        ("webhook-timestamp", str(SECONDS)),
        ("webhook-signature", "v1,x"),
        ("X-Api-Key", "s3cret"),
        digest_header(BODY),
    ),
    BODY,
)
KEY = private_key("ed25519")


def directory(*, kind: str = "ed25519", partner: str = "acme", **terms: Any) -> Directory:
    der = public_der(private_key(kind))
    return Directory(1, [], [credential_of("crd_ack", "message_signature", der, partner=partner, **terms)])


def answered(
    fields: tuple[tuple[str, str], ...],
    body: bytes = b"thanks",
    *,
    status: int = 200,
    failure: Reason | None = None,
) -> Answer:
    return Answer(status, failure, None, hashlib.sha256(body).digest(), body, 1, None, fields)


def signed(body: bytes = b"thanks", key: Any = KEY, **how: Any) -> Answer:
    return answered(signed_fields(key, "crd_ack", OUT, created=SECONDS, body=body, **how), body)


@pytest.mark.parametrize("kind", KINDS)
def test_a_signed_answer_is_an_acknowledgement_that_anybody_can_verify(kind: str) -> None:
    key = private_key(kind)
    origin = verify_answer(OUT, signed(key=key), directory(kind=kind), "acme", now=NOW)
    assert origin is not None
    assert (origin.algorithm, origin.key_id) == (kind, "crd_ack")
    verdict = verify_acknowledgement(evidence_of(spoken(origin)), pem_of(key))
    assert "names the content" in verdict.proved[1]
    with pytest.raises(VerificationError, match=r"not by the key|another algorithm"):
        verify_acknowledgement(evidence_of(spoken(origin)), pem_of(other_key(kind)))


def test_the_token_of_a_timeline_is_enough() -> None:
    assert CONTENT in verify_token(said().decode(), format_ref(REF), pem_of(KEY))[1]


def other_key(kind: str) -> Any:
    return private_key("ecdsa-p256-sha256" if kind == "ed25519" else "ed25519")


def evidence_of(token: str, ref: bytes = REF) -> Any:
    members = {
        "partner": "acme",
        "ref": format_ref(ref),
        "endpoint": "ep_1",
        "key": "crd_ack",
        "token": token,
    }
    made = make_evidence(
        Kind.ACKNOWLEDGED, members, iss="https://gw.example", log="gw.example/log/x", at=NOW, salt=b"s" * 32
    )
    return parse_evidence(made.raw)


@pytest.mark.parametrize(
    "how",
    [
        {"covered": ('"@status"', '"webhook-id";req'), "body": b""},
        {
            "covered": (
                *COVERED,
                '"content-type"',
                '"@method";req',
                '"@target-uri";req',
                '"webhook-signature";req',
            )
        },
        {"parameters": ';tag="gateway-acknowledgement"'},
        {"parameters": f";expires={SECONDS + 60}"},
        {"parameters": ';alg="ed25519"'},
        {"parameters": ';nonce="abc"'},
    ],
)
def test_more_may_be_covered_and_said_than_must_be(how: dict[str, Any]) -> None:
    assert verify_answer(OUT, signed(**how), directory(), "acme", now=NOW) is not None


@pytest.mark.parametrize(
    ("how", "component"),
    [
        ({"covered": COVERED[1:]}, "@status"),
        ({"covered": ('"@status"', '"webhook-id";req')}, "content-digest"),
        ({"covered": ('"@status"', '"content-digest"', '"content-digest";req')}, "webhook-id"),
        ({"covered": ('"@status"', '"content-digest"', '"webhook-id";req', '"x-api-key";req')}, "x-api-key"),
        ({"covered": (*COVERED, '"@status"')}, "@status"),
        ({"changed": {'"@status"': "204"}}, "signature"),
        ({"changed": {'"webhook-id";req': "evt_other"}}, "signature"),
        ({"changed": {'"content-digest";req': "sha-256=:AAAA:"}}, "signature"),
        ({"parameters": ';tag="other"'}, "tag"),
        ({"parameters": ';alg="rsa-pss-sha512"'}, "alg"),
        ({"parameters": ";magic=1"}, "magic"),
        ({"parameters": f";expires={SECONDS + 3_600}"}, "expires"),
        ({"key": private_key("ecdsa-p256-sha256")}, "signature"),
    ],
)
def test_a_signature_that_does_not_hold_proves_nothing(how: dict[str, Any], component: str) -> None:
    with pytest.raises(CallerError) as refused:
        verify_answer(OUT, signed(**how), directory(), "acme", now=NOW)
    assert refused.value.members["component"] == component
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (directory(partner="bolt"), "credential_invalid"),
        (Directory(1, [], []), "credential_invalid"),
        (directory(revoked_at=1), "credential_revoked"),
        (directory(not_after=NOW), "credential_expired"),
        (directory(not_before=NOW + 1), "credential_invalid"),
    ],
)
def test_only_a_key_of_the_partner_that_is_in_force_counts(keys: Directory, code: str) -> None:
    with pytest.raises(CallerError) as refused:
        verify_answer(OUT, signed(), keys, "acme", now=NOW)
    assert refused.value.code == code
    with pytest.raises(CallerError) as refused:
        verify_statement(said(), keys, "acme", endpoint="ep_1", ref=REF, now=NOW)
    assert refused.value.code == "acknowledgement_invalid"


@pytest.mark.parametrize("late", [-301_000, 301_000])
def test_an_old_signature_or_one_of_the_future_proves_nothing(late: int) -> None:
    with pytest.raises(CallerError) as refused:
        verify_answer(OUT, signed(), directory(), "acme", now=NOW + late)
    assert refused.value.code == "signature_stale"


def test_another_body_than_was_signed_proves_nothing() -> None:
    fields = signed().headers
    with pytest.raises(CallerError, match="body that came"):
        verify_answer(OUT, answered(fields, b"other"), directory(), "acme", now=NOW)


def test_what_is_no_success_or_not_signed_is_no_acknowledgement() -> None:
    fields = signed().headers
    assert verify_answer(OUT, answered((), b"x"), directory(), "acme", now=NOW) is None
    failed = answered(fields, status=503, failure="server_error")
    assert verify_answer(OUT, failed, directory(), "acme", now=NOW) is None


@pytest.mark.parametrize(
    "fields",
    [
        (("signature-input", ""), ("signature", "")),
        (("signature-input", "a=()"), ("signature", "b=:YQ==:")),
        (("signature-input", "a=("), ("signature", "a=:YQ==:")),
        (("signature-input", "a=" + "(" * 9_000), ("signature", "a=:YQ==:")),
        (("signature-input", 'a=("@status";bs);created=1;keyid="crd_ack"'), ("signature", "a=:YQ==:")),
        (("signature-input", 'a=("@status" 1);created=1;keyid="crd_ack"'), ("signature", "a=:YQ==:")),
        (("signature-input", 'a=("@status"), b=("@status")'), ("signature", "a=:YQ==:, b=:YQ==:")),
    ],
)
def test_fields_that_make_no_sense_are_refused_by_one_family(fields: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(CallerError):
        verify_answer(OUT, answered(fields), directory(), "acme", now=NOW)


async def test_an_attempt_has_its_acknowledgement_and_a_bad_one_costs_nothing() -> None:
    at = now()
    der = public_der(KEY)
    keys = Directory(1, [], [credential_of("crd_ack", "message_signature", der)])

    def reply(outgoing: Outgoing, number: int) -> Answer:
        seconds = now() // 1000
        fields = signed_fields(
            KEY, "crd_ack" if number == 1 else "crd_other", outgoing, created=seconds, body=b"ok"
        )
        return answered(fields, b"ok")

    poster = Poster(
        Receiver(reply=reply),
        Secrets(lambda _, __: SECRET, known=lambda: keys),
        Chance(now, os.urandom),
        disable_after_ms=10**9,
        posted=lambda: None,
    )
    lane = Lane(endpoint())
    attempt = await poster.post(lane, delivery(1), BODY)
    assert attempt.acknowledgement is not None
    voice = Voice("https://gw.example", "gw.example/log/x", "acme", os.urandom)
    evidence = voice.acknowledged(attempt, attempt.acknowledgement, at).evidence
    assert verify_acknowledgement(parse_evidence(evidence.raw), pem_of(KEY)).proved
    with capture_logs() as lines:
        second = await poster.post(lane, delivery(2), BODY)
    assert (second.answer.failure, second.acknowledgement) == (None, None)
    assert [line["event"] for line in lines] == ["relay.acknowledgement_invalid"]


# Statements, made afterwards


def said(kind: str = "ed25519", *, keyid: str = "crd_ack", **changes: Any) -> bytes:
    header = {name: changes.pop(name) for name in ("alg", "typ", "crit", "jwk") if name in changes}
    claims = {"webhook_id": format_ref(REF), "content_sha256": CONTENT, **changes}
    payload = {name: value for name, value in claims.items() if value is not None}
    return statement(private_key(kind), kind, keyid, payload, **header)


@pytest.mark.parametrize("kind", KINDS)
def test_a_statement_is_an_acknowledgement_that_anybody_can_verify(kind: str) -> None:
    made = verify_statement(said(kind), directory(kind=kind), "acme", endpoint="ep_1", ref=REF, now=NOW)
    assert (made.credential, made.content_sha256) == ("crd_ack", CONTENT)
    verdict = verify_acknowledgement(evidence_of(made.token), pem_of(private_key(kind)))
    assert CONTENT in verdict.proved[1]


@pytest.mark.parametrize(
    "changes", [{}, {"endpoint": "ep_1"}, {"received_at": 1}, {"typ": "x"}, {"alg": "Ed25519"}]
)
def test_a_statement_may_say_more(changes: dict[str, Any]) -> None:
    verify_statement(said(**changes), directory(), "acme", endpoint="ep_1", ref=REF, now=NOW)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"...",
        b"a.b",
        b"a.b.c.d",
        "é.b.c".encode(),
        said() + b"=",
        said() + b"\n",
        said()[:-1],
        said().replace(b".", b"..", 1),
        b"x" * 9_000,
        said(alg="none"),
        said(alg="HS256"),
        said(alg="PS512"),
        said(alg=1),
        said(crit=["x"]),
        said(jwk={}),
        said(keyid="crd_none"),
        said(webhook_id="evt_other"),
        said(webhook_id=None),
        said(endpoint="ep_2"),
        said(content_sha256="AB" * 32),
        said(content_sha256=None),
        said(other=1),
        statement(private_key("ecdsa-p256-sha256"), "ed25519", "crd_ack", {}),
    ],
)
def test_what_is_no_statement_of_this_delivery_by_this_partner_is_refused(raw: bytes) -> None:
    with pytest.raises(CallerError) as refused:
        verify_statement(raw, directory(), "acme", endpoint="ep_1", ref=REF, now=NOW)
    assert refused.value.code == "acknowledgement_invalid"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "{}",
        "{",
        said().decode()[:-4],
        said(webhook_id="evt_x").decode(),
        "é.é.é",
        "..",
        "[].[].x",
    ],
)
def test_an_outsider_believes_no_other_token(token: str) -> None:
    with pytest.raises(AuditError):
        verify_acknowledgement(evidence_of(token), pem_of(KEY))


def test_an_outsider_does_not_take_one_event_for_another() -> None:
    origin = verify_answer(OUT, signed(), directory(), "acme", now=NOW)
    assert origin is not None
    for token in (spoken(origin), said().decode()):
        with pytest.raises(VerificationError, match="another event"):
            verify_acknowledgement(evidence_of(token, b"\x08" * 32), pem_of(KEY))
    with pytest.raises(VerificationError, match="by the key that you gave"):
        verify_acknowledgement(evidence_of(said().decode()), b"no key")


def test_a_signed_answer_that_was_no_success_proves_nothing_wherever_it_was_kept() -> None:
    """Whoever keeps the log could take a signed refusal for an acknowledgement."""
    fields = dict(signed_fields(KEY, "crd_ack", OUT, created=SECONDS, body=b"no", status=500))
    lines = lines_of(OUT, 500, b"no")
    covered = [f"{name}: {lines[name]}" for name in COVERED]
    described = fields["signature-input"].removeprefix("ack=")
    base = "\n".join([*covered, f'"@signature-params": {described}']).encode()
    signature = base64.b64decode(fields["signature"].removeprefix("ack=:").removesuffix(":"))
    token = spoken(Origin("ed25519", "crd_ack", base, signature))
    with pytest.raises(VerificationError, match="has status 500"):
        verify_token(token, format_ref(REF), pem_of(KEY))
