"""Who may call what, by every kind of credential that there is, in every standing; beside `test_tenancy`.

Full, that is with each owner of what the path names: every kind, valid, on every route. Full but for the
owners, where the caller's own stands beside one of the other three, which goes round with kind and route:
every kind that is expired, revoked, or beside another partner's, and every kind whose scopes are not the
route's, on every route. Every kind of another partner, on the routes whose path names a thing, asks for ours
and for nobody's. Every role, and none shown at all, are in `test_tenancy`, by API keys: after the proof
nothing asks how it was proved. So are the registry's routes in `test_tenancy_registry`; here they see what
is revoked.

Answers are compared byte for byte, and by the SQL statements that they took, since those tell in time. It is
some 3,000 requests, without a client between.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any, TypeVar, cast

import pytest
import pytest_asyncio
from sqlalchemy import event

from gateway.auth.proxy import Proxies
from gateway.bootstrap.ground import clock
from gateway.database import Database
from gateway.http.app import make_app
from gateway.http.gates import GATES
from gateway.http.guard import Gate
from tests.builders import CONTRACTS, open_house
from tests.tenancy.callers import KINDS, LATER_MS, NAMES, Callers, Sent, all_callers
from tests.tenancy.test_tenancy import (
    GUARDED,
    OWNERS,
    expected,
    furnish,
    media_of,
    name_of,
    names_a_thing,
    path_for,
    said,
)
from tests.tenancy.test_tenancy_registry import REGISTRY
from tests.tenancy.test_tenancy_registry import path_for as registry_path

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARTNERS = ("acme", "globex", "dated", "bolt", "cedar")
TERMS = "authentication: {accept: [api_key, mtls, jwt, message_signature, hmac]}\n"
T = TypeVar("T")


class Counted:
    """A database that tells the statements of those who ask it, and not those of everybody else."""

    def __init__(self, database: Database, told: list[str]) -> None:
        self._database = database
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def read(self, work: Callable[[Any], T]) -> T:
        def tell(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            self._told.append(statement)

        def look(session: Any) -> T:
            connection = session.connection()
            event.listen(connection, "before_cursor_execute", tell)
            try:
                return work(session)
            finally:
                event.remove(connection, "before_cursor_execute", tell)

        return await self._database.read(look)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Callers]:
    async with open_house(tmp_path_factory.mktemp("kinds"), partners=PARTNERS) as house:
        for slug in PARTNERS:
            await house.world.apply(CONTRACTS.replace("{slug}", slug) + TERMS, slug=slug)
        await furnish(house, TERMS)
        # What the registry's paths name: nobody comes so far as to look for it.
        house.keys.update({f"{part} {slug}": "1" for part in ("id", "guid") for slug in PARTNERS})
        statements: list[str] = []
        database = cast("Database", Counted(house.doors.database, statements))
        proxies = Proxies((ip_network("10.0.0.0/8"),), "rfc9440")
        house.doors = replace(house.doors, database=database, proxies=proxies)
        later = replace(house.doors, clock=lambda: clock() + LATER_MS)
        async with all_callers(house, make_app(house.doors, GATES), make_app(later, GATES)) as made:
            made.statements = statements
            yield made


def sent_to(callers: Callers, gate: Gate, owner: str) -> Sent:
    return Sent(
        gate.method,
        path_for(callers.house, gate, owner),
        "dry_run=true" if "dry_run" in gate.offered else "",
        BODY if gate.method in {"PATCH", "POST", "PUT"} else b"",
        {name.lower(): text for name, text in media_of(gate).items()},
    )


BODY = b'{"order_id": "tenancy", "qty": 1}'


def is_event(gate: Gate) -> bool:
    """Whether a webhook's signature counts there."""
    return gate.is_event


def kinds_of(gate: Gate) -> Sequence[str]:
    return [kind for kind in NAMES if kind != "webhook" or is_event(gate)]


def names_its_own(gate: Gate) -> bool:
    """Whether the path names what only one partner has: types and schemas may be those of several."""
    parts = ("{p}", "{ref}", "{name}", "{id}")
    return "schemas" not in gate.path and any(part in gate.path for part in parts)


def has_scope_of_partners(gate: Gate) -> bool:
    """Whether a partner comes in far enough to be asked for a scope."""
    return gate.scope is not None and gate.side in {"own", "log"}


def beside(number: int) -> tuple[str, str]:
    """The caller's own, and one of the others."""
    return OWNERS[0], OWNERS[1 + number % 3]


@pytest.mark.parametrize("gate", GUARDED, ids=name_of)
async def test_each_kind_gets_its_own_and_nothing_else(callers: Callers, gate: Gate) -> None:
    for kind in kinds_of(gate):
        answers = {}
        for owner in OWNERS:
            answer = await callers.ask(sent_to(callers, gate, owner), (kind, "valid"))
            assert answer.status_code in expected(gate, owner, "acme"), (kind, owner, answer.text)
            answers[owner] = (said(answer), tuple(callers.statements))
        if names_a_thing(gate) or gate.side in {"named", "new"}:
            assert answers["other"] == answers["unknown"], kind


@pytest.mark.parametrize("gate", GUARDED, ids=name_of)
async def test_no_kind_comes_in_that_is_not_in_force_or_not_alone(callers: Callers, gate: Gate) -> None:
    for number, kind in enumerate(kinds_of(gate)):
        # Beside a token or a key no other fits into its header, beside those a certificate does.
        second = "certificate" if kind in {"bearer", "basic", "token"} else "bearer"
        for turn, (shown, code) in enumerate(
            (
                ([(kind, "expired")], "credential_expired"),
                ([(kind, "revoked")], "credential_revoked"),
                ([(kind, "valid"), (second, "other")], "credential_invalid"),
            )
        ):
            is_later = shown[0][1] == "expired"
            answers = [
                await callers.ask(sent_to(callers, gate, owner), *shown, is_later=is_later)
                for owner in beside(number + turn + GUARDED.index(gate))
            ]
            # How a webhook's credential stands is told once its body was read, and under a name nothing is.
            is_hidden = kind == "webhook" and gate.side == "named" and len(shown) == 1
            wanted = (404, "not_found") if is_hidden else (401, code)
            assert (answers[0].status_code, answers[0].json()["code"]) == wanted, (kind, shown)
            assert said(answers[0]) == said(answers[1]), (kind, shown)
            assert callers.statements == []


@pytest.mark.parametrize(
    "gate", [one for one in GUARDED if one.scope and one.side in {"own", "log"}], ids=name_of
)
async def test_no_kind_does_more_than_its_scopes_allow(callers: Callers, gate: Gate) -> None:
    for number, kind in enumerate(kind for kind in NAMES if kind != "webhook"):
        for wrong in {"audit", "send"} - {gate.scope}:
            owners = beside(number + GUARDED.index(gate))
            answers = [await callers.ask(sent_to(callers, gate, owner), (kind, wrong)) for owner in owners]
            assert (answers[0].status_code, answers[0].json()["code"]) == (403, "scope_missing"), kind
            assert said(answers[0]) == said(answers[1]), kind


@pytest.mark.parametrize(
    "gate", [one for one in GUARDED if "{p}" in one.path or names_its_own(one)], ids=name_of
)
async def test_another_partners_credential_finds_nothing_of_ours(callers: Callers, gate: Gate) -> None:
    for kind in kinds_of(gate):
        found = []
        for owner in ("own", "unknown"):
            answer = await callers.ask(sent_to(callers, gate, owner), (kind, "other"))
            found.append((said(answer), tuple(callers.statements)))
            assert answer.status_code in {403, 404}, kind
        assert found[0] == found[1], kind


@pytest.mark.parametrize("gate", REGISTRY, ids=name_of)
async def test_the_registry_takes_no_kind_that_is_not_in_force_or_not_alone(
    callers: Callers, gate: Gate
) -> None:
    body = b"{}" if gate.method in {"POST", "PUT"} else b""
    for kind in NAMES:
        second = "certificate" if kind in {"bearer", "basic", "token"} else "bearer"
        for shown in ([(kind, "revoked")], [(kind, "valid"), (second, "other")]):
            answers = [
                await callers.ask(
                    Sent(gate.method, registry_path(callers.house, gate, owner), "", body), *shown
                )
                for owner in ("own", "other")
            ]
            # A webhook's signature is none here: the key beside it is another partner's own, and alone.
            if kind != "webhook" or len(shown) == 1:
                assert answers[0].status_code == 401, (kind, answers[0].text)
                assert said(answers[0]) == said(answers[1]), kind


async def test_a_kind_that_is_not_one_there_is_none_at_all(callers: Callers) -> None:
    for gate in GUARDED:
        if not is_event(gate):
            answer = await callers.ask(sent_to(callers, gate, "own"), ("webhook", "valid"))
            assert (answer.status_code, answer.json()["code"]) == (401, "credential_missing")


async def test_a_way_that_the_contract_does_not_take_is_refused_to_who_is_proved(callers: Callers) -> None:
    await callers.house.world.apply(CONTRACTS.replace("{slug}", "bolt"), slug="bolt")
    for kind in KINDS:
        path = "/v1/events/{type}" if kind == "webhook" else "/v1/history"
        gate = next(one for one in GUARDED if one.path == path)
        answer = await callers.ask(sent_to(callers, gate, "own"), (kind, "audit"))
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid"), kind
        assert "takes api_key" in answer.json()["detail"]
    await callers.house.world.apply(CONTRACTS.replace("{slug}", "bolt") + TERMS, slug="bolt")
