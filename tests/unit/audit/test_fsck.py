"""Whatever is changed behind the log's back is found, and named by its place."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit import expiry, fsck, log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.epochs import Opening, members_of, open_epoch
from audit.evidence import Evidence, Kind
from audit.fsck import Fault
from audit.merkle import hash_leaf
from audit.store import LOWEST_LEVEL, load_nodes
from audit.tree import Head
from tests.unit.audit.builders import AT, LOG, LOG_SIGNER, ORIGIN, OTHER_SIGNER, append, evidence

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
    found += fsck.examine_events(session, states)
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


def erased(session: Session, index: int, *, at: int) -> Evidence:
    """The evidence of an entry goes; what is to say so is returned."""
    leaf = log.entry(session, ORIGIN, index).leaf
    run(session, 'UPDATE audit_entry SET evidence = NULL WHERE "index" = :index', index=index)
    row = "INSERT INTO audit_erasure VALUES (:log, 1, :first, :end, :at, NULL, 'case 17')"
    run(session, row, log=LOG, first=index, end=index + 1, at=at)
    return evidence(
        90, kind=Kind.ERASED, at=at, origin=ORIGIN, index=index, leaf_sha256=hash_leaf(leaf).hex()
    )


def test_what_was_erased_is_examined_by_its_leaf(grown: Session) -> None:
    append(grown, ORIGIN, [erased(grown, 3, at=AT + 100)])
    publish(grown)
    assert faults(grown) == []
    run(grown, "UPDATE audit_entry SET kind = 'event.refused' WHERE \"index\" = 3")
    assert places(grown) == [("column_wrong", 3, 3)]


def test_a_row_that_says_erased_accounts_for_nothing_without_an_entry(grown: Session) -> None:
    run(grown, 'UPDATE audit_entry SET evidence = NULL WHERE "index" = 4')
    assert places(grown) == [("evidence_missing", 4, 4)]
    said = erased(grown, 3, at=AT + 100)
    assert places(grown) == [("evidence_missing", 3, 4)]
    log.submit(grown, said, id=b"1" * 16)
    assert places(grown) == [("evidence_missing", 4, 4)]
    row = "INSERT INTO audit_erasure VALUES (:log, 1, 4, 5, :at, NULL, 'case 17')"
    run(grown, row, log=LOG, at=AT + 100)
    assert places(grown) == [("evidence_missing", 4, 4)], "what was said then is of another entry"


def test_what_is_past_its_time_is_accounted_for_by_the_entry_that_says_so(grown: Session) -> None:
    done = expiry.step(grown, LOG, before=AT + 5, now=AT + 100, limit=50)
    assert done is not None
    assert done.ranges == ((0, 5),)
    assert places(grown) == [("evidence_missing", 0, 4)]
    named = [{"from": 0, "to": 4}]
    append(grown, ORIGIN, [evidence(90, kind=Kind.EXPIRED, at=AT + 100, origin=ORIGIN, ranges=named)])
    publish(grown)
    assert places(grown) == [("evidence_missing", 4, 4)]
    named = [{"from": 4, "to": 5}]
    append(grown, ORIGIN, [evidence(91, kind=Kind.EXPIRED, at=AT + 100, origin=ORIGIN, ranges=named)])
    publish(grown)
    assert faults(grown) == []


def test_what_was_erased_stays_accounted_for_in_another_epoch(grown: Session) -> None:
    """Entries that go into the next epoch have other indexes there than were said."""
    append(grown, ORIGIN, [evidence(number) for number in range(30, 36)])
    singly = erased(grown, 22, at=AT + 100)
    done = expiry.step(grown, LOG, before=AT + 35, now=AT + 200, limit=50)
    assert done is not None
    named = [{"from": first, "to": end} for first, end in done.ranges]
    expired = evidence(91, kind=Kind.EXPIRED, at=AT + 200, origin=ORIGIN, ranges=named)
    append(grown, ORIGIN, [singly, expired])
    assert [one for one in places(grown) if one[0] == "evidence_missing"] == []
    state = log.state(grown, ORIGIN)
    opening = Opening(f"{LOG}/2", Checkpoint(ORIGIN, 40, bytes(32)), "restored")
    first = evidence(92, kind=Kind.EPOCH_OPENED, **members_of(opening))
    assert open_epoch(grown, first, after=state, is_behind=True).count == 8
    assert [one for one in places(grown) if one[0] == "evidence_missing"] == []
    run(grown, "DELETE FROM audit_entry WHERE kind = 'evidence.expired'")
    assert ("evidence_missing", 4, 5) not in places(grown)
    assert [one for one in faults(grown) if one.what == "evidence_missing" and one.origin == f"{LOG}/2"]


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


@pytest.mark.parametrize(
    "spoiled", [lambda one: one[:-3], lambda one: one + b"!", lambda one: b"\1" + one[2:]]
)
def test_pressed_evidence_that_does_not_expand_is_named(
    grown: Session, spoiled: Callable[[bytes], bytes]
) -> None:
    (pressed,) = grown.execute(text('SELECT evidence FROM audit_entry WHERE "index" = 5')).scalars()
    assert pressed.startswith(b"\1")
    run(grown, 'UPDATE audit_entry SET evidence = :raw WHERE "index" = 5', raw=spoiled(pressed))
    assert places(grown) == [("evidence_unreadable", 5, 5)]


def test_evidence_as_it_was_stored_before_has_no_fault(grown: Session) -> None:
    for index, one in enumerate(some_evidence()):
        run(grown, 'UPDATE audit_entry SET evidence = :raw WHERE "index" = :index', raw=one.raw, index=index)
    assert faults(grown) == []


def test_an_entry_that_was_forged_whole_is_found_by_the_tree(grown: Session) -> None:
    forged = evidence(77)
    run(
        grown,
        'UPDATE audit_entry SET leaf = :leaf, evidence = :raw WHERE "index" = 5',
        leaf=forged.leaf(),
        raw=forged.raw,
    )
    found = faults(grown)
    assert [(one.first, one.detail) for one in found if one.what == "node_wrong"] == [
        (0, "level 3"),
        (0, "level 4"),
    ]


def test_an_entry_behind_the_last_node_that_was_forged_whole_is_found_by_the_head(grown: Session) -> None:
    forged = evidence(20, kind=Kind.HOLD_SET, basis="another")
    run(
        grown,
        'UPDATE audit_entry SET leaf = :leaf, evidence = :raw WHERE "index" = 20',
        leaf=forged.leaf(),
        raw=forged.raw,
    )
    assert places(grown) == [("head_wrong", None, None), ("checkpoint_wrong", None, None)]


def test_which_halves_of_neighbours_were_changed_is_told(grown: Session) -> None:
    run(grown, FROM_6.replace("HALF", "leaf"))
    run(grown, FROM_6.replace("HALF", "evidence").replace('"index" = 5', '"index" = 2'))
    found = [one for one in places(grown) if one[0] != "column_wrong"]
    assert found == [("evidence_altered", 2, 2), ("leaf_altered", 5, 5)]
    run(grown, 'UPDATE audit_node SET hash = :other WHERE level = 3 AND "index" = 0', other=b"x" * 32)
    assert [one[:2] for one in places(grown) if one[0].startswith("leaf")] == [
        ("leaf_wrong", 2),
        ("leaf_wrong", 5),
    ]


def test_missing_entries_are_one_fault_for_each_run(grown: Session) -> None:
    run(grown, 'DELETE FROM audit_entry WHERE "index" IN (2, 3, 4, 9, 20)')
    found = [one for one in places(grown) if one[0] != "first_wrong"]
    assert found == [
        ("entry_missing", 2, 4),
        ("entry_missing", 9, 9),
        ("entry_missing", 20, 20),
        ("checkpoint_wrong", None, None),
    ]


def store_all_nodes(session: Session) -> None:
    """As logs of before have them."""
    leaves = [log.entry(session, ORIGIN, index).leaf for index in range(SIZE)]
    row = "INSERT INTO audit_node VALUES (:log, 1, :level, :index, :hash)"
    for node in Head(ORIGIN).append(leaves)[1]:
        if node.level < LOWEST_LEVEL:
            run(session, row, log=LOG, level=node.level, index=node.index, hash=node.hash)


@pytest.mark.parametrize(("level", "index"), [(0, 0), (0, 20), (1, 3), (2, 4)])
def test_nodes_of_before_are_compared_and_not_missed(grown: Session, level: int, index: int) -> None:
    store_all_nodes(grown)
    assert faults(grown) == []
    spoil(grown, level, index)
    assert [(one.what, one.first, one.detail) for one in faults(grown)] == [
        ("node_wrong", index, f"level {level}")
    ]
    run(grown, 'DELETE FROM audit_node WHERE level = :level AND "index" = :index', level=level, index=index)
    assert faults(grown) == []
    run(grown, 'DELETE FROM audit_entry WHERE "index" IN (2, 3, 9)')
    found = [one for one in places(grown) if one[0] != "first_wrong"]
    assert found == [("entry_missing", 2, 3), ("entry_missing", 9, 9)]


@pytest.mark.parametrize(("level", "index"), [(3, 0), (3, 1), (4, 0)])
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
    assert [one for one in places(grown) if "beyond" in one[0]] == [("entry_beyond", 20, 20)]
    assert ("checkpoint_ahead", 20, 20) in places(grown)
    eight = load_nodes(grown, ORIGIN, [(3, 0)])[3, 0]
    run(grown, "UPDATE audit_head SET size = 8, edge = :edge", edge=eight)
    assert [one for one in places(grown) if "beyond" in one[0]] == [
        ("entry_beyond", 8, 20),
        ("node_beyond", 1, 1),
        ("node_beyond", 0, 0),
    ]


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
    for level, index in ((3, 1), (4, 0)):
        spoil(session, level, index)
    found = list(fsck.examine_log(session, state, level=2))
    assert sorted((one.what, one.first, one.detail) for one in found if one.what == "node_wrong") == [
        ("node_wrong", 0, "level 4"),
        ("node_wrong", 1, "level 3"),
    ]


def test_an_event_whose_entries_lie_in_several_ranges_is_judged_as_one_in_one(session: Session) -> None:
    log.open_log(session, ORIGIN)
    numbers = (0, 1, 2, 3, 1, 5, 6, 1, 0, 9, 2, 2)
    append(session, ORIGIN, [evidence(number, at=AT + place) for place, number in enumerate(numbers)])
    run(session, 'UPDATE audit_entry SET is_first = false WHERE "index" IN (3, 0)')
    run(session, 'UPDATE audit_entry SET is_first = true WHERE "index" IN (7, 11)')
    state = log.state(session, ORIGIN)
    found = [
        [*fsck.examine_log(session, state, level=level), *fsck.examine_events(session, [state])]
        for level in (1, 2, 3, 4)
    ]
    assert found == [found[0]] * 4
    assert sorted(((one.what, one.first) for one in found[0]), key=lambda one: (one[1], one[0])) == [
        ("first_wrong", 0),
        ("first_wrong", 3),
        ("event_twice", 4),
        ("event_twice", 7),
        ("first_wrong", 7),
        ("event_twice", 8),
        ("first_wrong", 8),
        ("event_twice", 10),
        ("event_twice", 11),
        ("first_wrong", 11),
    ]


@pytest.mark.parametrize("others", [0, 400])
def test_events_of_few_entries_among_many_of_others_are_judged_as_all_are(
    session: Session, others: int
) -> None:
    """The same events in another log are others, and what is no part of the log yet is not judged."""
    more, origin = f"{LOG}-more", f"{LOG}-more/1"
    for one in (ORIGIN, origin):
        log.open_log(session, one)
    if others:
        append(session, origin, [evidence(number, log=more) for number in range(others)])
    append(session, ORIGIN, [evidence(number, at=AT + place) for place, number in enumerate((0, 1, 2, 1, 3))])
    run(session, "UPDATE audit_entry SET is_first = true WHERE log = :log", log=LOG)
    state = log.state(session, ORIGIN)
    append(session, ORIGIN, [evidence(2, at=AT + 9)])
    found = list(fsck.examine_events(session, [state]))
    assert [(one.what, one.origin, one.first) for one in found] == [
        ("event_twice", ORIGIN, 3),
        ("first_wrong", ORIGIN, 3),
    ]
    assert not others or list(fsck.examine_events(session, [log.state(session, origin)])) == []


def test_a_look_at_an_event_makes_no_other_entry_of_it_stand_for_it(session: Session) -> None:
    log.open_log(session, ORIGIN)
    append(session, ORIGIN, [evidence(1, kind=kind) for kind in (Kind.CONTENT_READ, Kind.ATTEMPTED)])
    assert faults(session) == []
    run(session, 'UPDATE audit_entry SET is_first = false WHERE "index" = 1')
    assert places(session) == [("first_wrong", 1, 1)]
    run(session, 'DELETE FROM audit_entry WHERE "index" = 0')
    assert ("first_wrong", 1, 1) in places(session)


def test_entries_of_before_it_was_kept_who_asked_for_a_change_have_no_fault(session: Session) -> None:
    by = {"role": "partner", "credential": "crd_a"}
    log.open_log(session, ORIGIN)
    append(session, ORIGIN, [evidence(1, kind=Kind.CONTRACT_CHANGED, by=by)])
    assert session.execute(text("SELECT credential FROM audit_entry")).scalar_one() == "by crd_a"
    assert faults(session) == []
    run(session, "UPDATE audit_entry SET credential = NULL")
    assert faults(session) == []
    run(session, "UPDATE audit_entry SET credential = 'crd_a'")
    assert [one.what for one in faults(session)] == ["column_wrong"]
