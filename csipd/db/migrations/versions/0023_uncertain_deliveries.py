"""Totals of controls count devices of which no reading lies wholly within their time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("uncertain", sa.Integer, nullable=False, server_default="0"))
