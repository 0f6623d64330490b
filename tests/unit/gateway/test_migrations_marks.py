"""What the logs hold gets its marks when they come: it is found as what is entered afterwards."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text
from sqlmodel import Session

from audit.evidence import Kind
from audit.search import HistoryFilter, find
from gateway.database import Database
from gateway.migrations import history

BEFORE = "0015"
LOG = "gw.example/log/k3v9q2"
DIGEST = hashlib.sha256(b"content").digest()


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    opened = Database(empty_database_url)
    yield opened
    opened.close()


def add(session: Session, index: int, kind: Kind, *, first: bool = False, **more: Any) -> None:
    """An entry as the program of the revision before writes one; `ref` is that of event 1."""
    values = {
        "log": LOG,
        "epoch": 1,
        "index": index,
        "leaf": b"l",
        "evidence": b"{}",
        "kind": kind.value,
        "at": 100 + index,
        "ref": bytes(32),
        "event_id": "A-1",
        "direction": "inbound",
        "endpoint": None,
        "code": None,
        "is_first": first,
        **more,
    }
    insert(session, "audit_entry", values)


def insert(session: Session, table: str, values: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    given = ", ".join(f":{name}" for name in values)
    session.execute(text(f"INSERT INTO {table} ({names}) VALUES ({given})"), values)  # noqa: S608 - names of ours


def claim(session: Session) -> None:
    texts = ("partner", "direction", "source", "event_id", "event_type", "receipt", "framing", "topic")
    more = ("topic_id", "attributes", "content_type", "content_encoding", "state", "owner")
    values: dict[str, Any] = dict.fromkeys((*texts, *more), "x")
    numbers = dict.fromkeys(("schema_id", "partition", "at", "lease_until", "leaf_index"), 0)
    hashes = {"ref": bytes(32), "event_sha256": bytes(32), "content_sha256": DIGEST}
    insert(session, "gateway_claim", {**values, **numbers, **hashes, "log": LOG})


def test_what_was_entered_before_is_found_by_state_endpoint_and_digest(database: Database) -> None:
    with database.begin() as session:
        command.upgrade(history._config(session.connection()), BEFORE)
        add(session, 0, Kind.ACCEPTED, first=True)
        for index, outcome in enumerate(("retry", "retry", "delivered"), 1):
            add(session, index, Kind.ATTEMPTED, endpoint="ep_1", code=outcome, direction="outbound")
        add(session, 4, Kind.CONTENT_READ, direction=None)
        add(session, 5, Kind.CONTENT_READ, first=True, direction=None, ref=None, event_id=None)
        add(session, 6, Kind.CONTRACT_CHANGED, direction=None, ref=None, event_id=None)
        claim(session)
    with database.begin() as session:
        assert history.upgrade(session) == BEFORE
    with database.begin() as session:
        for wanted, count in (
            (HistoryFilter(), 2),
            (HistoryFilter(state="accepted"), 1),
            (HistoryFilter(state="retry"), 1),
            (HistoryFilter(state="delivered"), 1),
            (HistoryFilter(state="held"), 0),
            (HistoryFilter(state="read"), 2),
            (HistoryFilter(endpoint="ep_1"), 1),
            (HistoryFilter(digest=DIGEST), 1),
            (HistoryFilter(kinds=frozenset({Kind.CONTRACT_CHANGED})), 1),
            (HistoryFilter(kinds=frozenset({Kind.ATTEMPTED})), 3),
        ):
            assert len(find(session, LOG, wanted).rows) == count, wanted
