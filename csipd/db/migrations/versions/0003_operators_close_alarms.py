"""Alarms: the operator who closed one, where its device did not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("alarms", sa.Column("closed_by", sa.Text(), nullable=True))
