"""Asks witnesses to cosign the anchor's checkpoints, and keeps what they sign.

Each is asked by itself, and by each process until it has cosigned once: one that is away, or answers
nonsense, holds up nobody; one that shows what we signed and this database lacks stops all (`remembered`),
and one that refuses is asked for what it shows until it answers. What it answers is verified before it is
kept. Order: the checkpoint is published (`gateway.sequencer.checkpoints`); the witness is asked; its line
is stored, and served from then on. Killed anywhere, it is asked again: a witness that knows the checkpoint
already signs it once more.

Source: C2SP tlog-witness v1.0.0, add-checkpoint.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol

from sqlmodel import Session

from audit import log as audit_log
from audit.checkpoint import read_checkpoint
from audit.cosignature import CosignerKey, verify_cosignatures
from audit.errors import NotInLogError, VerificationError
from audit.note import format_line
from audit.policy import Policy, Witness
from audit.proof import ConsistencyProof, format_consistency
from gateway.anchoring.remembered import Fetches, verify_remembered
from gateway.anchoring.store import (
    Cosigned,
    Standing,
    find_cosigned,
    save_cosigned,
    save_standings,
    standings,
    with_line,
)
from gateway.database import Database
from gateway.dialler import Fetched, Outgoing
from gateway.errors import AwayError
from gateway.logs import logger
from gateway.sequencer.territory import anchor_log
from gateway.waits import rest

Outcome = Literal["cosigned", "conflict", "refused", "invalid", "away"]
"""What became of asking one witness once."""

ANSWER_BYTES: Final = 32 * 1024
AHEAD_SECONDS: Final = 300
"""A witness's clock may be so far ahead of ours."""

_CONFLICT: Final = 409
_REDIRECTS: Final = 300
_TRIES: Final = 3
"""A witness that names another size each time is left alone until the next round."""

_AT_ONCE: Final = 16
_FIRST_WAIT: Final = 2.0
_LONGEST_WAIT: Final = 300.0
_LOOK_SECONDS: Final = 1.0
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n?", re.ASCII)
_SAID_BYTES: Final = 200


class Asks(Fetches, Protocol):
    """Who sends requests to addresses that others chose: `gateway.dialler.Dialler`."""

    async def ask(self, outgoing: Outgoing, *, most: int, told: frozenset[int] = frozenset()) -> Fetched:
        """POST once, for an answer that is wanted whole."""
        ...


class _NotCosignedError(Exception):
    """Why a witness did not cosign, in words, and as one of the closed list."""

    def __init__(self, outcome: Outcome, text: str) -> None:
        super().__init__(text)
        self.outcome: Outcome = outcome


@dataclass(slots=True)
class _Patience:
    """When a witness is asked again, and how long it is then left alone. Seconds of the loop's clock."""

    due_at: float = 0.0
    wait: float = _FIRST_WAIT

    def put_off(self, now: float) -> None:
        """Leave it alone, and the next time for longer."""
        self.due_at, self.wait = now + self.wait, min(2 * self.wait, _LONGEST_WAIT)


@dataclass(slots=True, kw_only=True, eq=False)
class Witnessing:
    """See the module. `is_ours`: whether this process sequences the anchor.

    `observe`: told what became of each request. `clock`: Unix milliseconds; raises where it is not to be
    trusted. `keys`: public keys that sign the anchor, or did, and that nobody else has.
    """

    database: Database
    sender: Asks
    policy: Policy
    host: str
    is_ours: Callable[[], bool]
    clock: Callable[[], int]
    observe: Callable[[Outcome], None] = lambda _: None
    keys: Callable[[], Sequence[bytes]] = tuple
    _patience: dict[str, _Patience] = field(default_factory=dict, init=False)
    _heard: set[str] = field(default_factory=set, init=False)
    _doubted: dict[str, Witness] = field(default_factory=dict, init=False)
    _alarms: dict[str, str] = field(default_factory=dict, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop`; what is away is waited for.

        Raises:
            LogBehindError: a witness holds of the anchor what we signed, and this database does not have.
        """
        while not stop.is_set():
            try:
                if self.is_ours():
                    await self.turn()
            except* AwayError as away:
                logger("gateway.witnesses").info("witnesses are asked later", reason=str(away.exceptions[0]))
            await rest(stop, _LOOK_SECONDS)

    async def turn(self) -> None:
        """Ask each witness that has not cosigned the newest checkpoint, and is not left alone just now.

        Raises:
            AwayError: the database is away; what was signed meanwhile is asked for again.
            LogBehindError: as of `run`.
        """
        found = await self.database.read(self._newest)
        if found is None:
            return
        checkpoint, known = found
        now = asyncio.get_running_loop().time()
        asked = [
            one for one in self.policy.witnesses if one.url and self._is_due(one, checkpoint, known, now)
        ]
        ready = {key for key, one in self._patience.items() if one.due_at <= now}
        turns = asyncio.Semaphore(_AT_ONCE)
        stored = asyncio.Lock()

        async def one_of(witness: Witness) -> None:
            async with turns:
                before = known.get(name_of(witness.key), Standing(name_of(witness.key)))
                await self._settle(witness, checkpoint, before, stored)

        async with asyncio.TaskGroup() as group:
            for witness in asked:
                group.create_task(one_of(witness))
        for key in ready & self._doubted.keys():
            await self._settle_doubt(key, checkpoint.origin)

    async def _settle_doubt(self, key: str, origin: str) -> None:
        """See what a witness holds that did not cosign; in doubt until it has answered."""
        witness = self._doubted[key]
        words = await verify_remembered(self.database, self.sender, witness, origin, self.keys())
        patience, now = self._patience[key], asyncio.get_running_loop().time()
        if words is None:
            if patience.due_at <= now:
                patience.put_off(now)
            return
        if words and words != self._alarms.get(key):
            logger("gateway.witnesses").warning(
                "a witness holds what is not here", witness=witness.name, reason=words
            )

            def tell(session: Session) -> None:
                known = standings(session).get(key, Standing(key))
                save_standings(session, [replace(known, problem=words)])

            await self.database.write(tell)
        self._alarms[key] = words
        del self._doubted[key]

    def _newest(self, session: Session) -> tuple[Cosigned, dict[str, Standing]] | None:
        states = audit_log.epochs(session, anchor_log(self.host))
        if not states or states[-1].checkpoint is None:
            return None
        origin, size, note = states[-1].head.origin, states[-1].checkpoint_size, states[-1].checkpoint
        found = find_cosigned(session, origin, size)
        return found or Cosigned(origin, size, note), standings(session)

    def _is_due(self, witness: Witness, checkpoint: Cosigned, known: dict[str, Standing], now: float) -> bool:
        key = name_of(witness.key)
        before = known.get(key)
        is_done = before is not None and (before.origin, before.size) == (checkpoint.origin, checkpoint.size)
        if is_done and (key not in self._heard or not _has_line(checkpoint, witness.key)):
            # Its line was lost: killed after it was asked. Or this process never heard it say the same: a
            # witness knows where an older copy of the database came back.
            is_done = False
        return not is_done and self._patience.setdefault(key, _Patience()).due_at <= now

    async def _settle(
        self, witness: Witness, checkpoint: Cosigned, before: Standing, stored: asyncio.Lock
    ) -> None:
        patience, loop = self._patience[before.key], asyncio.get_running_loop()
        old = before.size if before.origin == checkpoint.origin else 0
        log = logger("gateway.witnesses")
        try:
            line = await self._cosigned(witness, checkpoint, old)
        except _NotCosignedError as trouble:
            self.observe(trouble.outcome)
            if trouble.outcome in {"conflict", "refused"}:
                self._doubted[before.key] = witness
            problem = self._alarms.get(before.key) or str(trouble)
            if problem != before.problem:
                log.warning("a witness did not cosign", witness=witness.name, reason=problem)
            patience.put_off(loop.time())
            after = replace(before, asked_at=self.clock(), problem=problem)
            await self.database.write(lambda session: save_standings(session, [after]))
            return
        self.observe("cosigned")
        self._heard.add(before.key)
        self._alarms.pop(before.key, None)
        if before.problem:
            log.info("a witness cosigns again", witness=witness.name)
        patience.due_at, patience.wait = 0.0, _FIRST_WAIT
        now = self.clock()
        after = Standing(before.key, checkpoint.origin, checkpoint.size, now, now)

        def work(session: Session) -> None:
            known = find_cosigned(session, checkpoint.origin, checkpoint.size) or replace(checkpoint, at=now)
            if not _has_line(known, witness.key):
                known = with_line(known, line)
            save_cosigned(session, replace(known, is_enough=self._is_enough(known)))
            save_standings(session, [after])

        async with stored:  # one after another: each adds its line to those before it
            await self.database.write(work)

    def _is_enough(self, one: Cosigned) -> bool:
        checkpoint, note = read_checkpoint(one.text().encode())
        return self.policy.is_met(verify_cosignatures(note, checkpoint, self.policy.cosigners))

    async def _cosigned(self, witness: Witness, checkpoint: Cosigned, old: int) -> str:
        """The witness's line; raises _NotCosignedError."""
        seen: set[int] = set()
        for _ in range(_TRIES):
            seen.add(old)
            answer = await self._post(witness, checkpoint, old)
            if answer.status != _CONFLICT:
                return self._line(witness, checkpoint, answer)
            old = _held(answer.body)
            if old > checkpoint.size:
                raise _NotCosignedError(
                    "conflict",
                    f"it says that it cosigned {old} entries, and {checkpoint.origin} has {checkpoint.size}: "
                    "was this database restored from a backup, or does another gateway sign with our key?",
                )
            if old in seen:
                break
        raise _NotCosignedError("conflict", "it names another size each time that it is asked")

    async def _post(self, witness: Witness, checkpoint: Cosigned, old: int) -> Fetched:
        def prove(session: Session) -> tuple[bytes, ...]:
            return audit_log.consistency(session, checkpoint.origin, old, checkpoint.size)

        try:
            hashes = await self.database.read(prove)
        except NotInLogError as error:
            raise _NotCosignedError("conflict", f"it names a size that cannot be: {old}") from error
        body = format_consistency(ConsistencyProof(old, hashes, checkpoint.note.encode()))
        outgoing = Outgoing(
            url=f"{witness.url.rstrip('/')}/add-checkpoint",
            headers=(("Content-Type", "text/plain; charset=utf-8"),),
            body=body,
            pool=f"witness {name_of(witness.key)}",
        )
        return await self.sender.ask(outgoing, most=ANSWER_BYTES, told=_TOLD)

    def _line(self, witness: Witness, checkpoint: Cosigned, answer: Fetched) -> str:
        if answer.failure is not None:
            is_away = answer.status == 0 or answer.status >= 500  # noqa: PLR2004 - the server's own faults
            told = _words(answer.body)
            said = f"HTTP {answer.status}{told}" if answer.status >= _REDIRECTS else answer.failure
            raise _NotCosignedError("away" if is_away else "refused", f"it refuses: {said}" if told else said)
        try:
            shown, note = read_checkpoint(checkpoint.note.encode() + answer.body)
            latest = self.clock() // 1_000 + AHEAD_SECONDS
            times = verify_cosignatures(note, shown, [witness.key], latest=latest)
        except VerificationError as error:
            raise _NotCosignedError("invalid", f"its answer is not right: {error}") from error
        if witness.key not in times:
            raise _NotCosignedError(
                "invalid", "its answer holds no cosignature by the key that the policy names"
            )
        name = (witness.key.name, witness.key.key_id)
        line = next(one for one in note.lines if (one.name, one.key_id) == name)
        return format_line(line.name, line.key_id, line.signature)


_TOLD: Final = frozenset({400, 403, 404, _CONFLICT, 422})
"""Refusals whose words are wanted."""


def name_of(key: CosignerKey) -> str:
    """How a witness is called in tables and words: name and key id."""
    return f"{key.name}+{key.key_id.hex()}"


def _has_line(one: Cosigned, key: CosignerKey) -> bool:
    _, note = read_checkpoint(one.text().encode())
    return any((line.name, line.key_id) == (key.name, key.key_id) for line in note.lines)


def _held(body: bytes) -> int:
    """The size that a conflict names."""
    found = _SIZE.fullmatch(body)
    if found is None:
        raise _NotCosignedError("invalid", "it says that it holds another size, and not which")
    return int(found[1])


def _words(body: bytes) -> str:
    """What a refusal says, for an operator's eyes: a line, of printable characters."""
    text = body[:_SAID_BYTES].decode("ascii", "replace").strip().partition("\n")[0]
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return f" ({shown})" if shown else ""
