"""What devices meter: mirrors, and readings as time series."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db.tables.base import Id, metadata

#: Series of readings: one for each MeterReading and ReadingType that it has had (decision 58). What a
#: MeterReading was mirrored from may be gone; its series stay as long as their readings do.
series = sa.Table(
    "series",
    metadata,
    sa.Column("id", Id, primary_key=True),
    # The number of the MeterReading in its URI: no foreign key, since mirrors are deleted before readings.
    sa.Column("meter_reading", sa.BigInteger, nullable=False),
    # Whose readings they are.
    sa.Column("device", Id, sa.ForeignKey("devices.id"), nullable=False),
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

#: Mirrored usage points: a MirrorUsagePoint and its UsagePoint are one row, and have one number. The mRID is
#: unique by who made it (decision 56).
mirrors = sa.Table(
    "mirrors",
    metadata,
    sa.Column("id", Id, primary_key=True),
    # Who posts to it: the device itself, or an aggregator.
    sa.Column("owner", Id, sa.ForeignKey("devices.id"), nullable=False),
    # Whose readings they are: what deviceLFDI means.
    sa.Column("device", Id, sa.ForeignKey("devices.id"), nullable=False),
    # The aggregator in whose fleet that device is shown: kept, so that a fleet's are read in order.
    sa.Column("fleet", Id, sa.ForeignKey("devices.id")),
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
    sa.Column("id", Id, primary_key=True),
    sa.Column("mirror", Id, sa.ForeignKey("mirrors.id"), nullable=False),
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
    sa.Column("id", Id, primary_key=True),
    sa.Column("meter_reading", Id, sa.ForeignKey("meter_readings.id"), nullable=False),
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
