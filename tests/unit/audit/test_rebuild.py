"""Nodes and heads come out of the entries again, or not at all."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit import fsck, log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import InconsistentError, NotInLogError
from audit.rebuild import rebuild
from audit.tree import root_at
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, append, evidence

SIZE = 21


@pytest.fixture
def grown(session: Session) -> Session:
    log.open_log(session, ORIGIN)
    append(session, ORIGIN, [evidence(number) for number in range(SIZE)])
    return session


def run(session: Session, statement: str, **values: Any) -> None:
    session.execute(text(statement), values)


def shown(session: Session) -> Checkpoint:
    head = log.state(session, ORIGIN).head
    return Checkpoint(ORIGIN, head.size, head.root())


def is_clean(session: Session) -> bool:
    return list(fsck.examine_log(session, log.state(session, ORIGIN))) == []


def test_a_log_that_is_whole_is_left_alone(grown: Session) -> None:
    done = rebuild(grown, log.state(grown, ORIGIN), [shown(grown)])
    assert (done.entries, done.written, done.removed, done.is_head_new) == (SIZE, 0, 0, False)


@pytest.mark.parametrize(
    ("damage", "written", "removed"),
    [
        ("DELETE FROM audit_node", 3, 0),
        ("DELETE FROM audit_node WHERE level = 3", 2, 0),
        ('UPDATE audit_node SET hash = :other WHERE level = 3 AND "index" = 1', 1, 0),
        ('UPDATE audit_node SET "index" = 99 WHERE level = 3 AND "index" = 0', 1, 1),
        ("INSERT INTO audit_node SELECT log, epoch, 0, 5, hash FROM audit_node WHERE level = 4", 0, 0),
        ("UPDATE audit_head SET size = 0, edge = :none", 0, 0),
    ],
)
def test_whatever_the_tree_lost_is_made_again(
    grown: Session, damage: str, written: int, removed: int
) -> None:
    before, published = log.state(grown, ORIGIN).head, [shown(grown)]
    values = {"other": b"x" * 32, "none": b""}
    run(grown, damage, **{name: value for name, value in values.items() if f":{name}" in damage})
    assert not is_clean(grown)
    done = rebuild(grown, log.state(grown, ORIGIN), published)
    assert (done.written, done.removed) == (written, removed)
    assert log.state(grown, ORIGIN).head == before
    assert is_clean(grown)


def test_what_differs_from_a_published_checkpoint_is_refused(grown: Session) -> None:
    published = shown(grown)
    other = Checkpoint(ORIGIN, 9, b"r" * 32)
    with pytest.raises(InconsistentError, match="at 9 entries"):
        rebuild(grown, log.state(grown, ORIGIN), [published, other])
    with pytest.raises(NotInLogError, match="22 entries were published, the database has 21"):
        rebuild(grown, log.state(grown, ORIGIN), [Checkpoint(ORIGIN, 22, b"r" * 32)])


def test_a_gap_or_a_forged_entry_is_nothing_to_go_by(grown: Session) -> None:
    published = [shown(grown)]
    run(grown, 'UPDATE audit_entry SET leaf = :leaf WHERE "index" = 5', leaf=evidence(77).leaf())
    with pytest.raises(InconsistentError, match="are not those that were logged"):
        rebuild(grown, log.state(grown, ORIGIN), published)
    run(grown, 'DELETE FROM audit_entry WHERE "index" = 5')
    with pytest.raises(NotInLogError, match="entry 5 is missing"):
        rebuild(grown, log.state(grown, ORIGIN), published)


def test_every_checkpoint_on_the_way_is_compared(grown: Session) -> None:
    sizes = (0, 1, 8, 13, SIZE)
    empty = Checkpoint(ORIGIN, 0, log.open_log(grown, "gw.example/log/other/1").root())
    published = [empty]
    read = log._reader(grown, ORIGIN)
    published += [Checkpoint(ORIGIN, size, root_at(size, read)) for size in sizes[1:]]
    note = sign_checkpoint(published[-1], LOG_SIGNER)
    log.publish_all(grown, {ORIGIN: note})
    run(grown, "DELETE FROM audit_node WHERE level = 3")
    assert rebuild(grown, log.state(grown, ORIGIN), published).written == SIZE >> 3
