from typing import Any

from sqlalchemy import event, insert

from gateway.database import Database
from gateway.egress import asking
from gateway.rows import DeliveryRow
from tests.unit.gateway.egress.test_relay_many import fill, waiting


def test_whether_anything_is_asked_is_seen_without_looking_through_all_that_waits(database_url: str) -> None:
    """Also in a table that no planner knows yet."""
    database = Database(database_url)
    with database.begin() as session:
        fill(session, "acme", 2_000)
        asked: list[tuple[str, Any]] = []
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", lambda *seen: asked.append((seen[2], seen[3])))
        assert asking.is_idle(session)
        query, values = asked[0]
        how = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        lines = [str(tuple(row)) for row in connection.exec_driver_sql(f"{how} {query}", values)]
        assert any("ix_gateway_delivery_asked" in one for one in lines), lines
        session.execute(insert(DeliveryRow), [waiting(2_000, asked_at=0)])
        assert not asking.is_idle(session)
    database.close()
