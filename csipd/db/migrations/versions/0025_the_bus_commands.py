"""The GridAPPS-D bus commands: what it wants of devices, and which of its messages are known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "bus_messages",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_bus_messages")),
    )
    op.create_index(op.f("ix_bus_messages_seen"), "bus_messages", ["seen"])
    op.create_table(
        "bus_wishes",
        sa.Column("device", number, autoincrement=False, nullable=False),
        sa.Column("control", sa.BigInteger()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.id"], name=op.f("fk_bus_wishes_device")),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_bus_wishes")),
    )
    op.create_table(
        "own_defaults",
        sa.Column("device", number, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.id"], name=op.f("fk_own_defaults_device")),
        sa.PrimaryKeyConstraint("device", name=op.f("pk_own_defaults")),
    )
    op.add_column("controls", sa.Column("relieved", sa.BigInteger()))
    op.add_column("controls", sa.Column("relieved_version", sa.Integer()))
    op.add_column("controls", sa.Column("relieved_partly", sa.BigInteger()))
    listed, relieved = sa.text("relieved IS NULL"), sa.text("relieved IS NOT NULL")
    for name, columns, where in (
        ("ix_controls_in_lists", ["program", "latest"], listed),
        ("ix_controls_relieved", ["latest"], relieved),
    ):
        op.create_index(name, "controls", columns, sqlite_where=where, postgresql_where=where)
