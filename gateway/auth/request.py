"""What authentication may see of a request: nothing of the body, nothing of the path."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Shown:
    """The credentials that a request shows. `authorization`: every value of that header."""

    authorization: tuple[str, ...] = field(default=(), repr=False)
