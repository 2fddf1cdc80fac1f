"""Own programs of devices are shown from their first use on; versions of defaults; revisions of schedules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

#: Numbers of devices' own programs begin here.
_OWN = 10**12


def upgrade() -> None:
    for name, columns in {
        "own_programs": (
            sa.Column("device", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False),
            sa.Column("shown", sa.BigInteger(), nullable=False),
        ),
        "default_versions": (
            sa.Column("program", sa.BigInteger(), autoincrement=False),
            sa.Column("version", sa.Integer(), nullable=False),
            sa.Column("body", sa.LargeBinary()),
        ),
        "schedules": (
            sa.Column("program", sa.BigInteger(), autoincrement=False),
            sa.Column("revision", sa.BigInteger(), nullable=False),
        ),
    }.items():
        constraints: list[sa.Constraint] = [
            sa.PrimaryKeyConstraint(columns[0].name, name=op.f(f"pk_{name}")),
        ]
        if name == "own_programs":
            constraints.append(
                sa.ForeignKeyConstraint(
                    ["device"], ["devices.id"], name=op.f("fk_own_programs_device_devices")
                )
            )
        op.create_table(name, *columns, *constraints)
    # Whatever is drawn later differs from these, but for a chance of one in 2**62.
    op.execute(
        sa.text(
            "INSERT INTO schedules (program, revision) SELECT program, max(id) FROM controls GROUP BY program"
        )
    )
    # Those that were used stay shown. Their defaults are views from now on.
    op.execute(
        sa.text(
            "INSERT INTO own_programs (device, shown) SELECT program - :own, min(creation_time)"
            " FROM controls WHERE program > :own GROUP BY program"
        ).bindparams(own=_OWN)
    )
    op.execute(
        sa.text(
            "DELETE FROM documents WHERE href LIKE '/derp/1____________/dderc'"
            " AND CAST(substr(href, 7, 13) AS BIGINT) > :own"
        ).bindparams(own=_OWN)
    )
