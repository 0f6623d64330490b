"""How it stands with the anchor and its witnesses: as a document, and as what an operator has to see to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlmodel import Session

from audit import log as audit_log
from audit.policy import NONE, Policy
from gateway.anchoring.rounds import IDLE_ROUNDS
from gateway.anchoring.store import Standing, newest_enough, newest_round, standings
from gateway.anchoring.witnesses import name_of
from gateway.instants import format_instant
from gateway.sequencer.territory import anchor_log

LATE_ROUNDS: Final = 2 * IDLE_ROUNDS
"""After so many intervals without a round, or without enough cosignatures, somebody has to look."""

LATE_MS: Final = 600_000
"""And not before: a gateway that was away for a while has its next round soon."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database says. Times are Unix milliseconds.

    size: entries of the anchor under its published checkpoint. anchored_at: of the last round. enough_at:
    when witnesses met the policy last, for a checkpoint of `enough_size` entries. witnesses: of the policy,
    by name.
    """

    origin: str | None
    size: int
    anchored_at: int | None
    enough_at: int | None
    enough_size: int
    witnesses: Mapping[str, Standing]
    has_quorum: bool


def look(session: Session, host: str, policy: Policy | None) -> Seen:
    """Look at the anchor."""
    states = audit_log.epochs(session, anchor_log(host))
    last, enough = newest_round(session), None
    if states:
        enough = newest_enough(session, states[-1].head.origin, states[-1].checkpoint_size)
    known = standings(session)
    wanted = () if policy is None else policy.witnesses
    return Seen(
        origin=states[-1].head.origin if states else None,
        size=states[-1].checkpoint_size if states else 0,
        anchored_at=None if last is None else last.at,
        enough_at=None if enough is None else enough.at,
        enough_size=0 if enough is None else enough.size,
        witnesses={
            one.name: known.get(name_of(one.key), Standing(name_of(one.key))) for one in wanted if one.url
        },
        has_quorum=policy is not None and policy.quorum != NONE,
    )


def tell(seen: Seen) -> dict[str, Any]:
    """The document."""
    return {
        "log": seen.origin,
        "size": seen.size,
        "anchored_at": _instant(seen.anchored_at),
        "cosigned": {"size": seen.enough_size, "at": _instant(seen.enough_at)},
        "witnesses": [
            {
                "name": name,
                "size": one.size if one.origin == seen.origin else 0,
                "cosigned_at": _instant(one.cosigned_at or None),
                "problem": one.problem,
            }
            for name, one in seen.witnesses.items()
        ],
    }


def warn(seen: Seen, *, now: int, interval_ms: int, has_key: bool) -> Sequence[str]:
    """What an operator has to see to. `now`: the database's clock."""
    late = now - max(LATE_ROUNDS * interval_ms, LATE_MS)
    words = []
    if not has_key:
        words.append("anchor: no key signs it, and nothing is anchored: run `gateway init` once")
    elif seen.anchored_at is not None and seen.anchored_at < late:
        words.append(
            f"anchor: nothing was anchored since {_instant(seen.anchored_at)}: is `gateway sequence` running?"
        )
    if seen.has_quorum and seen.anchored_at is not None and (seen.enough_at or 0) < late:
        since = "" if seen.enough_at is None else f" since {_instant(seen.enough_at)}"
        words.append(f"anchor: too few witnesses have cosigned it{since}")
    words += [f"witness {name}: {one.problem}" for name, one in seen.witnesses.items() if one.problem]
    return words


def _instant(at: int | None) -> str | None:
    return None if at is None else format_instant(at)
