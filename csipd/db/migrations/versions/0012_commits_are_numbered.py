"""Commits are numbered, in the place of the schedules of each program."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    commits = op.create_table(
        "commits",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commits")),
    )
    assert commits is not None
    op.bulk_insert(commits, [{"id": 1, "number": 0}])
    op.drop_table("schedules")
