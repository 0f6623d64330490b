"""For how long what is a partner's is kept, as its contract in force says at this very moment.

For whoever takes something away for good: a directory in memory may be a second old, and a contract that was
applied meanwhile may keep it longer.
"""

from collections.abc import Collection, Mapping

from sqlmodel import Session, and_, col, select

from partners.contract import Keep
from partners.rows import ContractRow, PartnerRow
from partners.stored_contract import contract_of


def agreed(session: Session, slugs: Collection[str]) -> Mapping[str, Keep]:
    """Of those of these partners that have a contract, and whose contract nobody changes just now.

    None of them is changed until the transaction ends. Waits for nobody; to be asked once all that has to be
    waited for is had, since changes wait here.
    """
    slug = col(PartnerRow.slug)
    mine = select(PartnerRow.slug).where(slug.in_(sorted(slugs))).order_by(slug)
    free = session.exec(mine.with_for_update(read=True, skip_locked=True)).all()
    # Read after the lock: what was changed before it counts.
    is_its = and_(col(ContractRow.partner) == slug, col(ContractRow.revision) == col(PartnerRow.revision))
    found = session.exec(select(ContractRow).join(PartnerRow, is_its).where(slug.in_(free)))
    return {row.partner: contract_of(row).keep for row in found}
