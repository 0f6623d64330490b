"""The reference of an event as text: `evt_` and 52 characters of lower-case base32, without padding.

Every event is written and read several times in this form, so that it is written ten bits at a time, and
read as one number: a tenth of the time of the standard library's base32, which goes character by character.

Source: RFC 4648, section 6, with its alphabet in lower case; docs/formats.md, section 2.
"""

import re
from functools import lru_cache
from itertools import product
from typing import Final

REF_BYTES: Final = 32

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_DIGITS: Final = str.maketrans(_LETTERS, "0123456789abcdefghijklmnopqrstuv")
"""From these letters to the digits that `int` reads."""

_PAIRS: Final = tuple(map("".join, product(_LETTERS, repeat=2)))
_SHIFTS: Final = range(250, -1, -10)  # 26 pairs hold 260 bits: 256, and four that are zero
_REF: Final = re.compile(r"evt_[a-z2-7]{51}[aq]", re.ASCII)


@lru_cache(512)
def format_ref(ref: bytes) -> str:
    """The text of a reference; of those that were asked for lately it is remembered.

    Raises:
        ValueError: it has not 32 bytes.
    """
    if len(ref) != REF_BYTES:
        raise ValueError(f"a reference has {REF_BYTES} bytes, not {len(ref)}")
    bits = int.from_bytes(ref) << 4
    return "evt_" + "".join([_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])


def parse_ref(text: str) -> bytes | None:
    """The 32 bytes of a reference; None where the text is none (to a caller: an unknown one)."""
    if not _REF.fullmatch(text):
        return None
    return (int(text[4:].translate(_DIGITS), 32) >> 4).to_bytes(REF_BYTES)
