"""What is commanded."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db.tables.base import Id, metadata

#: Numbers of devices' own programs, which are no rows, lie above this one; those of rows stay below.
OWN_PROGRAMS = 10**12

#: DERPrograms. Each belongs to one group; who sees it follows from that.
programs = sa.Table(
    "programs",
    metadata,
    sa.Column("id", Id, primary_key=True),
    # Made from the number, hence set in a second step.
    sa.Column("mrid", sa.String(32), unique=True),
    sa.Column("group", Id, sa.ForeignKey("groups.id"), nullable=False, index=True),
    sa.Column("description", sa.Text, nullable=False, unique=True),
    sa.Column("primacy", sa.SmallInteger, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("retired", sa.BigInteger),
    sqlite_autoincrement=True,
)

#: Devices whose own program is shown, since its first use (decision 19). The program itself is no row.
own_programs = sa.Table(
    "own_programs",
    metadata,
    sa.Column("device", Id, sa.ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    sa.Column("shown", sa.BigInteger, nullable=False),
    # In whose fleet it is shown (fleet_counts.py); None: in none.
    sa.Column("fleet", sa.BigInteger),
    sa.Index(
        "ix_own_programs_fleet",
        "fleet",
        "device",
        sqlite_where=sa.text("fleet IS NOT NULL"),
        postgresql_where=sa.text("fleet IS NOT NULL"),
    ),
)

#: What the DefaultDERControl of a device's own program says ahead of what follows from its other programs:
#: settings of ramps and entering service, in a DefaultDERControl without modes.
own_defaults = sa.Table(
    "own_defaults",
    metadata,
    sa.Column("device", Id, sa.ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

#: The version that each program's DefaultDERControl was given last: it rises even where the control was
#: taken away in between.
default_versions = sa.Table(
    "default_versions",
    metadata,
    sa.Column("program", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    # What that version said, where it is a view and hence no document.
    sa.Column("body", sa.LargeBinary),
)

#: DERControls: what was commanded, and when it was cancelled. Their status is no column but follows from
#: these (der/events.py). ``latest`` ends the Effective Scheduled Period, ``modes`` are the modes' names.
#: One that was relieved was superseded by the next of the GridAPPS-D bus, then, and is out of its list since:
#: it has no part in what becomes of others, and its ``latest`` is that moment (db/relief.py).
controls = sa.Table(
    "controls",
    metadata,
    sa.Column("id", Id, primary_key=True),
    # A program's number, or that of a device's own program, which is no row (db/programs.py).
    sa.Column("program", sa.BigInteger, nullable=False),
    sa.Column("mrid", sa.String(32), unique=True),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("duration", sa.BigInteger, nullable=False),
    sa.Column("randomize_start", sa.Integer, nullable=False),
    sa.Column("randomize_duration", sa.Integer, nullable=False),
    sa.Column("creation_time", sa.BigInteger, nullable=False),
    sa.Column("earliest", sa.BigInteger, nullable=False),
    sa.Column("latest", sa.BigInteger, nullable=False),
    sa.Column("categories", sa.BigInteger, nullable=False),
    sa.Column("modes", sa.Text, nullable=False),
    sa.Column("cancelled", sa.BigInteger),
    sa.Column("relieved", sa.BigInteger),
    # What its version and potentiallySupersededTime were by then.
    sa.Column("relieved_version", sa.Integer),
    sa.Column("relieved_partly", sa.BigInteger),
    sa.Column("randomized", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("who", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index(None, "program", "latest"),
    # The others of a program's, however many were relieved; and these, to be removed.
    sa.Index(
        "ix_controls_in_lists",
        "program",
        "latest",
        sqlite_where=sa.text("relieved IS NULL"),
        postgresql_where=sa.text("relieved IS NULL"),
    ),
    sa.Index(
        "ix_controls_relieved",
        "latest",
        sqlite_where=sa.text("relieved IS NOT NULL"),
        postgresql_where=sa.text("relieved IS NOT NULL"),
    ),
    sa.Index(None, "earliest"),
    sa.Index(None, "latest"),
    sa.Index(None, "creation_time"),
    # The operator's lists, the latest start first.
    sa.Index(None, "start", "id"),
    sa.Index(None, "program", "start", "id"),
    # Those that are not over, to be counted.
    sa.Index(
        "ix_controls_live",
        "latest",
        "earliest",
        sqlite_where=sa.text("cancelled IS NULL"),
        postgresql_where=sa.text("cancelled IS NULL"),
    ),
    sqlite_autoincrement=True,
)
