"""Checkpoints beside each other, as people compare them: one's own with another's, or with last year's."""

from collections.abc import Sequence

from audit.case import Case
from audit.whole import open_paper


def take_checkpoints(files: Sequence[bytes], case: Case) -> list[bytes]:
    """Verify checkpoints that stand alone, where there are several; returns the papers that are left.

    Of one size they must have one root, as whoever examines the rest makes sure. That a larger one goes on
    from a smaller one is shown by a consistency proof, and by nothing else.

    Raises:
        VerificationError: one of them does not fit, or is signed by a key that is not pinned.
    """
    opened = [(raw, open_paper(raw)) for raw in files]
    alone = dict.fromkeys(held["checkpoint"] for _, held in opened if held.keys() == {"checkpoint"})
    if len(alone) == 1 or any("consistency" in held for _, held in opened):
        return list(files)
    sizes: dict[str, set[int]] = {}
    for raw in alone:
        origin, size, _ = case.add_checkpoint(raw)
        sizes.setdefault(origin, set()).add(size)
    for origin, several in sizes.items():
        words = " to ".join(map(str, sorted(several)))
        case.not_proved += [f"that {origin} only grew from {words} entries"] if len(several) > 1 else []
    return [raw for raw, held in opened if held.keys() != {"checkpoint"}]
