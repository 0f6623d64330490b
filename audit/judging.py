"""Papers as people hand them in: what both commands do, `gateway verify` and `python -m audit verify`.

The second comes here with other papers than a receipt and its proof. What is loaded for some papers alone is
imported where they are.
"""

import re
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Final, Literal, NoReturn

from audit.case import Case
from audit.errors import MalformedError, MissingLibraryError
from audit.papers import Keys, read_json
from audit.verify import Verdict
from audit.whole import examine, is_checkpoint, is_of_event

if TYPE_CHECKING:
    from audit.policy import Policy

_NONE: Final[Mapping[str, int]] = {}
AHEAD_SECONDS: Final = 300
"""How far a witness's clock may be ahead of ours."""

_EXPORT: Final = re.compile(rb"manifest\.json\x00|entries-")
"""What stands in an export, and hardly elsewhere: its code is loaded, and decides."""


def verify_papers(
    files: Sequence[bytes],
    pinned: Keys,
    *,
    content: bytes | None = None,
    revoked: Mapping[str, int] = _NONE,
    policy: "Policy | None" = None,
    latest: int | None = None,
) -> tuple[Verdict, bool]:
    """Verify papers as people hand them in, and whether enough witnesses saw it for the policy.

    revoked: receipt keys that somebody else may have, since when. latest: the latest time that a witness may
    state, POSIX seconds. Checkpoints that stand alone may be several, and are compared.

    Raises: as `examine`.
    """
    case, doubts = Case(pinned), tuple[str, ...]()
    looked_at = files
    if revoked:
        from audit.revoked import without_signature  # noqa: PLC0415 - loaded where such a key is

        looked_at, doubts = without_signature(files, revoked)
    if sum(map(is_checkpoint, looked_at)) > 1:
        from audit.compared import take_checkpoints  # noqa: PLC0415 - loaded where there are several

        looked_at = take_checkpoints(looked_at, case)
    verdict = examine(looked_at, case, content=content)
    verdict = verdict._replace(not_proved=(*verdict.not_proved, *doubts))
    if policy is None:
        return verdict, True
    from audit.witnessed import add_witnessed  # noqa: PLC0415 - loaded where a policy is

    return add_witnessed(verdict, case, files, policy, latest=latest)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file that was read, to be opened again."""

    raw: bytes = field(repr=False)

    def open(self, mode: Literal["rb"]) -> BytesIO:
        """See the port."""
        del mode
        return BytesIO(self.raw)


def judge(given: Namespace, pinned: Keys, fail: Callable[[str], NoReturn]) -> tuple[Verdict, bool]:
    """What the papers prove, and whether enough witnesses saw it. `fail`: ends the program, with words.

    Raises:
        VerificationError: something does not fit, or is signed by a key that is not pinned.
    """
    papers: list[bytes] = given.files
    if any(map(_EXPORT.search, papers)):
        verdict = _exported(papers, pinned, fail)
        if verdict is not None and (given.content is not None or given.policy is not None):
            fail("an export is verified by itself: name no other papers")
        if verdict is not None:
            return verdict, True
    if given.content is not None and not any(map(is_of_event, papers)):
        fail("--content goes with a receipt or a bundle: a checkpoint says nothing of one event")
    revoked, policy = None, None
    try:
        if "revoked_keys" in read_json(given.keys, "JWK set"):
            from audit.revoked import read_revoked  # noqa: PLC0415 - loaded where such a key is

            revoked = read_revoked(given.keys)
        if given.policy is not None:
            from audit.policy import parse_policy  # noqa: PLC0415 - loaded where a policy is

            policy = parse_policy(given.policy)
    except MalformedError as error:
        fail(f"a pinned key or a policy is not usable: {error}")
    latest = int(time.time()) + AHEAD_SECONDS  # noqa: TID251 - of a program by itself, for witnesses alone
    return verify_papers(
        papers, pinned, content=given.content, revoked=revoked or {}, policy=policy, latest=latest
    )


def _exported(papers: list[bytes], pinned: Keys, fail: Callable[[str], NoReturn]) -> Verdict | None:
    from audit.export_joined import verify_exports  # noqa: PLC0415 - loaded where an export may be

    try:
        return verify_exports([_Opened(raw) for raw in papers], pinned)
    except MissingLibraryError as error:
        fail(f"{error}")
