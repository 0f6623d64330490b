"""Which of the forms that are offered does a caller want? Source: RFC 9110, section 12.5.1."""

import re
from collections.abc import Sequence
from typing import Final

from gateway.errors import CallerError

_QUALITY: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z", re.ASCII)


def preferred(accept: Sequence[str], offered: Sequence[str]) -> str:
    """The media type of `offered` that is wanted most; the first of those that are wanted alike.

    `accept`: the fields of that name; none, or an empty one: anything will do.

    Raises:
        CallerError: `not_acceptable`.
    """
    ranges = [one.strip().lower() for each in accept for one in each.split(",") if one.strip()]
    if not ranges:
        return offered[0]
    wanted = {one: _quality(one, ranges) for one in offered}
    best = max(wanted.values())
    if best == 0:
        raise CallerError("not_acceptable", f"This is to be had as {' or '.join(offered)}.")
    return next(one for one in offered if wanted[one] == best)


def _quality(media_type: str, ranges: Sequence[str]) -> float:
    """By the range that names it most exactly; 0: not wanted."""
    main = media_type.partition("/")[0]
    exactness = {media_type: 3, f"{main}/*": 2, "*/*": 1}
    found = (0, 0.0)
    for one in ranges:
        name, *parameters = (part.strip() for part in one.split(";"))
        if name in exactness:
            found = max(found, (exactness[name], _weight(parameters)))
    return found[1]


def _weight(parameters: Sequence[str]) -> float:
    for one in parameters:
        name, _, text = one.partition("=")
        if name.strip() == "q":
            return float(text) if _QUALITY.match(text.strip()) else 0.0
    return 1.0
