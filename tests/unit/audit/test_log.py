"""The log in SQL: append, compare-and-set, proofs and tiles of what was published."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from sqlalchemy import Engine, delete, text
from sqlmodel import Session, col, select

from audit import log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.entry import Draft
from audit.errors import EvidenceRuleError, InconsistentError, MalformedError, NotInLogError, StaleHeadError
from audit.evidence import Evidence, Kind
from audit.merkle import EMPTY_ROOT, hash_leaf, verify_consistency, verify_inclusion
from audit.note import VerifierKey
from audit.papers import Keys
from audit.pressing import expand
from audit.receipt import issue
from audit.rows import EntryRow, NodeRow
from audit.tile import Tile, decode_bundle
from audit.tree import Head
from audit.whole import verify_files
from tests.unit.audit.builders import (
    LOG,
    LOG_SIGNER,
    ORIGIN,
    RECEIPT_SIGNER,
    append,
    append_all,
    drafts,
    evidence,
)

KEYS = Keys({RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key}, (VerifierKey(ORIGIN, LOG_SIGNER.public_key),))


def signed(head: Head) -> bytes:
    return sign_checkpoint(Checkpoint(head.origin, head.size, head.root()), LOG_SIGNER)


def grow(session: Session, widths: Sequence[int], *, origin: str = ORIGIN) -> tuple[Head, list[Evidence]]:
    """A log with batches of these sizes, committed one by one, the last head published."""
    head, everything = log.open_log(session, origin), list[Evidence]()
    for width in widths:
        batch = [evidence(len(everything) + number) for number in range(width)]
        head = append(session, origin, batch)
        everything += batch
        session.commit()
    log.publish_all(session, {origin: signed(head)})
    session.commit()
    return head, everything


def test_new_log_is_empty_and_opening_it_again_changes_nothing(session: Session) -> None:
    assert log.open_log(session, ORIGIN) == Head(ORIGIN)
    head = append(session, ORIGIN, [evidence(1)])
    assert log.open_log(session, ORIGIN) == head
    assert log.state(session, ORIGIN).checkpoint is None


def test_words_that_the_index_cannot_hold_are_in_the_log_all_the_same(session: Session) -> None:
    log.open_log(session, ORIGIN)
    record = evidence(1, kind=Kind.REFUSED, code="un\x00paid")
    append(session, ORIGIN, [record])
    session.commit()
    (row,) = session.exec(select(EntryRow))
    assert (expand(row.evidence or b""), row.code) == (record.raw, None)


def test_log_in_sql_is_the_tree_in_memory(session: Session) -> None:
    head, everything = grow(session, [1, 255, 0, 300, 7])
    expected, nodes = Head(ORIGIN).append(each.leaf() for each in everything)
    assert head == expected
    assert log.state(session, ORIGIN).head == expected
    hashes = {(node.level, node.index): node.hash for node in nodes}
    for tile in (Tile(0, 0), Tile(0, 1), Tile(0, 2, 51), Tile(0, 2, 1), Tile(1, 0, 2)):
        assert tile.level is not None
        raw = log.tile(session, ORIGIN, tile.level, tile.index, tile.width)
        assert raw == b"".join(hashes[tile.tree_level, tile.first + n] for n in range(tile.width))
    assert decode_bundle(log.entries(session, ORIGIN, 2, 51)) == tuple(
        each.leaf() for each in everything[512:563]
    )


def test_every_entry_is_proved_at_every_size(session: Session) -> None:
    head, everything = grow(session, [3, 4, 2])
    for size in range(1, head.size + 1):
        root = Head(ORIGIN).append(each.leaf() for each in everything[:size])[0].root()
        for index in range(size):
            proof = log.prove(session, ORIGIN, index, size)
            verify_inclusion(hash_leaf(everything[index].leaf()), index, size, proof, root)
        growth = log.consistency(session, ORIGIN, size, head.size)
        verify_consistency(size, root, head.size, head.root(), growth)
    assert log.consistency(session, ORIGIN, 0, head.size) == ()


def test_papers_from_the_log_are_proved_offline(session: Session) -> None:
    _head, everything = grow(session, [20])
    receipt = issue(everything[13], RECEIPT_SIGNER).token.encode()
    proof = log.proof_text(session, ORIGIN, 13)
    verdict = verify_files([receipt, proof], KEYS)
    assert f"the receipt is entry 13 of the 20 in {ORIGIN}" in verdict.proved


def test_growth_from_the_log_is_proved_offline(session: Session) -> None:
    head, everything = grow(session, [20])
    append(session, ORIGIN, [evidence(100 + number) for number in range(5)])
    log.publish_all(session, {ORIGIN: signed(log.state(session, ORIGIN).head)})
    text = log.consistency_text(session, ORIGIN, 20)
    verdict = verify_files([signed(head), text], KEYS)
    assert f"{ORIGIN} only grew from 20 to 25 entries" in verdict.proved
    assert len(everything) == 20


def test_a_batch_costs_few_statements(session: Session, statements: list[str]) -> None:
    log.open_log(session, ORIGIN)
    statements.clear()
    append(session, ORIGIN, [evidence(number) for number in range(400)])
    assert len(statements) == 6  # head, compare-and-set, nodes, known references, entries, marks


def test_proof_takes_one_query_for_its_nodes(session: Session, statements: list[str]) -> None:
    grow(session, [1000])
    statements.clear()
    log.prove(session, ORIGIN, 700, 999)
    assert len(statements) == 2  # head, nodes


def test_nodes_are_found_by_their_key(session: Session, plan: Callable[[str], list[str]]) -> None:
    """The planner must not walk the whole log for a proof."""
    grow(session, [3_000])
    session.connection().exec_driver_sql("ANALYZE audit_node")
    session.connection().exec_driver_sql("ANALYZE audit_entry")
    log.prove(session, ORIGIN, 77, 3_000)
    lines = plan("audit_node")
    conditions = [line for line in lines if any(word in line for word in ("SEARCH n", "SEARCH e", "Cond:"))]
    nodes, leaves = conditions
    assert all(name in nodes for name in ("log", "epoch", "level", "index")), nodes
    assert all(name in leaves for name in ("log", "epoch", "index")), leaves
    assert not any("SCAN n" in line or "SCAN e" in line or "Seq Scan" in line for line in lines)


class Racing(list[Draft]):
    """A batch during whose appending somebody else appends and commits."""

    def __init__(self, engine: Engine, batch: Sequence[Evidence]) -> None:
        super().__init__(drafts(batch))
        self._engine = engine
        self.won = Head(ORIGIN)

    def __iter__(self) -> Iterator[Draft]:
        if self.won.size == 0:
            with Session(self._engine) as other:
                self.won = append(other, ORIGIN, [evidence(1)])
                other.commit()
        return super().__iter__()


def test_loser_of_a_race_writes_nothing(engine: Engine, session: Session) -> None:
    """Two sequencers that both believe to own the log: the second finds the head moved."""
    log.open_log(session, ORIGIN)
    session.commit()
    batch = Racing(engine, [evidence(2), evidence(3)])
    with pytest.raises(StaleHeadError, match="no longer has 0"):
        log.append_all(session, {ORIGIN: batch})
    session.commit()
    assert log.state(session, ORIGIN).head == batch.won
    assert log.entry(session, ORIGIN, 0).raw == evidence(1).raw
    with pytest.raises(NotInLogError):
        log.entry(session, ORIGIN, 1)


def test_many_logs_grow_in_one_write_each_by_its_own(session: Session) -> None:
    names = {f"gw.example/log/l{number}": number for number in range(40)}
    origins = {f"{name}/1": count for name, count in names.items()}
    log.open_logs(session, origins)
    for turn in range(2):
        batches = {
            f"{name}/1": [evidence(1_000 * turn + 10 * count + each, log=name) for each in range(count % 4)]
            for name, count in names.items()
        }
        heads = append_all(session, batches)
        assert {origin: heads[origin].size for origin in origins} == {
            origin: (turn + 1) * (count % 4) for origin, count in origins.items()
        }
    assert log.open_logs(session, origins) == heads
    for name, count in names.items():
        alone, _ = Head(f"{name}/1").append(
            evidence(1_000 * turn + 10 * count + each, log=name).leaf()
            for turn in range(2)
            for each in range(count % 4)
        )
        assert heads[f"{name}/1"] == alone
    notes = {origin: signed(head) for origin, head in heads.items() if head.size}
    shown = log.publish_all(session, notes)
    assert {origin: one.root for origin, one in shown.items()} == {
        origin: heads[origin].root() for origin in notes
    }
    states = log.states(session, origins)
    assert {one: text.encode() for one, state in states.items() if (text := state.checkpoint)} == notes
    assert log.entry(session, "gw.example/log/l3/1", 5).raw == evidence(1_032, log="gw.example/log/l3").raw


def test_one_log_that_moved_fails_the_write_of_all(engine: Engine, session: Session) -> None:
    other = "gw.example/log/other/1"
    log.open_logs(session, [ORIGIN, other])
    session.commit()
    batch = Racing(engine, [evidence(2)])
    with pytest.raises(StaleHeadError, match=f"{ORIGIN} no longer has 0 entries$"):
        log.append_all(session, {other: drafts([evidence(3, log="gw.example/log/other")]), ORIGIN: batch})
    session.rollback()
    assert log.state(session, other).head.size == 0
    assert log.state(session, ORIGIN).head == batch.won


def test_an_event_that_two_logs_know_is_listed_once_in_each(session: Session) -> None:
    """Their refs are alike: the second log's first entry of it stands for it there."""
    other = "gw.example/log/other"
    log.open_logs(session, [ORIGIN, f"{other}/1"])
    one, same = evidence(1), evidence(1, log=other)
    assert one.ref == same.ref
    append_all(session, {ORIGIN: [one, evidence(1, kind=Kind.ATTEMPTED)], f"{other}/1": [same]})
    rows = session.exec(select(EntryRow).order_by(col(EntryRow.log), col(EntryRow.index))).all()
    firsts = [(row.log, row.index, row.is_first) for row in rows]
    assert firsts == sorted([(LOG, 0, True), (LOG, 1, False), (other, 0, True)])


@pytest.mark.parametrize("wrong", ["another root", "unknown"])
def test_one_checkpoint_that_is_wrong_fails_the_publication_of_all(session: Session, wrong: str) -> None:
    head, _ = grow(session, [3])
    other = f"{LOG}/2"
    log.open_log(session, other)
    second = append(session, other, [evidence(9)])
    session.commit()
    notes = {ORIGIN: signed(head), other: signed(second)}
    if wrong == "unknown":
        notes[f"{LOG}/3"] = signed(Head(f"{LOG}/3"))
    else:
        notes[other] = sign_checkpoint(Checkpoint(other, 1, bytes(32)), LOG_SIGNER)
    with pytest.raises((InconsistentError, NotInLogError)):
        log.publish_all(session, notes)
    session.rollback()
    assert log.state(session, other).checkpoint is None


def test_evidence_of_another_log_is_refused(session: Session) -> None:
    log.open_log(session, ORIGIN)
    for name in ("gw.example/log/other", "gw.example/log", f"{LOG}/1"):
        with pytest.raises(EvidenceRuleError, match="does not belong"):
            append(session, ORIGIN, [evidence(1, log=name)])
    assert log.state(session, ORIGIN).head.size == 0


def test_log_that_was_not_opened_takes_nothing(session: Session) -> None:
    with pytest.raises(NotInLogError, match="no log"):
        append(session, ORIGIN, [evidence(1)])


def test_rolled_back_batch_leaves_no_trace(session: Session) -> None:
    head, _ = grow(session, [3])
    append(session, ORIGIN, [evidence(10)])
    session.rollback()
    assert log.state(session, ORIGIN).head == head
    with pytest.raises(NotInLogError):
        log.entry(session, ORIGIN, 3)


def test_pending_evidence_waits_in_order_and_goes_when_settled(session: Session) -> None:
    late, early = evidence(5), evidence(2, kind=Kind.ATTEMPTED)
    other = evidence(1, log="gw.example/log/other")
    log.submit(session, late, id=b"a" * 16)
    log.submit_all(session, [log.Pending(b"b" * 16, early), log.Pending(b"c" * 16, other)])
    assert log.pending_logs(session) == (LOG, "gw.example/log/other")
    assert [each.evidence for each in log.pending(session, LOG, 10)] == [early, late]
    assert [each.id for each in log.pending(session, LOG, 1)] == [b"b" * 16]
    log.settle(session, [b"a" * 16, b"b" * 16])
    assert log.pending(session, LOG, 10) == ()
    assert log.pending_logs(session) == ("gw.example/log/other",)
    with pytest.raises(StaleHeadError, match="1 pieces of evidence were appended by somebody else"):
        log.settle(session, [b"a" * 16, b"c" * 16])


def test_entry_keeps_evidence_and_search_columns(session: Session) -> None:
    attempted = evidence(1, kind=Kind.ATTEMPTED)
    log.open_log(session, ORIGIN)
    append(session, ORIGIN, [attempted])
    found = log.entry(session, ORIGIN, 0)
    assert found.evidence() == attempted
    assert found.leaf == attempted.leaf()
    assert (found.origin, found.index, found.kind, found.ref) == (ORIGIN, 0, Kind.ATTEMPTED, attempted.ref)
    assert (found.direction, found.endpoint, found.code) == ("outbound", "ep_1", "retry")
    assert (found.partner, found.source, found.event_id) == ("acme", "/house", "A-1")


def test_epochs_are_logs_of_their_own(session: Session) -> None:
    grow(session, [3])
    second = f"{LOG}/2"
    log.open_log(session, second)
    append(session, second, [evidence(9)])
    assert [(each.head.origin, each.head.size) for each in log.heads(session)] == [(ORIGIN, 3), (second, 1)]
    assert log.entry(session, second, 0).raw == evidence(9).raw
    assert log.entry(session, ORIGIN, 0).raw == evidence(0).raw


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3), (0, 4), (0, -1)])
def test_no_proof_of_what_is_not_in_the_log(session: Session, index: int, size: int) -> None:
    grow(session, [3])
    with pytest.raises(NotInLogError):
        log.prove(session, ORIGIN, index, size)


@pytest.mark.parametrize(("old", "new"), [(4, 3), (-1, 3), (1, 4)])
def test_no_growth_between_sizes_that_never_were(session: Session, old: int, new: int) -> None:
    grow(session, [3])
    with pytest.raises(NotInLogError):
        log.consistency(session, ORIGIN, old, new)


def test_only_published_entries_are_served(session: Session) -> None:
    grow(session, [3])
    append(session, ORIGIN, [evidence(3)])
    assert len(log.tile(session, ORIGIN, 0, 0, 3)) == 96
    for width in (4, 256):
        with pytest.raises(NotInLogError, match="3 published"):
            log.tile(session, ORIGIN, 0, 0, width)
        with pytest.raises(NotInLogError, match="3 published"):
            log.entries(session, ORIGIN, 0, width)
    with pytest.raises(NotInLogError, match="yet"):
        log.proof_text(session, ORIGIN, 3)
    with pytest.raises(NotInLogError):
        log.consistency_text(session, ORIGIN, 4)
    with pytest.raises(MalformedError):
        log.tile(session, ORIGIN, 0, 0, 0)


def test_published_checkpoint_is_served_as_it_was(session: Session) -> None:
    head, _ = grow(session, [3])
    state = log.state(session, ORIGIN)
    assert state.checkpoint == signed(head).decode()
    assert state.checkpoint_size == 3
    log.publish_all(session, {ORIGIN: signed(head)})
    assert log.state(session, ORIGIN) == state


@pytest.mark.parametrize(
    ("checkpoint", "error"),
    [
        (Checkpoint(ORIGIN, 3, bytes(32)), InconsistentError),
        (Checkpoint(ORIGIN, 0, EMPTY_ROOT), StaleHeadError),
        (Checkpoint(ORIGIN, 4, bytes(32)), NotInLogError),
        (Checkpoint(f"{LOG}/2", 3, bytes(32)), InconsistentError),
    ],
    ids=["another root", "older than published", "more than there is", "another log"],
)
def test_checkpoint_that_the_log_cannot_stand_by_is_not_published(
    session: Session, checkpoint: Checkpoint, error: type[Exception]
) -> None:
    grow(session, [3])
    before = log.state(session, ORIGIN)
    with pytest.raises(error):
        log.publish_all(session, {ORIGIN: sign_checkpoint(checkpoint, LOG_SIGNER)})
    assert log.state(session, ORIGIN) == before


def test_restored_backup_and_wiped_database_are_found(session: Session) -> None:
    """What the world was shown is the measure: a database behind it must not append."""
    head, everything = grow(session, [3])
    shown = Checkpoint(ORIGIN, 3, head.root())
    log.check_published(session, shown)
    ahead = Head(ORIGIN).append([*(each.leaf() for each in everything), b"lost"])[0]
    with pytest.raises(NotInLogError, match="4 entries were published, the database has 3"):
        log.check_published(session, Checkpoint(ORIGIN, 4, ahead.root()))
    with pytest.raises(NotInLogError, match="no log"):
        log.check_published(session, Checkpoint(f"{LOG}/7", 1, bytes(32)))
    with pytest.raises(InconsistentError, match="another root"):
        log.check_published(session, Checkpoint(ORIGIN, 2, head.root()))


def test_damaged_node_table_is_noticed(session: Session) -> None:
    head, _ = grow(session, [300])
    session.execute(delete(NodeRow).where(text('level = 3 AND "index" = 30')))
    with pytest.raises(NotInLogError, match="level and index"):
        log.prove(session, ORIGIN, 254, head.size)
    session.execute(text('DELETE FROM audit_entry WHERE "index" = 255'))
    with pytest.raises(NotInLogError, match=r"level and index \(0, 255\)"):
        log.prove(session, ORIGIN, 254, 256)
    with pytest.raises(NotInLogError, match="missing"):
        log.tile(session, ORIGIN, 0, 0, 256)


def test_damaged_entry_table_is_noticed(session: Session) -> None:
    grow(session, [5])
    session.execute(text('DELETE FROM audit_entry WHERE "index" = 2'))
    with pytest.raises(NotInLogError, match="missing"):
        log.entries(session, ORIGIN, 0, 5)


def test_entries_that_no_log_can_have_are_not_there(session: Session) -> None:
    grow(session, [3])
    for index in (3, 2**31, 2**63, 2**64):
        with pytest.raises(NotInLogError):
            log.entry(session, ORIGIN, index)
