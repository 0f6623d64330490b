"""Legal holds: what is under one, and what is free."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from audit import holds
from audit.holds import Hold, Scope, Word
from audit.rows import EntryRow
from tests.unit.audit.builders import LOG

OTHER = "gw.example/log/b8z"
REF, FREE = b"r" * 32, b"f" * 32


def put(session: Session, name: str, scope: Scope, *, log: str = LOG, at: int = 1) -> Hold:
    hold = Hold(name, log, "acme", scope, Word("case 1", "operator", "crd_1", at))
    holds.set_hold(session, hold)
    return hold


def test_a_hold_is_on_refs_or_on_a_time_and_never_on_nothing() -> None:
    for refs, since, until in (((REF,), 1, None), ((), 5, 5), ((), 6, 5)):
        with pytest.raises(ValueError, match="hold"):
            Scope(refs, since, until)
    with pytest.raises(ValueError, match="200"):
        Scope(tuple(bytes([number]) * 32 for number in range(201)))


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        (Scope(), [True, True, True, True]),
        (Scope((REF,)), [True, True, False, False]),
        (Scope(since=10), [False, True, True, True]),
        (Scope(until=10), [True, False, False, False]),
        (Scope(since=10, until=20), [False, True, True, False]),
    ],
)
def test_what_a_hold_is_on(session: Session, scope: Scope, held: list[bool]) -> None:
    put(session, "hld_1", scope)
    moments = [(REF, 9), (REF, 10), (FREE, 19), (None, 20)]
    assert [one is not None for one in holds.covering(session, LOG, moments)] == held
    assert [scope.covers(one) for one in moments] == held
    assert holds.covering(session, OTHER, moments) == [None] * 4


def test_a_lifted_hold_holds_nothing_and_the_next_one_still_does(session: Session) -> None:
    first, second = put(session, "hld_1", Scope((REF,))), put(session, "hld_2", Scope(since=5), at=2)
    assert holds.covering(session, LOG, [(REF, 9)]) == ["hld_1"]
    lifted = holds.lift(session, first, Word("over", "operator", None, 7))
    assert holds.covering(session, LOG, [(REF, 9), (REF, 4)]) == ["hld_2", None]
    again = holds.lift(session, lifted, Word("over again", "operator", None, 8))
    assert again == lifted == holds.find(session, "hld_1", LOG)
    assert holds.find(session, "hld_1", OTHER) is None
    assert holds.count_in_force(session, LOG) == 1
    assert holds.page(session, LOG, after=None, limit=5) == [second, lifted]
    assert holds.page(session, LOG, after=(2, "hld_2"), limit=5) == [lifted]


@pytest.mark.parametrize(
    ("scopes", "free"),
    [
        ([], [(0, 100)]),
        ([Scope((REF,))], [(0, 100)]),
        ([Scope()], []),
        ([Scope(since=10, until=20)], [(0, 10), (20, 100)]),
        ([Scope(since=10, until=20), Scope(since=15, until=30)], [(0, 10), (30, 100)]),
        ([Scope(since=10, until=90), Scope(since=15, until=30)], [(0, 10), (90, 100)]),
        ([Scope(until=40), Scope(since=90)], [(40, 90)]),
        ([Scope(since=200)], [(0, 100)]),
        ([Scope(until=100)], []),
    ],
)
def test_what_is_free_of_holds_on_times(scopes: list[Scope], free: list[tuple[int, int]]) -> None:
    word = Word("case", "operator", None, 1)
    given = [Hold(str(number), LOG, "acme", one, word) for number, one in enumerate(scopes)]
    assert holds.free_spans(given, 100) == free


def test_a_row_made_of_an_event_is_held_with_it_whenever_it_was_made_since(session: Session) -> None:
    row = EntryRow
    session.add(
        EntryRow(
            log=LOG, epoch=1, index=0, leaf=b"l", kind="k", at=50, ref=REF, partner="acme", is_first=True
        )
    )
    session.flush()
    query = select(row).where(holds.is_held(col(row.partner), col(row.ref), col(row.at)))  # type: ignore[arg-type]  # a column that may be null elsewhere
    assert session.exec(query).first() is None
    other = put(session, "hld_0", Scope(since=60))
    assert session.exec(query).first() is None
    holds.lift(session, other, Word("", "operator", None, 2))
    held = put(session, "hld_1", Scope(since=10, until=20))
    assert session.exec(query).first() is not None
    holds.lift(session, held, Word("", "operator", None, 2))
    assert session.exec(query).first() is None
    put(session, "hld_2", Scope((REF,)))
    assert session.exec(query).first() is not None


def test_what_is_held_is_asked_by_keys(session: Session, plan: Callable[[str], list[str]]) -> None:
    put(session, "hld_1", Scope((REF,)))
    holds.covering(session, LOG, [(REF, 1)])
    for fragment in ("audit_hold.set_at, audit_hold.id", "audit_hold_ref.ref"):
        steps = plan(fragment)
        assert [one for one in steps if one.startswith("SCAN") or "Seq Scan" in one] == []


def test_no_hold_is_set_while_evidence_of_its_log_is_taken_away(engine: Engine, session: Session) -> None:
    put(session, "hld_0", Scope())
    session.commit()
    holds.guard(session, [LOG, OTHER])
    if engine.dialect.name == "sqlite":
        return  # one writer at a time, whatever it writes
    with Session(engine) as other:
        other.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            put(other, "hld_1", Scope())
    session.commit()
    with Session(engine) as other:
        put(other, "hld_1", Scope())
