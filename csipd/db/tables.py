"""The tables. Statements over them are SQLAlchemy Core, fit for SQLite and PostgreSQL alike.

What a device or the operator gave is kept as documents: encoded XML of a resource's own fields, with
columns only where a query needs them. Links, counts and event status are not stored but spliced in when
a document is read (decision 8). What follows from membership (a device's FSAs, the programs in one, who
is under a group) is a view over ``memberships`` and ``groups``, never rows of each device (decision 9).

Times are TimeType: seconds since 1970 in UTC. LFDIs and mRIDs are upper-case hexadecimal text.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.sql.expression import Grouping

from csipd.db.columns import make_strict

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Numbers of devices' own programs, which are no rows, lie above this one; those of rows stay below.
OWN_PROGRAMS = 10**12

# Row numbers are part of URIs and never used again; SQLite has to be told so (sqlite_autoincrement).
_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Text that sorts by its octets; PostgreSQL would sort it as people of the database's language do.
_Sorted = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

#: What makes a row of ``devices`` an EndDevice that is shown.
_SHOWN = "retired IS NULL AND withdrawn IS NULL AND registered IS NOT NULL"

#: Everybody whose certificate means something here: devices, those that an aggregator manages, and
#: aggregators. A row is the place on the list of authorised LFDIs; ``registered`` makes it an EndDevice.
devices = sa.Table(
    "devices",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("lfdi", sa.String(40), nullable=False, unique=True),
    sa.Column("sfdi", sa.BigInteger, nullable=False),
    # The operator's or the configuration file's name for it.
    sa.Column("name", _Sorted, unique=True),
    sa.Column("aggregator", sa.Boolean, nullable=False),
    # The aggregator that manages it; an aggregator manages itself.
    sa.Column("manager", _Id, sa.ForeignKey("devices.id")),
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
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), nullable=False, index=True),
    sa.Column("replaced", sa.BigInteger, nullable=False),
    # Whether its certificate is still let in.
    sa.Column("works", sa.Boolean, nullable=False),
)

#: When each device was last heard of, from where, and what it was refused: written once a minute, and no
#: part of any resource.
contacts = sa.Table(
    "contacts",
    metadata,
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), primary_key=True, autoincrement=False),
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
    sa.Column("id", _Id, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sqlite_autoincrement=True,
)

#: Nodes of the topology (level set) and groups beside it. Being in a group is being in all above it.
groups = sa.Table(
    "groups",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("parent", _Id, sa.ForeignKey("groups.id"), index=True),
    # 0 System to 6 Service Point (CSIP IG 4.3); None for a group outside the topology.
    sa.Column("level", sa.SmallInteger),
    sa.Column("assignment", _Id, sa.ForeignKey("assignments.id"), nullable=False),
    sqlite_autoincrement=True,
)

#: Which device is in which group, and since when. A row without end holds now; the others keep "who was
#: meant" true after a device has moved.
memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), nullable=False),
    sa.Column("group", _Id, sa.ForeignKey("groups.id"), nullable=False),
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
    sa.Column("manager", _Id, sa.ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    sa.Column("group", _Id, sa.ForeignKey("groups.id"), primary_key=True, autoincrement=False),
    sa.Column("members", sa.Integer, nullable=False),
)

#: How many EndDevices are in each group now and in those below it, by what they support (DERControlType; -1:
#: they have not said) and their category (DeviceCategoryType; 0: they have not said): kept, so that a command
#: for a group can be checked against its devices without looking at each. One that is in several of these
#: groups counts in each.
abilities = sa.Table(
    "abilities",
    metadata,
    sa.Column("group", _Id, sa.ForeignKey("groups.id"), primary_key=True, autoincrement=False),
    sa.Column("modes", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("category", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("members", sa.Integer, nullable=False),
)

#: How many there are of what operators ask for all the time: kept, not counted (db/tally.py).
counts = sa.Table(
    "counts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

#: DERPrograms. Each belongs to one group; who sees it follows from that.
programs = sa.Table(
    "programs",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    # Made from the number, hence set in a second step.
    sa.Column("mrid", sa.String(32), unique=True),
    sa.Column("group", _Id, sa.ForeignKey("groups.id"), nullable=False, index=True),
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
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), primary_key=True, autoincrement=False),
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

#: One row: a number that is drawn anew by each transaction that changes what others may keep of what they
#: read (fact_store.py). It never comes twice, not even one of a transaction that was rolled back.
commits = sa.Table(
    "commits",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
)

#: DERControls: what was commanded, and when it was cancelled. Their status is no column but follows from
#: these (der/events.py). ``latest`` ends the Effective Scheduled Period, ``modes`` are the modes' names.
controls = sa.Table(
    "controls",
    metadata,
    sa.Column("id", _Id, primary_key=True),
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
    sa.Column("randomized", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("who", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index(None, "program", "latest"),
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

#: Responses of devices to events.
responses = sa.Table(
    "responses",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    # The event, where its mRID is one of ours.
    sa.Column("control", _Id, sa.ForeignKey("controls.id")),
    sa.Column("subject", sa.String(32), nullable=False),
    sa.Column("lfdi", sa.String(40), nullable=False),
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), nullable=False),
    sa.Column("status", sa.SmallInteger),
    sa.Column("created_time", sa.BigInteger),
    sa.Column("received", sa.BigInteger, nullable=False),
    # Whether the event addressed the device. What is kept of others has a bound of its own.
    sa.Column("addressed", sa.Boolean, nullable=False, server_default=sa.true()),
    # Whether it says where the device stands with the event: the last does (der/responses.py).
    sa.Column("latest", sa.Boolean, nullable=False, server_default=sa.false()),
    # Why the operator should look at it: an unknown subject, or no status.
    sa.Column("flagged", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    # Of whose fleet its device is shown (fleet_counts.py); None: of none.
    sa.Column("fleet", sa.BigInteger),
    # The ResponseList of an aggregator, in its order.
    sa.Index(
        "ix_responses_fleet",
        "fleet",
        sa.text("coalesce(created_time, 0) DESC"),
        "lfdi",
        sa.text("id DESC"),
        sqlite_where=sa.text("fleet IS NOT NULL"),
        postgresql_where=sa.text("fleet IS NOT NULL"),
    ),
    sa.Index(None, "device", "id"),
    sa.Index(None, "device", "subject"),
    # Who has said what to an event, from the index alone.
    sa.Index(None, "control", "device", "status", "latest"),
    # The operator's lists: those to an event, and those that somebody should look at.
    sa.Index(None, "control", "id"),
    # In the order in which they came, for a period.
    sa.Index(None, "received", "id"),
    sa.Index(
        "ix_responses_flagged",
        "id",
        sqlite_where=sa.text("flagged IS NOT NULL"),
        postgresql_where=sa.text("flagged IS NOT NULL"),
    ),
    # What is kept of a device that no event for it asks for.
    sa.Index(
        "ix_responses_unaddressed",
        "device",
        "received",
        # As each of them spells the condition of a query: it has to be the same word for word.
        sqlite_where=sa.text("addressed = 0"),
        postgresql_where=sa.text("NOT addressed"),
    ),
    sqlite_autoincrement=True,
)

#: Log events of devices. One that its device deleted is hidden from its list and stays here.
logevents = sa.Table(
    "logevents",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), nullable=False),
    sa.Column("created_time", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.Integer, nullable=False),
    sa.Column("pen", sa.BigInteger, nullable=False),
    sa.Column("profile", sa.SmallInteger, nullable=False),
    sa.Column("function_set", sa.SmallInteger, nullable=False),
    sa.Column("code", sa.SmallInteger, nullable=False),
    sa.Column("hidden", sa.Boolean, nullable=False),
    # Whether it has been looked at for alarms: at once, or by the sweep.
    sa.Column("classified", sa.Boolean, nullable=False),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index(None, "device", "hidden", "created_time", "event_id"),
    sa.Index(None, "device", "event_id", "created_time"),
    # In the order in which they came, of a device and of all.
    sa.Index(None, "device", "id"),
    sa.Index(None, "received", "id"),
    sa.Index(
        "ix_logevents_unclassified",
        "id",
        # As each of them spells the condition of a query: it has to be the same word for word.
        sqlite_where=sa.text("classified = 0"),
        postgresql_where=sa.text("NOT classified"),
    ),
    sqlite_autoincrement=True,
)

#: Alarms of devices: raised by one log event and cleared by another.
alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), nullable=False),
    sa.Column("function_set", sa.SmallInteger, nullable=False),
    # The code that raises it.
    sa.Column("code", sa.SmallInteger, nullable=False),
    sa.Column("raised", sa.BigInteger, nullable=False),
    sa.Column("cleared", sa.BigInteger),
    sa.Column("details", sa.Text),
    # The operator who closed it, where its device did not.
    sa.Column("closed_by", sa.Text),
    sa.Index(None, "device", "function_set", "code", "cleared"),
    sa.Index(None, "device", "id"),
    sa.Index(None, "raised", "id"),
    sa.Index(
        "ix_alarms_over",
        "cleared",
        sqlite_where=sa.text("cleared IS NOT NULL"),
        postgresql_where=sa.text("cleared IS NOT NULL"),
    ),
    sa.Index(
        "ix_alarms_open",
        "id",
        sqlite_where=sa.text("cleared IS NULL"),
        postgresql_where=sa.text("cleared IS NULL"),
    ),
    sqlite_autoincrement=True,
)

#: Series of readings: one for each MeterReading and ReadingType that it has had (decision 58). What a
#: MeterReading was mirrored from may be gone; its series stay as long as their readings do.
series = sa.Table(
    "series",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    # The number of the MeterReading in its URI: no foreign key, since mirrors are deleted before readings.
    sa.Column("meter_reading", sa.BigInteger, nullable=False),
    # Whose readings they are.
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), nullable=False),
    # Whether a DER's own meter has them.
    sa.Column("der", sa.Boolean, nullable=False),
    # Whether its usage point measures power forward and never in reverse, as it was when the series ended.
    sa.Column("forward_alone", sa.Boolean, nullable=False, server_default=sa.false()),
    # UomType, by which operators ask; 0: not said. All else of the ReadingType is in ``body``.
    sa.Column("unit", sa.SmallInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    # When another type took its place, or its mirror was deleted.
    sa.Column("ended", sa.BigInteger),
    # To be removed with all that it holds: its device has ended too many.
    sa.Column("doomed", sa.Boolean, nullable=False, server_default=sa.false()),
    # Raw readings that were stored and not removed since: what was replaced counts twice until a sweep.
    sa.Column("stored", sa.BigInteger, nullable=False, server_default="0"),
    # The latest start of any reading, were it in the future.
    sa.Column("newest", sa.BigInteger),
    # The roll-ups are made up to here (not included), and no raw reading before ``kept`` can be relied on.
    sa.Column("rolled", sa.BigInteger),
    sa.Column("kept", sa.BigInteger),
    # The latest reading, written as in ``readings``. ``latest_at`` is the earlier of its start and receipt.
    sa.Column("latest_at", sa.BigInteger),
    sa.Column("latest_start", sa.BigInteger),
    sa.Column("latest_duration", sa.BigInteger),
    sa.Column("latest_local_id", sa.Integer),
    sa.Column("latest_block", sa.SmallInteger),
    sa.Column("latest_tier", sa.SmallInteger),
    sa.Column("latest_value", sa.BigInteger),
    sa.Column("latest_quality", sa.Integer),
    sa.Column("latest_widths", sa.SmallInteger),
    sa.Column("latest_set", sa.BigInteger),
    sa.Index(None, "meter_reading", "id"),
    sa.Index(None, "device", "id"),
    sa.Index(
        "ix_series_doomed",
        "id",
        # As each of them spells the condition of a query: it has to be the same word for word.
        sqlite_where=sa.text("doomed = 1"),
        postgresql_where=sa.text("doomed"),
    ),
    sqlite_autoincrement=True,
)

#: Raw readings, narrow and in the order of series and time. No foreign key: to look for the series of each
#: would cost as much as to write it, and a series is removed after its readings.
readings = sa.Table(
    "readings",
    metadata,
    sa.Column("series", sa.BigInteger, primary_key=True, autoincrement=False),
    # The moment of receipt where the reading has none.
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    # -1: it has no timePeriod.
    sa.Column("duration", sa.BigInteger, primary_key=True, autoincrement=False),
    # -1: it has none.
    sa.Column("local_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("block", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("tier", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.BigInteger),
    sa.Column("quality", sa.Integer),
    # In how many octets quality and local_id were given (db/series.py); 0: in all.
    sa.Column("widths", sa.SmallInteger, nullable=False),
    # The ReadingSet, and its number there; 0: none.
    sa.Column("in_set", sa.BigInteger, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    # The readings of a set, wherever their times lie.
    sa.Index(
        "ix_readings_in_set",
        "in_set",
        "number",
        sqlite_where=sa.text("in_set > 0"),
        postgresql_where=sa.text("in_set > 0"),
    ),
    sqlite_with_rowid=False,
)

#: What readings come to in 5 minutes, an hour and a day of UTC (der/rollups.py), in the order of series,
#: step and time. Numbers are those of the readings, in units of their ReadingType.
rollups = sa.Table(
    "rollups",
    metadata,
    sa.Column("series", sa.BigInteger, primary_key=True, autoincrement=False),
    # Its length (s).
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("block", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("tier", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("readings", sa.Integer, nullable=False),
    # Instantaneous: the mean and the seconds that it is of, the least and the greatest.
    sa.Column("mean", sa.Float(53)),
    sa.Column("seconds", sa.Integer),
    sa.Column("least", sa.BigInteger),
    sa.Column("greatest", sa.BigInteger),
    # Cumulative: what the register showed first and last, how far it came, and how often it was set back.
    sa.Column("first", sa.BigInteger),
    sa.Column("last", sa.BigInteger),
    sa.Column("resets", sa.Integer),
    # Cumulative and delta: what came in that time.
    sa.Column("total", sa.BigInteger),
    sqlite_with_rowid=False,
)

#: Hours of series that readings came for, or were removed from, after they had been rolled up.
late_hours = sa.Table(
    "late_hours",
    metadata,
    sa.Column("series", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

#: DERSettings that a DER had before what shares are of was changed: a control commands shares of what was set
#: when it ran (db/der_reports.py).
former_settings = sa.Table(
    "former_settings",
    metadata,
    sa.Column("device", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("der", sa.BigInteger, primary_key=True, autoincrement=False),
    # They held until then (TimeType).
    sa.Column("until", sa.BigInteger, primary_key=True, autoincrement=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

#: What the devices of a control delivered in all, mode by mode, as it was last gone over (db/delivery.py).
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("control", _Id, sa.ForeignKey("controls.id"), primary_key=True, autoincrement=False),
    sa.Column("mode", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    # Whether it was gone over after its end.
    sa.Column("final", sa.Boolean, nullable=False),
    sa.Column("devices", sa.Integer, nullable=False),
    sa.Column("obeyed", sa.Integer, nullable=False),
    sa.Column("not_obeyed", sa.Integer, nullable=False),
    sa.Column("no_readings", sa.Integer, nullable=False),
    sa.Column("not_yet", sa.Integer, nullable=False),
    sa.Column("no_settings", sa.Integer, nullable=False),
    sa.Column("declined", sa.Integer, nullable=False),
    sa.Column("overridden", sa.Integer, nullable=False),
    # Of those that have both: what was commanded and delivered (W, var).
    sa.Column("commanded", sa.Float(53), nullable=False),
    sa.Column("delivered", sa.Float(53), nullable=False),
)

#: The tree of documents: everything that is kept as it was given.
documents = sa.Table(
    "documents",
    metadata,
    sa.Column("href", sa.Text, primary_key=True),
    # The list it is a member of, and a text that sorts as the standard orders that list.
    sa.Column("list", sa.Text),
    sa.Column("order", _Sorted),
    # Its first ordering key where that is a time: what the query parameter ``a`` compares with.
    sa.Column("time", sa.BigInteger),
    # The EndDevice it belongs to.
    sa.Column("device", _Id, sa.ForeignKey("devices.id")),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    # CRC-32 of the body: what agrees with it is what was stored. None: from before there were any.
    sa.Column("checksum", sa.BigInteger),
    sa.Index(None, "list", "order", unique=True),
)

#: Members of each stored list: counts are kept, not counted. ``last`` is the number given last.
lists = sa.Table(
    "lists",
    metadata,
    sa.Column("href", sa.Text, primary_key=True),
    sa.Column("members", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)

#: Rates that operators set while the server runs (s): for the devices of a group, or where that is 0 for all.
#: The resource is its class's name; EndDevice and MirrorUsagePoint have a postRate, others a pollRate.
rates = sa.Table(
    "rates",
    metadata,
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("group", _Id, primary_key=True, autoincrement=False),
    sa.Column("seconds", sa.BigInteger, nullable=False),
    sa.Index(None, "group"),
)

#: The same for single devices, but for what has a column in ``devices``: post_rate, poll_rate.
device_rates = sa.Table(
    "device_rates",
    metadata,
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("seconds", sa.BigInteger, nullable=False),
    sa.Index(None, "resource", "device"),
)

#: Mirrored usage points: a MirrorUsagePoint and its UsagePoint are one row, and have one number. The mRID is
#: unique by who made it (decision 56).
mirrors = sa.Table(
    "mirrors",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    # Who posts to it: the device itself, or an aggregator.
    sa.Column("owner", _Id, sa.ForeignKey("devices.id"), nullable=False),
    # Whose readings they are: what deviceLFDI means.
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), nullable=False),
    # The aggregator in whose fleet that device is shown: kept, so that a fleet's are read in order.
    sa.Column("fleet", _Id, sa.ForeignKey("devices.id")),
    sa.Column("mrid", sa.String(32), nullable=False),
    # roleFlags, as a number.
    sa.Column("roles", sa.Integer, nullable=False),
    sa.Column("wished_post_rate", sa.BigInteger),
    # When something was posted last, at most an hour before it was.
    sa.Column("posted", sa.BigInteger, nullable=False, index=True),
    # Removed from the wire: what is left of it goes with the sweep.
    sa.Column("deleted", sa.BigInteger),
    # What was posted, without readings.
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index(
        "ix_mirrors_owner_mrid",
        "owner",
        "mrid",
        unique=True,
        sqlite_where=sa.text("deleted IS NULL"),
        postgresql_where=sa.text("deleted IS NULL"),
    ),
    # The UsagePointList of a device, in its order.
    sa.Index(
        "ix_mirrors_device_mrid",
        "device",
        sa.text("mrid DESC"),
        "id",
        sqlite_where=sa.text("deleted IS NULL"),
        postgresql_where=sa.text("deleted IS NULL"),
    ),
    # The same of a fleet.
    sa.Index(
        "ix_mirrors_fleet_mrid",
        "fleet",
        sa.text("mrid DESC"),
        "id",
        sqlite_where=sa.text("deleted IS NULL"),
        postgresql_where=sa.text("deleted IS NULL"),
    ),
    sa.Index(
        "ix_mirrors_deleted",
        "id",
        sqlite_where=sa.text("deleted IS NOT NULL"),
        postgresql_where=sa.text("deleted IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

#: MeterReadings of usage points: readings of one kind. What they read is in series (db/series.py).
meter_readings = sa.Table(
    "meter_readings",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("mirror", _Id, sa.ForeignKey("mirrors.id"), nullable=False),
    sa.Column("mrid", sa.String(32), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("version", sa.Integer),
    # How many ReadingSets it has.
    sa.Column("sets", sa.Integer, nullable=False),
    sa.Index(None, "mirror", "mrid", unique=True),
    sqlite_autoincrement=True,
)

#: ReadingSets of MeterReadings: readings of one period.
reading_sets = sa.Table(
    "reading_sets",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("meter_reading", _Id, sa.ForeignKey("meter_readings.id"), nullable=False),
    sa.Column("mrid", sa.String(32), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("version", sa.Integer),
    # timePeriod.
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("duration", sa.BigInteger, nullable=False),
    sa.Index(None, "meter_reading", "mrid", unique=True),
    # The ReadingSetList, in its order.
    sa.Index("ix_reading_sets_order", "meter_reading", sa.text("start DESC"), sa.text("mrid DESC")),
    sqlite_autoincrement=True,
)

#: What the store itself is known by: the number that makes its mRIDs its own.
facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

#: What the configuration file said last time: the base of the three-way merge at start (decision 23).
declarations = sa.Table(
    "declarations",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)

#: Who changed what, from what to what, and when: operators, the configuration file, devices.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    # The device that did it; None: an operator or the configuration. Each has a bound of its own.
    sa.Column("device", sa.BigInteger),
    sa.Index(None, "who", "id"),
    sa.Index(None, "subject", "id"),
    sa.Index(
        "ix_audit_device",
        "device",
        "id",
        sqlite_where=sa.text("device IS NOT NULL"),
        postgresql_where=sa.text("device IS NOT NULL"),
    ),
    sa.Index(
        "ix_audit_others",
        "id",
        sqlite_where=sa.text("device IS NULL"),
        postgresql_where=sa.text("device IS NULL"),
    ),
    sqlite_autoincrement=True,
)

#: Answers to POSTs of the operator's API that carried an idempotency key.
idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("who", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request", sa.String(64), nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("location", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
)

#: Whom Notifications are sent to: a row for each host and port, since what cannot be connected to fails all
#: that is sent there.
receivers = sa.Table(
    "receivers",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    # Connections that failed in a row, since when, why, and before when none is tried again.
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failing_since", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.UniqueConstraint("host", "port"),
    # What operators look for first.
    sa.Index(
        "ix_receivers_failing",
        "id",
        sqlite_where=sa.text("failing_since IS NOT NULL"),
        postgresql_where=sa.text("failing_since IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

#: Subscriptions, and how far each was told. ``changed`` is the number of the last change (``changes``) that
#: may be of its resource, ``certain`` of the last that is whatever the resource says, ``told`` of the last
#: that is known to its subscriber: where ``changed`` is greater something may have to be sent.
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("device", _Id, sa.ForeignKey("devices.id"), nullable=False),
    # Where the resource is, and how the subscriber spelled that.
    sa.Column("href", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("receiver", _Id, sa.ForeignKey("receivers.id"), nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("limit", sa.BigInteger, nullable=False),
    # Raised by each change that its subscriber makes: what was prepared before is not settled.
    sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
    # Ended by the operator, or expired: its subscriber is still to hear of that.
    sa.Column("cancelled", sa.BigInteger),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("certain", sa.BigInteger, nullable=False),
    sa.Column("told", sa.BigInteger, nullable=False),
    # Of what the resource said at its own level when its subscriber was told last.
    sa.Column("digest", sa.LargeBinary),
    # When what it says may change though nothing is written, as events begin and end.
    sa.Column("look_at", sa.BigInteger),
    # Nothing is sent before: 30 s after the last Notification, or what the back-off says.
    sa.Column("next_at", sa.BigInteger, nullable=False),
    sa.Column("notified", sa.BigInteger),
    # Deliveries that failed in a row, since when and why.
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failing_since", sa.BigInteger),
    sa.Column("error", sa.Text),
    # One for the same resource and URI is the same (semantics: IEEE 2030.5-2018 8.7.3.4).
    sa.UniqueConstraint("device", "href", "uri"),
    sa.Index(None, "device", "id"),
    sa.Index(None, "receiver", "id"),
    # What is to be looked at, by receiver and time.
    sa.Index(
        "ix_subscriptions_pending",
        "receiver",
        "next_at",
        sqlite_where=sa.text("changed > told"),
        postgresql_where=sa.text("changed > told"),
    ),
    sa.Index(
        "ix_subscriptions_looked_at",
        "look_at",
        sqlite_where=sa.text("look_at IS NOT NULL"),
        postgresql_where=sa.text("look_at IS NOT NULL"),
    ),
    sa.Index(
        "ix_subscriptions_ending",
        "expires",
        sqlite_where=sa.text("cancelled IS NULL"),
        postgresql_where=sa.text("cancelled IS NULL"),
    ),
    sa.Index(
        "ix_subscriptions_cancelled",
        "cancelled",
        sqlite_where=sa.text("cancelled IS NOT NULL"),
        postgresql_where=sa.text("cancelled IS NOT NULL"),
    ),
    # What operators look for first.
    sa.Index(
        "ix_subscriptions_failing",
        "id",
        sqlite_where=sa.text("failing_since IS NOT NULL"),
        postgresql_where=sa.text("failing_since IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

#: The facts that what a subscription is told hangs on.
watched = sa.Table(
    "watched",
    metadata,
    sa.Column("fact", sa.Text, primary_key=True),
    sa.Column("subscription", _Id, sa.ForeignKey("subscriptions.id"), primary_key=True, autoincrement=False),
    # Whether to drop it is to change the resource, without a look at what that says.
    sa.Column("certain", sa.Boolean, nullable=False),
    sa.Index(None, "subscription"),
    sqlite_with_rowid=False,
)

#: The outbox: facts that were dropped while somebody watched them, until the subscriptions are marked.
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("number", _Id, primary_key=True),
    sa.Column("fact", sa.Text, nullable=False),
    # The last subscription that was marked.
    sa.Column("reached", sa.BigInteger, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)

# SQLite reads whatever is found in a damaged page.
make_strict(metadata)
