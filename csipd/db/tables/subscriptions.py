"""Who is to be told of what, and the outbox."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db.tables.base import Id, metadata

#: Whom Notifications are sent to: a row for each host and port, since what cannot be connected to fails all
#: that is sent there.
receivers = sa.Table(
    "receivers",
    metadata,
    sa.Column("id", Id, primary_key=True),
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
    sa.Column("id", Id, primary_key=True),
    sa.Column("device", Id, sa.ForeignKey("devices.id"), nullable=False),
    # Where the resource is, and how the subscriber spelled that.
    sa.Column("href", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("receiver", Id, sa.ForeignKey("receivers.id"), nullable=False),
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
    sa.Column("subscription", Id, sa.ForeignKey("subscriptions.id"), primary_key=True, autoincrement=False),
    # Whether to drop it is to change the resource, without a look at what that says.
    sa.Column("certain", sa.Boolean, nullable=False),
    sa.Index(None, "subscription"),
    sqlite_with_rowid=False,
)

#: The outbox: facts that were dropped while somebody watched them, until the subscriptions are marked.
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("number", Id, primary_key=True),
    sa.Column("fact", sa.Text, nullable=False),
    # The last subscription that was marked.
    sa.Column("reached", sa.BigInteger, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
