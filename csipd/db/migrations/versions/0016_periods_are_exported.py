"""Indexes for what came in a period: responses, log events, alarms."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    for table, moment in (("responses", "received"), ("logevents", "received"), ("alarms", "raised")):
        op.create_index(f"ix_{table}_{moment}_id", table, [moment, "id"])
