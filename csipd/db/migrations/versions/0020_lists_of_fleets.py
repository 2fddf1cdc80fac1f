"""Responses and own programs say whose fleet they are of, so that an aggregator's lists are read by key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_FILLED = (
    """UPDATE responses SET fleet = (
        SELECT manager FROM devices WHERE devices.id = responses.device
        AND registered IS NOT NULL AND retired IS NULL AND withdrawn IS NULL)""",
    """INSERT INTO counts (name, number)
        SELECT 'responses of fleet ' || fleet, count(*) FROM responses
        WHERE fleet IS NOT NULL GROUP BY fleet""",
    """UPDATE own_programs SET fleet = (
        SELECT manager FROM devices WHERE devices.id = own_programs.device
        AND registered IS NOT NULL AND retired IS NULL AND withdrawn IS NULL
        AND EXISTS (SELECT 1 FROM memberships
            WHERE memberships.device = own_programs.device AND memberships.until IS NULL))""",
    """INSERT INTO counts (name, number)
        SELECT 'own programs of fleet ' || fleet, count(*) FROM own_programs
        WHERE fleet IS NOT NULL GROUP BY fleet""",
)


def upgrade() -> None:
    for table in ("responses", "own_programs"):
        op.add_column(table, sa.Column("fleet", sa.BigInteger(), nullable=True))
    for statement in _FILLED:
        op.execute(statement)
    there = sa.text("fleet IS NOT NULL")
    op.create_index(
        "ix_responses_fleet",
        "responses",
        ["fleet", sa.text("coalesce(created_time, 0) DESC"), "lfdi", sa.text("id DESC")],
        sqlite_where=there,
        postgresql_where=there,
    )
    op.create_index(
        "ix_own_programs_fleet",
        "own_programs",
        ["fleet", "device"],
        sqlite_where=there,
        postgresql_where=there,
    )
