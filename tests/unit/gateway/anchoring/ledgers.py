"""Logs in a real database, sequenced by hand: what the anchor's parts need of a gateway."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from audit import log as audit_log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.entry import draft_entry
from audit.evidence import Evidence
from gateway.anchoring.rounds import Anchoring, Terms
from gateway.database import Database
from gateway.dialler import Fetched, Outgoing
from gateway.leases import Lease, Leases
from gateway.witness.app import WitnessApp
from tests.unit.audit.anchors import ANCHOR_SIGNER
from tests.unit.audit.builders import LOG_SIGNER, evidence

HOST = "gw.example"
ACME = f"{HOST}/log/k3v9q2"
GLOBEX = f"{HOST}/log/m4w8r1"
HOUSE = f"{HOST}/log/house00"
NAMED = f"{HOST}/log/anchor"


@dataclass
class Ledger:
    """A database with logs. `taken`: how many random bytes were drawn."""

    database: Database
    taken: int = 0
    lease: Lease | None = None
    steps: list[str] = field(default_factory=list)
    ticks: float = 0.0

    def entropy(self, count: int) -> bytes:
        self.taken += 1
        return self.taken.to_bytes(2) * (count // 2)

    def grow(self, *batch: Evidence) -> None:
        """Append evidence to its logs, and publish them, as the sequencer does."""
        by_log: dict[str, list[Evidence]] = {}
        for one in batch:
            by_log.setdefault(f"{one.log}/1", []).append(one)
        with self.database.begin() as session:
            audit_log.open_logs(session, by_log)
            drafts = {origin: [draft_entry(one) for one in some] for origin, some in by_log.items()}
            heads = audit_log.append_all(session, drafts)
        self.publish(*heads)

    def publish(self, *origins: str) -> None:
        with self.database.begin() as session:
            notes = {}
            for origin in origins:
                head = audit_log.state(session, origin).head
                signer = ANCHOR_SIGNER if origin.startswith(NAMED) else LOG_SIGNER
                notes[origin] = sign_checkpoint(Checkpoint(origin, head.size, head.root()), signer)
            audit_log.publish_all(session, notes)

    def sequence(self) -> None:
        """Make entries of what waits."""
        with self.database.begin() as session:
            waiting = [
                one for log in audit_log.pending_logs(session) for one in audit_log.pending(session, log, 99)
            ]
            audit_log.settle(session, [one.id for one in waiting])
        self.grow(*(one.evidence for one in waiting))

    async def hold(self) -> None:
        """Take the one shard there is."""
        leases = Leases(self.database, "sequence", owner=f"o{self.taken}", shards=1, duration_ms=300_000)
        (self.lease,) = await leases.hold()

    def anchoring(self, *, interval_ms: int = 1, is_able: bool = True) -> Anchoring:
        return Anchoring(
            database=self.database,
            terms=Terms("https://gw.example", HOST, interval_ms),
            lease=lambda: self.lease,
            is_able=lambda: is_able,
            entropy=self.entropy,
            step=self.steps.append,
        )

    async def anchor(self) -> bool:
        """One round, and its entry, published."""
        anchoring = self.anchoring()
        is_made = await anchoring.turn()
        while not is_made and anchoring._begun_at is not None:
            await asyncio.sleep(0.002)
            is_made = await anchoring.turn()
        self.sequence()
        return is_made


def event(number: int, log: str = ACME) -> Evidence:
    """An accepted event long ago."""
    return evidence(number, log=log, at=1_000 + number)


@dataclass
class Routed:
    """A sender that reaches applications in this process, by host; others are away."""

    apps: Mapping[str, WitnessApp | httpx.AsyncBaseTransport]
    asked: list[Outgoing] = field(default_factory=list)

    async def fetch(self, url: str, *, most: int) -> Fetched:
        return await self._send("GET", Outgoing(url, (), b""), most, frozenset())

    async def ask(self, outgoing: Outgoing, *, most: int, told: frozenset[int] = frozenset()) -> Fetched:
        self.asked.append(outgoing)
        return await self._send("POST", outgoing, most, told)

    async def _send(self, method: str, outgoing: Outgoing, most: int, told: frozenset[int]) -> Fetched:
        app = self.apps.get(httpx.URL(outgoing.url).host)
        if app is None:
            return Fetched(0, "connect_failed", b"")
        transport = app if isinstance(app, httpx.AsyncBaseTransport) else httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.request(
                method, outgoing.url, content=outgoing.body, headers=dict(outgoing.headers)
            )
        status, body = answer.status_code, answer.content
        failure = None if status < 300 else "client_error" if status < 500 else "server_error"
        if failure is None and len(body) > most:
            failure = "response_invalid"
        is_told = len(body) <= most and (failure is None or status in told)
        return Fetched(status, failure, body if is_told else b"")  # type: ignore[arg-type]  # of the closed list
