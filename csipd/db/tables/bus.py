"""What the GridAPPS-D bus has commanded, and which of its messages are known."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db.tables.base import Id, metadata

#: Difference messages that were carried out, by what stands for their difference_mrid (db/bus.py).
bus_messages = sa.Table(
    "bus_messages",
    metadata,
    sa.Column("key", sa.LargeBinary(16), primary_key=True),
    sa.Column("seen", sa.BigInteger, nullable=False),
    sa.Index(None, "seen"),
)

#: What the bus wants of a device: modes and settings as they were sent, in a DefaultDERControl, and the
#: control that was made of the modes. What of it is in force follows from that control.
bus_wishes = sa.Table(
    "bus_wishes",
    metadata,
    sa.Column("device", Id, sa.ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    sa.Column("control", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
