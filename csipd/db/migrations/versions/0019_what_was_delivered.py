"""What the devices of controls delivered, and the settings that shares were of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "former_settings",
        sa.Column("device", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("der", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("until", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device", "der", "until", name=op.f("pk_former_settings")),
    )
    op.create_index("ix_former_settings_until", "former_settings", ["until"])
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "deliveries",
        sa.Column("control", number, autoincrement=False, nullable=False),
        sa.Column("mode", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in (
                "devices",
                "obeyed",
                "not_obeyed",
                "no_readings",
                "not_yet",
                "no_settings",
                "declined",
                "overridden",
            )
        ),
        sa.Column("commanded", sa.Float(53), nullable=False),
        sa.Column("delivered", sa.Float(53), nullable=False),
        sa.ForeignKeyConstraint(["control"], ["controls.id"], name=op.f("fk_deliveries_control")),
        sa.PrimaryKeyConstraint("control", "mode", name=op.f("pk_deliveries")),
    )
