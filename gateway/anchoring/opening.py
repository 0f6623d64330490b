"""For one entry of one log: the way from it to a cosigned checkpoint of the anchor, as a paper."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import Session

from audit import log as audit_log
from audit.anchor import AnchorProof, format_anchor_proof
from audit.checkpoint import Checkpoint, split_origin
from audit.entry import Entry
from audit.evidence import Kind
from audit.heads import Roll, unpack_heads
from audit.proof import InclusionProof, format_proof
from gateway.anchoring.store import Cosigned, Round, find_cosigned, first_enough, newest_round, rounds_since
from gateway.sequencer.territory import anchor_log

FILE: Final = "anchor.json"
"""In a bundle."""

_ENTRY: Final = re.compile(r"entries/([0-9]{1,9})/([0-9]{1,18})\.(?:json|leaf)", re.ASCII)
_LOOKED_IN: Final = 50
_LOOKED_AT: Final = 2
"""Rounds after an entry: its log's next checkpoint is published before the second of them, but in trouble."""


def anchor_proof(session: Session, host: str, entry: Entry) -> bytes | None:
    """The proof of anchoring of an entry (`audit.anchor`); None while no round has it.

    By the oldest round that still has it, and the oldest checkpoint of the anchor that enough witnesses
    cosigned: the earlier they saw it, the more it says. Until there are enough, by the newest one.
    """
    for one in rounds_since(session, entry.at, _LOOKED_AT):
        if _has(one, host, entry):
            return _prove(session, host, entry, one)
    found = _first_beyond(session, host, _place(entry.origin, entry.index))
    return None if found is None or not _has(found, host, entry) else _prove(session, host, entry, found)


def anchored_files(session: Session, host: str, log: str, names: Iterable[str]) -> dict[str, bytes]:
    """`anchor.json` of the entry that a bundle is about first of all: its acceptance, else its first one.

    `log`: whose entries they are, without an epoch. `names`: of the bundle's files. Empty while no round has
    it.
    """
    places = [found.groups() for name in names if (found := _ENTRY.fullmatch(name))]
    entries = [audit_log.entry(session, f"{log}/{epoch}", int(index)) for epoch, index in places[:_LOOKED_IN]]
    accepted = [one for one in entries if one.kind is Kind.ACCEPTED]
    for one in (accepted or entries)[:1]:
        proof = anchor_proof(session, host, one)
        if proof is not None:
            return {FILE: proof}
    return {}


def served_anchor(session: Session, host: str) -> str | None:
    """The anchor's newest published checkpoint, with its cosignatures; None: there is none."""
    known = audit_log.epochs(session, anchor_log(host))
    return checkpoint_of(session, known[-1].head.origin) if known else None


def checkpoint_of(session: Session, origin: str) -> str | None:
    """The newest published checkpoint of one epoch of the anchor, with its cosignatures."""
    known = audit_log.epochs(session, origin.rpartition("/")[0])
    for one in known:
        if one.head.origin == origin and one.checkpoint is not None:
            return one.checkpoint + cosignature_lines(session, origin, one.checkpoint_size)
    return None


def cosignature_lines(session: Session, origin: str, size: int) -> str:
    """Signature lines of witnesses for the anchor's checkpoint of this size, each with its line feed."""
    found = find_cosigned(session, origin, size)
    return "" if found is None else found.lines


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where an entry of a log stands, or how far one is anchored: logs only grow, in this order."""

    epoch: int
    index: int
    log: str = field(compare=False)


def _place(origin: str, index: int) -> _Place:
    log, epoch = split_origin(origin)
    return _Place(epoch, index, log)


def _has(one: Round, host: str, entry: Entry) -> bool:
    return any(head.origin == entry.origin and head.size > entry.index for head in _heads(one, host))


def _heads(one: Round, host: str) -> list[Checkpoint]:
    return unpack_heads(one.heads, host)


def _first_beyond(session: Session, host: str, place: _Place) -> Round | None:
    """The oldest round that has come to an entry, or to a later epoch; None: there is none yet.

    It may be long after the time of the entry, which waits for as long as its log stands still, and a time
    says little where a clock was wrong. Each look leaves half of the time that is left.
    """

    def is_beyond(one: Round) -> bool:
        return any(
            split_origin(head.origin)[0] == place.log and place < _place(head.origin, head.size)
            for head in _heads(one, host)
        )

    found, first = newest_round(session), next(iter(rounds_since(session, 0, 1)), None)
    if found is None or first is None or not is_beyond(found):
        return None
    low, end = first.at, found.at
    while low < end:
        middle = (low + end) // 2
        (one,) = rounds_since(session, middle, 1)
        if is_beyond(one):
            found, end = one, middle
        else:
            low = one.at + 1
    return found


def _prove(session: Session, host: str, entry: Entry, one: Round) -> bytes | None:
    anchored = audit_log.entry_named(session, anchor_log(host), str(one.at))
    if anchored is None or anchored.raw is None:
        return None
    shown = _checkpoint(session, anchored)
    if shown is None:
        return None
    head, opening = Roll(unpack_heads(one.heads, host), one.secret).open(entry.origin)
    hashes = audit_log.prove(session, anchored.origin, anchored.index, shown.size)
    proof = AnchorProof(
        head=head,
        index=entry.index,
        hashes=audit_log.prove(session, entry.origin, entry.index, head.size),
        opening=opening,
        evidence=anchored.raw,
        proof=format_proof(InclusionProof(anchored.index, hashes, shown.text().encode())),
    )
    return format_anchor_proof(proof)


def _checkpoint(session: Session, anchored: Entry) -> Cosigned | None:
    found = first_enough(session, anchored.origin, anchored.index)
    if found is not None:
        return found
    state = audit_log.state(session, anchored.origin)
    if state.checkpoint is None or state.checkpoint_size <= anchored.index:
        return None
    size, note = state.checkpoint_size, state.checkpoint
    return find_cosigned(session, anchored.origin, size) or Cosigned(anchored.origin, size, note)
