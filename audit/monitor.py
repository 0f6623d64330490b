"""One look of a monitor at a log: by whom it is signed, whether it grew, is fresh, and has one's receipts.

Nothing that the log says is believed: every entry is read, and the tree made of them again; the hashes that
are handed out are compared with it. What is known from before is the other witness.

Order of a look: 1. which epoch; 2. whose checkpoint; 3. signed by a known key; 4. not smaller than, and not
apart from what is known; 5. entries, then hashes; 6. vouched for lately; 7. receipts. What is read in 5 is
bounded: 6 and 7 are judged by what is there, and the next look reads on.

Source: RFC 6962 section 2.1; C2SP tlog-checkpoint, tlog-tiles, tlog-cosignature; docs/monitoring.md.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Final

from audit.alarm import Alarm, AlarmError, Suspicion, proven, stop
from audit.checkpoint import Checkpoint, read_checkpoint
from audit.errors import AuditError, MalformedError, VerificationError
from audit.freshness import fresh_at, parse_freshness_key
from audit.log_source import AnswerUnfitError, Later, LogAwayError, LogMissingError, Tiles
from audit.merkle import verify_inclusion
from audit.monitor_earlier import LostError, is_later, verify_earlier
from audit.monitor_growth import grow
from audit.monitor_look import (
    FRESH_SECONDS,
    Look,
    Looked,
    learn_log_keys,
    read_signed,
    verify_fresh,
    vouched,
)
from audit.monitor_state import MOST_PAST, Kept, Own, Reading, State, ref_of
from audit.proof import parse_proof

_REFUSED_LOOKS: Final = 3
"""In so many looks a proof may be refused before all others, until the log is taken not to have the entry."""

_REFUSED_PROOFS: Final = 10
"""Proofs that are refused in one look before no other is asked for: whoever is busy is left alone."""


def look(one: Look) -> Looked:
    """Look at the epoch that is followed; only what was found to be good is kept.

    Raises:
        LogAwayError: Nobody answers, and nothing alarming was found before that.
    """
    state, found = one.state, one.found
    is_good = False
    try:
        if not one.is_ending:
            take_note(one, one.source.checkpoint(state.origin))
            is_good = True
    except LogMissingError:
        _missing(state, found)
    except (AlarmError, AnswerUnfitError, MalformedError) as error:
        found.alarms.append(alarm_of(error, state.origin))
    _own_receipts(one, is_good=is_good)
    return found


def alarm_of(error: AuditError, origin: str) -> Alarm:
    """The alarm that an error of a look is."""
    if isinstance(error, AlarmError):
        return error.alarm
    return Alarm(Suspicion.ANSWER, origin, f"{origin}: {error}")


def take_note(one: Look, raw: bytes, *, must_be_fresh: bool = True) -> None:
    """Judge a checkpoint, read what it has beyond the one that is kept, and keep it.

    Where that is more than is read in one look, the one that was kept stays, and `State.reading` says how far
    it has come; what is being read is read to its end before what came later.

    Raises:
        AlarmError, MalformedError: It is not kept, or, where it is only stale, it is.
        AnswerUnfitError, LogAwayError: as the source says.
    """
    state = one.state
    checkpoint, note = read_signed(state, raw)
    try:
        _verify_not_apart(state, checkpoint, raw)
        older, is_behind = state.reading, False
        if older is not None and older.checkpoint.size < checkpoint.size:
            _keep(one, older.note, Later(one.source, checkpoint.size))
            is_behind = state.reading is not None
        at = vouched(one, note, raw) if is_behind else _keep(one, raw, one.source)
    except (AlarmError, AnswerUnfitError, MalformedError):
        state.reading = None
        raise
    one.vouched_at = at if at is not None and one.is_come(at) else 0
    learn_log_keys(one, note)
    if must_be_fresh:
        verify_fresh(state, at, one.now, raw)


def _keep(one: Look, raw: bytes, source: Tiles) -> int | None:
    """Steps 5 and 6: read a checkpoint to its end and keep it, or as far as one look does.

    Returns when it was vouched for.
    """
    state, kept, reading = one.state, one.state.kept, one.state.reading
    checkpoint, note = read_checkpoint(raw)
    known, vouched_at = (0, 0) if kept is None else (kept.checkpoint.size, kept.fresh_at)
    edge: tuple[bytes, ...] = () if kept is None else kept.edge
    found: dict[str, int] = {} if reading is None else dict(reading.found)
    count = 0
    if kept is None or checkpoint.size > known:
        start = None if reading is None else reading.head
        begun = known if start is None else start.size
        grown = grow(kept, checkpoint, raw, source, start=start, is_enough=one.has_read)
        if begun == 0:
            _verify_opening(state, grown.leaves, raw)
        found |= _places(state, grown.leaves)
        edge, count = grown.head.edge, grown.head.size - begun
        if grown.head.size < checkpoint.size:
            state.reading = Reading(raw, grown.head, found)
            one.found.entries += count
            return vouched(one, note, raw)
    at = vouched(one, note, raw)
    is_come = at is not None and one.is_come(at)
    newest = max(vouched_at, at if at is not None and is_come else 0)
    if kept is not None:
        state.past[known] = kept.note
        for size in sorted(state.past)[:-MOST_PAST]:
            del state.past[size]
    # Of two notes over the same entries the one that was vouched for last says more.
    is_better = kept is None or checkpoint.size > known or (is_come and at == newest)
    state.kept = Kept(raw if kept is None or is_better else kept.note, edge, newest)
    state.reading = None
    # Only now: an entry of what is not kept is held against nobody any more.
    one.found.entries += count
    for ref, index in found.items():
        own = state.receipts.get(ref)
        if own is not None and own.index is None:
            own.origin, own.index = checkpoint.origin, index
            one.found.receipts += 1
    return at


def _places(state: State, leaves: dict[bytes, int]) -> dict[str, int]:
    """Where entries of one's own receipts are among leaves that were read."""
    return {
        ref: leaves[own.leaf]
        for ref, own in state.receipts.items()
        if own.index is None and own.leaf in leaves
    }


def _verify_not_apart(state: State, shown: Checkpoint, raw: bytes) -> None:
    """Step 4, as far as it needs no entries: against what is kept, and what is being read."""
    for known in (state.reading, state.kept):
        if known is not None:
            _verify_follows(state, known.checkpoint, known.note, (shown, raw))


def _verify_follows(state: State, known: Checkpoint, note: bytes, later: tuple[Checkpoint, bytes]) -> None:
    shown, raw = later
    if shown.size == known.size and shown.root != known.root:
        raise proven(
            Suspicion.FORK,
            f"{shown.origin} {known.size}",
            f"{shown.origin}: two different logs of {known.size} entries are signed",
            known=note,
            shown=raw,
        )
    if shown.size >= known.size:
        return
    past = state.past.get(shown.size)
    if past is not None and read_checkpoint(past)[0].root != shown.root:
        raise proven(
            Suspicion.FORK,
            f"{shown.origin} {known.size}",
            f"{shown.origin}: two different logs of {shown.size} entries are signed, the second one now",
            known=past,
            shown=raw,
        )
    raise stop(
        Suspicion.ROLLBACK,
        f"{shown.origin} {known.size}",
        f"{shown.origin}: a checkpoint of {shown.size} entries is handed out, and {known.size} were signed "
        "before: an older state is shown, or entries are gone",
        known=note,
        shown=raw,
    )


def _verify_opening(state: State, leaves: dict[bytes, int], raw: bytes) -> None:
    """The first entry of an epoch is the one by which the epoch was followed."""
    if state.opening and leaves and leaves.get(state.opening) != 0:
        text = f"{state.origin}: its first entry is another than the one that was shown when it was followed"
        raise stop(Suspicion.EPOCH, state.origin, text, shown=raw)


def _missing(state: State, found: Looked) -> None:
    known = state.reading or state.kept
    if known is None:
        found.news.append(f"{state.origin} has no checkpoint yet")
        return
    size = known.checkpoint.size
    text = f"{state.origin}: there is no such log, says the gateway; {size} entries of it were signed"
    found.alarms.append(Alarm(Suspicion.MISSING, state.origin, text, {"known": known.note}))


def _own_receipts(one: Look, *, is_good: bool) -> None:
    """Step 7, for those that must be in the log by now, by what was vouched for, else by our clock.

    `is_good`: the checkpoint that is served now is one of this log, and was vouched for lately.

    Raises:
        LogAwayError: a proof was refused, and nothing alarming was found: it cannot be told yet.
    """
    state, found, begun = one.state, one.found, one.ticks()
    fresh_at = max(0 if state.kept is None else state.kept.fresh_at, one.vouched_at)
    until = (fresh_at * 1_000 or one.now) - one.terms.promise_ms
    refused: list[LogAwayError] = []
    is_answered = False
    for ref, own in sorted(state.receipts.items(), key=_turn):
        if (state.kept is None and state.reading is None) or own.index is not None:
            continue
        _verify_come(one, ref, own)
        if own.since >= until or len(refused) >= _REFUSED_PROOFS or one.is_late(begun):
            continue
        try:
            _prove(one, ref, own)
            own.refused, is_answered = 0, True
        except LogAwayError as error:
            own.refused += not (refused or is_answered)
            refused.append(error)
            # Who drops an event must not keep that from being told by leaving its proof away.
            is_late = own.since < until - one.terms.promise_ms
            if is_good and is_late and own.refused >= _REFUSED_LOOKS:
                found.alarms.append(_dropped(one, ref, own, until, f"{error}, in {own.refused} looks"))
        except AlarmError as error:
            found.alarms.append(error.alarm)
        except LostError as error:
            # An honest log has nothing else to show: it is no proof against it, and rests once it is known.
            if not state.is_acknowledged(Suspicion.RECEIPT, subject := f"{ref} lost"):
                found.alarms.append(replace(_dropped(one, ref, own, until, f"{error}"), subject=subject))
        except (VerificationError, LogMissingError, AnswerUnfitError) as error:
            found.alarms.append(_dropped(one, ref, own, until, f"{error}", is_answered=True))
    if refused and not found.alarms:
        raise refused[-1]


def _turn(named: tuple[str, Own]) -> int:
    """Whose proof is asked for first: the longer it was refused, the sooner, until there is an alarm of it.

    It counts as refused where none was shown before it: a gateway that shows a few, and then is busy, answers
    each in the end.
    """
    refused = named[1].refused
    return 1 if refused >= _REFUSED_LOOKS else -refused


def _verify_come(one: Look, ref: str, own: Own) -> None:
    """Tell of a receipt whose time had not come when it was first seen, once."""
    ahead = (own.at - (own.seen_at or own.at)) // 1_000
    if ahead <= FRESH_SECONDS or one.state.is_acknowledged(Suspicion.RECEIPT, ref):
        return
    text = (
        f"{ref}: the gateway signed that it accepted the event at a time that was {ahead} s ahead of this "
        "machine's clock when the receipt was first seen: one of the clocks is wrong, or the entry is to be "
        "waited for in vain"
    )
    one.found.alarms.append(Alarm(Suspicion.RECEIPT, ref, text, {"receipt": own.token.encode()}))


def _dropped(one: Look, ref: str, own: Own, until: int, words: str, *, is_answered: bool = False) -> Alarm:
    """The alarm that an event is not in the log. `is_answered`: the gateway did not refuse to show it."""
    state = one.state
    known = state.kept or state.reading
    papers = {"receipt": own.token.encode()} | ({} if known is None else {"known": known.note})
    late = (until + one.terms.promise_ms - own.since) // 1_000
    size = 0 if known is None else known.checkpoint.size
    text = (
        f"{ref}: the gateway signed that it accepted the event, {late} s before it vouched for a log of "
        f"{size} entries that does not have it ({words})"
    )
    kept = state.kept
    is_shown = kept is not None and own.at < _shown_at(state, kept) * 1_000 - one.terms.promise_ms
    is_provable = is_answered and is_shown and state.reading is None
    return Alarm(Suspicion.RECEIPT, ref, text, papers, is_provable=is_provable)


def _shown_at(state: State, kept: Kept) -> int:
    """When the very note that is kept was vouched for, as it says itself; 0: nobody has."""
    _, note = read_checkpoint(kept.note)
    with suppress(VerificationError):  # a key that was learned later, in whose name the note has a wrong line
        at = fresh_at(note, [parse_freshness_key(text) for text in state.freshness_keys])
        return min(at or 0, kept.fresh_at)
    return 0


def _prove(one: Look, ref: str, own: Own) -> None:
    """Have the gateway show where an entry is that was read before its receipt was known."""
    state, proof = one.state, parse_proof(one.source.proof(ref_of(ref)))
    origin = read_checkpoint(proof.checkpoint)[0].origin
    if one.is_ending and is_later(origin, state.origin):
        return  # Once that epoch is followed, it is asked for again.
    if is_later(state.origin, origin):
        verify_earlier(one, own, proof)
        return
    shown, _ = read_signed(state, proof.checkpoint)
    kept = state.kept
    if state.reading is None and kept is not None and shown.size != kept.checkpoint.size:
        # Newer, or another: the proof is worth as much as its checkpoint.
        take_note(one, proof.checkpoint, must_be_fresh=False)
    else:
        _verify_not_apart(state, shown, proof.checkpoint)
    if own.index is None:
        verify_inclusion(own.leaf, proof.index, shown.size, proof.hashes, shown.root)
    # Under a checkpoint that is still being read it is not known to be in the log that was known before.
    if own.index is None and state.reading is None:
        own.origin, own.index = state.origin, proof.index
        one.found.receipts += 1
