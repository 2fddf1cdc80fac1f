"""Responses: whether an event was for the device, and which one says where the device stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # With a default, a column is added in place: a table that is made anew may forget which numbers it gave.
    for name, default in (("addressed", sa.true()), ("latest", sa.false())):
        op.add_column("responses", sa.Column(name, sa.Boolean(), nullable=False, server_default=default))
    # Until now a flag named what was wrong with the subject first.
    op.execute(
        sa.text("UPDATE responses SET addressed = :no WHERE flagged LIKE 'the event is not%'").bindparams(
            no=False
        )
    )
    op.execute(
        sa.text(
            "UPDATE responses SET latest = :yes WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER ("
            " PARTITION BY device, subject ORDER BY"
            " CASE WHEN created_time < received THEN created_time ELSE received END DESC,"
            " received DESC, id DESC) AS place FROM responses) AS ordered WHERE place = 1)"
        ).bindparams(yes=True)
    )
    op.drop_index("ix_responses_device_subject_status", table_name="responses")
    op.drop_index("ix_responses_control_device_status", table_name="responses")
    op.create_index("ix_responses_device_subject", "responses", ["device", "subject"])
    op.create_index(
        "ix_responses_control_device_status_latest", "responses", ["control", "device", "status", "latest"]
    )
    op.create_index(
        "ix_responses_unaddressed",
        "responses",
        ["device", "received"],
        sqlite_where=sa.text("addressed = 0"),
        postgresql_where=sa.text("NOT addressed"),
    )
