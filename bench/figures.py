"""What benchmarks share in telling what they found."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def keep(found: Mapping[str, Any], file: Path, *, is_whole: bool) -> None:
    """Print the figures as JSON; those of a whole run are kept in the file, too."""
    text = json.dumps(found, indent=1) + "\n"
    if is_whole:
        file.write_text(text)
    sys.stdout.write(text)


def verdict(*, is_met: bool) -> str:
    """What stands behind a target."""
    return "met" if is_met else "missed"
