"""What a look of a monitor works with, and whose word a checkpoint is: its log's, a voucher's for its age.

Source: C2SP tlog-checkpoint, tlog-cosignature; docs/monitoring.md.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from audit.alarm import Alarm, Suspicion, stop
from audit.checkpoint import Checkpoint, read_checkpoint, verify_log_signature
from audit.errors import UnpinnedKeyError, VerificationError
from audit.freshness import fresh_at, parse_freshness_key
from audit.log_source import Source
from audit.monitor_state import State
from audit.note import Note, VerifierKey, verify_note

FRESH_SECONDS: Final = 60
"""A checkpoint that is older than this was vouched for too long ago."""

SLACK_SECONDS: Final = 10
"""By which our clock and the log's may differ, and what an answer takes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was promised, and what the user wants.

    promise_ms: within which a receipt's event has its entry. is_freshness_pinned: freshness keys were given,
    and none is learned. most_entries, most_seconds: after which a look reads no further, and judges.
    """

    promise_ms: int = 60_000
    most_entries: int = 10_000_000
    most_seconds: float = 300.0
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

    now: Unix milliseconds. ticks: seconds of a clock that nobody sets; begun: when the look began, by it.
    vouched_at: as of `Kept.fresh_at`, for the checkpoint that is served, if it is one. is_ending: the epoch
    that is followed is over, and not read to its end yet. ends: how earlier epochs ended, by their origins,
    as far as this look has found it out.
    """

    state: State
    source: Source
    terms: Terms
    now: int
    ticks: Callable[[], float] = lambda: 0.0
    begun: float = 0.0
    found: Looked = field(default_factory=Looked)
    vouched_at: int = 0
    is_ending: bool = False
    ends: dict[str, Checkpoint] = field(default_factory=dict)

    def has_read(self, count: int) -> bool:
        """Whether so many entries more, or the time that this took, are enough for one look."""
        terms = self.terms
        return self.found.entries + count >= terms.most_entries or self.is_late(self.begun)

    def is_late(self, since: float) -> bool:
        """Whether the time for one look is over that began then."""
        return self.ticks() - since >= self.terms.most_seconds

    def is_come(self, at: int) -> bool:
        """Whether a time, Unix seconds, may be now: at one that has not come nobody can have looked."""
        return at <= self.now // 1_000 + FRESH_SECONDS


def read_signed(state: State, raw: bytes) -> tuple[Checkpoint, Note]:
    """A checkpoint of the log that is followed, signed by a key that is trusted.

    Raises:
        AlarmError: It is of another log, or signed by nobody who counts.
        MalformedError: It is none.
    """
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


def drop_compromised(state: State, told: Collection[bytes]) -> list[str]:
    """Trust no key any more that the gateway says somebody else may have, whoever has given it.

    It stays so whatever is told later. What is kept of the log stays, too: who drops a key drops no history
    with it. Returns what is worth a line.
    """
    gone = {*told, *state.compromised_keys}
    logs = [key for key in state.log_keys if key in gone]
    fresh = [text for text in state.freshness_keys if parse_freshness_key(text).public_key in gone]
    retired = [key for key in state.retired_keys if key in gone]
    found = dict.fromkeys([*logs, *retired, *(parse_freshness_key(text).public_key for text in fresh)])
    state.compromised_keys = tuple(dict.fromkeys([*state.compromised_keys, *found]))
    state.log_keys = tuple(key for key in state.log_keys if key not in gone)
    state.retired_keys = tuple(key for key in state.retired_keys if key not in gone)
    state.freshness_keys = tuple(text for text in state.freshness_keys if text not in fresh)
    named = [*(str(VerifierKey(state.origin, key)) for key in logs), *fresh]
    return [f"not trusted any more, since the gateway says that it is compromised: {one}" for one in named]


def weighed(state: State, alarm: Alarm) -> Alarm:
    """An alarm as it is to others: a note that a compromised key alone has signed shows them nothing."""
    if not alarm.is_provable or all(_is_trusted(state, raw) for raw in alarm.papers.values()):
        return alarm
    text = f"{alarm.text}; a paper of it is signed by no key but one that is compromised"
    return replace(alarm, text=text, is_provable=False)


def _is_trusted(state: State, raw: bytes) -> bool:
    """Whether a paper is no note, or one whose signers are not all compromised.

    A key that is not known any more, since an earlier version kept none that was changed, has signed it, too:
    it was verified when it was kept. Signatures count, not ids: anybody writes a line with an id.
    """
    try:
        checkpoint, note = read_checkpoint(raw)
    except VerificationError:
        return True
    has_signed = partial(_has_signed, note, checkpoint.origin)
    is_known = any(map(has_signed, (*state.log_keys, *state.retired_keys)))
    return is_known or not any(map(has_signed, state.compromised_keys))


def _has_signed(note: Note, origin: str, key: bytes) -> bool:
    try:
        return bool(verify_note(note, [VerifierKey(origin, key)]))
    except VerificationError:
        return False


def vouched(one: Look, note: Note, raw: bytes) -> int | None:
    """When it was vouched for, by a known key or by one that is published now; None: by none of them.

    Raises:
        AlarmError: A line in the name of such a key is wrong.
    """
    state = one.state
    try:
        at = fresh_at(note, [parse_freshness_key(text) for text in state.freshness_keys])
        if at is None and not one.terms.is_freshness_pinned:
            gone = {*one.source.compromised_keys(), *state.compromised_keys}
            told = [text for text in one.source.freshness_keys() if text not in state.freshness_keys]
            told = [text for text in told if parse_freshness_key(text).public_key not in gone]
            at = fresh_at(note, [parse_freshness_key(text) for text in told])
            if at is not None:
                state.freshness_keys = (*state.freshness_keys, *told)
                one.found.news.append(
                    f"learned from the gateway: freshness is vouched for with {', '.join(told)}"
                )
    except VerificationError as error:
        raise stop(Suspicion.SIGNATURE, state.origin, f"{state.origin}: {error}", shown=raw) from error
    return at


def verify_fresh(state: State, at: int | None, now: int, raw: bytes) -> None:
    """Compare with our clock. Raises AlarmError: it is too long ago, or has not come yet."""
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


def learn_log_keys(one: Look, note: Note) -> None:
    """Take over keys that sign beside one that is known, where the user has pinned none."""
    state = one.state
    if state.is_pinned:
        return
    known = {VerifierKey(state.origin, key).key_id for key in state.log_keys}
    ids = {line.key_id for line in note.lines if line.name == state.origin}
    if not ids - known:
        return
    gone = {*one.source.compromised_keys(), *state.compromised_keys}
    for key in one.source.log_keys():
        verifier = VerifierKey(state.origin, key)
        if key not in gone and key not in state.log_keys and verifier.key_id in ids:
            state.log_keys = (*state.log_keys, key)
            one.found.news.append(f"learned from the gateway: the log has another key, {verifier}")
