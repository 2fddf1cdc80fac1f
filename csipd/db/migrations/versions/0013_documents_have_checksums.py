"""Documents have checksums: what agrees with its own is given out as it was stored."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("documents", sa.Column("checksum", sa.BigInteger(), nullable=True))
