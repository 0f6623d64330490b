"""Memory of ten thousand partners with three event types each, every one with a schema of its own.

Run by itself, since a process does not give memory back: prints bytes, before and after, as JSON.
"""

import json
import os
import sys
from pathlib import Path
from typing import Final

from bench.schemas_events import COUNT, SCHEMA, compact, order
from schemas.codec import Codec, compile_codec
from schemas.compiled import PATIENCE
from schemas.schema import parse_schema

PARTNERS: Final = 10_000
TYPES: Final = 3
_BUSY: Final = 4_000
"""Codecs that are used in both directions: more than are kept compiled."""
_POINTERS: Final = ("/order_id", "/customer_id", "/placed_at")


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Make the codecs, use some, and tell."""
    start = resident()
    codecs: list[Codec] = []
    for number in range(PARTNERS * TYPES):
        schema = parse_schema(SCHEMA.replace('"Order"', f'"Order{number}"'))
        codecs.append(compile_codec(schema, _POINTERS, "plain"))
    idle = resident()
    events = [compact(order(number)) for number in range(COUNT)]
    for codec in codecs[:_BUSY]:
        for event in events[: PATIENCE + 1]:
            codec.decode(codec.avro_from_json(event).avro)
    found = {"start": start, "idle": idle, "busy": resident(), "codecs": len(codecs), "used": _BUSY}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
