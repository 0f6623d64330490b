"""Checkpoints of several sizes: each is signed, and nothing says that they are of one history.

Source: docs/formats.md, section 6.
"""

from collections.abc import Collection, Iterable


def ungrown(shown: Iterable[tuple[str, bytes]], proved: Collection[str]) -> list[str]:
    """What nothing shows of checkpoints of several sizes: that the log only grew, unless it is `proved`."""
    sizes: dict[str, set[int]] = {}
    for words in (what.split(" ") for what, _ in shown if what.startswith("the root ")):
        sizes.setdefault(words[-1], set()).add(int(words[3]))
    said = (f"{one} only grew from {' to '.join(map(str, sorted(sizes[one])))} entries" for one in sizes)
    return [f"that {one}" for one in said if " to " in one and one not in proved]
