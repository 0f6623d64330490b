"""Schemas that were parsed lately, by their texts: most contracts of a house share a few of them.

What is parsed is immutable and depends on its text alone, so that whoever asks for the same text gets the
same value. A text that is refused is not remembered: it is refused anew, with all that there is to say.
"""

from functools import lru_cache
from typing import Final

from schemas.schema import Schema, parse_schema

MOST: Final = 256
"""Schemas that are remembered, per process; of those that nobody asks for the oldest go first."""

LONGEST: Final = 8 * 1024
"""Characters of a text that is remembered. What is parsed of one takes some ten times as many bytes."""


def parse_alone(text: str) -> Schema:
    """As `parse_schema`, of a schema without references; raises what that raises."""
    return _known(text) if len(text) <= LONGEST else parse_schema(text)


@lru_cache(MOST)
def _known(text: str) -> Schema:
    return parse_schema(text)
