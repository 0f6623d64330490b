"""What witnesses saw of an event: `anchor.json` beside its papers, judged by a policy of the caller's."""

from collections.abc import Sequence
from typing import Final

from audit.anchor import (
    AnchorProof,
    doubtful_times,
    format_seen,
    parse_anchor_proof,
    verify_anchor_proof,
)
from audit.case import Case
from audit.errors import MalformedError, VerificationError
from audit.forks import compare_shown
from audit.papers import log_of
from audit.policy import Policy
from audit.ungrown import ungrown
from audit.verify import Verdict
from audit.whole import open_paper

NAME: Final = "anchor.json"
UNSEEN: Final = "that any witness saw it: `gateway verify --policy FILE` looks at that"
"""As `audit.bundled` says it, too."""


def add_witnessed(
    verdict: Verdict, case: Case, files: Sequence[bytes], policy: Policy, *, latest: int | None
) -> tuple[Verdict, bool]:
    """The verdict with what witnesses saw of it, and whether they are enough for the policy.

    Args:
        verdict: What the other papers prove.
        case: What that rests on; an anchor counts for a leaf that was proved there, for nothing else.
        files: All papers that were given.
        policy: Whom the caller believes.
        latest: The latest time that a witness may state, POSIX seconds.

    Raises:
        InconsistentError: Witnesses saw another history of the log than the other papers show.
        VerificationError: There is nothing that they could have seen, or it does not fit.
    """
    anchors = {held[NAME] for held in map(open_paper, files) if NAME in held}
    if not anchors:
        raise VerificationError(f"policy: no {NAME} was given, so that nothing shows what witnesses saw")
    if len(anchors) > 1:
        raise MalformedError(f"{NAME}: two different ones were given")
    proof = parse_anchor_proof(anchors.pop())
    found = verify_anchor_proof(proof, _leaf(proof, case), policy, latest=latest)
    heads = (found.head, found.checkpoint)
    roots = [(f"the root of {one.size} entries of {one.origin}", one.root) for one in heads]
    compare_shown([*case.shown, *roots])
    proved, word, not_proved = map(list, verdict)
    if found.is_enough:
        proved.append(f"it is entry {proof.index}, and {format_seen(found)}")
    else:
        not_proved.append(f"that enough witnesses saw it: {format_seen(found)}")
    doubt = doubtful_times(found)
    word += [] if doubt is None else [doubt]
    not_proved += ungrown([*case.shown, *roots], proved)
    kept = tuple(one for one in dict.fromkeys(not_proved) if one != UNSEEN)
    return Verdict(tuple(proved), tuple(word), kept), found.is_enough


def _leaf(proof: AnchorProof, case: Case) -> bytes:
    """The leaf that the proof must be about: of the entry that was proved, or of the receipt."""
    origin, index = proof.head.origin, proof.index
    shown = dict(case.shown).get(f"entry {index} of {origin}")
    if shown is not None:
        return shown
    if not case.leaf:
        raise VerificationError(f"{NAME}: it is about entry {index} of {origin}, which is not proved here")
    log = str(case.records[case.leaf]["log"])
    if log_of(origin) != log:
        raise VerificationError(f"{NAME}: it is about {origin}, and the papers about {log}")
    return case.leaf
