"""The named schemas of the anchor."""

from collections.abc import Mapping
from typing import Final

from gateway.http.shapes import INSTANT, TEXT, Shape, listed, maybe, record, whole

_COUNT: Final = whole(0)
COMPONENTS: Final[Mapping[str, Shape]] = {
    "AnchorStanding": record(
        {
            "log": maybe(TEXT),
            "size": _COUNT,
            "anchored_at": maybe(INSTANT),
            "cosigned": record({"size": _COUNT, "at": maybe(INSTANT)}),
            "witnesses": listed(
                record({"name": TEXT, "size": _COUNT, "cosigned_at": maybe(INSTANT), "problem": TEXT})
            ),
        }
    ),
}
