"""The named schemas of imports."""

from collections.abc import Mapping
from typing import Final, get_args

from gateway.http.shapes import (
    DIRECTION,
    FLAG,
    INSTANT,
    TEXT,
    Shape,
    maybe,
    page_of,
    record,
    ref,
    text,
    whole,
    word,
)
from gateway.imports.job import State

_COUNT: Final = whole()

COMPONENTS: Final[Mapping[str, Shape]] = {
    "Import": record(
        {
            "id": text("imp_[a-z2-7]{26}"),
            "partner": TEXT,
            "direction": DIRECTION,
            "type": maybe(TEXT),
            "state": word(*get_args(State)),
            "dry_run": FLAG,
            "bytes": _COUNT,
            "total": maybe(_COUNT),
            "done": _COUNT,
            "accepted": _COUNT,
            "duplicates": _COUNT,
            "refused": _COUNT,
            "waits_for": maybe(TEXT),
            "created_at": INSTANT,
            "ended_at": maybe(INSTANT),
            "error": maybe(ref("Problem")),
            "links": record({"self": TEXT, "results": TEXT}),
        }
    ),
    "ImportPage": page_of(ref("Import")),
    "ImportResultPage": page_of(ref("BatchResult")),
}
