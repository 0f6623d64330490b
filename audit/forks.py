"""Two histories of one log: what it has shown once, it must show again.

Both were signed by the log's key, so that whoever holds them can prove it to anybody.

Source: docs/formats.md, section 6.
"""

from collections.abc import Iterable

from audit.contradiction import InconsistentError


def compare_shown(shown: Iterable[tuple[str, bytes]]) -> None:
    """Compare what verified papers have shown, as `audit.case` names it.

    Raises:
        InconsistentError: two of them contradict each other.
    """
    known: dict[str, bytes] = {}
    for what, raw in shown:
        if known.setdefault(what, raw) != raw:
            raise InconsistentError(f"fork: two histories, by {what}")
