"""Where files of tests lie that nobody wants to find again after a loss of power."""

import os
import shutil
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made in it


def fast_folder(wanted_bytes: int) -> Path | None:
    """A folder in memory with so much room, whose files may be run; None: there is none, a disk has to do."""
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        return None
    if os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC or shutil.disk_usage(_MEMORY).free < wanted_bytes:
        return None
    return _MEMORY
