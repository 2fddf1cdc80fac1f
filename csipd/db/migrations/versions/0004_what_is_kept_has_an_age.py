"""What is kept has an age and a number: the indexes that find it, and which device an audit line is of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _partial(name: str, table: str, columns: list[str], which: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(which), postgresql_where=sa.text(which))


def upgrade() -> None:
    op.add_column("audit", sa.Column("device", sa.BigInteger(), nullable=True))
    _partial("ix_audit_device", "audit", ["device", "id"], "device IS NOT NULL")
    _partial("ix_audit_others", "audit", ["id"], "device IS NULL")
    _partial("ix_memberships_ended", "memberships", ["until"], "until IS NOT NULL")
    _partial("ix_alarms_over", "alarms", ["cleared"], "cleared IS NOT NULL")
    op.create_index("ix_controls_creation_time", "controls", ["creation_time"])
    # Until now a row stayed for every combination of modes that any device ever had.
    op.execute(sa.text("DELETE FROM abilities WHERE members <= 0"))
    op.execute(sa.text("DELETE FROM fleets WHERE members <= 0"))
