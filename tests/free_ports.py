"""Ports of this machine for programs that bind them later, or let go of them and bind them again.

Below those that systems give to outgoing connections and to whoever asks for any port; others for each worker
of a run; and each given once, so that of two programs that were not started yet none takes the other's.
"""

import os
import secrets
import socket
from collections.abc import Iterator

_FIRST, _PORTS = 20_000, 12_000
_WORKERS = 12
_EACH = _PORTS // _WORKERS


def _numbers() -> Iterator[int]:
    """Those of this process, round and round; others who test on this machine begin elsewhere."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    turn = secrets.randbelow(_EACH)
    while True:
        yield _FIRST + worker * _EACH + turn % _EACH
        turn += 1


_ours = _numbers()


def free_port() -> int:
    """A port that nobody has bound now, and that nobody else of this run is given."""
    while True:
        port = next(_ours)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
