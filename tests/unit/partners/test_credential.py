"""Validity of credentials."""

from dataclasses import replace

import pytest

from partners.credential import Credential, verify_in_force
from partners.errors import CredentialError, CredentialExpiredError, CredentialRevokedError

KEY = Credential(
    id="crd_1",
    partner="acme",
    role="partner",
    method="api_key",
    match="abc",
    secret=b"very secret",
    scopes=frozenset({"send"}),
    not_before=100,
    not_after=200,
    revoked_at=None,
    name="",
)


@pytest.mark.parametrize("now", [100, 199])
def test_a_credential_is_in_force_from_its_first_to_its_last_millisecond(now: int) -> None:
    assert verify_in_force(KEY, now=now) is KEY


@pytest.mark.parametrize(
    ("now", "revoked_at", "code"),
    [
        (99, None, "credential_invalid"),
        (200, None, "credential_expired"),
        (150, 120, "credential_revoked"),
        (300, 120, "credential_revoked"),
    ],
)
def test_one_that_is_not_in_force_says_why(now: int, revoked_at: int | None, code: str) -> None:
    with pytest.raises(CredentialError) as caught:
        verify_in_force(replace(KEY, revoked_at=revoked_at), now=now)
    assert caught.value.code == code


def test_expired_and_revoked_are_credential_errors() -> None:
    assert issubclass(CredentialExpiredError, CredentialError)
    assert issubclass(CredentialRevokedError, CredentialError)


def test_one_that_is_valid_only_later_counts_as_active() -> None:
    assert KEY.is_active(50)
    assert not KEY.is_active(200)
    assert not replace(KEY, revoked_at=1).is_active(150)


def test_a_repr_shows_no_secret() -> None:
    assert "very secret" not in repr(KEY)
