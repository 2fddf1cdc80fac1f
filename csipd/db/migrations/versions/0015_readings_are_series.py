"""Readings are series of their own, with their latest value and what they come to by time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key(name: str, kind: type[sa.types.TypeEngine[int]] = sa.BigInteger) -> sa.Column[int]:
    return sa.Column(name, kind(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "series",
        sa.Column("id", _id(), nullable=False),
        sa.Column("meter_reading", sa.BigInteger(), nullable=False),
        sa.Column("device", _id(), nullable=False),
        sa.Column("der", sa.Boolean(), nullable=False),
        sa.Column("unit", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("doomed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("stored", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=True),
        sa.Column("rolled", sa.BigInteger(), nullable=True),
        sa.Column("kept", sa.BigInteger(), nullable=True),
        sa.Column("latest_at", sa.BigInteger(), nullable=True),
        sa.Column("latest_start", sa.BigInteger(), nullable=True),
        sa.Column("latest_duration", sa.BigInteger(), nullable=True),
        sa.Column("latest_local_id", sa.Integer(), nullable=True),
        sa.Column("latest_block", sa.SmallInteger(), nullable=True),
        sa.Column("latest_tier", sa.SmallInteger(), nullable=True),
        sa.Column("latest_value", sa.BigInteger(), nullable=True),
        sa.Column("latest_quality", sa.Integer(), nullable=True),
        sa.Column("latest_widths", sa.SmallInteger(), nullable=True),
        sa.Column("latest_set", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["device"], ["devices.id"], name=op.f("fk_series_device")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_series_meter_reading_id"), "series", ["meter_reading", "id"])
    op.create_index(op.f("ix_series_device_id"), "series", ["device", "id"])
    op.create_index(
        "ix_series_doomed",
        "series",
        ["id"],
        sqlite_where=sa.text("doomed = 1"),
        postgresql_where=sa.text("doomed"),
    )
    op.create_table(
        "readings",
        _key("series"),
        _key("start"),
        _key("duration"),
        _key("local_id", sa.Integer),
        _key("block", sa.SmallInteger),
        _key("tier", sa.SmallInteger),
        sa.Column("value", sa.BigInteger(), nullable=True),
        sa.Column("quality", sa.Integer(), nullable=True),
        sa.Column("widths", sa.SmallInteger(), nullable=False),
        sa.Column("in_set", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "series", "start", "duration", "local_id", "block", "tier", name=op.f("pk_readings")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_readings_in_set",
        "readings",
        ["in_set", "number"],
        sqlite_where=sa.text("in_set > 0"),
        postgresql_where=sa.text("in_set > 0"),
    )
    op.create_table(
        "rollups",
        _key("series"),
        _key("step", sa.Integer),
        _key("start"),
        _key("block", sa.SmallInteger),
        _key("tier", sa.SmallInteger),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Float(53), nullable=True),
        sa.Column("seconds", sa.Integer(), nullable=True),
        sa.Column("least", sa.BigInteger(), nullable=True),
        sa.Column("greatest", sa.BigInteger(), nullable=True),
        sa.Column("first", sa.BigInteger(), nullable=True),
        sa.Column("last", sa.BigInteger(), nullable=True),
        sa.Column("resets", sa.Integer(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("series", "step", "start", "block", "tier", name=op.f("pk_rollups")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "late_hours",
        _key("series"),
        _key("start"),
        sa.PrimaryKeyConstraint("series", "start", name=op.f("pk_late_hours")),
        sqlite_with_rowid=False,
    )
