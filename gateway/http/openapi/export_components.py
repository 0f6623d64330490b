"""The named schemas of exports."""

from collections.abc import Mapping
from typing import Final, get_args

from audit.manifest import FORMATS
from gateway.exports.job import State
from gateway.http.exports_told import WANTED
from gateway.http.shapes import (
    FLAG,
    INSTANT,
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

COMPONENTS: Final[Mapping[str, Shape]] = {
    "Export": record(
        {
            "id": maybe(text("exp_[a-z2-7]{26}")),
            "partner": TEXT,
            "format": word(*FORMATS),
            "content": FLAG,
            "state": word(*get_args(State)),
            "dry_run": FLAG,
            "total": _COUNT,
            "done": _COUNT,
            "erased": _COUNT,
            "bytes": _COUNT,
            "files": maybe(_COUNT),
            "ranges": listed(ref("ExportRange")),
            "created_at": INSTANT,
            "ended_at": maybe(INSTANT),
            "error": maybe(ref("Problem")),
            "links": maybe(ref("ExportLinks")),
        }
    ),
    "ExportRange": record({"origin": TEXT, "from": _COUNT, "to": _COUNT}),
    "ExportLinks": record({"self": TEXT, "manifest": TEXT}),
    "ExportPage": page_of(ref("Export")),
    "ExportWanted": WANTED,
}
