"""What goes wrong while the soak runs: roles, Kafka and PostgreSQL killed and paused, receivers out."""

import asyncio
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.acceptance.running import Gateway
from tests.faults.receiver import Receiver
from tests.fleet import Fleet
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

WEIGHTS = {
    "kill a role": 68,
    "freeze a role": 8,
    "pause Kafka": 7,
    "pause PostgreSQL": 7,
    "kill Kafka": 2,
    "kill PostgreSQL": 3,
    "receivers out": 5,
}
LONGEST_PAUSE = 8.0
LONGEST_FREEZE = 14.0
"""Longer than a lease of ten seconds: its owner wakes up as one that others have replaced."""


@dataclass
class Trouble:
    """One trouble after the other, `seconds` apart.

    `met`: how often each sort; `kills`: by role. `gave_up`: processes that ended with words, as a start does
    whose database is away; `crashed`: those that ended by a bug. Both are started again.
    """

    fleet: Fleet
    kafka: KafkaServer
    postgres: PostgresServer
    receiver: Receiver
    seconds: float
    chance: Random
    met: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    gave_up: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    rss: dict[str, int] = field(default_factory=dict)

    async def run(self, stop: asyncio.Event) -> None:
        """Make trouble until asked to stop; leaves everything running."""
        begun = time.monotonic()
        while not await _is_set(stop, self.seconds * self.chance.uniform(0.5, 1.5)):
            kind = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            self.met[kind] += 1
            at = time.monotonic()
            what = await self._make(kind)
            sys.stderr.write(f"{at - begun:5.0f} s: {what}, {time.monotonic() - at:.1f} s\n")

    async def _make(self, kind: str) -> str:
        """One trouble from its beginning to its end; what it was, in words."""
        match kind:
            case "kill a role":
                return await self._kill_a_role()
            case "freeze a role":
                return await self._freeze_a_role()
            case "pause Kafka" | "pause PostgreSQL":
                await self._pause(self.kafka if kind == "pause Kafka" else self.postgres)
            case "kill Kafka" | "kill PostgreSQL":
                part = self.kafka if kind == "kill Kafka" else self.postgres
                await asyncio.to_thread(part.kill)
                await asyncio.to_thread(part.start)
            case _:
                self.receiver.is_out = True
                await asyncio.sleep(self.chance.uniform(1, 4))
                self.receiver.is_out = False
        return kind

    async def watch(self, stop: asyncio.Event) -> None:
        """Look at every process each half second: its memory, and whether it ended by itself."""
        while not await _is_set(stop, 0.5):
            for name, one in self.fleet.members.items():
                if one.process is None:
                    continue
                code = one.process.poll()
                if code is not None and code != -signal.SIGKILL:
                    said = one.said()
                    ended = self.crashed if "Traceback" in said or code == 0 else self.gave_up
                    ended.append(f"{name}, exit code {code}: {said[-600:]}")
                    one.launch(_role(name))
                elif code is None:
                    role = _role(name)
                    self.rss[role] = max(self.rss.get(role, 0), peak_bytes(one.process.pid))

    async def _kill_a_role(self) -> str:
        name, one = self._any_member()
        await asyncio.to_thread(one.kill)
        self.kills[_role(name)] += 1
        one.launch(_role(name))
        return f"kill {name}"

    async def _freeze_a_role(self) -> str:
        name, one = self._any_member()
        process = one.process
        if process is None or process.poll() is not None:
            return "nothing"
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(self.chance.uniform(1, LONGEST_FREEZE))
        finally:
            process.send_signal(signal.SIGCONT)
        return f"freeze {name}"

    async def _pause(self, part: KafkaServer | PostgresServer) -> None:
        await asyncio.to_thread(part.pause)
        try:
            await asyncio.sleep(self.chance.uniform(1, LONGEST_PAUSE))
        finally:
            await asyncio.to_thread(part.resume)

    def _any_member(self) -> tuple[str, Gateway]:
        name = self.chance.choice(sorted(self.fleet.members))
        return name, self.fleet.members[name]


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def _role(name: str) -> str:
    return name.split("-", maxsplit=1)[0]


async def _is_set(stop: asyncio.Event, seconds: float) -> bool:
    """Whether it is set now or within so many seconds."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
