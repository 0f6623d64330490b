"""Clocks: ours against the database's, and whether somebody keeps ours right."""

from collections.abc import Sequence
from typing import Final

from gateway.doctor.finding import Area, Finding

CLOCK: Final = Area("clock")
WARN_MS: Final = 1_000
FAULT_MS: Final = 5_000
"""Beyond this, events are refused with `clock_untrusted`."""

_MEND: Final = "turn on time synchronisation (chrony, systemd-timesyncd) on both hosts"


def judge_difference(before: int, theirs: int, after: int, *, whose: str) -> Finding:
    """Compare a clock that was read between two looks at ours. All Unix milliseconds."""
    ahead = theirs - after if theirs > after else min(theirs - before, 0)
    apart = abs(ahead)
    words = f"{format_ms(apart)} {'behind' if ahead > 0 else 'ahead of'} {whose}"
    if apart > FAULT_MS:
        return CLOCK.fault(f"this host's clock is {words}: events get 503 clock_untrusted", _MEND)
    if apart > WARN_MS:
        return CLOCK.warning(f"this host's clock is {words}; events are refused from 5 s on", _MEND)
    return CLOCK.ok(f"this host's clock {'is ' + words if apart else 'agrees with ' + whose}")


def judge_synchronisation(signs: Sequence[str], *, is_container: bool) -> Finding:
    """`signs`: what was seen of programs that keep the clock right."""
    if signs:
        return CLOCK.ok(f"time synchronisation seems to be on ({', '.join(signs)})")
    if is_container:
        return CLOCK.not_asked("this is a container: its host keeps the clock")
    return CLOCK.warning("no program that keeps this host's clock right was seen", _MEND)


def format_ms(count: int) -> str:
    """Milliseconds below a second, else seconds."""
    return f"{count} ms" if count < 1_000 else f"{count / 1_000:.1f} s"  # noqa: PLR2004 - the units' ratio
