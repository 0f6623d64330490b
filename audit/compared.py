"""Checkpoints beside each other, as people compare them: one's own with another's, or with last year's."""

from collections.abc import Sequence

from audit.case import Case
from audit.whole import open_paper


def take_checkpoints(files: Sequence[bytes], case: Case) -> list[bytes]:
    """Verify checkpoints that stand alone, where there are several; returns the papers that are left.

    Of one size they must have one root, as whoever examines the rest makes sure; who says there, too, that
    nothing but a consistency proof shows that a larger one goes on from a smaller one.

    Raises:
        VerificationError: one of them does not fit, or is signed by a key that is not pinned.
    """
    opened = [(raw, open_paper(raw)) for raw in files]
    alone = dict.fromkeys(held["checkpoint"] for _, held in opened if held.keys() == {"checkpoint"})
    if len(alone) == 1 or any("consistency" in held for _, held in opened):
        return list(files)
    for raw in alone:
        case.add_checkpoint(raw)
    return [raw for raw, held in opened if held.keys() != {"checkpoint"}]
