"""A partner and its contract in force, found in as few statements as it takes: without reading it, and whole.

What is held stays true until the transaction ends, so that nobody has to read it again.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, and_, bindparam, exists, select
from sqlmodel import Session, col

from partners import store
from partners.contract import ContractFile, Line
from partners.credential import CONTRACT_NAME
from partners.endpoint import Endpoint
from partners.partner import Partner
from partners.rows import ContractRow, CredentialRow, EndpointRow, PartnerRow


@dataclass(frozen=True, slots=True)
class InForce:
    """What is known of a partner's contract without reading it.

    `sha256` None: it has none. `has_declared`: whether it has credentials that a contract's file made.
    """

    partner: Partner
    revision: int
    sha256: bytes | None
    has_declared: bool


@dataclass(frozen=True, slots=True)
class Held:
    """What there is of a name.

    `partner` None: there is no such partner. `revision`, `file`, `lines`: of the contract in force; 0 and
    None: it has none. `endpoints`: all of its own, by id. `has_declared`: as of `InForce`.
    """

    partner: Partner | None
    revision: int
    file: ContractFile | None
    lines: tuple[Line, ...]
    endpoints: tuple[Endpoint, ...]
    has_declared: bool


def _query(*columns: Any) -> Select[Any]:
    """A partner, `columns` of its contract in force, and whether it has declared credentials."""
    declared = exists().where(
        col(CredentialRow.partner) == bindparam("slug"), col(CredentialRow.name) == CONTRACT_NAME
    )
    contract = and_(
        col(ContractRow.partner) == col(PartnerRow.slug),
        col(ContractRow.revision) == col(PartnerRow.revision),
    )
    found = select(store.table_of(PartnerRow), *columns, declared.label("has_declared"))
    return found.join(ContractRow, contract, isouter=True).where(col(PartnerRow.slug) == bindparam("slug"))


# Made once: to put a statement together takes as long as to carry it out.
_IN_FORCE: Final = _query(col(ContractRow.sha256))
_OWN: Final = exists().where(col(EndpointRow.partner) == bindparam("slug"))
_WHOLE: Final = _query(ContractRow, _OWN.label("has_endpoints"))
_NOBODY: Final = Held(None, 0, None, (), (), has_declared=False)


def in_force(session: Session, slug: str) -> InForce | None:
    """Find a partner and what is known of its contract."""
    row: Any = session.execute(_IN_FORCE, {"slug": slug}).first()
    if row is None:
        return None
    return InForce(store.partner_of(row), row.revision, row.sha256, row.has_declared)


def find(session: Session, slug: str) -> Held:
    """Find out what there is, as of now."""
    row: Any = session.execute(_WHOLE, {"slug": slug}).first()
    if row is None:
        return _NOBODY
    contract = row.ContractRow
    file, lines = (None, ()) if contract is None else store.whole_contract(contract)
    return Held(
        partner=store.partner_of(row),
        revision=row.revision,
        file=file,
        lines=lines,
        endpoints=store.endpoints(session, slug) if row.has_endpoints else (),
        has_declared=row.has_declared,
    )


def hold(session: Session, slug: str) -> Held:
    """Make other changes wait until this transaction ends, and find out what there is."""
    store.lock(session)
    return find(session, slug)
