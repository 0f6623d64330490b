"""`If-Match` for changes of a partner and of its contract: one form for both."""

import re
from typing import Final

from gateway.administration.standing import Seen
from gateway.errors import CallerError
from gateway.http.guard import Call
from gateway.http.shapes import text
from gateway.http.told import Parameter

TAG: Final = "Its state, and the revision of its contract."
_ETAG: Final = re.compile(r'"(?:([a-z]{1,16})\.)?([0-9]{1,9})"', re.ASCII)

IF_MATCH: Final = Parameter(
    "If-Match",
    "The `ETag` that you have seen, of the partner or of its contract: they are one. The revision alone "
    'means: whatever its state (`"7"`).',
    text('(\\*|"([a-z]{1,16}\\.)?[0-9]{1,9}")'),
    place="header",
)


def read_if_match(call: Call) -> Seen | None:
    """What the author of a change has seen; None: whatever is there.

    Raises:
        CallerError: `request_malformed`.
    """
    given = call.request.headers.get("if-match", "*").strip()
    if given == "*":
        return None
    found = _ETAG.fullmatch(given)
    if found is None:
        raise CallerError(
            "request_malformed",
            'If-Match must be the ETag of the partner or of its contract, such as "active.7".',
        )
    return Seen(int(found[2]), found[1])
