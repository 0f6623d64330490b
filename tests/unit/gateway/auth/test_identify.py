import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gateway.auth.caller import Caller
from gateway.auth.identify import Candidate, Identifier
from gateway.auth.key import ApiKeys
from gateway.auth.proof import Proof
from gateway.auth.request import Shown
from gateway.errors import CallerError
from gateway.origin_evidence import Origin
from partners.api_key import ApiKey, keyed_digest, mint
from partners.contract import Authentication
from partners.contract_file import read_contract
from partners.credential import Credential, Method, Role
from partners.directory import Account, Directory
from partners.partner import Partner, PartnerState, dedicated_topics

PEPPER = b"p" * 32
NOW = 1_800_000_000_000


def entropy(count: int) -> bytes:
    return bytes(range(count))


TEXT, KEY_ID, SECRET = mint(entropy)


def directory(
    *,
    role: Role = "partner",
    partner: str | None = "acme",
    state: PartnerState = "active",
    not_after: int = NOW + 1,
    revoked_at: int | None = None,
) -> Directory:
    acme = Partner("acme", "log", "Acme", dedicated_topics("partners.", "acme"), state)
    credential = Credential(
        id="crd_1",
        partner=partner,
        role=role,
        method="api_key",
        match=KEY_ID,
        secret=keyed_digest(PEPPER, ApiKey(KEY_ID, SECRET)),
        scopes=frozenset({"send"}),
        not_before=0,
        not_after=not_after,
        revoked_at=revoked_at,
        name="",
    )
    return Directory(1, [Account(acme, None, (), ())], [credential])


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def called(headers: Sequence[str], known: Directory | None = None) -> Caller:
    shown = Shown(tuple(("authorization", value) for value in headers))
    found = Identifier((ApiKeys(PEPPER),)).identify(shown, known or directory(), now=NOW)
    return asyncio.run(found).confirm(b"")


def code_of(headers: Sequence[str], known: Directory | None = None) -> str:
    with pytest.raises(CallerError) as caught:
        called(headers, known)
    assert TEXT not in str(caught.value)
    assert TEXT[25:60] not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("header", [f"Bearer {TEXT}", f"bearer  {TEXT} ", basic(TEXT)])
def test_a_right_key_is_taken_as_bearer_and_as_basic_user(header: str) -> None:
    caller = called([header])
    assert caller.partner is not None
    assert (caller.partner.slug, caller.role, caller.by()["credential"]) == ("acme", "partner", "crd_1")


def test_no_header_is_a_missing_credential() -> None:
    assert code_of([]) == "credential_missing"


@pytest.mark.parametrize(
    "headers",
    [
        [f"Bearer {TEXT}", f"Bearer {TEXT}"],
        ["Bearer"],
        ["Bearer "],
        [""],
        ["Digest username=a"],
        [f"Bearer {TEXT[:-1]}a"],
        [f"Bearer {TEXT} x"],
        ["Bearer " + "x" * 5000],
        ["Basic !!!"],
        ["Basic " + base64.b64encode(b"\xff:").decode()],
        [basic(TEXT, "password")],
        ["Basic " + base64.b64encode(TEXT.encode()).decode()],
        [basic("")],
    ],
)
def test_anything_else_is_an_invalid_credential(headers: list[str]) -> None:
    assert code_of(headers) == "credential_invalid"


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer"])
def test_who_sends_an_empty_key_is_told_that_it_is_empty(header: str) -> None:
    with pytest.raises(CallerError) as caught:
        called([header])
    assert (caught.value.code, "scheme" in caught.value.text) == ("credential_invalid", False)
    assert "empty" in caught.value.text
    assert "variable" in caught.value.hint


@pytest.mark.parametrize("gone", [directory(revoked_at=NOW - 1), directory(not_after=NOW)])
def test_whose_a_credential_is_that_is_over_is_known_to_the_log_and_told_to_nobody(
    gone: Directory,
) -> None:
    with pytest.raises(CallerError) as caught:
        called([f"Bearer {TEXT}"], gone)
    assert caught.value.whose == ("crd_1", "acme")
    assert "crd_1" not in f"{caught.value.text}{caught.value.hint}{caught.value.members}"
    with pytest.raises(CallerError) as caught:
        called(["Bearer nonsense"])
    assert caught.value.whose is None


def test_an_unknown_key_and_a_wrong_secret_are_told_alike() -> None:
    other, _, _ = mint(bytes)
    wrong, _, _ = mint(lambda count: bytes(range(count)) if count == 10 else bytes(count))
    texts = []
    for key in (other, wrong):
        with pytest.raises(CallerError) as caught:
            called([f"Bearer {key}"])
        texts.append((caught.value.code, caught.value.text))
    assert texts[0] == texts[1]


def test_expired_and_revoked_are_told_only_with_the_right_secret() -> None:
    wrong, _, _ = mint(lambda count: bytes(range(count)) if count == 10 else bytes(count))
    for known, code in (
        (directory(not_after=NOW), "credential_expired"),
        (directory(revoked_at=NOW - 1), "credential_revoked"),
    ):
        assert code_of([f"Bearer {TEXT}"], known) == code
        assert code_of([f"Bearer {wrong}"], known) == "credential_invalid"


@pytest.mark.parametrize("state", ["suspended", "closed"])
@pytest.mark.parametrize("role", ["partner", "auditor"])
def test_who_a_suspended_partner_is_stays_known(state: PartnerState, role: Role) -> None:
    partner = called([f"Bearer {TEXT}"], directory(role=role, state=state)).partner
    assert partner is not None
    assert partner.state == state


def test_a_key_of_our_own_side_has_no_partner() -> None:
    caller = called([f"Bearer {TEXT}"], directory(role="operator", partner=None))
    assert caller.partner is None


def test_a_key_whose_partner_is_unknown_opens_nothing() -> None:
    assert code_of([f"Bearer {TEXT}"], directory(partner="ghost")) == "credential_invalid"


def test_what_was_shown_is_in_no_repr() -> None:
    assert TEXT not in repr(Shown((("authorization", f"Bearer {TEXT}"),)))


@dataclass(frozen=True)
class Stub:
    """A way that proves what it was told to."""

    method: Method
    proof: Proof

    def is_shown(self, _shown: Shown) -> bool:
        return True

    async def prove(self, _shown: Shown, _directory: Directory, *, now: int) -> Proof:
        assert now == NOW
        return self.proof


def credential(
    method: Method, *, partner: str = "acme", role: Role = "partner", scopes: str = ""
) -> Credential:
    allowed: frozenset[Any] = frozenset(scopes.split()) or frozenset({"send", "audit"})
    return Credential(f"crd_{method}", partner, role, method, "", b"", allowed, 0, NOW + 1, None, "")


def identified(
    *proofs: Proof,
    accept: tuple[Method, ...] = ("api_key", "mtls", "message_signature"),
    used: Callable[[Sequence[str], int], None] = lambda _ids, _now: None,
) -> Candidate:
    acme = Partner("acme", "log", "Acme", dedicated_topics("partners.", "acme"), "active")
    contract = replace(read_contract("gateway: v1\npartner: acme\n", name="c").contract)
    contract = replace(contract, authentication=Authentication(accept))
    known = Directory(1, [Account(acme, contract, (), ())], [])
    ways = [Stub(one.credential.method, one) for one in proofs]
    return asyncio.run(Identifier(ways, used).identify(Shown(), known, now=NOW))


def test_of_several_proofs_the_strongest_is_named_and_only_what_all_allow_is_allowed() -> None:
    origin = Origin("ed25519", "crd_1", b"base", b"signature")
    caller = identified(
        Proof(credential("api_key", scopes="send receive")),
        Proof(credential("message_signature", scopes="send audit"), origin),
        Proof(credential("mtls")),
    ).confirm(b"")
    assert (caller.method, caller.credential.id) == ("message_signature", "crd_message_signature")
    assert caller.scopes == frozenset({"send"})
    assert caller.origin == origin


@pytest.mark.parametrize(
    "other",
    [credential("mtls", partner="globex"), credential("mtls", role="auditor")],
    ids=["partner", "role"],
)
def test_credentials_of_two_callers_are_those_of_none(other: Credential) -> None:
    with pytest.raises(CallerError) as caught:
        identified(Proof(credential("api_key")), Proof(other))
    assert caught.value.code == "credential_invalid"
    assert "globex" not in caught.value.text


def test_each_way_has_to_be_one_that_the_contract_takes() -> None:
    with pytest.raises(CallerError, match="does not take mtls"):
        identified(Proof(credential("api_key")), Proof(credential("mtls")), accept=("api_key",))


def test_an_auditor_too_has_to_come_in_a_way_that_the_contract_takes() -> None:
    with pytest.raises(CallerError, match="does not take api_key"):
        identified(Proof(credential("api_key", role="auditor")), accept=("mtls",))


def test_a_candidate_that_owes_its_body_is_no_caller_before() -> None:
    def check(body: bytes) -> None:
        if body != b"good":
            raise CallerError("signature_invalid", "content-digest")

    found = identified(Proof(credential("api_key"), owed=check))
    assert found.confirm(b"good").credential.id == "crd_api_key"
    with pytest.raises(CallerError):
        found.confirm(b"bad")


def test_a_signature_over_the_body_itself_is_the_callers_once_the_body_is_there() -> None:
    origin = Origin("v1a", "crd_hmac", b"1.2.body", b"signature", 4)
    proof = Proof(credential("hmac"), owed=lambda _: origin, message_id="1")
    found = identified(proof, accept=("hmac",))
    assert (found.caller.origin, found.caller.message_id) == (None, "1")
    assert found.confirm(b"body").origin == origin
    # What was made over more of the request comes first.
    whole = Origin("ed25519", "crd_message_signature", b"base", b"signature")
    both = identified(
        proof, Proof(credential("message_signature"), whole), accept=("hmac", "message_signature")
    )
    assert both.confirm(b"body").origin == whole


def test_all_that_proved_a_request_were_used_once_nothing_is_owed() -> None:
    told: list[tuple[list[str], int]] = []

    def used(ids: Sequence[str], now: int) -> None:
        told.append((list(ids), now))

    def check(body: bytes) -> None:
        if body != b"good":
            raise CallerError("signature_invalid", "content-digest")

    identified(Proof(credential("api_key")), Proof(credential("mtls")), used=used)
    assert told == [(["crd_api_key", "crd_mtls"], NOW)]
    owing = identified(Proof(credential("message_signature"), owed=check), used=used)
    with pytest.raises(CallerError):
        owing.confirm(b"bad")
    assert len(told) == 1
    owing.confirm(b"good")
    assert told[1:] == [(["crd_message_signature"], NOW)]
    with pytest.raises(CallerError):
        identified(Proof(credential("api_key")), Proof(credential("mtls", role="auditor")), used=used)
    assert len(told) == 2


def test_how_a_partner_stands_is_told_to_nobody_whose_body_proves_nothing() -> None:
    def check(_: bytes) -> None:
        raise CallerError("signature_invalid", "content-digest")

    for owed, code in ((check, "signature_invalid"), (lambda _: None, "credential_invalid")):
        found = identified(Proof(credential("hmac"), owed=owed), accept=("api_key",))
        with pytest.raises(CallerError) as caught:
            found.confirm(b"")
        assert caught.value.code == code


def later(credential: Credential, *, addresses: str = "") -> Directory:
    acme = Partner("acme", "log", "Acme", dedicated_topics("partners.", "acme"), "active")
    contract = read_contract("gateway: v1\npartner: acme\n", name="c").contract
    terms = Authentication(addresses=tuple(addresses.split()))
    return Directory(2, [Account(acme, replace(contract, authentication=terms), (), ())], [credential])


@pytest.mark.parametrize(
    ("changes", "told", "code"),
    [
        ({"revoked_at": NOW}, {}, "credential_revoked"),
        ({"not_after": NOW}, {}, "credential_expired"),
        ({"match": "released"}, {}, "credential_invalid"),
        ({"id": "crd_2"}, {}, "credential_invalid"),
        ({"scopes": frozenset({"audit"})}, {}, "scope_missing"),
        ({"send_types": frozenset({"order.placed"})}, {}, "scope_missing"),
        ({}, {"addresses": "203.0.113.0/24"}, "source_address_denied"),
    ],
)
def test_what_proved_a_caller_may_no_longer_hold_later(
    changes: dict[str, Any], told: dict[str, Any], code: str
) -> None:
    shown = credential("api_key")
    found = identified(Proof(shown))
    found.standing(later(shown), NOW)
    with pytest.raises(CallerError) as caught:
        found.standing(later(replace(shown, **changes), **told), NOW)
    assert caught.value.code == code


def test_an_origin_is_one_digest_over_all_its_parts() -> None:
    origins = [Origin("a", "k", b"ab", b"c"), Origin("a", "k", b"a", b"bc"), Origin("a", "kc", b"ab", b"")]
    assert len({one.sha256() for one in origins}) == 3
    assert json.loads(origins[0].to_json()) == {
        "algorithm": "a",
        "key_id": "k",
        "base": "YWI=",
        "signature": "Yw==",
    }
    assert "ab" not in repr(origins[0])


def test_of_several_proofs_only_types_that_all_may_send_are_sent_and_each_has_its_rate() -> None:
    placed, both = frozenset({"order.placed"}), frozenset({"order.placed", "order.changed"})
    slow = replace(credential("api_key"), send_types=both, events_per_second=5)
    slower = replace(credential("mtls"), send_types=placed, events_per_second=2)
    free = Proof(credential("message_signature"))
    caller = identified(Proof(slow), Proof(slower), free).confirm(b"")
    assert caller.send_types == placed
    assert (sorted(caller.rates), caller.events_per_second) == ([("crd_api_key", 5), ("crd_mtls", 2)], 2)
    alone = identified(free).confirm(b"")
    assert (alone.send_types, alone.rates, alone.events_per_second) == (None, (), None)
