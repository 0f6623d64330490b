"""Events that stand twice in one request.

Alike, they are one event. Unlike, at most one of them can have the id: the one that holds it already, else
the first.
"""

from collections.abc import Sequence

from gateway.ingress.claim_book import ClaimBook
from gateway.ingress.claims import Claim, Found
from gateway.ingress.outcome import Outcome
from gateway.ingress.prepare import Prepared
from gateway.ingress.wording import conflict


async def match_twins(
    outcomes: list[Outcome | Prepared | Found], book: ClaimBook, *, is_strict: bool
) -> dict[int, int]:
    """Place of each second to the place of its first; those that cannot have the id become conflicts.

    `is_strict`: any conflict refuses the whole, so that nobody need be asked who holds the id.

    Raises:
        StoreError: the database is away.
    """
    if len(outcomes) == 1:
        return {}
    groups: dict[bytes, list[int]] = {}
    for number, one in enumerate(outcomes):
        if isinstance(one, Prepared):
            groups.setdefault(one.claim.ref, []).append(number)
    twins: dict[int, int] = {}
    for numbers in groups.values():
        group = [one for number in numbers if isinstance(one := outcomes[number], Prepared)]
        chosen, holder = await _choose(group, None if is_strict else book)
        for place, (number, one) in enumerate(zip(numbers, group, strict=True)):
            if place == chosen:
                continue
            if chosen is not None and one.claim.event_sha256 == holder.event_sha256:
                twins[number] = numbers[chosen]
            else:
                outcomes[number] = conflict(holder)
    return twins


async def _choose(group: Sequence[Prepared], book: ClaimBook | None) -> tuple[int | None, Claim]:
    """Which of them goes on (None: another event has the id), and the claim that the others face."""
    first = group[0].claim
    is_unlike = any(one.claim.event_sha256 != first.event_sha256 for one in group)
    if book is None or not is_unlike:
        return 0, first
    found = (await book.look(group[:1])).get(first.ref)
    if found is None:
        return 0, first
    holder, _ = found
    for place, one in enumerate(group):
        if await book.is_same(one, holder):
            return place, one.claim
    return None, holder
