"""A running witness: its key, its state, its listener. No gateway is part of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvloop

from audit.note import VerifierKey
from gateway.bootstrap.ending import ended, listen_for_the_end
from gateway.bootstrap.ground import clock, entropy, keep_private
from gateway.http.server import Server
from gateway.http.tls import server_context
from gateway.logs import configure
from gateway.units import Address
from gateway.witness.app import WitnessApp
from gateway.witness.opening import open_witness

LOG_LEVEL: Final = "info"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a witness is to run. `tls`: files of certificate and key. `name`: of a new key."""

    listen: Address
    key: Path
    state: Path
    logs: Sequence[VerifierKey]
    name: str
    algorithm: int
    tls: tuple[Path, Path] | None = None
    announce: Callable[[str], None] = field(default=print)


def run(wanted: Wanted) -> None:
    """Run until a signal asks to stop.

    Raises:
        SetupError: says what stands in the way of a start.
        StoreError: the state cannot be written.
    """
    keep_private()
    configure(LOG_LEVEL, "auto", clock)
    context = None if wanted.tls is None else server_context(*wanted.tls)
    signer, state = open_witness(
        wanted.key, wanted.state, name=wanted.name, algorithm=wanted.algorithm, entropy=entropy
    )
    app = WitnessApp(state, signer, by_origin(wanted.logs), clock)
    server = Server(app, wanted.listen, tls=context)
    try:
        state.mend(app.logs)
        uvloop.run(_serve(server, wanted, str(signer.key)))
    finally:
        app.close()
        ended()


def by_origin(logs: Sequence[VerifierKey]) -> Mapping[str, Sequence[VerifierKey]]:
    """Keys that may sign, by the origin that they are named after."""
    found: dict[str, list[VerifierKey]] = {}
    for key in logs:
        found.setdefault(key.name, []).append(key)
    return found


async def _serve(server: Server, wanted: Wanted, key: str) -> None:
    stop = asyncio.Event()
    listen_for_the_end(stop, parent=None)
    await server.listen()
    scheme = "http" if wanted.tls is None else "https"
    host = f"[{wanted.listen.host}]" if ":" in wanted.listen.host else wanted.listen.host
    wanted.announce(f"witness    {scheme}://{host}:{server.port}")
    wanted.announce(f"key        {key}")
    for log in wanted.logs:
        wanted.announce(f"log        {log.name}")
    await server.run(stop)
