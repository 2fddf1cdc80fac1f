"""LFDIs that devices had before their certificates were replaced."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "former_lfdis",
        sa.Column("lfdi", sa.String(length=40), nullable=False),
        sa.Column("device", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("replaced", sa.BigInteger(), nullable=False),
        sa.Column("works", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.id"], name=op.f("fk_former_lfdis_device")),
        sa.PrimaryKeyConstraint("lfdi", name=op.f("pk_former_lfdis")),
    )
    op.create_index(op.f("ix_former_lfdis_device"), "former_lfdis", ["device"])
    op.add_column(
        "devices", sa.Column("former_works", sa.Boolean(), nullable=False, server_default=sa.false())
    )
