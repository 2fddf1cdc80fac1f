"""Which devices were in a group or below it in a period, and when: for what is read of their past.

Readings of a group are those of the devices that were in it when they were made: who has moved since leaves
what it gave before where it gave it (decision 58).
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from csipd.db import group_devices, group_tree
from csipd.db.tables import devices as device_table
from csipd.db.tables import memberships

#: Devices that one portion of what is read of a group goes over at most.
DEVICES = 100
_NO_END = 2**62


Span = tuple[int, int]  # from this moment until before that one (TimeType)


def members(
    connection: sa.Connection, group: int, since: int, until: int, after: int, limit: int
) -> tuple[dict[int, list[Span]], int | None]:
    """The devices that were in a group or below it at some time of a period, and when they were.

    :param after: only devices of greater numbers
    :return: spans by device in the order of numbers, each within the period, apart and in order; and the
        device after which the rest begins. None: nothing follows
    """
    numbers, following = _candidates(connection, group, since, after, limit)
    # Looked for by device: the condition is so written that no index over the group's whole history is used.
    inside = memberships.c.group.in_(sa.select(group_tree.below(group).c.group))
    query = sa.select(memberships.c.device, memberships.c.since, memberships.c.until).where(
        memberships.c.device.in_(numbers), sa.case((inside, 1), else_=0) == 1
    )
    spans: dict[int, list[Span]] = {number: [] for number in numbers}
    for row in connection.execute(query):
        start, end = max(row.since, since), min(_NO_END if row.until is None else row.until, until)
        if start < end:
            spans[row.device].append((start, end))
    return {number: _joined(some) for number, some in spans.items() if some}, following


def _candidates(
    connection: sa.Connection, group: int, since: int, after: int, limit: int
) -> tuple[list[int], int | None]:
    """The next devices that are in a group or have left it since a moment, by number."""
    now = group_devices.merged(connection, group, after, limit)
    if now is None:
        # Of so many groups: whoever is not in one of them has no span.
        query = sa.select(device_table.c.id).where(device_table.c.id > after)
        now = list(connection.scalars(query.order_by(device_table.c.id).limit(limit)))
    left = connection.scalars(_left(group, since, after, limit))
    found: list[int] = sorted({*now, *left})[:limit]
    return found, found[-1] if len(found) == limit else None


def _left(group: int, since: int, after: int, limit: int) -> sa.Select[tuple[int]]:
    """Who has left a group or what is below it since a moment: few, beside who is in it."""
    below = group_tree.below(group)
    return (
        sa.select(memberships.c.device)
        .distinct()
        .select_from(
            below.join(
                memberships,
                sa.and_(
                    memberships.c.group == below.c.group,
                    memberships.c.until.is_not(None),
                    memberships.c.until > since,
                    memberships.c.device > after,
                ),
            )
        )
        .order_by(memberships.c.device)
        .limit(limit)
    )


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that do not touch, in order."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
