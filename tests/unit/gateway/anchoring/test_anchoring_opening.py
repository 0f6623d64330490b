"""From an event in a database to a paper that an outsider verifies."""

import pytest

from audit import log as audit_log
from audit.anchor import parse_anchor_proof, verify_anchor_proof
from audit.checkpoint import read_checkpoint
from audit.cosignature import cosign
from audit.entry import Entry, draft_entry
from gateway.anchoring.opening import anchor_proof, cosignature_lines, served_anchor
from gateway.anchoring.store import Cosigned, save_cosigned
from tests.unit.audit.anchors import WITNESSES, policy
from tests.unit.audit.builders import evidence
from tests.unit.gateway.anchoring.ledgers import ACME, GLOBEX, HOST, NAMED, Ledger, event


def entry_of(ledger: Ledger, index: int, log: str = ACME) -> Entry:
    with ledger.database.begin() as session:
        return audit_log.entry(session, f"{log}/1", index)


def proof_of(ledger: Ledger, entry: Entry) -> bytes | None:
    with ledger.database.begin() as session:
        return anchor_proof(session, HOST, entry)


def cosign_newest(ledger: Ledger, count: int, time: int = 1_700_000_000) -> None:
    with ledger.database.begin() as session:
        state = audit_log.state(session, f"{NAMED}/1")
        assert state.checkpoint is not None
        checkpoint, _ = read_checkpoint(state.checkpoint.encode())
        lines = "".join(cosign(checkpoint, one, time) for one in WITNESSES[:count])
        save_cosigned(
            session,
            Cosigned(
                checkpoint.origin, checkpoint.size, state.checkpoint, lines, is_enough=count > 1, at=time
            ),
        )


async def test_an_event_is_proved_once_its_head_is_anchored(ledger: Ledger) -> None:
    ledger.grow(event(1), event(2), event(9, GLOBEX))
    entry = entry_of(ledger, 1)
    assert proof_of(ledger, entry) is None
    await ledger.hold()
    await ledger.anchor()
    raw = proof_of(ledger, entry)
    assert raw is not None
    found = verify_anchor_proof(parse_anchor_proof(raw), event(2).leaf(), policy())
    assert (found.head.size, found.seen, found.is_enough) == (2, (), False)
    cosign_newest(ledger, 2)
    raw = proof_of(ledger, entry)
    assert raw is not None
    found = verify_anchor_proof(parse_anchor_proof(raw), event(2).leaf(), policy())
    assert (found.is_enough, [name for name, _ in found.seen]) == (True, ["w1", "w2"])
    assert GLOBEX.encode() not in raw


async def test_the_oldest_round_and_the_oldest_cosignatures_are_shown(ledger: Ledger) -> None:
    """The earlier witnesses saw it, the more it says."""
    ledger.grow(event(1))
    await ledger.hold()
    await ledger.anchor()
    cosign_newest(ledger, 3, 1_700_000_000)
    ledger.grow(event(2))
    await ledger.anchor()
    cosign_newest(ledger, 3, 1_700_000_060)
    first, second = proof_of(ledger, entry_of(ledger, 0)), proof_of(ledger, entry_of(ledger, 1))
    assert first is not None
    assert second is not None
    found = verify_anchor_proof(parse_anchor_proof(first), event(1).leaf(), policy())
    assert (found.head.size, found.checkpoint.size, found.seen[0][1]) == (1, 1, 1_700_000_000)
    found = verify_anchor_proof(parse_anchor_proof(second), event(2).leaf(), policy())
    assert (found.head.size, found.checkpoint.size, found.seen[0][1]) == (2, 2, 1_700_000_060)


async def test_a_round_that_is_not_in_the_log_yet_proves_nothing(ledger: Ledger) -> None:
    ledger.grow(event(1))
    await ledger.hold()
    anchoring = ledger.anchoring()
    anchoring._begun_at = 0.0
    assert await anchoring.turn()
    assert proof_of(ledger, entry_of(ledger, 0)) is None


async def test_the_anchor_is_served_with_the_lines_of_its_newest_size_alone(ledger: Ledger) -> None:
    with ledger.database.begin() as session:
        assert served_anchor(session, HOST) is None
    ledger.grow(event(1))
    await ledger.hold()
    await ledger.anchor()
    cosign_newest(ledger, 2)
    with ledger.database.begin() as session:
        served = served_anchor(session, HOST)
        lines = cosignature_lines(session, f"{NAMED}/1", 1)
        assert cosignature_lines(session, f"{NAMED}/1", 2) == ""
    assert served is not None
    assert served.endswith(lines)
    assert len(read_checkpoint(served.encode())[1].lines) == 3
    ledger.grow(event(2))
    await ledger.anchor()
    with ledger.database.begin() as session:
        served = served_anchor(session, HOST)
    assert served is not None
    assert len(read_checkpoint(served.encode())[1].lines) == 1


@pytest.mark.parametrize("at", [1_000, 1 << 42])
async def test_an_entry_that_came_into_its_log_long_after_its_time_is_proved_by_its_first_round(
    ledger: Ledger, at: int
) -> None:
    """As after an outage, or by a clock that was wrong: rounds were made meanwhile, of other logs."""
    ledger.grow(event(1))
    await ledger.hold()
    for number in range(30):
        ledger.grow(event(100 + number, GLOBEX))
        assert await ledger.anchor()
    late = evidence(2, log=ACME, at=at)
    ledger.grow(late)
    assert proof_of(ledger, entry_of(ledger, 1)) is None, "not anchored yet"
    assert await ledger.anchor()
    for number in range(3):
        ledger.grow(event(200 + number, GLOBEX), event(300 + number))
        assert await ledger.anchor()
    raw = proof_of(ledger, entry_of(ledger, 1))
    assert raw is not None
    found = verify_anchor_proof(parse_anchor_proof(raw), late.leaf(), policy())
    assert found.head.size == 2


async def test_an_entry_of_an_epoch_that_was_over_before_its_round_is_not_proved(ledger: Ledger) -> None:
    await ledger.hold()
    ledger.grow(event(1), event(9, GLOBEX))
    await ledger.anchor()
    ledger.grow(event(2))
    with ledger.database.begin() as session:
        audit_log.open_log(session, f"{ACME}/2")
        audit_log.append_all(session, {f"{ACME}/2": [draft_entry(event(3))]})
    ledger.publish(f"{ACME}/2")
    await ledger.anchor()
    assert proof_of(ledger, entry_of(ledger, 0)) is not None
    assert proof_of(ledger, entry_of(ledger, 1)) is None
