"""What is above and below groups, as queries: being in one is being in every one above it (CSIP IG 4.3)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from csipd.db.tables import groups


def above(start: sa.Select[*tuple[Any, ...]]) -> sa.CTE:
    """The groups of a select of (who, group), and all those above them."""
    reach = start.cte("reach", recursive=True)
    return reach.union(
        sa.select(reach.c.who, groups.c.parent)
        .join(groups, groups.c.id == reach.c.group)
        .where(groups.c.parent.is_not(None))
    )


#: The group ``:start`` and those above it.
CHAIN = above(
    sa.select(sa.literal(0).label("who"), groups.c.id.label("group")).where(
        groups.c.id == sa.bindparam("start")
    )
)


def below(group: int, name: str = "below") -> sa.CTE:
    """A group and all those below it; two in one statement need two names."""
    reach = sa.select(sa.literal(group).label("group")).cte(name, recursive=True)
    return reach.union(sa.select(groups.c.id).join(reach, groups.c.parent == reach.c.group))
