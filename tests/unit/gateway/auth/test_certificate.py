import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.certificate import ClientCertificates, read_leaf, trusted
from gateway.auth.identify import Identifier
from gateway.auth.key import ApiKeys
from gateway.auth.proof import Proof
from gateway.auth.request import Shown
from gateway.errors import CallerError
from partners.credential import Credential, Scope
from partners.directory import Directory
from tests.authorities import CLIENT, SERVER, Made, make, uris

NOW = 1_800_000_000_000
DAY_MS = 86_400_000
URI = "urn:acme:prod"

ROOT = make("root", at=NOW, days=(-9, 9), is_ca=True)
MIDDLE = make("middle", ROOT, at=NOW, days=(-9, 9), is_ca=True)
LEAF = make("acme", MIDDLE, at=NOW, extensions=(uris(URI), CLIENT))
OWN = make("own", at=NOW, extensions=(CLIENT,))


def credential(
    match: str,
    secret: bytes,
    *,
    partner: str = "acme",
    revoked_at: int | None = None,
    not_after: int = NOW + 1,
) -> Credential:
    scopes: frozenset[Scope] = frozenset({"send"})
    return Credential(
        f"crd_{partner}_{match[:9]}",
        partner,
        "partner",
        "mtls",
        match,
        secret,
        scopes,
        0,
        not_after,
        revoked_at,
        "",
    )


def pinned(made: Made, *, revoked_at: int | None = None, not_after: int = NOW + 1) -> Credential:
    return credential(made.match, made.der, revoked_at=revoked_at, not_after=not_after)


def named(*issuers: Made, uri: str = URI, partner: str = "acme") -> Credential:
    return credential("uri:" + uri, b"".join(one.pem for one in issuers), partner=partner)


WAY = ClientCertificates()
OWN_ENDS = NOW + DAY_MS + 1_000
"""What goes on for longer, such as a stream, ends then too."""


def proved(
    certificate: bytes,
    *known: Credential,
    chain: Sequence[bytes] = (),
    now: int = NOW,
    way: ClientCertificates = WAY,
) -> Proof:
    shown = Shown(certificate=certificate, chain=tuple(chain))
    assert way.is_shown(shown)
    return asyncio.run(way.prove(shown, Directory(1, (), known), now=now))


def code_of(certificate: bytes, *known: Credential, chain: Sequence[bytes] = (), now: int = NOW) -> str:
    with pytest.raises(CallerError) as caught:
        proved(certificate, *known, chain=chain, now=now)
    return caught.value.code


def test_a_pinned_certificate_needs_no_authority() -> None:
    assert proved(OWN.der, pinned(OWN)) == Proof(pinned(OWN), ends_at=OWN_ENDS)


@pytest.mark.parametrize(
    ("issuers", "chain"),
    [
        ((MIDDLE,), ()),
        ((ROOT,), (MIDDLE,)),
        ((ROOT, MIDDLE), ()),
        ((make("x", at=NOW, is_ca=True), MIDDLE), ()),
    ],
    ids=["issuing", "root and chain", "both", "two authorities"],
)
def test_a_name_counts_with_the_issuer_that_was_agreed_for_it(
    issuers: tuple[Made, ...], chain: tuple[Made, ...]
) -> None:
    proof = proved(LEAF.der, named(*issuers), chain=[one.der for one in chain])
    assert proof.credential == named(*issuers)


OTHER = make("other", at=NOW, is_ca=True)
STRANGERS = {
    "another issuer": (make("l", OTHER, at=NOW, extensions=(uris(URI), CLIENT)), named(MIDDLE)),
    "same name of the issuer": (
        make("l", make("middle", ROOT, at=NOW, is_ca=True), at=NOW, extensions=(uris(URI), CLIENT)),
        named(MIDDLE),
    ),
    "no chain to the root": (LEAF, named(ROOT)),
    "itself": (make("l", at=NOW, extensions=(uris(URI), CLIENT)), named(MIDDLE)),
    "common name alone": (make(URI, MIDDLE, at=NOW, extensions=(CLIENT,)), named(MIDDLE)),
    "DNS name alone": (
        make("l", MIDDLE, at=NOW, extensions=(x509.SubjectAlternativeName([x509.DNSName(URI)]), CLIENT)),
        named(MIDDLE),
    ),
    "issued by one that is no authority": (
        make("l", LEAF, at=NOW, extensions=(uris(URI), CLIENT)),
        named(MIDDLE),
    ),
    "an authority itself": (
        make("l", MIDDLE, at=NOW, is_ca=True, extensions=(uris(URI), CLIENT)),
        named(MIDDLE),
    ),
    "registered as its own issuer": (LEAF, named(LEAF)),
    "issuers that cannot be read": (LEAF, credential("uri:" + URI, b"not PEM")),
    "nobody": (LEAF, pinned(OWN)),
    "wrong usage": (make("l", MIDDLE, at=NOW, extensions=(uris(URI), SERVER)), named(MIDDLE)),
    "no usage": (make("l", MIDDLE, at=NOW, extensions=(uris(URI),)), named(MIDDLE)),
    "not yet": (make("l", MIDDLE, at=NOW, days=(0.1, 1), extensions=(uris(URI), CLIENT)), named(MIDDLE)),
    "issuer not yet": (
        make("l", make("m", ROOT, at=NOW, days=(0.1, 1), is_ca=True), at=NOW, extensions=(uris(URI), CLIENT)),
        named(ROOT),
    ),
}


@pytest.mark.parametrize(("made", "known"), STRANGERS.values(), ids=STRANGERS)
def test_any_other_certificate_is_nobodys(made: Made, known: Credential) -> None:
    assert code_of(made.der, known) == "credential_invalid"


def test_the_path_is_looked_for_again_once_an_issuer_is_out_of_time() -> None:
    short = make("short", ROOT, at=NOW, days=(-1, 1), is_ca=True)
    leaf = make("l", short, at=NOW, days=(-1, 5), extensions=(uris(URI), CLIENT))
    known = credential("uri:" + URI, short.pem, not_after=NOW + 9 * DAY_MS)
    way = ClientCertificates()
    assert proved(leaf.der, known, way=way).credential == known
    assert proved(leaf.der, known, now=NOW + DAY_MS, way=way).credential == known
    with pytest.raises(CallerError, match="of no caller"):
        proved(leaf.der, known, now=NOW + DAY_MS + 1_000, way=way)


def test_a_certificate_is_good_up_to_the_second_that_it_names() -> None:
    known = pinned(OWN, not_after=NOW + 9 * DAY_MS)
    assert proved(OWN.der, known, now=OWN_ENDS - 1) == Proof(known, ends_at=OWN_ENDS)
    assert code_of(OWN.der, known, now=OWN_ENDS) == "credential_expired"
    assert code_of(OWN.der, known, now=NOW - DAY_MS - 1) == "credential_invalid"


def test_a_pinned_certificate_may_lack_the_usage_but_not_have_another() -> None:
    plain, server = make("plain", at=NOW), make("server", at=NOW, extensions=(SERVER,))
    assert proved(plain.der, pinned(plain)).credential == pinned(plain)
    assert code_of(server.der, pinned(server)) == "credential_invalid"


def test_what_counts_by_its_name_ends_within_30_days_and_a_pinned_one_when_it_likes() -> None:
    for days, is_taken in ((-1, 30), True), ((-1, 31), False), ((-8, 300), False):
        made = make("acme", MIDDLE, at=NOW, days=days, extensions=(uris(URI), CLIENT))
        assert proved(made.der, pinned(made)).credential.match == made.match
        if is_taken:
            assert proved(made.der, named(MIDDLE)).credential.match == "uri:" + URI
        else:
            with pytest.raises(CallerError, match="longer than 30 days") as caught:
                proved(made.der, named(MIDDLE))
            assert caught.value.code == "credential_invalid"


def test_a_credential_that_ended_is_told_as_such() -> None:
    assert code_of(OWN.der, pinned(OWN, revoked_at=NOW - 1)) == "credential_revoked"
    assert code_of(OWN.der, pinned(OWN, not_after=NOW)) == "credential_expired"


def test_two_partners_that_share_an_issuer_are_told_apart_by_the_name_alone() -> None:
    known = (named(MIDDLE), named(MIDDLE, uri="urn:globex", partner="globex"))
    globex = make("l", MIDDLE, at=NOW, extensions=(uris("urn:globex"), CLIENT))
    assert proved(LEAF.der, *known).credential.partner == "acme"
    assert proved(globex.der, *known).credential.partner == "globex"
    both = make("l", MIDDLE, at=NOW, extensions=(uris(URI, "urn:globex"), CLIENT))
    with pytest.raises(CallerError, match="more than one caller"):
        proved(both.der, *known)


def test_a_name_of_another_partner_with_another_issuer_changes_nothing() -> None:
    known = (named(MIDDLE), named(OTHER, uri="urn:globex", partner="globex"))
    both = make("l", MIDDLE, at=NOW, extensions=(uris(URI, "urn:globex"), CLIENT))
    assert proved(both.der, *known).credential.partner == "acme"


def test_a_pin_goes_before_a_name() -> None:
    known = (pinned(LEAF), named(MIDDLE, partner="globex"))
    assert proved(LEAF.der, *known).credential.partner == "acme"


def test_an_unknown_certificate_is_not_passed_over_for_a_key() -> None:
    identifier = Identifier((ApiKeys(b"p" * 32), WAY))
    shown = Shown((("authorization", "Bearer key"),), certificate=OWN.der)
    for known in ((), (pinned(OWN),)):
        with pytest.raises(CallerError) as caught:
            asyncio.run(identifier.identify(shown, Directory(1, (), known), now=NOW))
        assert caught.value.code == "credential_invalid"


def test_a_handshake_has_to_accept_pins_and_issuers_of_what_is_not_over() -> None:
    over = make("over", at=NOW)
    revoked = make("revoked", at=NOW)
    found = trusted(
        [pinned(OWN), named(ROOT, MIDDLE), pinned(over, not_after=NOW), pinned(revoked, revoked_at=1)],
        now=NOW,
    )
    assert set(found) == {OWN.der, ROOT.der, MIDDLE.der, revoked.der}
    assert trusted([credential("uri:x", b"broken")], now=NOW) == ()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_shown_raises_one_family(data: st.DataObject) -> None:
    raw = bytearray(LEAF.der)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    shown = bytes(raw if data.draw(st.booleans()) else raw[:cut])
    with suppress(CallerError):
        proved(shown, named(MIDDLE), chain=[bytes(raw)])


@pytest.mark.parametrize("junk", [b"", b"\x30", LEAF.der + b"\x00", LEAF.pem, b"\xff" * 900])
def test_what_is_no_certificate_cannot_be_read(junk: bytes) -> None:
    with pytest.raises(CallerError, match="cannot be read"):
        read_leaf(junk)
