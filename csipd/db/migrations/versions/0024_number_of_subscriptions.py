"""How many subscriptions there are is kept."""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.execute(
        "INSERT INTO counts (name, number)"
        " SELECT 'subscriptions', count(*) FROM subscriptions WHERE cancelled IS NULL"
    )
