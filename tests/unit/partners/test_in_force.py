"""Which credentials are in force and how many ended lately, told at the same cost however many ended."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert, text
from sqlmodel import Session

from partners.credential import Credential
from partners.credential_index import TOLD_MS
from partners.errors import LimitReachedError
from partners.in_force import active_credentials, count_ended
from partners.issuing import MAX_ENDED, CredentialChange, WantedCredential, create_credential
from partners.minting import Means
from partners.pages import CredentialsWanted, credentials
from partners.rows import CredentialRow
from partners.stored_credential import columns_of
from tests.reading import plans_of, work_of
from tests.unit.partners.conftest import Apply
from tests.unit.partners.test_credential import KEY

NOW = 10 * TOLD_MS
WANTED = WantedCredential("acme", "partner")


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as opened:
        if engine.dialect.name == "postgresql":
            # Otherwise chosen for tables as small as these.
            opened.execute(text("SET LOCAL enable_seqscan = off"))
            opened.execute(text("SET LOCAL enable_sort = off"))
        yield opened


def one(number: int, **changed: object) -> Credential:
    made = replace(KEY, id=f"crd_{number:08}", match=f"m{number}", not_after=NOW + 9, name="")
    return replace(made, **changed)  # type: ignore[arg-type]  # members of a credential


def put(session: Session, *made: Credential) -> None:
    session.execute(
        insert(CredentialRow), [columns_of(each, now=1) | {"revoked_at": each.revoked_at} for each in made]
    )
    session.execute(text("ANALYZE"))


def create(session: Session, *, is_own: bool) -> CredentialChange:
    means = Means(b"p" * 32, lambda size: b"e" * size, lambda secret, _: secret)
    return create_credential(session, WANTED, means=means, now=NOW, is_own=is_own)


def test_credentials_in_force_and_those_that_ended_lately_are_told_apart(session: Session) -> None:
    put(
        session,
        one(1),
        one(2, revoked_at=NOW - 5),
        one(3, not_after=NOW),
        one(4, partner="globex"),
        one(5, partner=None),
        one(6, not_after=NOW - 7),
        one(7, method="mtls", not_after=NOW - 1),
        one(8, revoked_at=NOW - 8, not_after=NOW - 2),
    )
    assert [each.id[-1] for each in active_credentials(session, owner="acme", now=NOW)] == ["1"]
    assert [each.id[-1] for each in active_credentials(session, owner=None, now=NOW)] == ["5"]
    since = (NOW - 9, NOW - 7, NOW - 6, NOW)
    assert [count_ended(session, "acme", since=at, now=NOW) for at in since] == [4, 3, 2, 1]


def test_a_partner_makes_no_credentials_without_end_and_operators_help_it(
    session: Session, apply: Apply
) -> None:
    apply()
    put(session, *(one(number, revoked_at=NOW - TOLD_MS + 1) for number in range(MAX_ENDED - 1)))
    put(session, one(MAX_ENDED, revoked_at=NOW - TOLD_MS - 1))
    assert create(session, is_own=True).action == "created"
    session.rollback()
    apply()
    put(session, *(one(number, revoked_at=NOW - TOLD_MS + 1) for number in range(MAX_ENDED)))
    with pytest.raises(LimitReachedError, match="1000 credentials that ended within the last 90 days"):
        create(session, is_own=True)
    assert create(session, is_own=False).action == "created"


@pytest.mark.parametrize("owner", ["acme", None])
def test_what_has_ended_costs_nobody_anything(session: Session, owner: str | None) -> None:
    def page(session: Session) -> object:
        return credentials(session, CredentialsWanted(owner, NOW), after="crd_00000100", limit=5)

    def active(session: Session) -> object:
        return active_credentials(session, owner=owner, now=NOW)

    put(session, *(one(number, partner=owner, revoked_at=5) for number in range(1_000)))
    put(session, *(one(number, partner="globex") for number in range(10_000, 14_000)))
    put(session, one(6_000, partner=owner))
    costs = [work_of(session, page), work_of(session, active)]
    put(session, *(one(number, partner=owner, revoked_at=5) for number in range(1_000, 4_000)))
    assert len(credentials(session, CredentialsWanted(owner, NOW), after="", limit=5)) == 5
    for ask, before in zip((page, active), costs, strict=True):
        (plan,) = plans_of(session, ask)
        assert "partners_credential_" + ("page" if ask is page else "ended") in plan
        assert "FOR ORDER BY" not in plan
        assert "'Sort'" not in plan
        assert work_of(session, ask) <= before * 1.5 + 100
