"""Tables of the schema registry."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    _schemas_schema()
    _schemas_version()


def _schemas_schema() -> None:
    op.create_table(
        "schemas_schema",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("text_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("guid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("text_sha256"),
    )
    op.create_index("ix_schemas_schema_guid", "schemas_schema", ["guid"])


def _schemas_version() -> None:
    op.create_table(
        "schemas_version",
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("schema_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "number"),
        sa.UniqueConstraint("subject", "schema_id", name="schemas_version_schema"),
    )
    op.create_index("ix_schemas_version_schema_id", "schemas_version", ["schema_id"])
