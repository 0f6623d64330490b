"""A new database takes the place of one that was lost: it goes on under the lost one's name.

The checkpoint topic is marked by the house's log, whose random name was in the lost database. A database in
which nothing was logged yet may take that name over, where an operator says that it is to.
"""

from collections.abc import Callable

from sqlalchemy import update
from sqlmodel import Session, col

from audit import log as audit_log
from audit.evidence import make_evidence
from gateway.errors import SetupError
from gateway.rows import MetaRow
from gateway.sequencer.mark import Installation

_MOST: int = 1 << 31


def adopt(
    session: Session, us: Installation, owner: Installation, *, fact: str, entropy: Callable[[int], bytes]
) -> str:
    """Take over the name of the owner's house log; returns it, without host. `fact`: where it is kept.

    What waits for our own log is written down anew for that one: evidence names its log.

    Raises:
        SetupError: this database has logs of its own, or another origin.
    """
    if any(one.head.size for one in audit_log.heads(session)):
        raise SetupError(
            f"the topics belong to the gateway {owner.origin} (house log {owner.log}), and this database "
            "has logs of its own: it cannot take that one's place. Give this gateway names of its own: "
            "broker.topic_prefix and broker.checkpoint_topic"
        )
    host, name = owner.log.rsplit("/", 1)
    if host != us.log.rsplit("/", 1)[0]:
        raise SetupError(
            f"the lost database's logs are named after {host.partition('/')[0]}: set origin to {owner.origin}"
        )
    waiting = audit_log.pending(session, us.log, _MOST)
    audit_log.settle(session, [one.id for one in waiting])
    for one in waiting:
        old = one.evidence
        anew = make_evidence(old.kind, old.members, iss=old.iss, log=owner.log, at=old.at, salt=entropy(32))
        audit_log.submit(session, anew, id=entropy(16))
    session.execute(update(MetaRow).where(col(MetaRow.name) == fact).values(value=name))
    return name
