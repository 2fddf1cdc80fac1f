"""The tables. Statements over them are SQLAlchemy Core, fit for SQLite and PostgreSQL alike.

What a device or the operator gave is kept as documents: encoded XML of a resource's own fields, with
columns only where a query needs them. Links, counts and event status are not stored but spliced in when
a document is read (decision 8). What follows from membership (a device's FSAs, the programs in one, who
is under a group) is a view over ``memberships`` and ``groups``, never rows of each device (decision 9).

Times are TimeType: seconds since 1970 in UTC. LFDIs and mRIDs are upper-case hexadecimal text.

A module for each room; all of them are had from here.
"""

from __future__ import annotations

from csipd.db.columns import make_strict
from csipd.db.tables.answers import alarms, deliveries, former_settings, logevents, responses
from csipd.db.tables.base import metadata
from csipd.db.tables.bus import bus_messages, bus_wishes
from csipd.db.tables.fleet import (
    abilities,
    assignments,
    contacts,
    devices,
    fleets,
    folded_name,
    former_lfdis,
    groups,
    memberships,
    own_rate_in_row,
    standing_number,
)
from csipd.db.tables.keeping import (
    audit,
    commits,
    counts,
    declarations,
    device_rates,
    documents,
    facts,
    idempotency,
    lists,
    rates,
)
from csipd.db.tables.metering import (
    late_hours,
    meter_readings,
    mirrors,
    reading_sets,
    readings,
    rollups,
    series,
)
from csipd.db.tables.programs import (
    OWN_PROGRAMS,
    controls,
    default_versions,
    own_defaults,
    own_programs,
    programs,
)
from csipd.db.tables.subscriptions import changes, receivers, subscriptions, watched

__all__ = [
    "OWN_PROGRAMS",
    "abilities",
    "alarms",
    "assignments",
    "audit",
    "bus_messages",
    "bus_wishes",
    "changes",
    "commits",
    "contacts",
    "controls",
    "counts",
    "declarations",
    "default_versions",
    "deliveries",
    "device_rates",
    "devices",
    "documents",
    "facts",
    "fleets",
    "folded_name",
    "former_lfdis",
    "former_settings",
    "groups",
    "idempotency",
    "late_hours",
    "lists",
    "logevents",
    "memberships",
    "metadata",
    "meter_readings",
    "mirrors",
    "own_defaults",
    "own_programs",
    "own_rate_in_row",
    "programs",
    "rates",
    "reading_sets",
    "readings",
    "receivers",
    "responses",
    "rollups",
    "series",
    "standing_number",
    "subscriptions",
    "watched",
]

# SQLite reads whatever is found in a damaged page.
make_strict(metadata)
