"""A series knows whether its usage point measures power forward and never in reverse."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("series", sa.Column("forward_alone", sa.Boolean, nullable=False, server_default=sa.false()))
