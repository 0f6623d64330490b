"""Whatever is changed behind the log's back is found, and named by its place."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit import fsck, log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.evidence import Evidence, Kind
from audit.fsck import Fault
from tests.unit.audit.builders import LOG, LOG_SIGNER, ORIGIN, OTHER_SIGNER, append, evidence

KEYS = [LOG_SIGNER.public_key]
SIZE = 21


def publish(session: Session, origin: str = ORIGIN) -> None:
    head = log.state(session, origin).head
    note = sign_checkpoint(Checkpoint(origin, head.size, head.root()), LOG_SIGNER)
    log.publish_all(session, {origin: note})


def some_evidence() -> list[Evidence]:
    """Of every sort that a row is made of in its own way."""
    kinds = [Kind.ACCEPTED] * 12
    kinds += [Kind.REFUSED, Kind.ATTEMPTED, Kind.PARKED, Kind.FORWARDED, Kind.CONTENT_READ]
    kinds += [Kind.CONTRACT_CHANGED, Kind.CREDENTIAL_CHANGED, Kind.UNREADABLE, Kind.HOLD_SET]
    assert len(kinds) == SIZE
    return [evidence(number, kind=kind) for number, kind in enumerate(kinds)]


@pytest.fixture
def grown(session: Session) -> Session:
    """A log of 21 entries, published at 21."""
    log.open_log(session, ORIGIN)
    batch = some_evidence()
    append(session, ORIGIN, batch[:8])
    append(session, ORIGIN, batch[8:])
    publish(session)
    return session


def faults(session: Session, keys: Sequence[bytes] = KEYS) -> list[Fault]:
    found: list[Fault] = []
    states = log.heads(session)
    for state in states:
        found += fsck.examine_log(session, state)
        found += fsck.examine_checkpoint(session, state, keys)
    return [*found, *fsck.examine_pending(session, LOG), *fsck.strays(session, states)]


def places(session: Session) -> list[tuple[str, int | None, int | None]]:
    return [(one.what, one.first, one.last) for one in faults(session)]


def run(session: Session, statement: str, **values: Any) -> None:
    session.execute(text(statement), values)


def spoil(session: Session, level: int, index: int) -> None:
    statement = 'UPDATE audit_node SET hash = :hash WHERE level = :level AND "index" = :index'
    run(session, statement, level=level, index=index, hash=b"x" * 32)


def test_a_log_as_it_was_written_has_no_fault(grown: Session) -> None:
    assert faults(grown) == []


def test_every_kind_is_read_as_the_reference_reads_it(session: Session) -> None:
    log.open_log(session, ORIGIN)
    append(session, ORIGIN, [evidence(number, kind=kind) for number, kind in enumerate(Kind)])
    assert faults(session) == []


def test_what_was_erased_is_examined_by_its_leaf(grown: Session) -> None:
    run(grown, 'UPDATE audit_entry SET evidence = NULL WHERE "index" = 3')
    assert places(grown) == [("evidence_missing", 3, 3)]
    run(grown, "INSERT INTO audit_erasure VALUES (:log, 1, 3, 4, 1, NULL, 'case 17')", log=LOG)
    assert faults(grown) == []
    run(grown, "UPDATE audit_entry SET kind = 'event.refused' WHERE \"index\" = 3")
    assert places(grown) == [("column_wrong", 3, 3)]


COLUMNS = {
    "kind": "event.refused",
    "at": 1,
    "ref": b"r" * 32,
    "partner": "other",
    "direction": "outbound",
    "source": "urn:other",
    "event_id": "B-1",
    "event_type": "other",
    "endpoint": "ep_1",
    "code": "word",
    "credential": "crd_other",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_is_not_as_in_the_evidence_is_named(grown: Session, column: str) -> None:
    statement = 'UPDATE audit_entry SET "COLUMN" = :value WHERE "index" = 5'
    run(grown, statement.replace("COLUMN", column), value=COLUMNS[column])
    found = [one for one in faults(grown) if one.what == "column_wrong"]
    assert [(one.first, one.detail) for one in found] == [(5, f"not as in the evidence: {column}")]


FROM_6 = (
    'UPDATE audit_entry SET HALF = (SELECT o.HALF FROM audit_entry o WHERE o."index" = 6) WHERE "index" = 5'
)


@pytest.mark.parametrize("half", ["evidence", "leaf"])
def test_which_half_of_an_entry_was_changed_is_told(grown: Session, half: str) -> None:
    run(grown, FROM_6.replace("HALF", half))
    assert (f"{half}_altered", 5, 5) in places(grown)
    assert not [one for one in faults(grown) if one.what.startswith("node")]


def test_evidence_that_cannot_be_read_is_named(grown: Session) -> None:
    run(grown, 'UPDATE audit_entry SET evidence = :raw WHERE "index" = 5', raw=b"{}")
    assert places(grown) == [("evidence_unreadable", 5, 5)]


def test_an_entry_that_was_forged_whole_is_found_by_the_tree(grown: Session) -> None:
    forged = evidence(77)
    run(
        grown,
        'UPDATE audit_entry SET leaf = :leaf, evidence = :raw WHERE "index" = 5',
        leaf=forged.leaf(),
        raw=forged.raw,
    )
    found = faults(grown)
    assert ("node_wrong", 5, "level 0") in [(one.what, one.first, one.detail) for one in found]
    assert [one.detail for one in found if one.what == "node_wrong"] == [f"level {n}" for n in range(5)]


def test_missing_entries_are_one_fault_for_each_run(grown: Session) -> None:
    run(grown, 'DELETE FROM audit_entry WHERE "index" IN (2, 3, 4, 9, 20)')
    found = [one for one in places(grown) if one[0] != "first_wrong"]
    assert found == [("entry_missing", 2, 4), ("entry_missing", 9, 9), ("entry_missing", 20, 20)]


@pytest.mark.parametrize(("level", "index"), [(0, 0), (0, 20), (1, 3), (2, 4), (4, 0)])
def test_a_changed_or_missing_node_is_named(grown: Session, level: int, index: int) -> None:
    spoil(grown, level, index)
    found = [(one.what, one.first, one.detail) for one in faults(grown) if one.what.startswith("node")]
    assert found == [("node_wrong", index, f"level {level}")]
    run(grown, 'DELETE FROM audit_node WHERE level = :level AND "index" = :index', level=level, index=index)
    found = [(one.what, one.first, one.detail) for one in faults(grown) if one.what.startswith("node")]
    assert found == [("node_missing", index, f"level {level}")]


def test_what_lies_beyond_the_head_is_named(grown: Session) -> None:
    old = log.state(grown, ORIGIN)
    run(grown, "UPDATE audit_head SET size = 20, edge = :edge", edge=b"".join(old.head.edge[:2]))
    assert [one for one in places(grown) if "beyond" in one[0]] == [
        ("entry_beyond", 20, 20),
        ("node_beyond", 20, 20),
    ]
    assert ("checkpoint_ahead", 20, 20) in places(grown)


def test_a_heads_edge_is_that_of_its_nodes(grown: Session) -> None:
    edge = log.state(grown, ORIGIN).head.edge
    run(grown, "UPDATE audit_head SET edge = :edge", edge=b"".join(edge[::-1]))
    assert places(grown) == [("head_wrong", None, None)]


def test_a_log_without_its_head_is_named(grown: Session) -> None:
    run(grown, "DELETE FROM audit_head")
    assert [(one.what, one.origin, one.detail) for one in faults(grown)] == [
        ("head_missing", ORIGIN, "there are entries of it"),
        ("head_missing", ORIGIN, "there are nodes of it"),
    ]


def test_a_checkpoint_must_be_of_the_log_signed_and_true(grown: Session) -> None:
    head = log.state(grown, ORIGIN).head
    for size, root, signer, expected in (
        (SIZE, bytes(32), LOG_SIGNER, "checkpoint_wrong"),
        (SIZE, head.root(), OTHER_SIGNER, "checkpoint_unsigned"),
        (7, head.root(), LOG_SIGNER, "checkpoint_foreign"),
    ):
        note = sign_checkpoint(Checkpoint(ORIGIN, size, root), signer).decode()
        run(grown, "UPDATE audit_head SET checkpoint = :note", note=note)
        assert places(grown) == [(expected, None, None)]
    run(grown, "UPDATE audit_head SET checkpoint = 'nonsense'")
    assert places(grown) == [("checkpoint_malformed", None, None)]
    run(grown, "UPDATE audit_head SET checkpoint = NULL")
    assert places(grown) == [("checkpoint_missing", None, None)]


def test_an_event_that_is_there_twice_or_not_in_the_list_is_named(grown: Session) -> None:
    append(grown, ORIGIN, [evidence(4)])
    assert places(grown) == [("event_twice", SIZE, SIZE)]
    run(grown, 'UPDATE audit_entry SET is_first = false WHERE "index" = 2')
    run(grown, 'UPDATE audit_entry SET is_first = true WHERE "index" = :last', last=SIZE)
    assert places(grown) == [("first_wrong", 2, 2), ("event_twice", SIZE, SIZE), ("first_wrong", SIZE, SIZE)]


def test_evidence_that_waits_and_cannot_be_read_is_named(grown: Session) -> None:
    run(grown, "INSERT INTO audit_pending (id, log, at, raw) VALUES (:id, :log, 1, :id)", id=b"1", log=LOG)
    assert [(one.what, one.origin) for one in faults(grown)] == [("pending_unreadable", LOG)]


def test_ranges_meet(session: Session) -> None:
    """A log of several ranges: what is above them is derived and compared as all else."""
    log.open_log(session, ORIGIN)
    append(session, ORIGIN, [evidence(number) for number in range(23)])
    state, told = log.state(session, ORIGIN), list[int]()
    assert list(fsck.examine_log(session, state, told.append, level=2)) == []
    assert told == [4, 4, 4, 4, 4, 3]
    for level, index in ((2, 3), (3, 1), (4, 0)):
        spoil(session, level, index)
    found = list(fsck.examine_log(session, state, level=2))
    assert sorted((one.what, one.first, one.detail) for one in found if one.what == "node_wrong") == [
        ("node_wrong", 0, "level 4"),
        ("node_wrong", 1, "level 3"),
        ("node_wrong", 3, "level 2"),
    ]
