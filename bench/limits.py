"""Very many of one thing: idle connections of one process, contracts of one folder. On Kafka and PostgreSQL.

10,000 connections over TLS have each made a request and wait for the next; measured is the memory of `serve`.
A folder of 1,000 contracts is planned: while none of its partners is known, once all are in force, and once
each has changed. Figures go to bench/results-limits.json. `python -m bench.limits [--quick]`.
"""

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.figures import keep, verdict
from bench.grounds import Ground, ground_of
from bench.installation import Installation
from bench.measures import peak_bytes, reset_peak, resident_bytes
from bench.orders import SCHEMA_FILE, contract, slugs
from bench.programs import ROOT, Program

RESULTS: Final = Path(__file__).with_name("results-limits.json")
_MOST_BYTES: Final = 400_000_000
_MOST_SECONDS: Final = 10.0
_AT_ONCE: Final = 50
_REQUEST: Final = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down; as a client: hold connections."""
    parser = argparse.ArgumentParser(prog="bench.limits")
    parser.add_argument("--quick", action="store_true", help="a tenth of each; nothing is kept")
    parser.add_argument("--hold", nargs=2, metavar=("PORT", "NUMBER"), type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.hold:
        uvloop.run(_hold(*options.hold))
        return 0
    connections, contracts = (1_000, 100) if options.quick else (10_000, 1_000)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
        ground_of("kafka", Path(folder)) as ground,
    ):
        found = {"idle": _idle(ground, connections), "folder": _folder(ground, contracts)}
    keep(found, RESULTS, is_whole=not options.quick)
    return 0


def render_limits(found: Mapping[str, Any]) -> str:
    """One table."""
    idle, folder = found["idle"], found["folder"]
    most = max(folder["new"], folder["same"], folder["changed"])
    times = ", ".join(f"{folder[word]:.1f}" for word in ("new", "same", "changed"))
    rows = {
        f"memory of `serve` with {idle['connections']:,} idle connections over TLS, and before": (
            f"{idle['bytes'] / 1e6:.0f}, {idle['bytes_before'] / 1e6:.0f} MB",
            f"under 400: {verdict(is_met=idle['bytes'] < _MOST_BYTES)}",
        ),
        "the highest while they were opened": (f"{idle['peak_bytes'] / 1e6:.0f} MB", ""),
        f"a plan of {folder['contracts']:,} contracts: all new, all in force, all changed": (
            f"{times} s",
            f"under 10: {verdict(is_met=most < _MOST_SECONDS)}",
        ),
    }
    lines = [f"| {name} | {figure} | {target} |" for name, (figure, target) in rows.items()]
    return "\n".join(["| | | target |", "|---|---|---|", *lines])


def _idle(ground: Ground, connections: int) -> dict[str, Any]:
    installation = ground.install()
    installation.start()
    serve = [installation.programs["serve"].pid]
    with installation.client() as client:
        client.get("/livez").raise_for_status()
    before = resident_bytes(serve)
    reset_peak(serve)
    command = ("bench.limits", "--hold", str(installation.port), str(connections))
    holder = Program(command, installation.folder / "holder.log")
    holder.start()
    try:
        held = holder.ask()["held"]
        time.sleep(10)
        resident, peak = resident_bytes(serve), peak_bytes(serve)
    finally:
        holder.stop()
    installation.stop()
    return {"connections": held, "bytes_before": before, "bytes": resident, "peak_bytes": peak}


def _folder(ground: Ground, contracts: int) -> dict[str, Any]:
    installation = ground.install()
    installation.start()
    folder = installation.folder / "contracts"
    folder.mkdir()
    (folder / "order.avsc").write_text(SCHEMA_FILE.read_text())
    for slug in slugs(contracts):
        (folder / f"{slug}.yaml").write_text(contract(slug))
    new = _plan(installation, folder)
    installation.admit(contracts)
    same = _plan(installation, folder)
    for slug in slugs(contracts):
        (folder / f"{slug}.yaml").write_text(contract(slug).replace("Partner ", "Company "))
    changed = _plan(installation, folder)
    installation.stop()
    return {"contracts": contracts, "new": new, "same": same, "changed": changed}


def _plan(installation: Installation, folder: Path) -> float:
    """Seconds that the command takes, from its start to its end."""
    order = [sys.executable, "-m", "gateway", "plan", "-f", str(folder), "--quiet", "--url", installation.url]
    order += ["--key", str(installation.folder / "data" / "operator.key")]
    order += ["--cacert", str(installation.certificate)]
    began = time.monotonic()
    subprocess.run(order, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    return time.monotonic() - began


async def _hold(port: int, number: int) -> None:
    """Open so many connections, make a request on each, and keep them until standard input ends."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    gate = asyncio.Semaphore(_AT_ONCE)

    async def opened() -> asyncio.StreamWriter:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
            writer.write(_REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            return writer

    async with asyncio.TaskGroup() as tasks:
        opening = [tasks.create_task(opened()) for _ in range(number)]
    held = [task.result() for task in opening]
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        del line
        alive = sum(not one.is_closing() for one in held)
        sys.stdout.write(json.dumps({"held": alive}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
