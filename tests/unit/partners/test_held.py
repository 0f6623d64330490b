"""What is held of a partner is what else would be read piece by piece."""

import pytest
from sqlalchemy import event
from sqlmodel import Session

from partners import store
from partners.held import find, hold, in_force
from tests.unit.partners.conftest import CONTRACT, Apply

MOST_STATEMENTS = 3
"""The lock, the partner with its contract, its endpoints."""

DECLARING = CONTRACT + "authentication:\n  accept: [mtls]\n  certificates: [edge.pem]\n"


def statements(session: Session, slug: str) -> int:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    hold(session, slug)
    event.remove(connection, "before_cursor_execute", note)
    return len(seen)


def test_of_a_name_that_nobody_has_there_is_nothing(session: Session) -> None:
    held = hold(session, "nobody")
    assert (held.partner, held.revision, held.file, held.lines, held.endpoints) == (None, 0, None, (), ())
    assert not held.has_declared
    assert in_force(session, "nobody") is None


@pytest.mark.parametrize(("text", "has_declared"), [(CONTRACT, False), (DECLARING, True)])
def test_all_of_a_partner_is_there(session: Session, apply: Apply, text: str, *, has_declared: bool) -> None:
    apply(CONTRACT.replace("partner: acme", "partner: other"))
    apply()
    apply(text, now=2_000)
    first, second = store.endpoints(session, "acme")
    store.set_access(session, first, b"sealed", now=1)
    held = find(session, "acme")
    whole = store.contract_file(session, "acme", held.revision)
    assert whole is not None
    assert (held.partner, held.revision) == store.partner(session, "acme")
    assert (held.file, held.lines) == whole
    assert held.file is not None
    assert held.file.text == text
    assert held.endpoints == store.endpoints(session, "acme")
    assert [(one.id, one.access) for one in held.endpoints] == [(first.id, b"sealed"), (second.id, None)]
    assert held.has_declared == has_declared
    known = in_force(session, "acme")
    assert known is not None
    assert (known.partner, known.revision, known.sha256) == (
        held.partner,
        held.revision,
        held.file.sha256(),
    )
    assert known.has_declared == has_declared


def test_it_takes_few_statements(session: Session, apply: Apply) -> None:
    apply()
    assert statements(session, "acme") <= MOST_STATEMENTS
