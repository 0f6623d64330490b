"""A contract that is in force as it was sent: known by its texts, without reading any of them again.

Most of a folder of contracts is so whenever it is planned.
"""

from dataclasses import dataclass, field

from sqlmodel import Session

from gateway.administration.standing import Seen
from partners import store
from partners.contract import Contract
from partners.declared_credentials import plan_declaration
from partners.partner import Partner


@dataclass(frozen=True, slots=True)
class InForce:
    """The contract, its revision and its partner. `notes`: what of its credentials opens nothing."""

    partner: Partner
    revision: int
    contract: Contract = field(repr=False)
    notes: tuple[str, ...]


def find_in_force(
    session: Session, slug: str, text: str, files: dict[str, str], *, if_match: Seen | None, now: int
) -> InForce | None:
    """What is in force, if it is this, and an apply would change nothing and refuse nothing; else None."""
    found = store.partner(session, slug)
    if found is None or found[0].state == "closed":
        return None
    if if_match is not None and not if_match.is_still(*found):
        return None
    kept = store.contract_file(session, slug, found[1])
    if kept is None or kept[0].text != text or dict(kept[0].files) != files:
        return None
    file = kept[0]
    declaration = plan_declaration(session, file, now=now)
    if declaration.differences:
        return None
    return InForce(found[0], found[1], file.contract, declaration.notes)
