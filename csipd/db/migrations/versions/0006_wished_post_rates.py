"""Devices: the postRate that a device wishes for, and how many LFDIs an aggregator added itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

#: What a configuration file gave without saying so.
_DEFAULT = 900


def upgrade() -> None:
    op.add_column("devices", sa.Column("wished_post_rate", sa.BigInteger(), nullable=True))
    op.add_column("devices", sa.Column("added", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        sa.text(
            "UPDATE devices SET wished_post_rate = post_rate, post_rate = NULL WHERE post_rate = :default"
        ).bindparams(default=_DEFAULT)
    )
