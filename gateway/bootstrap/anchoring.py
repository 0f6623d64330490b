"""The anchor, wired: who makes its rounds, who asks witnesses, what an operator is told of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmodel import Session

from audit.errors import MalformedError
from audit.policy import Policy, parse_policy
from gateway.anchoring.rounds import Anchoring, Terms
from gateway.anchoring.standing import look, tell, warn
from gateway.anchoring.witnesses import Witnessing
from gateway.bootstrap.ground import Ground, entropy
from gateway.database import clock
from gateway.dialler import Dialler
from gateway.errors import SetupError
from gateway.leases import Lease, shard_of
from gateway.metrics import Metrics
from gateway.sequencer.role import Sequencer
from gateway.sequencer.territory import HOUSE


@dataclass(frozen=True, slots=True)
class Anchor:
    """`rounds` and, where there is a policy, `witnesses` are roles of whoever sequences."""

    rounds: Anchoring
    witnesses: Witnessing | None
    standing: Callable[[Session], tuple[Mapping[str, Any], Sequence[str]]]


def make_anchor(ground: Ground, dialler: Dialler, sequencer: Sequencer, metrics: Metrics) -> Anchor:
    """The anchor of this gateway, which goes where the sequencer has the house's shard.

    Raises:
        SetupError: the policy of witnesses cannot be used.
    """
    settings = ground.settings
    policy = load_policy(settings.audit.witness_policy)

    def lease() -> Lease | None:
        shard = shard_of(HOUSE, settings.lease.shards)
        return next((one for one in sequencer.leases.held if one.shard == shard), None)

    rounds = Anchoring(
        database=ground.database,
        terms=Terms(settings.origin, ground.host, settings.audit.anchor_interval),
        lease=lease,
        is_able=lambda: bool(sequencer.keys().anchors),
        entropy=entropy,
        step=sequencer.step,
        made=metrics.anchored,
    )
    witnesses = None
    if policy is not None and any(one.url for one in policy.witnesses):
        witnesses = Witnessing(
            database=ground.database,
            sender=dialler,
            policy=policy,
            host=ground.host,
            is_ours=lambda: lease() is not None,
            clock=sequencer.clock,
            observe=metrics.witness,
            keys=lambda: tuple(sequencer.keys().trusted("anchor").values()),
        )

    def standing(session: Session) -> tuple[Mapping[str, Any], Sequence[str]]:
        seen = look(session, ground.host, policy)
        has_key = bool(sequencer.keys().anchors)
        return tell(seen), warn(
            seen, now=clock(session), interval_ms=rounds.terms.interval_ms, has_key=has_key
        )

    return Anchor(rounds, witnesses, standing)


def load_policy(path: Path | None) -> Policy | None:
    """The policy of witnesses; None: there is none.

    Raises:
        SetupError: the file cannot be read, or is no policy.
    """
    if path is None:
        return None
    try:
        return parse_policy(path.read_bytes())
    except OSError as error:
        raise SetupError(f"audit.witness_policy: {path} cannot be read: {error.strerror}") from error
    except MalformedError as error:
        raise SetupError(f"audit.witness_policy: {path}: {error}") from error
