"""Devices: in how many octets deviceCategory was given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("devices", sa.Column("category_octets", sa.SmallInteger(), nullable=True))
