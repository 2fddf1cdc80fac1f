"""Usage points that devices mirror here, their meter readings and sets of readings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LIVE: dict[str, Any] = {
    "sqlite_where": sa.text("deleted IS NULL"),
    "postgresql_where": sa.text("deleted IS NULL"),
}


def upgrade() -> None:
    op.create_table(
        "mirrors",
        sa.Column("id", _ID, nullable=False),
        sa.Column("owner", _ID, nullable=False),
        sa.Column("device", _ID, nullable=False),
        sa.Column("fleet", _ID, nullable=True),
        sa.Column("mrid", sa.String(length=32), nullable=False),
        sa.Column("roles", sa.Integer(), nullable=False),
        sa.Column("wished_post_rate", sa.BigInteger(), nullable=True),
        sa.Column("posted", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["devices.id"], name=op.f("fk_mirrors_owner")),
        sa.ForeignKeyConstraint(["device"], ["devices.id"], name=op.f("fk_mirrors_device")),
        sa.ForeignKeyConstraint(["fleet"], ["devices.id"], name=op.f("fk_mirrors_fleet")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mirrors")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_mirrors_owner_mrid", "mirrors", ["owner", "mrid"], unique=True, **_LIVE)
    op.create_index("ix_mirrors_device_mrid", "mirrors", ["device", sa.text("mrid DESC"), "id"], **_LIVE)
    op.create_index("ix_mirrors_fleet_mrid", "mirrors", ["fleet", sa.text("mrid DESC"), "id"], **_LIVE)
    op.create_index(op.f("ix_mirrors_posted"), "mirrors", ["posted"])
    op.create_index(
        "ix_mirrors_deleted",
        "mirrors",
        ["id"],
        sqlite_where=sa.text("deleted IS NOT NULL"),
        postgresql_where=sa.text("deleted IS NOT NULL"),
    )
    op.create_table(
        "meter_readings",
        sa.Column("id", _ID, nullable=False),
        sa.Column("mirror", _ID, nullable=False),
        sa.Column("mrid", sa.String(length=32), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("sets", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["mirror"], ["mirrors.id"], name=op.f("fk_meter_readings_mirror")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_readings")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_meter_readings_mirror_mrid"), "meter_readings", ["mirror", "mrid"], unique=True)
    op.create_table(
        "reading_sets",
        sa.Column("id", _ID, nullable=False),
        sa.Column("meter_reading", _ID, nullable=False),
        sa.Column("mrid", sa.String(length=32), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("duration", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["meter_reading"], ["meter_readings.id"], name=op.f("fk_reading_sets_meter_reading")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reading_sets")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_reading_sets_meter_reading_mrid"), "reading_sets", ["meter_reading", "mrid"], unique=True
    )
    op.create_index(
        "ix_reading_sets_order",
        "reading_sets",
        ["meter_reading", sa.text("start DESC"), sa.text("mrid DESC")],
    )
