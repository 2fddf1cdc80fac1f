"""Which devices are in a group and below it, now or at another time: as queries, and page by page."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from csipd.db import group_tree
from csipd.db.prepared import Prepared
from csipd.db.tables import groups, memberships

_SINCE = group_tree.above(
    sa.select(memberships.c.device.label("who"), memberships.c.group.label("group")).where(
        memberships.c.device == sa.bindparam("who"),
        sa.or_(memberships.c.until.is_(None), memberships.c.until > sa.bindparam("since")),
    )
)
_BELONGED = Prepared(sa.select(_SINCE.c.who).where(_SINCE.c.group == sa.bindparam("group")))


_BELOW = sa.select(sa.bindparam("of", type_=sa.BigInteger).label("group")).cte("below", recursive=True)
_BELOW = _BELOW.union(sa.select(groups.c.id).join(_BELOW, groups.c.parent == _BELOW.c.group))
_MEMBER = (
    memberships.c.group == _BELOW.c.group,
    memberships.c.until.is_(None),
    memberships.c.device > sa.bindparam("after", type_=sa.BigInteger),
)
_NUMBER_BELOW = Prepared(
    sa.select(sa.func.count()).select_from(
        sa.select(_BELOW.c.group).limit(sa.bindparam("limit", type_=sa.Integer)).subquery()
    )
)
_LAST_OF_PAGE = Prepared(
    sa.select(
        sa.func.min(
            sa.select(memberships.c.device)
            .where(*_MEMBER)
            .order_by(memberships.c.device)
            .limit(1)
            .offset(sa.bindparam("skipped", type_=sa.Integer))
            .correlate(_BELOW)
            .scalar_subquery()
        )
    ).select_from(_BELOW)
)
_MERGED = Prepared(
    sa.select(memberships.c.device)
    .distinct()
    .select_from(_BELOW.join(memberships, sa.and_(*_MEMBER)))
    .where(memberships.c.device <= sa.bindparam("most", type_=sa.BigInteger))
    .order_by(memberships.c.device)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


_OTHERS = (
    sa.select(groups.c.id.label("who"), groups.c.id.label("group"))
    .where(groups.c.id.in_(sa.bindparam("others", expanding=True)))
    .cte("others", recursive=True)
)
_OTHERS = _OTHERS.union(
    sa.select(_OTHERS.c.who, groups.c.id).join(groups, groups.c.parent == _OTHERS.c.group)
)
_THEIRS = memberships.alias("theirs")
_IN_BOTH = (
    sa.select(_OTHERS.c.who, sa.func.count(memberships.c.device.distinct()).label("number"))
    .select_from(_BELOW)
    .join(memberships, sa.and_(memberships.c.group == _BELOW.c.group, memberships.c.until.is_(None)))
    .join(_THEIRS, sa.and_(_THEIRS.c.device == memberships.c.device, _THEIRS.c.until.is_(None)))
    .join(_OTHERS, _OTHERS.c.group == _THEIRS.c.group)
    .group_by(_OTHERS.c.who)
)


def under(group: int, at: int | None = None) -> sa.Select[tuple[int]]:
    """The devices in a group and below it, each once, as a query.

    :param at: as it was at a moment (TimeType); None: as it is now
    """
    below = group_tree.below(group)
    held = (
        memberships.c.until.is_(None)
        if at is None
        else sa.and_(
            memberships.c.since <= at, sa.or_(memberships.c.until.is_(None), memberships.c.until > at)
        )
    )
    return (
        sa.select(memberships.c.device)
        .distinct()
        .where(memberships.c.group.in_(sa.select(below.c.group)), held)
    )


#: Groups whose devices are merged in the order of their numbers; those of more are looked for one by one.
MOST_MERGED = 1000


def has(device: sa.ColumnElement[int], group: int) -> sa.ColumnElement[bool]:
    """Whether a device is in a group or below it, now; for a query over devices."""
    held = sa.select(memberships.c.id).where(
        memberships.c.device == device,
        memberships.c.until.is_(None),
        memberships.c.group.in_(sa.select(group_tree.below(group).c.group)),
    )
    return held.exists()


def merged(connection: sa.Connection, group: int, after: int, limit: int) -> list[int] | None:
    """The devices in a group and below it, each once and in the order of their numbers, up to ``limit``.

    Of each of the groups no more is read than that many.

    :param after: only numbers above this one
    :return: None where there are too many groups
    """
    asked = {"of": group, "after": after}
    if _NUMBER_BELOW.scalar(connection, {"of": group, "limit": MOST_MERGED + 1}) > MOST_MERGED:
        return None
    # Of any group the number at that place is one that the page does not reach beyond.
    last = _LAST_OF_PAGE.scalar(connection, {**asked, "skipped": limit - 1})
    most = 2**62 if last is None else last
    return _MERGED.scalars(connection, {**asked, "most": most, "limit": limit})


def under_alone(group: int, other: int, *, cut_off: bool = False) -> sa.Select[tuple[int]]:
    """The devices in a group and below it that are not in or below another one, too, as a query.

    :param cut_off: as if the first group did not hang below the other
    """
    others = group_tree.below(other, "others")
    theirs = sa.select(memberships.c.device).where(
        memberships.c.group.in_(sa.select(others.c.group)), memberships.c.until.is_(None)
    )
    if cut_off:
        theirs = theirs.where(memberships.c.group.not_in(sa.select(group_tree.below(group, "mine").c.group)))
    return under(group).where(memberships.c.device.not_in(theirs.correlate(None)))


def numbers_in_both(connection: sa.Connection, one: int, others: Sequence[int]) -> dict[int, int]:
    """How many devices are in a group or below it and in or below each of others; where there are any."""
    rows = connection.execute(_IN_BOTH, {"of": one, "others": others})
    return {row.who: row.number for row in rows}


def belonged(connection: sa.Connection, device: int, group: int, since: int) -> bool:
    """Whether a device is in a group or below it, or was at any time since a moment (TimeType)."""
    asked = {"who": device, "group": group, "since": since}
    return _BELONGED.scalar(connection, asked) is not None
