"""Rows of `partners_*` to values and back. Never commits: the caller owns the transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar, cast

from pydantic import TypeAdapter
from sqlalchemy import Select, Table, and_, bindparam, delete, insert, literal, or_, text, update
from sqlalchemy import select as select_columns
from sqlmodel import Session, SQLModel, col, select

from partners.agreements import load_agreed, load_former
from partners.contract import ContractFile, Line
from partners.credential import Credential, Method
from partners.directory import Account, Directory
from partners.endpoint import Endpoint, house_of
from partners.partner import Partner, PartnerState, Topics
from partners.rows import (
    ContractRow,
    CounterRow,
    CredentialRow,
    EndpointAccessRow,
    EndpointRow,
    PartnerRow,
)
from partners.stored_contract import contract_of, value_of
from partners.stored_credential import allowance_of, columns_of, credential_of, is_held
from partners.stored_endpoint import endpoint_of, values_of

T = TypeVar("T")

_LARGEST_REVISION: Final = (1 << 31) - 1
"""Of the column: PostgreSQL refuses to look for more."""

_NEVER: Final = -1
"""Before every change."""

_LINES: Final = TypeAdapter(tuple[Line, ...])
_FILES: Final = TypeAdapter(tuple[tuple[str, str], ...])


def table_of(row: type[SQLModel]) -> Table:
    """The table behind a row, for statements that are put together once."""
    table: Table = row.__table__  # type: ignore[attr-defined]  # SQLModel does not type its own table
    return table


_LOCK: Final = select(CounterRow.value).where(CounterRow.id == 1).with_for_update()
_BEGIN: Final = text("INSERT INTO partners_counter (id, value) VALUES (1, 0) ON CONFLICT DO NOTHING")
_CHANGED: Final = (
    update(table_of(PartnerRow))
    .where(table_of(PartnerRow).c.slug == bindparam("named"))
    .values({name: bindparam(name) for name in ("name", "state", "revision", "changed")})
)
_NEW_PARTNER: Final = insert(table_of(PartnerRow))
_NEW_CONTRACT: Final = insert(table_of(ContractRow))
_REVISION: Final = "SELECT value FROM partners_counter WHERE id = 1"
_COUNT: Final = text("UPDATE partners_counter SET value = value + 1 WHERE id = 1 RETURNING value")


def revision(session: Session) -> int:
    """Read the number that grows with every change to these tables; 0 before the first."""
    # As text: each process asks every second, and each tick; by way of the session it cost twice as much.
    value = session.connection().exec_driver_sql(_REVISION).scalar()
    return int(value or 0)


def changed_since(session: Session, number: int) -> Mapping[str, int]:
    """Partners that have changed since this revision, each with that of its last change."""
    rows = select(PartnerRow.slug, PartnerRow.changed).where(PartnerRow.changed > number)
    return dict(session.exec(rows).all())


def lock(session: Session) -> None:
    """Make other changes wait until this transaction ends, so that what is read now stays true.

    PostgreSQL locks the counter's row; SQLite knows one writer at a time anyway.
    """
    if session.execute(_LOCK).first() is None:
        session.execute(_BEGIN)
        session.execute(_LOCK).one()


def bump_partner(session: Session, slug: str) -> None:
    """Count a change of a partner, its contract or its endpoints.

    To be called in the transaction that makes it, after `lock`.
    """
    row = update(PartnerRow).where(col(PartnerRow.slug) == slug)
    session.execute(row.values(changed=_bump(session)))


def bump_credential(session: Session, credential_id: str) -> None:
    """Count a change of a credential. To be called in the transaction that makes it, after `lock`."""
    row = update(CredentialRow).where(col(CredentialRow.id) == credential_id)
    session.execute(row.values(changed=_bump(session)))


def _bump(session: Session) -> int:
    return int(session.execute(_COUNT).scalar_one())


def load(session: Session, known: Directory | None = None, *, ended_before: int | None = None) -> Directory:
    """Load everything, as of this transaction.

    `known`: a directory of an earlier revision of this database; only what changed since is loaded.
    `ended_before`: Unix milliseconds; without credentials that ended before it, as `Directory.without_ended`.
    """
    number = revision(session)
    since = _NEVER
    if known is not None and known.revision <= number:
        since = known.revision
    changed = select(col(PartnerRow.slug)).where(PartnerRow.changed > since)
    current = (
        select(ContractRow)
        .join(
            PartnerRow,
            (col(PartnerRow.slug) == ContractRow.partner)
            & (col(PartnerRow.revision) == ContractRow.revision),
        )
        .where(PartnerRow.changed > since)
    )
    contracts = {row.partner: row for row in session.exec(current)}
    endpoints: dict[str, list[Endpoint]] = {}
    owners = or_(col(EndpointRow.partner).in_(changed), col(EndpointRow.partner).in_(_houses(since)))
    hooks = select(EndpointRow).where(owners).order_by(EndpointRow.id)
    place = col(EndpointAccessRow.partner)
    demands = select(EndpointAccessRow).where(or_(place.in_(changed), place.in_(_houses(since))))
    accesses = {each.endpoint: each.sealed for each in session.exec(demands)}
    for endpoint_row in session.exec(hooks):
        endpoint = endpoint_of(endpoint_row, accesses.get(endpoint_row.id))
        endpoints.setdefault(endpoint_row.partner, []).append(endpoint)
    accounts = []
    in_force = {slug: row.revision for slug, row in contracts.items()}
    earlier = None if since == _NEVER else known
    agreed, former = load_agreed(session, in_force, earlier), load_former(session, in_force, earlier)
    for row in session.exec(select(PartnerRow).where(PartnerRow.changed > since)):
        contract_row = contracts.get(row.slug)
        accounts.append(
            Account(
                partner_of(row),
                None if contract_row is None else contract_of(contract_row),
                () if contract_row is None else _LINES.validate_json(contract_row.lines),
                tuple(endpoints.get(row.slug, ())),
                tuple(endpoints.get(house_of(row.slug), ())),
                agreed.get(row.slug, {}),
                None if contract_row is None else contract_row.sha256,
                former.get(row.slug, ()),
            )
        )
    shown = select(CredentialRow).where(CredentialRow.changed > since)
    if known is None or since == _NEVER:
        if ended_before is not None:
            shown = shown.where(is_held(ended_before))
        return Directory(number, accounts, map(credential_of, session.exec(shown)))
    # All that changed: one that was just revoked is in force in what is known.
    later = known.after(number, accounts, map(credential_of, session.exec(shown)))
    return later if ended_before is None else later.without_ended(ended_before)


def partner(session: Session, slug: str) -> tuple[Partner, int] | None:
    """Find a partner, and the revision of its contract in force (0: none)."""
    row = session.get(PartnerRow, slug)
    return None if row is None else (partner_of(row), row.revision)


def open_logs(session: Session) -> list[str]:
    """Random names of the logs of all partners that are not closed, by slug."""
    rows = select_columns(col(PartnerRow.log)).where(col(PartnerRow.state) != "closed")
    return list(session.execute(rows.order_by(col(PartnerRow.slug))).scalars())


def insert_partner(session: Session, new: Partner, *, now: int) -> None:
    """Insert a partner that has no contract yet."""
    topics = new.topics
    row = {
        "slug": new.slug,
        "log": new.log,
        "name": new.name,
        "inbound": topics.inbound,
        "inbound_partition": topics.inbound_partition,
        "outbound": topics.outbound,
        "outbound_partition": topics.outbound_partition,
        "state": new.state,
        "revision": 0,
        "changed": 0,
        "created_at": now,
    }
    session.execute(_NEW_PARTNER, [row])


def update_partner(session: Session, changed: Partner, *, revision: int) -> None:
    """Set what may change about a partner, and count that: name, state, and the revision in force.

    To be called after `lock`.
    """
    values = {"name": changed.name, "state": changed.state, "revision": revision, "changed": _bump(session)}
    session.execute(_CHANGED, {"named": changed.slug, **values})


def contract_file(session: Session, slug: str, number: int) -> tuple[ContractFile, tuple[Line, ...]] | None:
    """Read one revision of a contract, with its texts and its lines."""
    if number > _LARGEST_REVISION:
        return None
    row = session.get(ContractRow, (slug, number))
    return None if row is None else whole_contract(row)


def whole_contract(row: ContractRow) -> tuple[ContractFile, tuple[Line, ...]]:
    """The contract in a row, with its texts and its lines."""
    file = ContractFile(row.file, row.text, contract_of(row), _FILES.validate_json(row.files))
    return file, _LINES.validate_json(row.lines)


@dataclass(frozen=True, slots=True)
class Revision:
    """One contract that was in force.

    `applied_at`: Unix milliseconds. `applied_by`: the id of a credential, or a role.
    """

    number: int
    file_name: str
    sha256: bytes
    applied_at: int
    applied_by: str


def contract_revisions(session: Session, slug: str) -> list[Revision]:
    """List the revisions of a partner's contract, newest first, without their texts."""
    columns = (
        col(ContractRow.revision),
        col(ContractRow.file),
        col(ContractRow.sha256),
        col(ContractRow.applied_at),
        col(ContractRow.applied_by),
    )
    rows = session.execute(
        select_columns(*columns)
        .where(col(ContractRow.partner) == slug)
        .order_by(col(ContractRow.revision).desc())
    )
    return [Revision(*row) for row in rows]


def insert_contract(
    session: Session, file: ContractFile, lines: Sequence[Line], *, number: int, now: int, by: str
) -> None:
    """Insert a revision of a contract."""
    contract = replace(file.contract, revision=number)
    row = {
        "partner": contract.partner,
        "revision": number,
        "file": file.name[-255:],
        "text": file.text,
        "files": _FILES.dump_json(file.files).decode(),
        "value": value_of(contract),
        "lines": _LINES.dump_json(tuple(lines)).decode(),
        "sha256": file.sha256(),
        "applied_at": now,
        "applied_by": by,
    }
    session.execute(_NEW_CONTRACT, [row])


def _houses(since: int) -> Select[str]:
    """The owners of the house's endpoints, of the partners that changed."""
    return select_columns(literal(house_of("")).concat(col(PartnerRow.slug))).where(
        col(PartnerRow.changed) > since
    )


_ENDPOINTS: Final = (
    select_columns(EndpointRow, col(EndpointAccessRow.sealed))
    .join(
        EndpointAccessRow,
        and_(
            col(EndpointAccessRow.endpoint) == col(EndpointRow.id),
            col(EndpointAccessRow.partner) == col(EndpointRow.partner),
        ),
        isouter=True,
    )
    .where(col(EndpointRow.partner) == bindparam("owner"))
    .order_by(col(EndpointRow.id))
)


def endpoints(session: Session, owner: str) -> tuple[Endpoint, ...]:
    """List the endpoints of an owner, by id: of a partner, or of the house with it (`house_of`)."""
    return tuple(endpoint_of(row, access) for row, access in session.execute(_ENDPOINTS, {"owner": owner}))


def known_endpoints(session: Session, ids: Collection[str]) -> frozenset[str]:
    """Those of the ids that are endpoints of anybody."""
    found = select_columns(col(EndpointRow.id)).where(col(EndpointRow.id).in_(ids))
    return frozenset(session.execute(found).scalars())


def insert_endpoints(session: Session, new: Sequence[Endpoint], *, now: int) -> None:
    """Insert endpoints."""
    if new:
        rows = [{"id": one.id, "created_at": now} | values_of(one) for one in new]
        session.execute(insert(EndpointRow), rows)


def update_endpoint(session: Session, changed: Endpoint) -> None:
    """Write an endpoint over the one with its id."""
    values = values_of(changed)
    session.execute(update(EndpointRow).where(col(EndpointRow.id) == changed.id).values(**values))


def set_access(session: Session, endpoint: Endpoint, sealed: bytes | None, *, now: int) -> None:
    """Keep what an endpoint demands of us, sealed for its place; None: nothing any more.

    To be counted by `bump_partner`, as every change of an endpoint.
    """
    session.execute(delete(EndpointAccessRow).where(col(EndpointAccessRow.endpoint) == endpoint.id))
    if sealed is not None:
        row = {"endpoint": endpoint.id, "partner": endpoint.owner, "sealed": sealed, "changed_at": now}
        session.execute(insert(EndpointAccessRow), [row])


def delete_endpoints(session: Session, ids: Sequence[str]) -> None:
    """Delete endpoints, with what they demand of us."""
    if ids:
        session.execute(delete(EndpointAccessRow).where(col(EndpointAccessRow.endpoint).in_(ids)))
        session.execute(delete(EndpointRow).where(col(EndpointRow.id).in_(ids)))


def credential(session: Session, credential_id: str) -> Credential | None:
    """Find a credential."""
    row = session.get(CredentialRow, credential_id)
    return None if row is None else credential_of(row)


def credentials(session: Session, *, owner: str | None) -> tuple[Credential, ...]:
    """List a partner's credentials, revoked and expired ones too, by id; with `owner` None, the house's."""
    rows = select(CredentialRow).where(col(CredentialRow.partner) == owner)
    return tuple(map(credential_of, session.exec(rows.order_by(CredentialRow.id))))


def all_credentials(session: Session) -> tuple[Credential, ...]:
    """List everybody's credentials, revoked and expired ones too, by id."""
    return tuple(map(credential_of, session.exec(select(CredentialRow).order_by(CredentialRow.id))))


def credential_shown_as(session: Session, method: Method, match: str) -> Credential | None:
    """Find a credential by what a request shows; revoked and expired ones too."""
    rows = select(CredentialRow).where(CredentialRow.method == method, CredentialRow.shown_as == match)
    row = session.exec(rows).first()
    return None if row is None else credential_of(row)


def release_match(session: Session, ended: Credential) -> None:
    """Let another credential be shown as this one was, which is over. Its id is added to its match."""
    change = update(CredentialRow).where(col(CredentialRow.id) == ended.id)
    session.execute(change.values(shown_as=f"{ended.match}\n{ended.id}"))
    bump_credential(session, ended.id)


def update_credential(session: Session, changed: Credential) -> None:
    """Set what may change about a credential: name, scopes, end, what it may send."""
    change = update(CredentialRow).where(col(CredentialRow.id) == changed.id)
    values = {
        "name": changed.name,
        "scopes": " ".join(sorted(changed.scopes)),
        "not_after": changed.not_after,
        **allowance_of(changed),
    }
    session.execute(change.values(**values))


def insert_credential(session: Session, new: Credential, *, now: int) -> None:
    """Insert a credential."""
    session.execute(insert(CredentialRow), [columns_of(new, now=now)])


def mark_revoked(session: Session, credential_id: str, *, now: int, reason: str) -> None:
    """Set when and why a credential was revoked."""
    change = update(CredentialRow).where(col(CredentialRow.id) == credential_id)
    session.execute(change.values(revoked_at=now, revoked_for=reason))


def partner_of(row: PartnerRow) -> Partner:
    """The partner in a row."""
    topics = Topics(row.inbound, row.inbound_partition, row.outbound, row.outbound_partition)
    return Partner(row.slug, row.log, row.name, topics, cast("PartnerState", row.state))
