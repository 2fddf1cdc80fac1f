"""Indexes for the operators' lists, and counts that are kept: of devices, alarms, programs, group members."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_STANDING = (
    "CASE WHEN (withdrawn IS NOT NULL) THEN 2 WHEN (retired IS NOT NULL) THEN 3"
    " WHEN (registered IS NULL) THEN 1 ELSE 0 END"
)
#: Each group with itself and all above it.
_ABOVE = (
    'WITH RECURSIVE above (below, "group") AS (SELECT id, id FROM groups UNION'
    ' SELECT above.below, groups.parent FROM above JOIN groups ON groups.id = above."group"'
    " WHERE groups.parent IS NOT NULL) "
)
_INDEXES: tuple[tuple[str, str, list[str], str | None], ...] = (
    ("ix_devices_manager_id", "devices", ["manager", "id"], None),
    ("ix_controls_start_id", "controls", ["start", "id"], None),
    ("ix_controls_program_start_id", "controls", ["program", "start", "id"], None),
    ("ix_controls_live", "controls", ["latest", "earliest"], "cancelled IS NULL"),
    ("ix_responses_control_id", "responses", ["control", "id"], None),
    ("ix_responses_flagged", "responses", ["id"], "flagged IS NOT NULL"),
    ("ix_logevents_device_id", "logevents", ["device", "id"], None),
    ("ix_alarms_device_id", "alarms", ["device", "id"], None),
    ("ix_audit_who_id", "audit", ["who", "id"], None),
    ("ix_audit_subject_id", "audit", ["subject", "id"], None),
)


def upgrade() -> None:
    for name, table, columns, where in _INDEXES:
        condition = None if where is None else sa.text(where)
        op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
    # PostgreSQL wants an expression in brackets; SQLite takes it with them.
    op.create_index("ix_devices_standing", "devices", [sa.text(f"({_STANDING})"), "id"])
    if op.get_bind().dialect.name == "postgresql":
        # Names that begin with a text stand together only where they sort by their octets.
        op.alter_column("devices", "name", type_=sa.Text(collation="C"))
    op.create_index("ix_devices_folded_name", "devices", [sa.text("lower(name)"), "id"])
    op.drop_index("ix_memberships_group_until", table_name="memberships")
    op.create_index("ix_memberships_group_until_device", "memberships", ["group", "until", "device"])
    _count()
    _count_abilities()


def _count() -> None:
    counts = op.create_table(
        "counts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counts")),
    )
    assert counts is not None
    for number, word in enumerate(("registered", "listed", "withdrawn", "retired")):
        _fill(f"devices {word}", f"devices WHERE ({_STANDING}) = {number}")
    _fill("alarms open", "alarms WHERE cleared IS NULL")
    _fill("programs", "programs WHERE retired IS NULL")


def _fill(name: str, what: str) -> None:
    said = f"INSERT INTO counts (name, number) SELECT '{name}', count(*) FROM {what}"  # noqa: S608 - constants
    op.execute(sa.text(said))


def _count_abilities() -> None:
    # Until now each group had its own members alone, by what they support.
    op.drop_table("abilities")
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "abilities",
        sa.Column("group", number, autoincrement=False, nullable=False),
        sa.Column("modes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("category", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["group"], ["groups.id"], name=op.f("fk_abilities_group")),
        sa.PrimaryKeyConstraint("group", "modes", "category", name=op.f("pk_abilities")),
    )
    op.execute(
        sa.text(
            f'INSERT INTO abilities ("group", modes, category, members) {_ABOVE}'  # noqa: S608 - constants
            'SELECT above."group", coalesce(devices.modes, -1), coalesce(devices.device_category, 0),'
            " count(*) FROM memberships JOIN devices ON devices.id = memberships.device"
            ' JOIN above ON above.below = memberships."group"'
            f" WHERE memberships.until IS NULL AND ({_STANDING}) = 0 GROUP BY 1, 2, 3"
        )
    )
