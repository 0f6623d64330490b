"""Compatibility levels and modes, as words: what they are, and what is none.

Source: Confluent Schema Registry API, `/config` and `/mode`.
"""

from typing import Final, Literal, TypeAlias, get_args

from schemas.refusal import RegistryError

Level: TypeAlias = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]
Mode: TypeAlias = Literal["READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT"]

DEFAULT_LEVEL: Final[Level] = "BACKWARD"
DEFAULT_MODE: Final[Mode] = "READWRITE"

_LEVELS: Final[dict[str, Level]] = {one: one for one in get_args(Level)}
_MODES: Final[dict[str, Mode]] = {one: one for one in get_args(Mode)}


def parse_level(word: object) -> Level:
    """A level from outside, in upper or lower case.

    Raises:
        RegistryError: 42203, it is none.
    """
    found = _LEVELS.get(word.upper()) if isinstance(word, str) else None
    if found is None:
        raise RegistryError(42203, f"Invalid compatibility level. Valid values are {_list(_LEVELS)}")
    return found


def parse_mode(word: object) -> Mode:
    """A mode from outside, in upper or lower case.

    Raises:
        RegistryError: 42204, it is none, or none of ours: nothing is forwarded to another registry.
    """
    found = _MODES.get(word.upper()) if isinstance(word, str) else None
    if found is None:
        raise RegistryError(42204, f"Invalid mode. Valid values are {_list(_MODES)}")
    return found


def effective_level(own: str | None, whole: str | None) -> Level:
    """The level that counts for a subject: its own, else the whole registry's, else the default."""
    return _LEVELS.get(own or whole or DEFAULT_LEVEL, DEFAULT_LEVEL)


def effective_mode(own: str | None, whole: str | None) -> Mode:
    """The mode that counts for a subject; READONLY_OVERRIDE of the whole registry goes over all others."""
    if whole == "READONLY_OVERRIDE":
        return "READONLY_OVERRIDE"
    return _MODES.get(own or whole or DEFAULT_MODE, DEFAULT_MODE)


def _list(words: dict[str, Level] | dict[str, Mode]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}"
