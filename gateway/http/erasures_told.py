"""The words of the routes of erasures and holds."""

from typing import Final

from audit.kinds import MOST_HELD_REFS
from gateway.erasing.job import MOST_REFS
from gateway.http.shapes import REF, Shape, listed, maybe, record, text, word
from gateway.http.told import Parameter

MOST_BASIS: Final = 500
CREATE: Final = (
    "Takes away evidence, content, claim, waiting deliveries and what else holds them: of the events named, "
    "or of all whose first entry is of a time. Leaf and index stay in the log: every proof holds, and "
    "the log says what was erased, when, by whom and why. A few events are erased before this is answered "
    "(201); more, or what the log has not got yet, is a job (202). What a legal hold is on is never erased: "
    "named, it refuses all (`held`), unless `when_held` is `wait`: then, and of a time always, it follows "
    "once the hold is lifted. What cannot be reached is in docs/erasure.md. With `dry_run` it counts."
)
SET: Final = (
    "On events that it names, on all of a time (either end may be left out), or with neither on everything "
    "of the partner. As long as it is in force nothing that it is on is erased, nor dropped when its time is "
    "over. Setting and lifting it are entries of the partner's log."
)
LIFT: Final = "What waited for that is erased, and what is past its time goes. Twice changes nothing."
ERASURE_ID: Final = Parameter(
    "id", "An erasure.", text("ers_[a-z2-7]{26}"), place="path", example="ers_" + "a" * 26
)
HOLD_ID: Final = Parameter("id", "A hold.", text("hld_[a-z2-7]{26}"), place="path", example="hld_" + "a" * 26)
BASIS: Final = Parameter(
    "basis", "Why it is lifted: a reference, and no name.", text(least=1, most=MOST_BASIS), required=True
)
_BASIS: Final = text(least=1, most=MOST_BASIS)
WANTED: Final[Shape] = record(
    {"basis": _BASIS},
    optional={
        "refs": listed(REF, most=MOST_REFS),
        "since": maybe(text(least=1)),
        "until": maybe(text(least=1)),
        "when_held": word("refuse", "wait"),
    },
)
HOLD_WANTED: Final[Shape] = record(
    {"basis": _BASIS},
    optional={
        "refs": listed(REF, most=MOST_HELD_REFS),
        "since": maybe(text(least=1)),
        "until": maybe(text(least=1)),
    },
)
