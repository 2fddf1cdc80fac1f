"""What devices answer and report, and what follows from that."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db.tables.base import Id, metadata

#: Responses of devices to events.
responses = sa.Table(
    "responses",
    metadata,
    sa.Column("id", Id, primary_key=True),
    # The event, where its mRID is one of ours.
    sa.Column("control", Id, sa.ForeignKey("controls.id")),
    sa.Column("subject", sa.String(32), nullable=False),
    sa.Column("lfdi", sa.String(40), nullable=False),
    sa.Column("device", Id, sa.ForeignKey("devices.id"), nullable=False),
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
    sa.Column("id", Id, primary_key=True),
    sa.Column("device", Id, sa.ForeignKey("devices.id"), nullable=False),
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
    sa.Column("id", Id, primary_key=True),
    sa.Column("device", Id, sa.ForeignKey("devices.id"), nullable=False),
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
    sa.Column("control", Id, sa.ForeignKey("controls.id"), primary_key=True, autoincrement=False),
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
    sa.Column("uncertain", sa.Integer, nullable=False, server_default="0"),
    # Of those that have both: what was commanded and delivered (W, var).
    sa.Column("commanded", sa.Float(53), nullable=False),
    sa.Column("delivered", sa.Float(53), nullable=False),
)
