"""The named schemas of erasures and holds."""

from collections.abc import Mapping
from typing import Final

from gateway.erasing.job import STATES
from gateway.http.erasures_told import HOLD_WANTED, WANTED
from gateway.http.shapes import (
    FLAG,
    INSTANT,
    REF,
    TEXT,
    Shape,
    listed,
    maybe,
    page_of,
    record,
    ref,
    text,
    whole,
    word,
)

_COUNT: Final = whole()
_BY: Final = record({"role": TEXT, "credential": maybe(TEXT)})
_SCOPE: Final = record({"refs": listed(REF), "since": maybe(INSTANT), "until": maybe(INSTANT)})

COMPONENTS: Final[Mapping[str, Shape]] = {
    "Erased": record({"at": INSTANT, "erasure": maybe(TEXT), "basis": TEXT}),
    "Erasure": record(
        {
            "id": text("ers_[a-z2-7]{26}"),
            "partner": TEXT,
            "state": word(*STATES),
            "refs": _COUNT,
            "since": maybe(INSTANT),
            "until": maybe(INSTANT),
            "basis": TEXT,
            "by": _BY,
            "total": _COUNT,
            "done": _COUNT,
            "erased": _COUNT,
            "held": _COUNT,
            "absent": _COUNT,
            "pending": _COUNT,
            "created_at": INSTANT,
            "ended_at": maybe(INSTANT),
            "links": record({"self": TEXT}),
        },
        optional={"dry_run": FLAG},
    ),
    "ErasurePage": page_of(ref("Erasure")),
    "ErasureWanted": WANTED,
    "Hold": record(
        {
            "id": text("hld_[a-z2-7]{26}"),
            "partner": TEXT,
            "scope": _SCOPE,
            "basis": TEXT,
            "by": _BY,
            "set_at": INSTANT,
            "lifted_at": maybe(INSTANT),
            "lifted_for": maybe(TEXT),
            "lifted_by": maybe(_BY),
            "links": record({"self": TEXT}),
        },
        optional={"dry_run": FLAG},
    ),
    "HoldPage": page_of(ref("Hold")),
    "HoldWanted": HOLD_WANTED,
}
