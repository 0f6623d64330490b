"""What alembic runs: the rows modules against the connection it was handed.

Never opens a connection and never commits: `gateway.migrations.history` owns the transaction.
"""

from typing import Any

from alembic import context
from sqlmodel import SQLModel

import audit.rows  # noqa: F401 - rows register themselves in the shared metadata
import gateway.anchoring.rows
import gateway.egress.rows
import gateway.erasing.rows
import gateway.exports.rows
import gateway.imports.rows
import gateway.rows
import gateway.sealing.rows  # noqa: F401 - as above
import partners.rows  # noqa: F401 - as above
import schemas.rows  # noqa: F401 - as above

connection: Any = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
