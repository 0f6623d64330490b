"""A contract that is in force as it was sent: known by its digest, without reading its texts each time.

Most of a folder of contracts is so whenever it is planned. A program reads each text once all the same: what
an earlier one let pass, this one may refuse.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import Session

from gateway.administration.effect import is_about_endpoints
from gateway.administration.fitness import verify_schemas
from gateway.administration.standing import Seen
from partners import store
from partners.contract import ContractFile, contract_sha256
from partners.declared_credentials import plan_declaration
from partners.directory import Directory
from partners.endpoint import Endpoint
from partners.errors import PartnersError
from partners.held import in_force
from partners.partner import Partner

_KNOWN: Final = 4_096
"""Contracts that are remembered, each with its texts."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The contract, its revision and its partner. `notes`: what of its credentials opens nothing.

    `endpoints`: the partner's own, where what is told of the contract depends on them.
    """

    partner: Partner
    revision: int
    file: ContractFile = field(repr=False)
    notes: tuple[str, ...]
    endpoints: tuple[Endpoint, ...] = ()


class Read:
    """The contracts that this process has read and found right, by their digests."""

    def __init__(self) -> None:
        self._known: dict[bytes, ContractFile] = {}

    def find(self, digest: bytes, read: Callable[[], ContractFile]) -> ContractFile | None:
        """What a digest stands for, read now where it was not before; None: it is not right."""
        found = self._known.get(digest)
        if found is not None:
            return found
        try:
            file = read()
            verify_schemas(file)
        except PartnersError:
            return None
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[digest] = file
        return file


def may_be_in_force(directory: Directory, slug: str, sent: tuple[str, Mapping[str, str]]) -> bool:
    """Whether it is worth a look in the database: this process has heard that just this text is in force.

    What it has not heard yet is found out by the change itself, as any other that comes to nothing. An
    external registry is asked in any case: it may have lost what is in force.
    """
    account = directory.account(slug)
    if account is None:
        return False
    try:
        return account.sha256 == contract_sha256(*sent)
    except UnicodeEncodeError:
        return False


def find_in_force(
    session: Session,
    slug: str,
    sent: tuple[str, Mapping[str, str]],
    read: Callable[[bytes], ContractFile | None],
    *,
    if_match: Seen | None,
    now: int,
) -> InForce | None:
    """What is in force, if it is this, and an apply would change nothing and refuse nothing; else None.

    `sent`: its text, and the files beside it; `read`: gives the contract of that digest, None if it is not
    right.
    """
    found = in_force(session, slug)
    if found is None or found.partner.state == "closed":
        return None
    if if_match is not None and not if_match.is_still(found.partner, found.revision):
        return None
    try:
        digest = contract_sha256(*sent)
    except UnicodeEncodeError:
        return None
    file = read(digest) if digest == found.sha256 else None
    if file is None:
        return None
    notes: tuple[str, ...] = ()
    if found.has_declared or file.contract.authentication.declares:
        declaration = plan_declaration(session, file, now=now)
        if declaration.differences:
            return None
        notes = declaration.notes
    there = store.endpoints(session, slug) if is_about_endpoints(file.contract) else ()
    return InForce(found.partner, found.revision, file, notes, there)
