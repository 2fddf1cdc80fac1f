"""Documents, rates, and what the store knows of itself and of those who use it."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db.tables.base import Id, Sorted, metadata

#: How many there are of what operators ask for all the time: kept, not counted (db/tally.py).
counts = sa.Table(
    "counts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

#: One row: a number that is drawn anew by each transaction that changes what others may keep of what they
#: read (fact_store.py). It never comes twice, not even one of a transaction that was rolled back.
commits = sa.Table(
    "commits",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
)

#: The tree of documents: everything that is kept as it was given.
documents = sa.Table(
    "documents",
    metadata,
    sa.Column("href", sa.Text, primary_key=True),
    # The list it is a member of, and a text that sorts as the standard orders that list.
    sa.Column("list", sa.Text),
    sa.Column("order", Sorted),
    # Its first ordering key where that is a time: what the query parameter ``a`` compares with.
    sa.Column("time", sa.BigInteger),
    # The EndDevice it belongs to.
    sa.Column("device", Id, sa.ForeignKey("devices.id")),
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
    sa.Column("group", Id, primary_key=True, autoincrement=False),
    sa.Column("seconds", sa.BigInteger, nullable=False),
    sa.Index(None, "group"),
)

#: The same for single devices, but for what has a column in ``devices``: post_rate, poll_rate.
device_rates = sa.Table(
    "device_rates",
    metadata,
    sa.Column("device", Id, sa.ForeignKey("devices.id"), primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("seconds", sa.BigInteger, nullable=False),
    sa.Index(None, "resource", "device"),
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
    sa.Column("id", Id, primary_key=True),
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
