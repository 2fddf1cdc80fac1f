"""Who there is, and which groups they are in."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql.expression import Grouping

from csipd.db.tables.base import Id, Sorted, metadata

#: What makes a row of ``devices`` an EndDevice that is shown.
_SHOWN = "retired IS NULL AND withdrawn IS NULL AND registered IS NOT NULL"

#: Everybody whose certificate means something here: devices, those that an aggregator manages, and
#: aggregators. A row is the place on the list of authorised LFDIs; ``registered`` makes it an EndDevice.
devices = sa.Table(
    "devices",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("lfdi", sa.String(40), nullable=False, unique=True),
    sa.Column("sfdi", sa.BigInteger, nullable=False),
    # The operator's or the configuration file's name for it.
    sa.Column("name", Sorted, unique=True),
    sa.Column("aggregator", sa.Boolean, nullable=False),
    # The aggregator that manages it; an aggregator manages itself.
    sa.Column("manager", Id, sa.ForeignKey("devices.id")),
    # How many EndDevices it manages as an aggregator: kept, not counted.
    sa.Column("fleet", sa.Integer, nullable=False, server_default="0"),
    # TimeType of registration, in band or out of band; None while it is only listed.
    sa.Column("registered", sa.BigInteger),
    # No longer in the configuration file that brought it: not served, nothing forgotten.
    sa.Column("retired", sa.BigInteger),
    # Shut out by the operator; only the operator lifts it (decision 5).
    sa.Column("withdrawn", sa.BigInteger),
    sa.Column("withdrawn_reason", sa.Text),
    sa.Column("pin", sa.Integer),
    sa.Column("changed_time", sa.BigInteger, nullable=False),
    sa.Column("device_category", sa.BigInteger),
    # In how many octets it was given; None: in all four.
    sa.Column("category_octets", sa.SmallInteger),
    # The modes that any of its DERs supports (DERControlType), once it has said.
    sa.Column("modes", sa.BigInteger),
    # What the operator set; what the device wishes counts where there is none.
    sa.Column("post_rate", sa.BigInteger),
    sa.Column("wished_post_rate", sa.BigInteger),
    sa.Column("poll_rate", sa.BigInteger),
    # How many LFDIs that nobody had listed it has added as an aggregator, ever.
    sa.Column("added", sa.Integer, nullable=False, server_default="0"),
    # A certificate that was replaced is let in until this one's first request.
    sa.Column("former_works", sa.Boolean, nullable=False, server_default=sa.false()),
    # The EndDeviceList of an aggregator, in its order (IEEE 2030.5-2018 8.5), and its count.
    sa.Index(
        "ix_devices_fleet",
        "manager",
        sa.text("changed_time DESC"),
        "sfdi",
        "id",
        sqlite_where=sa.text(_SHOWN),
        postgresql_where=sa.text(_SHOWN),
    ),
    # What an operator lists of them page by page; by standing and name, see below.
    sa.Index(None, "manager", "id"),
    sqlite_autoincrement=True,
)

#: How a device stands: a number, the place of its word in ``csipd.db.devices.STANDINGS``. Its numbers are
#: no parameters, since a query has to spell this as the index does.
standing_number: sa.ColumnElement[int] = sa.case(
    (devices.c.withdrawn.is_not(None), sa.literal_column("2", sa.Integer)),
    (devices.c.retired.is_not(None), sa.literal_column("3", sa.Integer)),
    (devices.c.registered.is_(None), sa.literal_column("1", sa.Integer)),
    else_=sa.literal_column("0", sa.Integer),
)

# PostgreSQL wants an expression of an index in brackets; to SQLite it is the same one with them.
sa.Index("ix_devices_standing", Grouping(standing_number), devices.c.id)

#: Whether an operator has set a rate for a device alone that stands in its row.
own_rate_in_row: sa.ColumnElement[bool] = sa.or_(
    devices.c.post_rate.is_not(None), devices.c.poll_rate.is_not(None)
)

sa.Index("ix_devices_own_rate", devices.c.id, sqlite_where=own_rate_in_row, postgresql_where=own_rate_in_row)

#: A device's name as operators search for it: capitals count as small letters.
folded_name: sa.ColumnElement[str] = sa.func.lower(devices.c.name)

sa.Index("ix_devices_folded_name", folded_name, devices.c.id)

#: The LFDIs that devices had before their certificates were replaced. They go on meaning the device, and
#: are never another's.
former_lfdis = sa.Table(
    "former_lfdis",
    metadata,
    sa.Column("lfdi", sa.String(40), primary_key=True),
    sa.Column("device", Id, sa.ForeignKey("devices.id"), nullable=False, index=True),
    sa.Column("replaced", sa.BigInteger, nullable=False),
    # Whether its certificate is still let in.
    sa.Column("works", sa.Boolean, nullable=False),
)

#: When each device was last heard of, from where, and what it was refused: written once a minute, and no
#: part of any resource.
contacts = sa.Table(
    "contacts",
    metadata,
    sa.Column("device", Id, sa.ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("refusals", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger),
    sa.Column("reason", sa.Text),
)

#: A FunctionSetAssignments as it would be shown to each device that is in a group of it.
assignments = sa.Table(
    "assignments",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sqlite_autoincrement=True,
)

#: Nodes of the topology (level set) and groups beside it. Being in a group is being in all above it.
groups = sa.Table(
    "groups",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("parent", Id, sa.ForeignKey("groups.id"), index=True),
    # 0 System to 6 Service Point (CSIP IG 4.3); None for a group outside the topology.
    sa.Column("level", sa.SmallInteger),
    sa.Column("assignment", Id, sa.ForeignKey("assignments.id"), nullable=False),
    sqlite_autoincrement=True,
)

#: Which device is in which group, and since when. A row without end holds now; the others keep "who was
#: meant" true after a device has moved.
memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("device", Id, sa.ForeignKey("devices.id"), nullable=False),
    sa.Column("group", Id, sa.ForeignKey("groups.id"), nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger),
    sa.Index(None, "device", "until"),
    # The devices of a group by their numbers, from the index alone.
    sa.Index(None, "group", "until", "device"),
    # Those that have ended, for when no control needs them any longer.
    sa.Index(
        "ix_memberships_ended",
        "until",
        sqlite_where=sa.text("until IS NOT NULL"),
        postgresql_where=sa.text("until IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

#: How many devices each aggregator has in each group now: kept, so that "does this fleet reach that
#: program" does not walk a fleet.
fleets = sa.Table(
    "fleets",
    metadata,
    sa.Column("manager", Id, sa.ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    sa.Column("group", Id, sa.ForeignKey("groups.id"), primary_key=True, autoincrement=False),
    sa.Column("members", sa.Integer, nullable=False),
)

#: How many EndDevices are in each group now and in those below it, by what they support (DERControlType; -1:
#: they have not said) and their category (DeviceCategoryType; 0: they have not said): kept, so that a command
#: for a group can be checked against its devices without looking at each. One that is in several of these
#: groups counts in each.
abilities = sa.Table(
    "abilities",
    metadata,
    sa.Column("group", Id, sa.ForeignKey("groups.id"), primary_key=True, autoincrement=False),
    sa.Column("modes", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("category", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("members", sa.Integer, nullable=False),
)
