import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.address import AddressPolicy
from gateway.auth.bearer import MAX_LIFE_MS, SLACK_MS, Tokens
from gateway.auth.identify import Identifier
from gateway.auth.key import ApiKeys, is_token
from gateway.auth.key_sets import KEEP_MS, KeySets
from gateway.auth.proof import Proof
from gateway.auth.request import Shown
from gateway.dialler import Dialler
from gateway.errors import AwayError, BugError, CallerError
from partners.credential import Credential
from partners.directory import Directory
from tests.authorities import make
from tests.issuers import Issuer, Signer, b64, ec_signer, ed_signer, issuing, rsa_signer

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = 1_800_000_000_000
SECONDS = NOW // 1_000
EC = ec_signer("e")
SIGNERS = {
    "RS256": rsa_signer("r"),
    "PS256": rsa_signer("p", "PS256"),
    "ES256": EC,
    "EdDSA": ed_signer("d"),
    "Ed25519": ed_signer("d9864", "Ed25519"),
}


class Scene:
    """An issuer, the way that asks it, and one credential."""

    def __init__(self, issuer: Issuer, way: Tokens) -> None:
        self.issuer = issuer
        self.way = way
        self.credential = Credential(
            "crd_1", "acme", "partner", "jwt", f"{issuer.url}\nacme-prod", b'{"audience":"gw"}',
            frozenset({"send"}), 0, NOW + 10, None, "",
        )  # fmt: skip

    def claims(self, **more: object) -> dict[str, Any]:
        base = {"iss": self.issuer.url, "sub": "acme-prod", "aud": "gw", "iat": SECONDS, "exp": SECONDS + 300}
        return {name: value for name, value in {**base, **more}.items() if value is not None}

    def token(self, signer: Signer = EC, **more: object) -> str:
        return signer.token(self.claims(**more))

    async def prove(self, token: str, *, now: int = NOW, certificate: bytes | None = None) -> Proof:
        shown = Shown((("authorization", f"Bearer {token}"),), certificate=certificate)
        assert self.way.is_shown(shown)
        return await self.way.prove(shown, Directory(1, (), (self.credential,)), now=now)

    async def refused(self, token: str, *, now: int = NOW, certificate: bytes | None = None) -> CallerError:
        with pytest.raises(CallerError) as caught:
            await self.prove(token, now=now, certificate=certificate)
        assert token[:20] not in caught.value.text
        return caught.value


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def opened() -> AsyncIterator[tuple[Issuer, Tokens]]:
    async with issuing() as issuer, Dialler(AddressPolicy(loopback=True), timeout_ms=60_000) as dialler:
        issuer.has(*SIGNERS.values())
        yield issuer, Tokens(KeySets(dialler))


@pytest.fixture
def scene(opened: tuple[Issuer, Tokens]) -> Scene:
    return Scene(*opened)


@pytest.mark.parametrize("algorithm", SIGNERS)
async def test_a_token_of_each_algorithm_is_taken(scene: Scene, algorithm: str) -> None:
    assert (await scene.prove(scene.token(SIGNERS[algorithm]))).credential is scene.credential


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_tokens_of_another_library_are_taken(scene: Scene, algorithm: str) -> None:
    signer = SIGNERS[algorithm]
    token = jwt.encode(scene.claims(), signer.key, algorithm, headers={"kid": signer.kid})
    assert (await scene.prove(token)).credential is scene.credential


async def test_it_is_told_when_a_token_ends(scene: Scene) -> None:
    token = scene.token(exp=NOW // 1_000 + 60)
    assert await scene.prove(token) == Proof(scene.credential, ends_at=(NOW // 1_000 + 60) * 1_000)


@pytest.mark.parametrize("audience", ["gw", ["gw"], ["other", "gw"]])
async def test_the_audience_may_be_one_of_several(scene: Scene, audience: object) -> None:
    assert (await scene.prove(scene.token(aud=audience))).credential is scene.credential


@pytest.mark.parametrize("audience", ["other", ["other"], [], "", "GW", ["gw "], "gw,other"])
async def test_a_token_for_others_is_refused(scene: Scene, audience: object) -> None:
    error = await scene.refused(scene.token(aud=audience))
    assert (error.code, "audience" in error.text) == ("credential_invalid", True)


WRONG = "its signature is wrong"


async def test_what_is_not_signed_by_the_issuer_and_what_is_unknown_are_told_alike(scene: Scene) -> None:
    good = scene.token()
    changed = good.replace(
        good.split(".")[1], b64(json.dumps(scene.claims(sub="acme-prod", exp=SECONDS + 400)).encode())
    )
    texts = {
        (await scene.refused(token)).text
        for token in (
            changed,
            good[: good.rindex(".") + 1],
            replace(ec_signer("x"), kid="e").token(scene.claims()),
            ec_signer("unknown").token(scene.claims()),
            scene.token(sub="other"),
            scene.token(sub="ACME-PROD"),
            scene.token(iss=scene.issuer.url + "/"),
            scene.token(iss="https://unknown.example"),
            scene.token(SIGNERS["RS256"], iss="https://unknown.example"),
        )
    }
    assert len(texts) == 1
    assert WRONG in texts.pop()


async def test_an_unknown_issuer_is_never_asked(scene: Scene) -> None:
    async with issuing() as other:
        other.has(EC)
        await scene.refused(scene.token(iss=other.url))
        assert other.asked == []


def hmac_signed(header: dict[str, object], claims: dict[str, Any], key: bytes) -> str:
    signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{signed}.{b64(hmac.digest(key, signed.encode(), 'sha256'))}"


@pytest.mark.parametrize("algorithm", ["HS256", "none", "None", "RS512", "ES384", "dir", "hs256", "es256"])
async def test_other_algorithms_are_refused_whatever_they_are_signed_with(
    scene: Scene, algorithm: str
) -> None:
    public = SIGNERS["RS256"].key.public_key()
    for key in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(SIGNERS["RS256"].jwk()).encode(),
        b"",
    ):
        token = hmac_signed({"alg": algorithm, "kid": "r"}, scene.claims(), key)
        for text in (token, token[: token.rindex(".") + 1]):
            assert "alg that is not taken" in (await scene.refused(text)).text


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_a_key_verifies_no_algorithm_of_another_type(scene: Scene, algorithm: str) -> None:
    for signer in SIGNERS.values():
        header = {"alg": algorithm, "kid": signer.kid}
        token = signer.compact(json.dumps(header).encode(), json.dumps(scene.claims()).encode())
        is_same = algorithm == signer.algorithm or (algorithm == "EdDSA" and signer.algorithm == "Ed25519")
        if not is_same:
            assert WRONG in (await scene.refused(token)).text


async def test_a_token_that_brings_its_own_key_is_refused(scene: Scene) -> None:
    for name, value in (
        ("jwk", EC.jwk()),
        ("jku", f"{scene.issuer.url}/keys"),
        ("x5u", "x"),
        ("crit", ["exp"]),
    ):
        token = EC.token(scene.claims(), **{name: value})
        assert name in (await scene.refused(token)).text


@pytest.mark.parametrize(
    ("claims", "code", "words"),
    [
        ({"exp": None}, "credential_invalid", "has no exp"),
        ({"exp": SECONDS}, "credential_expired", "has expired"),
        ({"exp": SECONDS - 10_000}, "credential_expired", "has expired"),
        ({"nbf": SECONDS + 31}, "credential_invalid", "not valid yet"),
        ({"iat": SECONDS + 31}, "credential_invalid", "not valid yet"),
        ({"exp": SECONDS + 86_401}, "credential_invalid", "longer than 24 hours"),
        ({"exp": SECONDS + 86_401, "iat": None}, "credential_invalid", "longer than 24 hours"),
        ({"iat": SECONDS - 90_000}, "credential_invalid", "longer than 24 hours"),
        ({"iat": 0, "exp": 2**40}, "credential_invalid", "longer than 24 hours"),
    ],
)
async def test_a_token_out_of_time_is_refused(
    scene: Scene, claims: dict[str, Any], code: str, words: str
) -> None:
    error = await scene.refused(scene.token(**claims))
    assert (error.code, words in error.text) == (code, True)


@pytest.mark.parametrize(
    "claims",
    [
        {"nbf": SECONDS + 30, "iat": SECONDS + 30},
        {"exp": SECONDS + 1},
        {"iat": None},
        {"exp": SECONDS + MAX_LIFE_MS // 1_000},
        {"exp": SECONDS + 0.5},
    ],
)
async def test_a_token_at_the_edge_of_its_time_is_taken(scene: Scene, claims: dict[str, Any]) -> None:
    assert SLACK_MS == 30_000
    assert (await scene.prove(scene.token(**claims))).credential is scene.credential


async def test_an_expired_token_is_told_so_only_with_the_right_signature(scene: Scene) -> None:
    forged = replace(ec_signer("x"), kid="e").token(scene.claims(exp=1))
    assert (await scene.refused(forged)).code == "credential_invalid"


async def test_a_token_that_is_bound_to_a_certificate_needs_that_certificate(scene: Scene) -> None:
    mine, other = make("mine", at=NOW).der, make("other", at=NOW).der
    thumb = base64.urlsafe_b64encode(hashlib.sha256(mine).digest()).rstrip(b"=").decode()
    bound = scene.token(cnf={"x5t#S256": thumb})
    assert (await scene.prove(bound, certificate=mine)).credential is scene.credential
    for certificate in (None, other):
        assert "bound to a client certificate" in (await scene.refused(bound, certificate=certificate)).text
    empty = scene.token(cnf={"x5t#S256": ""})
    assert "bound to a client certificate" in (await scene.refused(empty, certificate=mine)).text


async def test_a_credential_that_ended_is_told_as_such(scene: Scene) -> None:
    assert (await scene.refused(scene.token(), now=NOW + 10)).code == "credential_expired"
    scene.credential = replace(scene.credential, revoked_at=NOW - 1)
    assert (await scene.refused(scene.token())).code == "credential_revoked"


async def test_a_credential_without_an_audience_is_our_mistake(scene: Scene) -> None:
    for secret in (b"", b"[]", b"{}"):
        scene.credential = replace(scene.credential, secret=secret)
        with pytest.raises(BugError):
            await scene.prove(scene.token())


async def test_a_rotated_key_is_fetched_and_an_issuer_that_is_away_is_no_refusal(scene: Scene) -> None:
    async with issuing() as issuer:
        issuer.has(EC)
        own = Scene(issuer, scene.way)
        assert (await own.prove(own.token())).credential is own.credential
        fresh = ec_signer("fresh")
        issuer.has(fresh)
        own.credential = replace(own.credential, not_after=NOW + 10**9)
        later = NOW + 30_000
        assert (await own.prove(own.token(fresh), now=later)).credential is own.credential
        issuer.answers = {}
        with pytest.raises(AwayError):
            await own.prove(own.token(ec_signer("next")), now=later + 30_000)


async def test_a_token_ends_with_the_key_that_signed_it(scene: Scene) -> None:
    async with issuing() as issuer:
        issuer.has(EC)
        own = Scene(issuer, scene.way)
        own.credential = replace(own.credential, not_after=NOW + 10**9)
        token = own.token(exp=SECONDS + 3_600)
        for second in (0, 1, 599):
            assert (await own.prove(token, now=NOW + second * 1_000)).credential is own.credential
        issuer.has(replace(ec_signer("e"), kid=EC.kid))
        assert WRONG in (await own.refused(token, now=NOW + KEEP_MS)).text
        issuer.has(ec_signer("other"))
        assert WRONG in (await own.refused(token, now=NOW + 2 * KEEP_MS)).text


async def test_a_token_that_was_taken_once_is_judged_anew(scene: Scene) -> None:
    token = scene.token(exp=SECONDS + 5)
    assert (await scene.prove(token)).credential is scene.credential
    assert (await scene.refused(token, now=NOW + 5_000)).code == "credential_expired"
    scene.credential = replace(scene.credential, secret=b'{"audience":"changed"}')
    assert "audience" in (await scene.refused(token)).text
    scene.credential = replace(scene.credential, match="elsewhere")
    assert WRONG in (await scene.refused(token)).text


async def test_keys_and_tokens_are_told_apart_by_their_dots(scene: Scene) -> None:
    assert [is_token(f"bearer {text}") for text in ("a.b.c", "a.b.c.d.e", "gw_a_b", "a.b", "")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert not is_token("Basic a.b.c")
    identifier = Identifier((scene.way, ApiKeys(b"p" * 32)))
    directory = Directory(1, (), (scene.credential,))
    for headers in ([scene.token(), "key"], [scene.token(), scene.token()], ["a.b.c.d.e"]):
        shown = Shown(tuple(("authorization", f"Bearer {one}") for one in headers))
        with pytest.raises(CallerError) as caught:
            await identifier.identify(shown, directory, now=NOW)
        assert caught.value.code == "credential_invalid"


async def test_many_at_once_ask_the_issuer_once(scene: Scene) -> None:
    async with issuing() as issuer:
        issuer.has(EC)
        own = Scene(issuer, scene.way)
        async with asyncio.TaskGroup() as tasks:
            proving = [tasks.create_task(own.prove(own.token())) for _ in range(20)]
        assert {one.result().credential.id for one in proving} == {"crd_1"}
        assert len(issuer.asked) == 2
