"""What a plan wants leave for, and what of it was given: --allow for what changes, --prune for what goes.

The gateway has one word for both, `destructive`; here they are told apart by the differences of the plan. A
contract is sent with that word only where leave was given for all that its plan takes away. Nothing else can
go with it: an apply names the revision that was planned against, and is refused at any other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.cli.errors import UsageError

WORDS: Final = frozenset({"destructive", "incompatible"})
PRUNE: Final = "--prune"
_DESTRUCTIVE: Final = "destructive"
_REMOVED: Final = "-"

Planned = Mapping[str, Any]
"""A plan as the gateway answers it: `blocked`, `differences` with `sign` and `destructive`, and more."""


@dataclass(frozen=True, slots=True)
class Leave:
    """What was given. `words`: of --allow; `prune`: what files no longer name may be removed."""

    words: frozenset[str] = frozenset()
    prune: bool = False

    def missing(self, planned: Planned) -> frozenset[str]:
        """What a plan wants beyond this: words of --allow, and `PRUNE`. Empty: it may be applied."""
        return _wanted(planned) - self.words - ({PRUNE} if self.prune else set())

    def sent_with(self, planned: Planned) -> tuple[str, ...]:
        """What the gateway is told that it may do with the contract of a plan, sorted."""
        takes = _DESTRUCTIVE in planned["blocked"] and not self.missing(planned) & {_DESTRUCTIVE, PRUNE}
        return tuple(sorted(self.words - {_DESTRUCTIVE} | ({_DESTRUCTIVE} if takes else set())))

    def advice(self, plans: Iterable[Planned]) -> str:
        """The options that are missing for all of these plans, as they are to be typed; empty: none.

        --allow is one option, so that what was given stands in it again.
        """
        missing = frozenset[str]().union(*map(self.missing, plans))
        words = missing - {PRUNE}
        allow = [f"--allow {','.join(sorted(words | self.words))}"] if words else []
        return " ".join([*allow, *([PRUNE] if PRUNE in missing else [])])


def read_leave(allow: str, *, prune: bool) -> Leave:
    """Read what was said on the command line.

    Raises:
        UsageError: --allow has a word that it does not take.
    """
    words = frozenset(word.strip() for word in allow.split(",") if word.strip())
    if not words <= WORDS:
        raise UsageError(f"--allow takes {' and '.join(sorted(WORDS))}, separated by a comma")
    return Leave(words, prune)


def _wanted(planned: Planned) -> frozenset[str]:
    blocked = frozenset(planned["blocked"])
    if _DESTRUCTIVE not in blocked:
        return blocked
    signs = {one["sign"] for one in planned["differences"] if one["destructive"]}
    # Where no difference says what is taken away, it is not taken for a removal.
    changes = {_DESTRUCTIVE} if signs != {_REMOVED} else set()
    return blocked - {_DESTRUCTIVE} | changes | ({PRUNE} if _REMOVED in signs else set())
