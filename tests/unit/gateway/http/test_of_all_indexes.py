"""Lists of all partners' things are read along an index: nothing is sorted to be shown."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from sqlalchemy import Engine, insert, text
from sqlmodel import Session, SQLModel

from audit import holds
from audit.bulk import insert_rows
from audit.rows import HoldRow
from gateway.egress import replay_store, undelivered
from gateway.egress.rows import ReplayRow
from gateway.egress.undelivered import Wanted
from gateway.erasing import store as erasures
from gateway.erasing.rows import ErasureRow
from gateway.exports import store as exports
from gateway.exports.rows import ExportRow
from gateway.imports import store as imports
from gateway.imports.rows import ImportRow
from gateway.rows import DeliveryRow
from partners import pages
from partners.endpoint import ALL, house_of
from partners.pages import CredentialsWanted, EndpointsWanted
from partners.rows import CredentialRow, EndpointRow
from tests.reading import plans_of, work_of

MANY: Final = 1_000
PAGE: Final = 20
AFTER: Final = (MANY // 2, "m")
BOTH: Final = ("inbound", "outbound")

Ask = Callable[[Session], Any]


def rows_of(row: type[SQLModel], start: int, end: int) -> list[dict[str, Any]]:
    """Rows of two partners, and of the house with one, each a moment later than the one before."""
    table: Any = row.__table__  # type: ignore[attr-defined]  # SQLModel does not type its own table
    empty = {"VARCHAR": "", "TEXT": "", "BIGINT": 0, "INTEGER": 0, "BOOLEAN": False, "BLOB": b""}
    made = []
    for number in range(start, end):
        one = {
            each.name: empty[str(each.type).partition("(")[0]] for each in table.columns if not each.nullable
        }
        owner = ("acme", "globex", house_of("acme"))[number % 3]
        if row is not EndpointRow and row is not DeliveryRow and row is not ReplayRow:
            owner = owner.removeprefix("house/")
        one |= {"partner": owner, "created_at": number, "set_at": number}
        one |= {"id": f"x{number:08}", "shown_as": f"x{number}", "name": f"x{number}"}
        one |= {"endpoint": f"ep_{number}", "ref": number.to_bytes(32, "big"), "state": "parked"}
        one |= {"direction": "inbound", "idempotency_key": None, "not_after": number, "types": "[]"}
        one |= {
            "sealed_keys": "[]",
            "headers": "[]",
            "skips": "[]",
            "delays": "[]",
            "place": "null",
            "stretches": "[]",
            "role": "partner",
        }
        made.append({name: value for name, value in one.items() if name in table.columns})
    return made


def put(session: Session, row: type[SQLModel], start: int, end: int) -> None:
    """Insert rows, and let the planner know."""
    made = rows_of(row, start, end)
    if row in {CredentialRow, EndpointRow}:
        # Their columns have lengths, which arrays are not packed for.
        session.execute(insert(row), made)
    else:
        insert_rows(session, row, made)
    session.execute(text("ANALYZE"))


def wanted(owner: str) -> Wanted:
    return Wanted(owner, {}, ())


LISTS: Final[dict[str, tuple[type[SQLModel], Ask, str]]] = {
    "replays": (
        ReplayRow,
        lambda session: replay_store.page(session, ALL, after=AFTER, limit=PAGE),
        "ix_gateway_replay_newest",
    ),
    "house replays": (
        ReplayRow,
        lambda session: replay_store.page(session, house_of(ALL), after=AFTER, limit=PAGE),
        "ix_gateway_replay_house",
    ),
    "exports": (
        ExportRow,
        lambda session: exports.page(session, ALL, after=AFTER, limit=PAGE),
        "ix_gateway_export_newest",
    ),
    "imports": (
        ImportRow,
        lambda session: imports.page(session, ALL, ("inbound", "outbound"), after=AFTER, limit=PAGE),
        "ix_gateway_import_newest",
    ),
    "erasures": (
        ErasureRow,
        lambda session: erasures.page(session, ALL, after=AFTER, limit=PAGE),
        "ix_gateway_erasure_newest",
    ),
    "holds": (
        HoldRow,
        lambda session: holds.page(session, None, after=AFTER, limit=PAGE),
        "audit_hold_newest",
    ),
    "deliveries": (
        DeliveryRow,
        lambda session: undelivered.find_singles(
            session, wanted(ALL), after=(MANY // 2, "ep", b""), limit=PAGE
        ),
        "ix_gateway_delivery_newest",
    ),
    "house deliveries": (
        DeliveryRow,
        lambda session: undelivered.find_singles(
            session, wanted(house_of(ALL)), after=(MANY // 2, "ep", b""), limit=PAGE
        ),
        "ix_gateway_delivery_house",
    ),
    "endpoints": (
        EndpointRow,
        lambda session: pages.endpoints(session, EndpointsWanted(ALL), after="x00000100", limit=PAGE),
        "partners_endpoint",
    ),
    "credentials": (
        CredentialRow,
        lambda session: pages.credentials(
            session, CredentialsWanted(ALL, 0, expires_before=MANY), after="x00000100", limit=PAGE
        ),
        "partners_credential",
    ),
}


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as opened:
        if engine.dialect.name == "postgresql":
            # Otherwise chosen for tables as small as these.
            opened.execute(text("SET LOCAL enable_seqscan = off"))
            opened.execute(text("SET LOCAL enable_sort = off"))
        yield opened


@pytest.mark.parametrize("name", LISTS)
def test_a_page_is_read_along_an_index_and_costs_the_same_however_much_there_is(
    session: Session, name: str
) -> None:
    row, ask, index = LISTS[name]
    put(session, row, 0, MANY)
    plan = plans_of(session, ask)[0]
    assert index in plan
    assert "FOR ORDER BY" not in plan
    assert "'Sort'" not in plan
    assert "Seq Scan" not in plan
    assert len(ask(session)) == PAGE
    before = work_of(session, ask)
    put(session, row, MANY, 3 * MANY)
    assert work_of(session, ask) <= before * 1.5 + 100
