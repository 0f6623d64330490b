"""How much slower than agreed an endpoint is posted to, because it asked for that; a value.

Additive increase, multiplicative decrease: who answers 429, 502 or 504 gets half as many attempts at once,
after a pause; each success gives one back. The pause is what the answer asks for, within bounds, or grows by
itself.

Source: Standard Webhooks 1.0.0, "Delivery": these three statuses mean that the receiver is overloaded.
"""

from dataclasses import dataclass
from typing import Final

from gateway.dialler import Answer
from gateway.egress.retry import asked_ms

STATUSES: Final = frozenset({429, 502, 504})
FIRST_PAUSE_MS: Final = 1_000
LONGEST_PAUSE_MS: Final = 60_000
"""Of the pauses that grow by themselves."""

LONGEST_ASKED_MS: Final = 3_600_000
"""What an answer may ask for on behalf of all that waits: an hour. The delivery itself may wait longer."""

_MOST_DOUBLINGS: Final = 6


@dataclass(frozen=True, slots=True)
class Slowing:
    """`limit`: attempts at once (None: as agreed). `until`: nothing goes before. `times`: asked in a row."""

    limit: int | None = None
    until: int = 0
    times: int = 0

    def limited(self, agreed: int) -> int:
        """Attempts at once."""
        return agreed if self.limit is None else min(self.limit, agreed)

    def asked(self, now: int, pause_ms: int, *, agreed: int) -> "Slowing":
        """After an answer that asks for less.

        What was under way while the pause had begun says nothing new, but may ask for a longer one.
        """
        until = now + min(pause_ms, LONGEST_ASKED_MS)
        if now < self.until:
            return Slowing(self.limit, max(self.until, until), self.times)
        doubled = min(FIRST_PAUSE_MS << min(self.times, _MOST_DOUBLINGS), LONGEST_PAUSE_MS)
        return Slowing(max(1, self.limited(agreed) // 2), max(until, now + doubled), self.times + 1)

    def succeeded(self, *, agreed: int) -> "Slowing":
        """After a 2xx: one more at once, and the next pause is a short one again."""
        limit = None if self.limit is None or self.limit + 1 >= agreed else self.limit + 1
        return Slowing(limit, self.until, 0)


def pause_asked(answer: Answer, *, now: int) -> int | None:
    """The pause that an answer asks for, ms (0: however long); None: it does not ask us to slow down."""
    return asked_ms(answer, now=now) if answer.status in STATUSES else None
