"""What is said where this host's clock and the database's do not agree."""

from typing import Final

from gateway.ingress.claims import MAX_CLOCK_DIFFERENCE_MS

_MEND: Final = "an operator must set it right (NTP: timedatectl set-ntp true, or chrony)"


def words_of_difference(ahead_ms: int) -> str:
    """By how much this host's clock is ahead of the database's (behind: negative), and how to mend it."""
    side = "ahead of" if ahead_ms > 0 else "behind"
    most = MAX_CLOCK_DIFFERENCE_MS // 1_000
    return (
        f"this host's clock is {abs(ahead_ms) / 1_000:.1f} s {side} the database's, "
        f"and {most} s is the most: {_MEND}"
    )
