"""Subscriptions, whom their notifications go to, what they hang on, and the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "receivers",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receivers")),
        sa.UniqueConstraint("host", "port", name=op.f("uq_receivers_host_port")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("device", _NUMBER, nullable=False),
        sa.Column("href", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("receiver", _NUMBER, nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("limit", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("cancelled", sa.BigInteger(), nullable=True),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("certain", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("look_at", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("notified", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["device"], ["devices.id"], name=op.f("fk_subscriptions_device")),
        sa.ForeignKeyConstraint(["receiver"], ["receivers.id"], name=op.f("fk_subscriptions_receiver")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("device", "href", "uri", name=op.f("uq_subscriptions_device_href_uri")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_subscriptions_device_id"), "subscriptions", ["device", "id"])
    op.create_index(op.f("ix_subscriptions_receiver_id"), "subscriptions", ["receiver", "id"])
    for name, columns, condition in (
        ("pending", ["receiver", "next_at"], "changed > told"),
        ("looked_at", ["look_at"], "look_at IS NOT NULL"),
        ("ending", ["expires"], "cancelled IS NULL"),
        ("cancelled", ["cancelled"], "cancelled IS NOT NULL"),
        ("failing", ["id"], "failing_since IS NOT NULL"),
    ):
        op.create_index(
            f"ix_subscriptions_{name}",
            "subscriptions",
            columns,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
    op.create_table(
        "watched",
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("subscription", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("certain", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["subscription"], ["subscriptions.id"], name=op.f("fk_watched_subscription")),
        sa.PrimaryKeyConstraint("fact", "subscription", name=op.f("pk_watched")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_watched_subscription"), "watched", ["subscription"])
    op.create_table(
        "changes",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("reached", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
