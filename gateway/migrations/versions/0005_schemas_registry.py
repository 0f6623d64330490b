"""References, soft deletion, levels and modes of the schema registry.

Adds only, but for one constraint that becomes an index: a program of the revision before works on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    _schemas_reference()
    _schemas_version()
    _schemas_subject()


def _schemas_reference() -> None:
    op.create_table(
        "schemas_reference",
        sa.Column("schema_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("schema_id", "position"),
    )
    op.create_index("schemas_reference_target", "schemas_reference", ["subject", "number"])


def _schemas_version() -> None:
    with op.batch_alter_table("schemas_version") as table:
        table.add_column(sa.Column("deleted_at", sa.BigInteger(), nullable=True))
        table.drop_constraint("schemas_version_schema", type_="unique")
    # A schema that was deleted softly may become a version of the subject again, with a new number.
    op.create_index(
        "schemas_version_active",
        "schemas_version",
        ["subject", "schema_id"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _schemas_subject() -> None:
    op.create_table(
        "schemas_subject",
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("highest", sa.Integer(), nullable=False),
        sa.Column("level", sa.String(length=32), nullable=True),
        sa.Column("mode", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("subject"),
    )
