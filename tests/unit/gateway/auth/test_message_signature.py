import asyncio
import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.message_signature import MessageSignatures
from gateway.auth.proof import Proof
from gateway.auth.request import Shown
from gateway.auth.signature_base import Site
from gateway.auth.signature_policy import required
from gateway.errors import CallerError
from partners.credential import Credential
from partners.directory import Directory
from tests.signing import ALL, KINDS, Draft, credential_of, digest_of, private_key, public_der

NOW = 1_800_000_000_000
ID = "crd_signer"
KEY = private_key("ed25519")
BODY = b'{"order_id":"A-1","qty":3}'
EVENT = Draft(body=BODY)
NONCE = ';nonce="AAECAwQFBgcICQoLDA0ODw"'
CALL = Draft("GET", path="/v1/history", query="limit=1", parameters=NONCE)


class Once:
    """Nonces of one process that forgets nothing."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()

    async def take(self, credential: str, nonce: str, *, now: int) -> None:
        if (credential, nonce) in self.seen:
            raise CallerError("signature_replayed", f"nonce: at {now}")
        self.seen.add((credential, nonce))


def directory(*credentials: Credential) -> Directory:
    known = credentials or (credential_of(ID, "message_signature", public_der(KEY)),)
    return Directory(1, [], known)


def shown_of(draft: Draft, headers: dict[str, str], *, is_event: bool = True) -> Shown:
    sent = {**headers, "host": "internal:9000"}
    if draft.body:
        sent["content-length"] = str(len(draft.body))
    return Shown(
        tuple(sent.items()), method=draft.method, target=draft.path, query=draft.query, is_event=is_event
    )


def proved(shown: Shown, known: Directory | None = None, *, now: int = NOW, nonces: Any = None) -> Proof:
    way = MessageSignatures(Site("https", "gw.example"), nonces or Once())
    assert way.is_shown(shown)
    return asyncio.run(way.prove(shown, known or directory(), now=now))


def signed(draft: Draft, *, is_event: bool = True) -> Shown:
    return shown_of(draft, draft.signed(KEY, ID), is_event=is_event)


def failure(shown: Shown, known: Directory | None = None, *, now: int = NOW) -> CallerError:
    with pytest.raises(CallerError) as caught:
        proved(shown, known, now=now)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_each_kind_of_key_proves_its_holder_and_is_kept_as_evidence(kind: str) -> None:
    key = private_key(kind)
    known = directory(credential_of(ID, "message_signature", public_der(key)))
    headers = EVENT.signed(key, ID)
    proof = proved(shown_of(EVENT, headers), known)
    assert proof.credential.id == ID
    assert proof.origin is not None
    assert (proof.origin.algorithm, proof.origin.key_id, proof.origin.base) == (kind, ID, EVENT.base(ID))
    assert base64.b64encode(proof.origin.signature).decode() in headers["signature"]
    assert proof.owed is not None
    assert proof.owed(BODY) is None
    with pytest.raises(CallerError, match="content-digest"):
        proof.owed(BODY + b" ")


def test_the_authority_is_that_of_the_origin_whatever_host_a_proxy_sends() -> None:
    assert proved(signed(EVENT)).credential.id == ID
    error = failure(signed(replace(EVENT, authority="internal:9000")))
    assert (error.code, error.members["component"]) == ("signature_invalid", "signature")
    assert "@authority is gw.example" in error.hint


def test_a_request_that_differs_is_refused_with_a_digest_of_each_line_so_that_the_signer_finds_it() -> None:
    draft = replace(EVENT, query="dry_run=true", headers={"ce-time": "2026-01-01T00:00:00Z"})
    shown = signed(draft)
    length = len(shown.headers)
    changed = tuple((name, "x" if name == "ce-time" else value) for name, value in shown.headers)
    typed = tuple((name, "text/plain" if name == "content-type" else value) for name, value in shown.headers)
    assert (length, len(changed)) == (len(changed), length)
    for component, other in (
        ("@method", replace(shown, method="PUT")),
        ("@path", replace(shown, target="/v1/events/order.placed2")),
        ("@query", replace(shown, query="dry_run=false")),
        ("ce-time", replace(shown, headers=changed)),
        ("content-type", replace(shown, headers=typed)),
    ):
        error = failure(other)
        assert error.code == "signature_invalid"
        told = error.members["components"]
        assert isinstance(told, list)
        mine = [hashlib.sha256(line).hexdigest()[:16] for line in draft.base(ID).split(b"\n")]
        differing = [
            one["component"] for one, line in zip(told, mine, strict=True) if one["line_sha256"] != line
        ]
        assert differing == [component]


@pytest.mark.parametrize(
    ("draft", "missing"),
    [
        (EVENT, "@method"),
        (EVENT, "@authority"),
        (EVENT, "@path"),
        (replace(EVENT, query="dry_run=true"), "@query"),
        (EVENT, "content-digest"),
        (EVENT, "content-type"),
        (replace(EVENT, headers={"Idempotency-Key": "k"}), "idempotency-key"),
        (replace(EVENT, headers={"ce-id": "1", "ce-source": "/s"}), "ce-source"),
        (replace(EVENT, headers={"ce-custom": "1"}), "ce-custom"),
        (Draft("PUT", headers={"content-type": "application/json"}), "content-type"),
        (Draft("PATCH"), "content-digest"),
    ],
)
def test_what_could_be_changed_on_the_way_must_be_covered(draft: Draft, missing: str) -> None:
    whole = [name for name in ("@method", "@authority", "@path") if name != missing]
    whole += [name for name in (*(["@query"] if draft.query else []), *draft.fields()) if name != missing]
    error = failure(signed(replace(draft, covered=whole)))
    assert (error.code, error.members["component"]) == ("signature_invalid", missing)
    assert error.text.startswith(f'"{missing}": ')


def test_what_is_required_follows_from_what_is_sent() -> None:
    always = ["@method", "@authority", "@path"]
    assert list(required(Shown())) == always
    assert list(required(Shown(query="a=b"))) == [*always, "@query"]
    assert list(required(Shown(method="POST"))) == [*always, "content-digest"]
    body = ["content-digest", "content-type"]
    assert list(required(Shown((("content-length", "1"),)))) == [*always, *body]
    assert list(required(Shown((("transfer-encoding", "chunked"),), method="DELETE"))) == [*always, *body]
    assert list(required(Shown((("content-length", "0"),), method="DELETE"))) == always
    assert list(required(Shown((("ce-id", "1"),)))) == always
    assert list(required(Shown((("ce-id", "1"),), is_event=True))) == [*always, "ce-id"]


@pytest.mark.parametrize(
    ("parameters", "now", "code", "component"),
    [
        ("", NOW + 300_000, None, None),
        ("", NOW - 300_000, None, None),
        ("", NOW + 300_001, "signature_stale", "created"),
        ("", NOW - 300_001, "signature_stale", "created"),
        (";expires=1800000300", NOW + 300_000, None, None),
        (";expires=1800000060", NOW + 60_000, None, None),
        (";expires=1800000060", NOW + 60_001, "signature_stale", "expires"),
        (";expires=1800000301", NOW, "signature_invalid", "expires"),
        (";expires=1799999999", NOW, "signature_invalid", "expires"),
    ],
)
def test_time_is_compared_with_our_clock(
    parameters: str, now: int, code: str | None, component: str | None
) -> None:
    shown = signed(replace(EVENT, parameters=parameters))
    if code is None:
        assert proved(shown, now=now).credential.id == ID
    else:
        error = failure(shown, now=now)
        assert (error.code, error.members["component"]) == (code, component)
        # No route tells our time to a clock that is off: the answer itself does.
        assert ("Date" in error.hint, "/v1/" in error.hint) == (code == "signature_stale", False)


def test_a_nonce_counts_once_where_no_claim_guards() -> None:
    nonces = Once()
    shown = signed(CALL, is_event=False)
    assert proved(shown, nonces=nonces).owed is None
    with pytest.raises(CallerError) as caught:
        proved(shown, nonces=nonces)
    assert caught.value.code == "signature_replayed"
    assert failure(signed(replace(CALL, parameters=""), is_event=False)).members["component"] == "nonce"


def test_an_event_needs_no_nonce_and_uses_none_up() -> None:
    nonces = Once()
    for draft in (EVENT, replace(EVENT, parameters=NONCE)):
        for _ in range(2):
            proved(signed(draft), nonces=nonces)
    assert not nonces.seen


def test_what_proves_nothing_uses_no_nonce_up() -> None:
    nonces = Once()
    shown = signed(CALL, is_event=False)
    for wrong, known, now in (
        (replace(shown, target="/v1/me"), directory(), NOW),
        (shown, directory(), NOW + 301_000),
        (shown, directory(credential_of(ID, "message_signature", public_der(KEY), revoked_at=1)), NOW),
    ):
        with pytest.raises(CallerError, match=r"."):
            proved(wrong, known, now=now, nonces=nonces)
    assert not nonces.seen


@pytest.mark.parametrize(
    ("nonce", "is_enough"),
    [
        ("AAECAwQFBgcICQoLDA0ODw", True),
        ("AAECAwQFBgcICQoLDA0ODw==", True),
        ("00112233445566778899aabbccddeeff", True),
        ("00112233-4455-6677-8899-aabbccddeeff", True),
        ("00112233445566778899aabbccddee", False),
        ("1" * 31, False),
        ("AAECAwQFBgcICQoLDA0OD", False),
        ("", False),
        ("z" * 257, False),
    ],
)
def test_a_nonce_has_room_for_128_random_bits(nonce: str, is_enough: bool) -> None:  # noqa: FBT001 - a table
    shown = signed(replace(CALL, parameters=f';nonce="{nonce}"'), is_event=False)
    if is_enough:
        assert proved(shown).credential.id == ID
    else:
        assert failure(shown).members["component"] == "nonce"


def test_the_algorithm_is_the_keys_and_the_message_can_only_agree() -> None:
    assert proved(signed(replace(EVENT, parameters=';alg="ed25519"'))).credential.id == ID
    for other in ("rsa-pss-sha512", "hmac-sha256", "none", ""):
        error = failure(signed(replace(EVENT, parameters=f';alg="{other}"')))
        assert (error.code, error.members["component"]) == ("signature_invalid", "alg")


def test_the_public_key_as_a_shared_secret_opens_nothing() -> None:
    import hmac  # noqa: PLC0415 - here alone, to do what must not work

    mac = hmac.new(public_der(KEY), EVENT.base(ID), hashlib.sha256).digest()
    headers = EVENT.signed(KEY, ID) | {"signature": f"sig1=:{base64.b64encode(mac).decode()}:"}
    assert failure(shown_of(EVENT, headers)).code == "signature_invalid"


def test_an_unknown_key_is_no_credential() -> None:
    error = failure(shown_of(EVENT, EVENT.signed(KEY, "crd_other")))
    assert error.code == "credential_invalid"
    # An API key's id is no key id.
    other = directory(replace(credential_of(ID, "message_signature", b""), method="api_key"))
    assert failure(signed(EVENT), other).code == "credential_invalid"
    broken = directory(credential_of(ID, "message_signature", b"no key"))
    assert failure(signed(EVENT), broken).code == "credential_invalid"


def test_expired_and_revoked_are_told_only_with_the_right_signature() -> None:
    der = public_der(KEY)
    wrong = EVENT.signed(private_key("ed25519"), ID) | {"signature": f"sig1=:{'A' * 86}==:"}
    for known, code in (
        (directory(credential_of(ID, "message_signature", der, not_after=NOW)), "credential_expired"),
        (directory(credential_of(ID, "message_signature", der, revoked_at=NOW - 1)), "credential_revoked"),
        (directory(credential_of(ID, "message_signature", der, not_before=NOW + 1)), "credential_invalid"),
    ):
        assert failure(signed(EVENT), known).code == code
        assert failure(shown_of(EVENT, wrong), known).code == "signature_invalid"


def test_of_several_signatures_the_one_for_us_counts() -> None:
    ours = replace(EVENT, parameters=';tag="gateway"').signed(KEY, ID)
    theirs = replace(EVENT, parameters=';tag="bot"', label="sig2", covered=["@method"]).signed(KEY, "proxy")
    both = ours | {
        "signature-input": f"{theirs['signature-input']}, {ours['signature-input']}",
        "signature": f"{ours['signature']},{theirs['signature']}",
    }
    assert proved(shown_of(EVENT, both)).credential.id == ID
    assert failure(shown_of(EVENT, theirs)).members["component"] == "tag"
    for tag in ("", ';tag="gateway"'):
        one = replace(EVENT, parameters=tag).signed(KEY, ID)
        two = replace(EVENT, parameters=tag, label="sig2").signed(KEY, ID)
        twice = one | {
            "signature-input": f"{one['signature-input']}, {two['signature-input']}",
            "signature": f"{one['signature']}, {two['signature']}",
        }
        assert failure(shown_of(EVENT, twice)).members["component"] == "tag"


def test_either_known_digest_counts_and_of_both_both() -> None:
    long = f"sha-512=:{base64.b64encode(hashlib.sha512(BODY).digest()).decode()}:"
    short = digest_of(BODY)
    wrong = digest_of(b"other")
    for value, is_right in (
        (short, True),
        (long, True),
        (f"{short}, {long}", True),
        (f"md5=:YWJj:, {short}", True),
        (f"{wrong}, {long}", False),
        (f"{short},{long[:12]}AAAA{long[16:]}", False),
        (wrong, False),
        ("sha-256=:YQ==:", False),
    ):
        owed = proved(signed(replace(EVENT, headers={"content-digest": value}))).owed
        assert owed is not None
        if is_right:
            assert owed(BODY) is None
        else:
            with pytest.raises(CallerError, match="content-digest"):
                owed(BODY)


LISTED = '("@method" "@authority" "@path" "content-digest" "content-type")'
GOOD = f'sig1={LISTED};created=1800000000;keyid="{ID}"'
SIGNATURE = EVENT.signed(KEY, ID)["signature"]
HOSTILE: Sequence[tuple[str, str | None, str | None]] = [
    # Signature-Input, Signature (None: not sent), component that is named (None: none)
    (GOOD, None, "signature"),
    ("", SIGNATURE, "signature-input"),
    (" ", SIGNATURE, "signature-input"),
    ("sig1", SIGNATURE, "signature-input"),
    ("sig1=", SIGNATURE, "signature-input"),
    ("sig1=()", SIGNATURE, "keyid"),
    (f'sig1=();keyid="{ID}"', SIGNATURE, "@method"),
    ("sig1=(", SIGNATURE, "signature-input"),
    ('sig1=("@method"', SIGNATURE, "signature-input"),
    ('sig1=("@method"', "sig1", "signature-input"),
    (f'sig1=("@method""@path");keyid="{ID}"', SIGNATURE, "signature-input"),
    (f'sig1=("@method",\t"@path");keyid="{ID}"', SIGNATURE, "signature-input"),
    (f"{GOOD},", SIGNATURE, "signature-input"),
    (f",{GOOD}", SIGNATURE, "signature-input"),
    (f"{GOOD} x", SIGNATURE, "signature-input"),
    (f"{GOOD};", SIGNATURE, "signature-input"),
    (f"{GOOD}\x00", SIGNATURE, "signature-input"),
    (f"{GOOD}\xe9", SIGNATURE, "signature-input"),
    (f"{GOOD}, {GOOD}", SIGNATURE, "signature-input"),
    (f'{GOOD}, sig2=("@method")', SIGNATURE, "signature"),
    (GOOD.upper(), SIGNATURE, "signature-input"),
    (GOOD.replace("sig1", "sig2"), SIGNATURE, "signature"),
    (f"sig1=:YQ==:, {GOOD}", SIGNATURE, "signature-input"),
    (f'{GOOD};keyid="{ID}"', SIGNATURE, "signature-input"),
    (f"{GOOD};created=1", SIGNATURE, "signature-input"),
    (f"{GOOD};context=1", SIGNATURE, "context"),
    (f"{GOOD};nonce=1", SIGNATURE, "nonce"),
    (f"{GOOD};nonce", SIGNATURE, "nonce"),
    (f"{GOOD};tag=gateway", SIGNATURE, "tag"),
    (f"{GOOD};alg=ed25519", SIGNATURE, "alg"),
    (f"{GOOD};expires=?1", SIGNATURE, "expires"),
    (f"{GOOD};expires=1800000100.0", SIGNATURE, "expires"),
    (f"sig1={LISTED};created=1800000000;keyid=crd_signer", SIGNATURE, "keyid"),
    (f"sig1={LISTED};created=1800000000", SIGNATURE, "keyid"),
    (f'sig1={LISTED};keyid="{ID}"', SIGNATURE, "created"),
    (f'sig1={LISTED};created="1800000000";keyid="{ID}"', SIGNATURE, "created"),
    (f'sig1={LISTED};created=-1;keyid="{ID}"', SIGNATURE, "created"),
    (f'sig1={LISTED};created=01800000000;keyid="{ID}"', SIGNATURE, "created"),
    (f'sig1={LISTED};created=1800000000.5;keyid="{ID}"', SIGNATURE, "created"),
    (f'sig1={LISTED};created=999999999999999;keyid="{ID}"', SIGNATURE, "created"),
    (f'sig1={LISTED};created=9999999999999999;keyid="{ID}"', SIGNATURE, "signature-input"),
    (f'sig1={LISTED};created=@1800000000;keyid="{ID}"', SIGNATURE, "signature-input"),
    (f"sig1={LISTED};created=1800000000;keyid='{ID}'", SIGNATURE, "signature-input"),
    (f'sig1={LISTED};created=1800000000;keyid="a\\x"', SIGNATURE, "signature-input"),
    (f'sig1={LISTED};created=1800000000;keyid="a', SIGNATURE, "signature-input"),
    (GOOD.replace("@method", "@METHOD"), SIGNATURE, "@method"),
    (GOOD.replace('"@method"', '"@method";req'), SIGNATURE, "@method"),
    (GOOD.replace('"@method"', "@method"), SIGNATURE, "signature-input"),
    (GOOD.replace('"@method"', "*method"), SIGNATURE, "@method"),
    (GOOD.replace('"@method"', '"@method" "@method"'), SIGNATURE, "@method"),
    (GOOD.replace('"@method"', '"@method" "nothing"'), SIGNATURE, "nothing"),
    (GOOD.replace('"@method"', '"@method" "signature"'), SIGNATURE, "signature-input"),
    ("sig1=(" + '"a" ' * 65 + ")", SIGNATURE, "signature-input"),
    (GOOD + "".join(f";p{n}=1" for n in range(17)), SIGNATURE, "signature-input"),
    (", ".join(f"s{n}=()" for n in range(9)), SIGNATURE, "signature-input"),
    (GOOD + " " * 8_200, SIGNATURE, None),
    ("a" * 9_000, SIGNATURE, "signature-input"),
    (GOOD, "", "signature"),
    (GOOD, "sig1", "signature"),
    (GOOD, "sig1=:!!:", "signature"),
    (GOOD, "sig1=:YQ:", "signature"),
    (GOOD, "sig1=:YQ==", "signature"),
    (GOOD, 'sig1="YQ=="', "signature"),
    (GOOD, "sig1=::", "signature"),
    (GOOD, "sig1=:YQ==:;a=1", "signature"),
    (GOOD, SIGNATURE.replace("=:", "=: "), "signature"),
    (GOOD, f"{SIGNATURE}, {SIGNATURE}", "signature"),
    (GOOD, SIGNATURE[:-8] + "AAAA==:", "signature"),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_form_is_refused_by_name(number: int) -> None:
    described, signature, component = HOSTILE[number]
    headers = EVENT.fields() | {"signature-input": described}
    if signature is not None:
        headers["signature"] = signature
    shown = shown_of(EVENT, headers)
    if component is None:
        assert proved(shown).credential.id == ID
        return
    error = failure(shown)
    assert (error.code, error.members["component"]) == ("signature_invalid", component)
    assert str(error.members["component"]) in error.text


FRAGMENTS = st.sampled_from(
    [*'"\\;,()=:? \t', '"@method"', "sig1=", ";nonce", "\x00", "\xff", "1", "?1", "*"]
)


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """A text with some characters cut out, and others put in."""
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(FRAGMENTS | st.text(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return text


@settings(deadline=None, max_examples=200)
@given(mutated(GOOD), mutated(SIGNATURE), mutated(digest_of(BODY)))
def test_mutated_fields_prove_the_caller_or_raise_one_family(
    described: str, signature: str, digest: str
) -> None:
    headers = {
        **EVENT.fields(),
        "content-digest": digest,
        "signature-input": described,
        "signature": signature,
    }
    try:
        proof = proved(shown_of(EVENT, headers))
    except CallerError as error:
        code = error.code
    else:
        # Only what means the same may pass: blanks where the grammar has them.
        assert re.sub(r"[ \t]", "", described) == re.sub(r"[ \t]", "", GOOD)
        assert proof.origin is not None
        assert proof.origin.base == EVENT.base(ID)
        return
    assert code in {"signature_invalid", "signature_stale", "credential_invalid"}


def test_a_credential_of_our_own_side_may_sign_too() -> None:
    ours = credential_of(ID, "message_signature", public_der(KEY), partner=None, role="operator", scopes=ALL)
    assert proved(signed(EVENT), directory(ours)).credential.role == "operator"


def test_no_repr_holds_what_was_signed() -> None:
    proof = proved(signed(replace(EVENT, headers={"ce-subject": "sesame"})))
    assert "sesame" not in repr(proof)
    assert "sesame" not in repr(signed(replace(EVENT, headers={"ce-subject": "sesame"})))
