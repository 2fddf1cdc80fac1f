"""Operators set rates while the server runs: in general, by group, by device."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "rates",
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("group", number, autoincrement=False, nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("resource", "group", name=op.f("pk_rates")),
    )
    op.create_index(op.f("ix_rates_group"), "rates", ["group"])
    op.create_table(
        "device_rates",
        sa.Column("device", number, nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.id"], name=op.f("fk_device_rates_device")),
        sa.PrimaryKeyConstraint("device", "resource", name=op.f("pk_device_rates")),
    )
    has_own = sa.text("post_rate IS NOT NULL OR poll_rate IS NOT NULL")
    op.create_index("ix_devices_own_rate", "devices", ["id"], sqlite_where=has_own, postgresql_where=has_own)
    op.create_index(op.f("ix_device_rates_resource_device"), "device_rates", ["resource", "device"])
