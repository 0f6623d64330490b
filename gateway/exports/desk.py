"""What the routes need of exports, as one value."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.exports.papers import Papers


@dataclass(frozen=True, slots=True)
class Exports:
    """`papers`: hands files out; `taken`: called once one more job may begin."""

    papers: Papers
    taken: Callable[[], None]
