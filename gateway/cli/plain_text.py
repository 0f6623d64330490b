"""Values from outside as text that steers no terminal."""

import re
from collections.abc import Mapping
from typing import Final

CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What is not printed as it is."""


def clean(value: object) -> str:
    """A value as text that is safe to print: lists by commas, nothing as `-`."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{clean(name)}={clean(one)}" for name, one in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(clean, value)) or "-"
    return CONTROL.sub("?", str(value))
