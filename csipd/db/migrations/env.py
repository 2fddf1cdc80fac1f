"""Alembic's environment: runs the migrations on the connection that ``engine.prepare`` hands in."""

from __future__ import annotations

from alembic import context

from csipd.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most of a table in place.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
