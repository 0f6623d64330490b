"""Tables of the audit log.

A log is named by its name and its epoch; both stand in every key, so that an epoch never mixes with the one
before. Leaves, nodes and sizes are primary data: nothing rebuilds them.
"""

from typing import ClassVar

from sqlalchemy import BigInteger, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel


class PendingRow(SQLModel, table=True):
    """Evidence written with a decision, not yet in its log. Deleted in the transaction that appends it.

    `raw`: as it was made, since it is here for a second or two, and is read by others meanwhile.
    `search`: as in `EntryRow`.
    """

    __tablename__ = "audit_pending"
    __table_args__ = (Index("audit_pending_log", "log", "at", "id"),)

    id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    log: str = Field(sa_type=Text)
    at: int = Field(sa_type=BigInteger)
    raw: bytes = Field(sa_type=LargeBinary)
    search: bytes | None = Field(default=None, sa_type=LargeBinary)


class HeadRow(SQLModel, table=True):
    """Where a log stands (`size`, `edge`: its subtree hashes, 32 bytes each), and what was published."""

    __tablename__ = "audit_head"

    log: str = Field(primary_key=True, sa_type=Text)
    epoch: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    size: int = Field(sa_type=BigInteger)
    edge: bytes = Field(sa_type=LargeBinary)
    checkpoint: str | None = Field(default=None, sa_type=Text)
    checkpoint_size: int = Field(default=0, sa_type=BigInteger)


class NodeRow(SQLModel, table=True):
    """Hash of one perfect subtree of 2^level leaves; of eight leaves or more, see `audit.store`."""

    __tablename__ = "audit_node"
    # On SQLite the key is the table: half the pages of a row with an index beside it.
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_with_rowid": False}

    log: str = Field(primary_key=True, sa_type=Text)
    epoch: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    level: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    hash: bytes = Field(sa_type=LargeBinary)


class EntryRow(SQLModel, table=True):
    """One committed record: its leaf, its evidence (null once erased), and what history is searched by.

    `evidence`: as `audit.pressing` has it, or the record as it was made.

    `is_first`: the row that stands for its event in a list; at most one per event. `credential`: by which an
    event was sent, or (`audit.entry.asked_by`) a change asked for; null in entries of before this was kept.
    `direction`: empty where the record has none. `search`: hashes of the values that the event is found by,
    in the entry that brought them (`audit.marks.join_search`).

    Each index serves one way to list, and none serves two: so a planner has nothing to choose from.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("audit_entry_ref", "ref", "log"),
        Index("audit_entry_id", "log", "event_id", "at"),
        # An index more makes inserts of entries a twentieth (PostgreSQL) to a ninth (SQLite) slower: a
        # hundredth or two of what an entry costs. With epoch and index in it, as for pages, it is twice that.
        Index(
            "audit_entry_credential",
            "log",
            "credential",
            "at",
            sqlite_where=text("credential IS NOT NULL"),
            postgresql_where=text("credential IS NOT NULL"),
        ),
        # Every entry is in it. A list of events is the ranges of all kinds that can stand for one, merged.
        Index("audit_entry_page", "log", "is_first", "kind", "direction", "at", "epoch", "index"),
        Index(
            "audit_entry_type",
            "log",
            "event_type",
            "at",
            sqlite_where=text("is_first = 1"),
            postgresql_where=text("is_first"),
        ),
        Index(
            "audit_entry_source",
            "log",
            "source",
            "at",
            sqlite_where=text("is_first = 1"),
            postgresql_where=text("is_first"),
        ),
    )

    log: str = Field(primary_key=True, sa_type=Text)
    epoch: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    leaf: bytes = Field(sa_type=LargeBinary)
    evidence: bytes | None = Field(default=None, sa_type=LargeBinary)
    kind: str = Field(sa_type=Text)
    at: int = Field(sa_type=BigInteger)
    ref: bytes | None = Field(default=None, sa_type=LargeBinary)
    partner: str | None = Field(default=None, sa_type=Text)
    direction: str | None = Field(default=None, sa_type=Text)
    source: str | None = Field(default=None, sa_type=Text)
    event_id: str | None = Field(default=None, sa_type=Text)
    event_type: str | None = Field(default=None, sa_type=Text)
    endpoint: str | None = Field(default=None, sa_type=Text)
    code: str | None = Field(default=None, sa_type=Text)
    is_first: bool
    credential: str | None = Field(default=None, sa_type=Text)
    search: bytes | None = Field(default=None, sa_type=LargeBinary)


class MarkRow(SQLModel, table=True):
    """An event by something that its row in the list does not show: see `audit.marks`.

    `at`, `epoch`, `index`: where that row stands. The log is in the mark.
    """

    __tablename__ = "audit_mark"
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_with_rowid": False}

    mark: bytes = Field(primary_key=True, sa_type=LargeBinary)
    at: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    epoch: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})


class ErasureRow(SQLModel, table=True):
    """Entries whose evidence is gone, from index `first` up to, not with, `end`, and why; who erases writes.

    `erasure`: the id of what was asked for; null where its time was over. `at`: Unix milliseconds.
    """

    __tablename__ = "audit_erasure"
    __table_args__: ClassVar[dict[str, bool]] = {"sqlite_with_rowid": False}

    log: str = Field(primary_key=True, sa_type=Text)
    epoch: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    first: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    end: int = Field(sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)
    erasure: str | None = Field(default=None, sa_type=Text)
    basis: str = Field(sa_type=Text)


class ExpiryRow(SQLModel, table=True):
    """How far a log's evidence was looked at for what is past its time; retention writes.

    `epoch`, `next`: the entry to look at next; `due_at`: when that was made, so that nobody looks before.
    `held_epoch`, `held_next`: the first that was passed over because of a hold. Whoever sets a hold on the
    log, or takes evidence of it away, locks this row first.
    """

    __tablename__ = "audit_expiry"

    log: str = Field(primary_key=True, sa_type=Text)
    epoch: int = Field(sa_type=BigInteger)
    next: int = Field(sa_type=BigInteger)
    due_at: int = Field(sa_type=BigInteger)
    held_epoch: int | None = Field(default=None, sa_type=BigInteger)
    held_next: int | None = Field(default=None, sa_type=BigInteger)


class HoldRow(SQLModel, table=True):
    """A legal hold on events of a log (its name without an epoch); administration writes, and never deletes.

    `is_listed`: on those in `audit_hold_ref` alone; else on all of a time, ends open where they are null.
    """

    __tablename__ = "audit_hold"
    __table_args__ = (
        Index(
            "audit_hold_in_force",
            "log",
            sqlite_where=text("lifted_at IS NULL"),
            postgresql_where=text("lifted_at IS NULL"),
        ),
        Index("audit_hold_page", "log", "set_at", "id"),
        Index("audit_hold_newest", "set_at", "id"),
    )

    id: str = Field(primary_key=True, sa_type=Text)
    log: str = Field(sa_type=Text)
    partner: str = Field(sa_type=Text)
    is_listed: bool
    since_at: int | None = Field(default=None, sa_type=BigInteger)
    until_at: int | None = Field(default=None, sa_type=BigInteger)
    basis: str = Field(sa_type=Text)
    set_role: str = Field(sa_type=Text)
    set_credential: str | None = Field(default=None, sa_type=Text)
    set_at: int = Field(sa_type=BigInteger)
    lifted_at: int | None = Field(default=None, sa_type=BigInteger)
    lifted_basis: str | None = Field(default=None, sa_type=Text)
    lifted_role: str | None = Field(default=None, sa_type=Text)
    lifted_credential: str | None = Field(default=None, sa_type=Text)


class HoldRefRow(SQLModel, table=True):
    """An event that a hold names; administration writes."""

    __tablename__ = "audit_hold_ref"

    ref: bytes = Field(primary_key=True, sa_type=LargeBinary)
    hold: str = Field(primary_key=True, sa_type=Text)
