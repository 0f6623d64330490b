"""Witnesses: whether the policy can be used, and whether they cosign the anchor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Area, Finding

WITNESSES: Final = Area("witness")


@dataclass(frozen=True, slots=True)
class WitnessesSeen:
    """How many witnesses the policy names, those of them that nobody can ask, and what is wrong, in words."""

    count: int
    without_url: Sequence[str]
    troubles: Sequence[str]


def judge(seen: WitnessesSeen) -> Iterator[Finding]:
    """Judge what was found."""
    if seen.without_url:
        names = ", ".join(seen.without_url)
        yield WITNESSES.warning(
            f"nobody asks {names}: the policy has no address", "put its URL behind its key"
        )
    for words in seen.troubles:
        yield WITNESSES.warning(words, "see `gateway status`, and docs/witness.md")
    if not seen.troubles:
        yield WITNESSES.ok(f"of {seen.count} witnesses as many cosign the anchor as the policy asks for")
