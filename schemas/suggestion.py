"""Which known name was meant by one that nobody knows. Bounded: names come from outside.

Source: Damerau, "A technique for computer detection and correction of spelling errors" (restricted form).
"""

from collections.abc import Sequence

_LONGEST = 64
_MOST_EDITS = 3


def suggest(name: str, known: Sequence[str]) -> str | None:
    """The known name that is nearest to this one, if it is near: another spelling, or a slip or two."""
    if len(name) > _LONGEST:
        return None
    bare = _bare(name)
    most = min(_MOST_EDITS, len(bare) // 3)
    best, fewest = None, most + 2
    for one in known:
        edits = 0 if _bare(one) == bare else 1 + _edits(bare, _bare(one), fewest - 2)
        if edits < fewest:
            best, fewest = one, edits
    return best


def _bare(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _edits(one: str, other: str, most: int) -> int:
    """Letters to add, drop, replace or swap until both are equal; `most` + 1 where it takes more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        # Only cells within `most` of the diagonal can matter.
        low, high = max(1, row - most), min(len(other), row + most)
        now = [most + 1] * (len(other) + 1)
        now[low - 1] = row if low == 1 else most + 1
        for at in range(low, high + 1):
            twin = other[at - 1]
            now[at] = min(last[at] + 1, now[at - 1] + 1, last[at - 1] + (letter != twin))
            if row > 1 and at > 1 and letter == other[at - 2] and one[row - 2] == twin:
                now[at] = min(now[at], before[at - 2] + 1)
        if min(now[low - 1 : high + 1]) > most:
            return most + 1
        before, last = last, now
    return min(last[-1], most + 1)
