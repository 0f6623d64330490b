"""One round of the sequencer: the one transaction that makes log entries of what was read and what waits.

Crash order: nothing of a round is visible before its COMMIT, and all of it after. Killed before, everything
repeats; a second sequencer with an old lease fails the epoch check, or the comparison of positions or heads.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import Session

from audit import log as audit_log
from audit.bulk import Change, find_rows, update_rows
from audit.entry import Draft, draft_entry
from audit.errors import StaleHeadError
from audit.evidence import Evidence
from audit.log import Pending
from audit.search import timeline
from audit.tree import Head
from gateway.leases import Lease, check_all
from gateway.positions import Move, advance_all
from gateway.rows import ClaimRow
from gateway.sequencer.orphans import forget_former
from gateway.sequencer.restoring import Forgotten, restore_claims
from gateway.sequencer.sighting import Accepted, Held, Sighting, Suspect, is_signed, read_sighting, vouched
from gateway.sequencer.territory import Plot

ROLE = "sequence"
PENDING_LIMIT: Final = 1_000
"""Waiting evidence that a round takes of one log."""

PENDING_IN_ALL: Final = 20_000
"""The same of all logs. After a long absence more may wait for hundreds of logs than any transaction enters:
PostgreSQL ends one that computes for too long between two statements, and each that came after it alike."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round is to write. `origins`: the current origin of each owned log, by log name.

    `keys`: our receipt keys by id, for receipts that no claim vouches for. `leases`: of each of these logs,
    for what waits for it while nothing of its topics is new. `orphans`: accepted events whose
    records are gone. `renewed`: plots whose former topics are settled with this round.
    """

    moves: Sequence[tuple[Lease, Sequence[Move]]]
    sightings: Sequence[Sighting]
    evidence: Sequence[Evidence]
    origins: Mapping[str, str]
    keys: Mapping[str, bytes]
    leases: Mapping[str, Lease]
    orphans: Sequence[Accepted] = ()
    renewed: Sequence[Plot] = ()


@dataclass(slots=True)
class Written:
    """What a round did: heads that moved, entries made, records passed over, records not to be trusted.

    `heads`: by origin, as they are once the transaction is committed.
    """

    heads: dict[str, Head] = field(default_factory=dict)
    entries: int = 0
    repeats: int = 0
    suspects: list[Suspect] = field(default_factory=list)


def write_round(session: Session, todo: Round) -> Written:
    """Write a round in the caller's transaction.

    Raises:
        LeaseLostError: a shard is another's; PositionMovedError, StaleHeadError: another has written.
    """
    written = Written()
    advance_all(session, todo.moves)
    fresh = _fresh(session, todo, written)
    waiting = _waiting(session, todo)
    by_log: dict[str, list[Accepted]] = {}
    for each in [*fresh, *_forlorn(todo, {one.ref for one in fresh})]:
        by_log.setdefault(each.draft.log, []).append(each)
    direct: dict[str, list[Draft]] = {}
    for evidence in todo.evidence:
        direct.setdefault(evidence.log, []).append(draft_entry(evidence))
    batches: dict[str, list[Draft]] = {}
    for log in sorted({*by_log, *waiting, *direct}):
        others = [draft_entry(one.evidence, one.search) for one in waiting.get(log, ())]
        batch = [one.draft for one in by_log.get(log, ())]
        batches[todo.origins[log]] = [*batch, *direct.get(log, ()), *others]
    before = _append(session, batches, written)
    audit_log.settle(session, [one.id for pending in waiting.values() for one in pending])
    entered = [
        (one, index)
        for log, seen in by_log.items()
        for index, one in enumerate(seen, before[todo.origins[log]])
    ]
    _mark(session, entered)
    forget_former(session, ROLE, todo.renewed)
    return written


def _waiting(session: Session, todo: Round) -> dict[str, tuple[Pending, ...]]:
    """Evidence that waits for our logs, as much as one round takes; what waits for longest goes first.

    It is read under the leases of its logs: else one that sleeps for a while would enter what it saw before,
    and another has entered meanwhile, once more.
    """
    oldest = audit_log.oldest_pending(session)
    logs = sorted((log for log in oldest if log in todo.origins), key=lambda one: (oldest[one], one))
    if unchecked := {todo.leases[log] for log in logs} - {lease for lease, _ in todo.moves}:
        check_all(session, list(unchecked))
    found: dict[str, tuple[Pending, ...]] = {}
    left = PENDING_IN_ALL
    for log in logs:
        if left > 0:
            found[log] = audit_log.pending(session, log, min(PENDING_LIMIT, left))
            left -= len(found[log])
    return found


def _append(session: Session, batches: Mapping[str, Sequence[Draft]], written: Written) -> Mapping[str, int]:
    """How many entries each log had before."""
    heads = audit_log.open_logs(session, batches)
    after = audit_log.append_all(session, batches, heads)
    written.heads |= {origin: after[origin] for origin, batch in batches.items() if batch}
    written.entries += sum(map(len, batches.values()))
    return {origin: head.size for origin, head in heads.items()}


def _fresh(session: Session, todo: Round, written: Written) -> list[Accepted]:
    """The records that make entries: the first copy of each event whose receipt is good."""
    claims = _claims(session, {one.ref for one in todo.sightings})
    fresh: dict[bytes, Accepted] = {}
    forgotten: dict[bytes, Forgotten] = {}
    for one in todo.sightings:
        held = claims.get(one.ref)
        # Of an erased event the claim holds an empty one, which anybody may send.
        is_vouched = held is not None and held.receipt == one.receipt != ""
        found = (vouched(one, held) if held is not None and is_vouched else None) or read_sighting(one)
        if isinstance(found, Suspect):
            written.suspects.append(found)
        elif found.draft.log not in todo.origins:
            written.suspects.append(Suspect(one.read, "log_unknown"))
        elif one.ref in fresh or (held is not None and held.leaf_index is not None):
            written.repeats += 1
        elif is_vouched:
            fresh[one.ref] = found
        elif held is not None or not is_signed(found, todo.keys):
            # Beside another claim's it is no repeat, whoever signed it: repeats carry the first receipt.
            written.suspects.append(Suspect(one.read, "receipt_invalid"))
        elif any(entry.leaf == found.draft.leaf() for entry in timeline(session, found.draft.log, one.ref)):
            # By its leaf: the evidence of an entry that was erased must not come back from a topic.
            written.repeats += 1
        else:
            fresh[one.ref] = found
            forgotten[one.ref] = Forgotten(one, found)
    return list(_remembered(session, fresh, forgotten, written).values())


def _remembered(
    session: Session,
    fresh: Mapping[bytes, Accepted],
    forgotten: Mapping[bytes, Forgotten],
    written: Written,
) -> Mapping[bytes, Accepted]:
    """`fresh`, those without a claim having one by now; without what another claim forestalled."""
    if not forgotten:
        return fresh
    others = forgotten.keys() - restore_claims(session, forgotten)
    written.suspects += [Suspect(forgotten[ref].seen.read, "receipt_invalid") for ref in others]
    return {ref: one for ref, one in fresh.items() if ref not in others}


def _forlorn(todo: Round, seen: set[bytes]) -> list[Accepted]:
    """Orphans of our logs whose record did not turn up after all."""
    return [one for one in todo.orphans if one.ref not in seen and one.draft.log in todo.origins]


def _claims(session: Session, refs: Iterable[bytes]) -> dict[bytes, Held]:
    names = ["ref", "receipt", "leaf_index", "log", "at", "event_type", "content_sha256", "search"]
    found = find_rows(session, ClaimRow, names, key="ref", among=sorted(refs))
    return {ref: Held(*rest) for ref, *rest in found}


_MARK = Change(
    match=("ref", "receipt"), same=(("state", "confirmed"), ("datum", None)), unset=("leaf_index",)
)


def _mark(session: Session, entered: Sequence[tuple[Accepted, int]]) -> None:
    """Give claims their leaf. Rows are locked in order of their key, as ingress does it.

    Raises:
        StaleHeadError: Some have one by now. What was found before, in another transaction, another round may
        have entered since, the COMMIT of which nobody had heard.
    """
    rows = [
        {
            "ref": one.ref,
            "receipt": one.receipt,
            "topic_id": one.position.topic_id,
            "offset": one.position.offset,
            "leaf_index": index,
        }
        for one, index in sorted(entered, key=lambda each: each[0].ref)
    ]
    if (gone := len(rows) - update_rows(session, ClaimRow, rows, _MARK)) != 0:
        raise StaleHeadError(
            f"{gone} accepted events were entered by somebody else, or have no claim any more"
        )
