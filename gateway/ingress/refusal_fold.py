"""Refusals into the log, folded: the first of each kind at once, like ones counted until the window ends.

A broken client must not fill its own log, so a kind is (partner, credential, direction, type, code), without
the type where the contract knows none such: a sender can invent any number. Of one credential `MAX_TYPED`
kinds are told apart by their type, the others by their code alone, of which there are a few dozen: whatever
it sends, it makes in a window two entries of each kind at most, the first, and the count of the others.

Counts that a killed process had not written yet are lost; the first refusal of each kind is not.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from audit.evidence import Evidence, Kind, make_evidence
from audit.ref import format_ref
from gateway.event import Direction, EventKey

MAX_FAULTS = 20

MAX_TYPED: Final = 40
"""Kinds of one credential in a window that are told apart by their type."""

_Kind = tuple[str, str, str, str, str]
_Sender = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused event, as far as it could be read.

    `log`: the partner's log, host included, without epoch. `faults`: at most 20, as (short pointer, code).
    """

    partner: str
    direction: Direction
    log: str
    type: str | None
    source: str | None
    id: str | None
    content: Mapping[str, object] | None
    code: str
    faults: tuple[tuple[str, str], ...]
    faults_total: int
    auth: Mapping[str, object] | None
    at: int

    @property
    def ref(self) -> str | None:
        """The event's reference in its text form, where source and id are known."""
        if self.source is None or self.id is None:
            return None
        return format_ref(EventKey(self.partner, self.direction, self.source, self.id).ref())


@dataclass(slots=True)
class _Window:
    until: int
    since: int = 0
    count: int = 0
    last: Refusal | None = field(default=None)


class RefusalFold:
    """Decides which refusals become entries now; bounded in kinds remembered."""

    def __init__(
        self, *, iss: str, entropy: Callable[[int], bytes], window_ms: int = 60_000, kinds: int = 10_000
    ) -> None:
        """`window_ms`: how long like refusals are counted before they are written as one.

        `kinds`: how many kinds are told apart; beyond them, refusals of one partner and code are alike.
        """
        self._iss = iss
        self._entropy = entropy
        self._window_ms = window_ms
        self._kinds = kinds
        self._windows: dict[_Kind, _Window] = {}
        self._typed: Counter[_Sender] = Counter()

    def note(self, refusal: Refusal) -> list[Evidence]:
        """Take a refusal; the entries to write now: it itself, or nothing, or what its window had counted."""
        kind = self._kind(refusal)
        window = self._windows.get(kind)
        if window is not None and refusal.at < window.until:
            window.since = window.since or refusal.at
            window.count += 1
            window.last = refusal
            return []
        entries = self._close(kind) if window is not None else []
        self._windows[kind] = _Window(refusal.at + self._window_ms)
        self._typed[kind[:2]] += bool(kind[3])
        return [*entries, self._entry(refusal, 1, refusal.at)]

    def due(self, now: int) -> list[Evidence]:
        """The counts whose window has ended; with `now` beyond all time, everything counted."""
        ended = [kind for kind, window in self._windows.items() if window.until <= now]
        return [entry for kind in ended for entry in self._close(kind)]

    def _kind(self, refusal: Refusal) -> _Kind:
        known = "" if refusal.code == "event_type_unknown" else refusal.type or ""
        credential = str((refusal.auth or {}).get("credential"))
        kind = (refusal.partner, credential, refusal.direction, known, refusal.code)
        has_room = len(self._windows) < self._kinds and self._typed[kind[:2]] < MAX_TYPED
        if kind in self._windows or has_room:
            return kind
        return (refusal.partner, credential, refusal.direction, "", refusal.code)

    def _close(self, kind: _Kind) -> list[Evidence]:
        window = self._windows.pop(kind)
        self._typed[kind[:2]] -= bool(kind[3])
        if not self._typed[kind[:2]]:
            del self._typed[kind[:2]]
        return [] if window.last is None else [self._entry(window.last, window.count, window.since)]

    def _entry(self, refusal: Refusal, count: int, since: int) -> Evidence:
        ref = None
        if refusal.id is not None and refusal.source is not None:
            key = EventKey(refusal.partner, refusal.direction, refusal.source, refusal.id)
            ref = format_ref(key.ref())
        members = {
            "partner": refusal.partner,
            "direction": refusal.direction,
            "ref": ref,
            "source": refusal.source,
            "id": refusal.id,
            "type": refusal.type,
            "content": refusal.content,
            "record": None,
            "code": refusal.code,
            "faults": [{"pointer": pointer, "code": code} for pointer, code in refusal.faults],
            "faults_total": refusal.faults_total,
            "auth": refusal.auth,
            "count": count,
            "since": since,
        }
        salt = self._entropy(32)
        return make_evidence(Kind.REFUSED, members, iss=self._iss, log=refusal.log, at=refusal.at, salt=salt)
