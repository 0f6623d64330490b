"""One look of a monitor at a log: by whom it is signed, whether it grew, is fresh, and has one's receipts.

Nothing that the log says is believed: every entry is read, and the tree made of them again; the hashes that
are handed out are compared with it. What is known from before is the other witness.

Order of a look: 1. which epoch; 2. whose checkpoint; 3. signed by a known key; 4. not smaller than, and not
apart from what is known; 5. entries, then hashes; 6. vouched for lately; 7. receipts.

Source: RFC 6962 section 2.1; C2SP tlog-checkpoint, tlog-tiles, tlog-cosignature; docs/monitoring.md.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from audit.alarm import Alarm, AlarmError, Suspicion, proven, stop
from audit.checkpoint import Checkpoint, read_checkpoint, verify_log_signature
from audit.errors import AuditError, MalformedError, UnpinnedKeyError, VerificationError
from audit.freshness import fresh_at, parse_freshness_key
from audit.log_source import AnswerUnfitError, LogAwayError, LogMissingError, Source
from audit.merkle import verify_inclusion
from audit.monitor_growth import grow
from audit.monitor_state import MOST_PAST, Kept, Own, State, ref_of
from audit.note import Note, VerifierKey
from audit.proof import parse_proof

FRESH_SECONDS: Final = 60
"""A checkpoint that is older than this was vouched for too long ago."""

SLACK_SECONDS: Final = 10
"""By which our clock and the log's may differ, and what an answer takes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was promised, and what the user wants.

    promise_ms: within which a receipt's event has its entry. most_entries: that are read in one look.
    is_freshness_pinned: freshness keys were given, and none is learned.
    """

    promise_ms: int = 60_000
    most_entries: int = 10_000_000
    is_freshness_pinned: bool = False


@dataclass(slots=True)
class Looked:
    """What a look found: alarms, what is worth a line, and how many entries and receipts were new."""

    alarms: list[Alarm] = field(default_factory=list)
    news: list[str] = field(default_factory=list)
    entries: int = 0
    receipts: int = 0


@dataclass(slots=True)
class Look:
    """One look: what is known (`state`, brought up to date), where the log is read, and the user's clock.

    `now`: Unix milliseconds.
    """

    state: State
    source: Source
    terms: Terms
    now: int
    found: Looked = field(default_factory=Looked)

    def run(self) -> Looked:
        """Look at the epoch that is followed; only what was found to be good is kept.

        Raises:
            LogAwayError: Nobody answers, and nothing alarming was found before that.
        """
        try:
            take_note(self, self.source.checkpoint(self.state.origin))
        except LogMissingError:
            _missing(self.state, self.found)
        except (AlarmError, AnswerUnfitError, MalformedError) as error:
            self.found.alarms.append(alarm_of(error, self.state.origin))
        if self.state.kept is not None:
            try:
                _own_receipts(self)
            except LogAwayError:
                # Who lies about the log must not keep that from being told by leaving proofs away.
                if not self.found.alarms:
                    raise
        return self.found


def alarm_of(error: AuditError, origin: str) -> Alarm:
    """The alarm that an error of a look is."""
    if isinstance(error, AlarmError):
        return error.alarm
    return Alarm(Suspicion.ANSWER, origin, f"{origin}: {error}")


def take_note(one: Look, raw: bytes, *, must_be_fresh: bool = True) -> None:
    """Judge a checkpoint, read what it has beyond the one that is kept, and keep it.

    Raises:
        AlarmError, MalformedError: It is not kept, or, where it is only stale, it is.
        AnswerUnfitError, LogAwayError: as the source says.
    """
    state, found = one.state, one.found
    checkpoint, note = _signed(state, raw)
    kept = state.kept
    known, vouched_at = (0, 0) if kept is None else (kept.checkpoint.size, kept.fresh_at)
    edge: tuple[bytes, ...] = () if kept is None else kept.edge
    leaves: dict[bytes, int] = {}
    if kept is not None:
        _verify_not_apart(state, checkpoint, raw)
    if kept is None or checkpoint.size > known:
        grown = grow(kept, checkpoint, raw, one.source, most=one.terms.most_entries)
        edge, leaves = grown.edge, grown.leaves
        if known == 0:
            _verify_opening(state, leaves, raw)
    at = _vouched(one, note, raw)
    # A time that has not come yet is no time at which anybody can have looked.
    is_come = at is not None and at <= one.now // 1_000 + FRESH_SECONDS
    newest = max(vouched_at, at if at is not None and is_come else 0)
    if kept is not None:
        state.past[known] = kept.note
        for size in sorted(state.past)[:-MOST_PAST]:
            del state.past[size]
    # Of two notes over the same entries the one that was vouched for last says more.
    is_better = kept is None or checkpoint.size > known or (is_come and at == newest)
    state.kept = Kept(raw if kept is None or is_better else kept.note, edge, newest)
    # Only now: an entry of what is not kept is held against nobody any more.
    found.entries += checkpoint.size - known
    _note_receipts(state, checkpoint.origin, leaves, found)
    _learn_log_keys(one, note)
    if must_be_fresh:
        _verify_fresh(state, at, one.now, raw)


def _signed(state: State, raw: bytes) -> tuple[Checkpoint, Note]:
    """Steps 2 and 3."""
    checkpoint, note = read_checkpoint(raw)
    origin = state.origin
    if checkpoint.origin != origin:
        raise stop(
            Suspicion.OTHER_LOG,
            origin,
            f"{origin}: the checkpoint that is handed out is of {checkpoint.origin}",
            shown=raw,
        )
    try:
        verify_log_signature(checkpoint, note, [VerifierKey(origin, key) for key in state.log_keys])
    except UnpinnedKeyError as error:
        text = (
            f"{origin}: the checkpoint is signed by no key that is trusted ({error}). If the operator has "
            "changed keys without an overlap, get the new one by a way that you trust: --log-key"
        )
        raise stop(Suspicion.SIGNATURE, origin, text, shown=raw) from error
    except VerificationError as error:
        raise stop(Suspicion.SIGNATURE, origin, f"{origin}: {error}", shown=raw) from error
    return checkpoint, note


def _verify_not_apart(state: State, shown: Checkpoint, raw: bytes) -> None:
    """Step 4, as far as it needs no entries."""
    kept = state.kept
    if kept is None:
        return
    known = kept.checkpoint
    if shown.size == known.size and shown.root != known.root:
        raise proven(
            Suspicion.FORK,
            f"{shown.origin} {known.size}",
            f"{shown.origin}: two different logs of {known.size} entries are signed",
            known=kept.note,
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
        known=kept.note,
        shown=raw,
    )


def _verify_opening(state: State, leaves: dict[bytes, int], raw: bytes) -> None:
    """The first entry of an epoch is the one by which the epoch was followed."""
    if state.opening and leaves and leaves.get(state.opening) != 0:
        text = f"{state.origin}: its first entry is another than the one that was shown when it was followed"
        raise stop(Suspicion.EPOCH, state.origin, text, shown=raw)


def _vouched(one: Look, note: Note, raw: bytes) -> int | None:
    """Step 6: when it was vouched for, by a known key or by one that is published now."""
    state = one.state
    try:
        at = fresh_at(note, [parse_freshness_key(text) for text in state.freshness_keys])
        if at is None and not one.terms.is_freshness_pinned:
            told = [text for text in one.source.freshness_keys() if text not in state.freshness_keys]
            at = fresh_at(note, [parse_freshness_key(text) for text in told])
            if at is not None:
                state.freshness_keys = (*state.freshness_keys, *told)
                one.found.news.append(
                    f"learned from the gateway: freshness is vouched for with {', '.join(told)}"
                )
    except VerificationError as error:
        raise stop(Suspicion.SIGNATURE, state.origin, f"{state.origin}: {error}", shown=raw) from error
    return at


def _verify_fresh(state: State, at: int | None, now: int, raw: bytes) -> None:
    origin, seconds = state.origin, now // 1_000
    if at is None:
        text = (
            f"{origin}: nobody vouches that this checkpoint is the newest one: something waits for the log "
            "for longer than promised, or no sequencer works, or the gateway's clock is off"
        )
    elif at > seconds + FRESH_SECONDS:
        text = (
            f"{origin}: the checkpoint is vouched for {at - seconds} s ahead of this machine's clock: one of "
            "the clocks is wrong"
        )
    elif seconds - at > FRESH_SECONDS + SLACK_SECONDS:
        text = (
            f"{origin}: the checkpoint was last vouched for {seconds - at} s ago, and {FRESH_SECONDS} s are "
            "promised: the log stands still, an old state is handed out, or this machine's clock is wrong"
        )
    else:
        return
    raise stop(Suspicion.STALE, origin, text, shown=raw)


def _learn_log_keys(one: Look, note: Note) -> None:
    """Take over keys that sign beside one that is known, where the user has pinned none."""
    state = one.state
    if state.is_pinned:
        return
    known = {VerifierKey(state.origin, key).key_id for key in state.log_keys}
    ids = {line.key_id for line in note.lines if line.name == state.origin}
    if not ids - known:
        return
    for key in one.source.log_keys():
        verifier = VerifierKey(state.origin, key)
        if key not in state.log_keys and verifier.key_id in ids:
            state.log_keys = (*state.log_keys, key)
            one.found.news.append(f"learned from the gateway: the log has another key, {verifier}")


def _missing(state: State, found: Looked) -> None:
    if state.kept is None:
        found.news.append(f"{state.origin} has no checkpoint yet")
        return
    size = state.kept.checkpoint.size
    text = f"{state.origin}: there is no such log, says the gateway; {size} entries of it were signed"
    found.alarms.append(Alarm(Suspicion.MISSING, state.origin, text, {"known": state.kept.note}))


def _note_receipts(state: State, origin: str, leaves: dict[bytes, int], found: Looked) -> None:
    """Step 7, for receipts whose leaves are among those just read."""
    for own in state.receipts.values():
        index = None if own.index is not None else leaves.get(own.leaf)
        if index is not None:
            own.origin, own.index = origin, index
            found.receipts += 1


def _own_receipts(one: Look) -> None:
    """Step 7, for those that must be in the log by now, by what was vouched for, else by our clock."""
    state, found = one.state, one.found
    if state.kept is None:
        return
    until = (state.kept.fresh_at * 1_000 or one.now) - one.terms.promise_ms
    for ref, own in state.receipts.items():
        if own.index is not None or own.at >= until:
            continue
        try:
            _prove(one, ref, own)
        except AlarmError as error:
            found.alarms.append(error.alarm)
        except (VerificationError, LogMissingError, AnswerUnfitError) as error:
            late = (until + one.terms.promise_ms - own.at) // 1_000
            kept = state.kept
            text = (
                f"{ref}: the gateway signed that it accepted the event, {late} s before it vouched for a log "
                f"of {kept.checkpoint.size} entries that does not have it ({error})"
            )
            papers = {"receipt": own.token.encode(), "known": kept.note}
            is_provable = own.at < _shown_at(state, kept) * 1_000 - one.terms.promise_ms
            found.alarms.append(Alarm(Suspicion.RECEIPT, ref, text, papers, is_provable=is_provable))


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
    shown, _ = _signed(state, proof.checkpoint)
    if state.kept is not None and shown.size != state.kept.checkpoint.size:
        # Newer, or another: the proof is worth as much as its checkpoint.
        take_note(one, proof.checkpoint, must_be_fresh=False)
    else:
        _verify_not_apart(state, shown, proof.checkpoint)
    if own.index is None:
        verify_inclusion(own.leaf, proof.index, shown.size, proof.hashes, shown.root)
        own.origin, own.index = state.origin, proof.index
        one.found.receipts += 1
