"""How many files, and so connections, this process may have open: as many as the system lets it take.

Most systems begin with about a thousand, and let a process raise that; very many streams need more.
"""

import resource
from contextlib import suppress
from typing import Final

MOST_STREAMS: Final = 8_192
_ENOUGH: Final = 65_536
_BESIDE: Final = 512
"""For all else that is open: requests, the database, the broker."""
_LEAST: Final = 64


def allowed() -> int:
    """How many this process may have once it has asked for them; -1: any number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return -1
    return max(soft, _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH))


def raise_limit() -> None:
    """Ask for them; a system that says no leaves it as it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = allowed()
    if wanted > soft:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_streams() -> int:
    """How many streams may be read from this process at once, so that files are left for all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_STREAMS
    return min(MOST_STREAMS, max(_LEAST, soft - _BESIDE))
