"""What is kept of a new credential of each kind."""

import base64
import hashlib
import json
from collections.abc import Callable

import pytest

from partners.credential import Credential, secret_place
from partners.credential_material import (
    Material,
    OauthClient,
    WebhookKey,
    WebhookSecret,
    read_authorities,
    read_certificate,
    read_public_key,
)
from partners.issuing import CredentialChange, WantedCredential
from partners.minting import Fresh, Means, Minted, method_of, mint
from tests.certificates import certified, public_pem

LEAF = certified()
ROOT = certified("root", is_authority=True, usages=())
SPKI = read_public_key(public_pem(LEAF.key))
ID = "crd_1"


@pytest.fixture
def minted(entropy: Callable[[int], bytes]) -> Callable[[Material | Fresh], Minted]:
    means = Means(b"p" * 32, entropy, lambda secret, place: f"{place}|".encode() + secret)
    return lambda wanted: mint(wanted, ID, means)


def test_what_is_public_is_kept_as_it_is(minted: Callable[[Material | Fresh], Minted]) -> None:
    authorities = read_authorities(ROOT.pem, "spiffe://acme/gw")
    kept: list[tuple[Material, str, str, bytes]] = [
        (read_certificate(LEAF.pem), "mtls", f"sha256:{LEAF.sha256}", LEAF.der),
        (authorities, "mtls", "uri:spiffe://acme/gw", ROOT.pem.encode()),
        (SPKI, "message_signature", ID, SPKI.spki),
        (OauthClient("https://id", "s", "a"), "jwt", "https://id\ns", json.dumps({"audience": "a"}).encode()),
        (WebhookKey(b"k" * 32), "hmac", ID, b"\x02" + b"k" * 32),
    ]
    for wanted, method, match, secret in kept:
        made = minted(wanted)
        assert method_of(wanted) == method
        assert (made.match, made.secret.replace(b" ", b"")) == (match, secret.replace(b" ", b""))
        assert made.text is None


def test_webhook_secrets_are_sealed_for_their_credential(
    minted: Callable[[Material | Fresh], Minted],
) -> None:
    place = f"{secret_place(ID)}|".encode()
    given, fresh = minted(WebhookSecret(b"s" * 24)), minted("webhook_secret")
    assert given == Minted(ID, b"\x01" + place + b"s" * 24)
    assert fresh.text is not None
    assert fresh.secret == b"\x01" + place + base64.b64decode(fresh.text.removeprefix("whsec_"))
    assert fresh.text not in repr(fresh)


def test_of_an_api_key_its_digest_is_kept(minted: Callable[[Material | Fresh], Minted]) -> None:
    made = minted("api_key")
    assert made.text is not None
    assert made.match == made.text.split("_")[1]
    assert len(made.secret) == hashlib.sha256().digest_size


def test_no_repr_shows_a_secret_or_what_it_is_checked_by(
    minted: Callable[[Material | Fresh], Minted],
) -> None:
    given = WebhookSecret(b"this-is-a-secret-of-a-sender")
    made = [minted(one) for one in (given, "webhook_secret", "api_key")]
    wanted = WantedCredential("acme", "partner", material=given)
    kept = Credential(
        ID, "acme", "partner", "hmac", ID, made[0].secret, frozenset({"send"}), 0, 1, None, "", "why"
    )
    change = CredentialChange("created", kept, made[1].text)
    means = Means(b"this-is-the-pepper", bytes, lambda secret, _: secret)
    shown = repr((given, made, wanted, kept, change, means))
    texts = [one.text or "" for one in made[1:]]
    assert all(text and text not in shown and text.split("_")[-1] not in shown for text in texts)
    assert "this-is" not in shown
