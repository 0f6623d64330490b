"""What history is found by: marks of states, endpoints, digests and values; an index for each way to list.

Adds columns and a table, gives indexes other columns: a program of the revision before works on beside it.
What it enters meanwhile has no marks: a list by state, endpoint or digest lacks it, the list of all has it.
"""

import hashlib
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_STATES: Final = (
    ("accepted", "event.accepted", None),
    ("refused", "event.refused", None),
    ("unrouted", "event.unrouted", None),
    ("forwarded", "event.forwarded", None),
    ("retry", "delivery.attempted", "retry"),
    ("held", "delivery.attempted", "held"),
    ("delivered", "delivery.attempted", "delivered"),
    ("parked", "delivery.parked", None),
    ("acknowledged", "delivery.acknowledged", None),
    ("cancelled", "delivery.cancelled", None),
    ("read", "content.read", None),
)
_OF_EVENT: Final = "JOIN audit_entry f ON f.log = e.log AND f.ref = e.ref AND f.is_first"


def upgrade() -> None:
    """Forward only."""
    for table in ("audit_entry", "audit_pending", "gateway_claim", "gateway_delivery"):
        op.add_column(table, sa.Column("search", sa.LargeBinary(), nullable=True))
    op.create_table(
        "audit_mark",
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("mark", "at", "epoch", "index"),
        sqlite_with_rowid=False,
    )
    _indexes()
    op.execute("UPDATE audit_entry SET direction = '' WHERE direction IS NULL")
    _marks(_marker())


def _indexes() -> None:
    for name in ("id", "credential", "page"):
        op.drop_index(f"audit_entry_{name}", "audit_entry")
    op.create_index("audit_entry_id", "audit_entry", ["log", "event_id", "at"])
    op.create_index(
        "audit_entry_credential",
        "audit_entry",
        ["log", "credential", "at"],
        sqlite_where=sa.text("credential IS NOT NULL"),
        postgresql_where=sa.text("credential IS NOT NULL"),
    )
    page = ["log", "is_first", "kind", "direction", "at", "epoch", "index"]
    op.create_index("audit_entry_page", "audit_entry", page)
    for name, column in (("type", "event_type"), ("source", "source")):
        op.create_index(
            f"audit_entry_{name}",
            "audit_entry",
            ["log", column, "at"],
            sqlite_where=sa.text("is_first = 1"),
            postgresql_where=sa.text("is_first"),
        )


def _marks(mark: Callable[[str, str, str], str]) -> None:
    """Of what is in the logs. Values at search pointers nobody has kept; digests are in claims."""
    for state, kind, code in _STATES:
        rule = f"e.kind = '{kind}' AND " + ("f.kind <> e.kind" if code is None else f"e.code = '{code}'")
        _insert(mark("e.log", "state", f"'{state}'"), f"audit_entry e {_OF_EVENT} WHERE {rule}")
    endpoint = mark("e.log", "endpoint", "e.endpoint")
    _insert(endpoint, f"audit_entry e {_OF_EVENT} WHERE e.endpoint IS NOT NULL")
    digest = mark("e.log", "digest", "e.content_sha256")
    _insert(digest, f"gateway_claim e {_OF_EVENT} WHERE e.leaf_index IS NOT NULL")


def _insert(mark: str, found: str) -> None:
    op.execute(
        f'INSERT INTO audit_mark (mark, at, epoch, "index") SELECT DISTINCT {mark}, f.at, f.epoch, f."index" '  # noqa: S608 - fixed text
        f"FROM {found} ON CONFLICT DO NOTHING"
    )


def _marker() -> Callable[[str, str, str], str]:
    """The expression that makes a mark, as `audit.marks.mark_of` does: SQLite has no SHA-256 of its own."""
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        bind.connection.driver_connection.create_function("gateway_mark", 3, _mark, deterministic=True)  # type: ignore[union-attr]  # it is connected
        return lambda log, name, value: f"gateway_mark({log}, '{name}', {value})"

    def expression(log: str, name: str, value: str) -> str:
        raw = value if name == "digest" else f"convert_to({value}, 'UTF8')"
        zero = "decode('00', 'hex')"
        parts = (
            "convert_to('gateway/mark/v1', 'UTF8')",
            f"convert_to({log}, 'UTF8')",
            f"convert_to('{name}', 'UTF8')",
            raw,
        )
        return f"substring(sha256({f' || {zero} || '.join(parts)}) FROM 1 FOR 16)"

    return expression


def _mark(log: str, name: str, value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return hashlib.sha256(f"gateway/mark/v1\x00{log}\x00{name}\x00".encode() + raw).digest()[:16]
