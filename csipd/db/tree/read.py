"""The document that a GET answers: what the chapters give, with href, pollRate and links.

Links come from the resource table, so that a link is shown exactly where what it names answers for this
caller (IEEE 2030.5-2018 4.4; decisions 1 and 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from csipd.db.chapters import source_of
from csipd.db.tree.context import Context
from csipd.der.access import Owner, may_see
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.schema import fields
from csipd.sep2.site import Place, Row, children, member


def read(context: Context, place: Place, part: Page) -> r.Resource:
    """The document that a GET of a place gives to a caller that may see it.

    :param part: of a list
    :raises NotFound: there is nothing there
    """
    row = place.row
    source = source_of(row)
    if not row.is_list:
        target = source.target(context, place.ids)
        found = source_of(target.row).get(context, target.ids)
        if found is None:
            raise NotFound(place.href)
        return add_links(context, target.row, [(target, found)])[0].replace(href=place.href)
    if not source.exists(context, place.ids):
        raise NotFound(place.href)
    total, members = source.page(context, place, part)
    row_of_members = member(row)
    attributes: dict[str, Any] = {"href": place.href, "all": total, "results": len(members)}
    if "pollRate" in _names(row.resource_type):
        attributes["pollRate"] = _poll_rate(context, row)
    attributes[row_of_members.name] = tuple(add_links(context, row_of_members, members))
    return row.resource_type(**attributes)


def add_links(context: Context, row: Row, members: Sequence[tuple[Place, r.Resource]]) -> list[r.Resource]:
    """Bare resources of one row with their href, pollRate and links."""
    added: list[dict[str, Any]] = [{"href": place.href} for place, _ in members]
    if "pollRate" in _names(row.resource_type):
        for (_, resource), more in zip(members, added, strict=True):
            # A resource of its own rate (a device's Registration) keeps it.
            if "pollRate" not in resource.__dict__:
                more["pollRate"] = _poll_rate(context, row)
    owners = [_owner(context, place) for place, _ in members]
    for child in children(row):
        if not child.on or not members:
            continue
        link = getattr(r, child.link)
        shown = [
            i
            for i, owner in enumerate(owners)
            if may_see(context.caller, child, owner, context.server.policy, True)
        ]
        every = [members[i][0].ids[: child.depth] for i in shown]
        source = source_of(child)
        if child.is_list:
            lists = [(i, ids) for i, ids in zip(shown, every, strict=True) if source.exists(context, ids)]
            numbers = source.counts(context, [ids for _, ids in lists])
            for (i, ids), number in zip(lists, numbers, strict=True):
                added[i][child.link] = link(href=child.href(ids), all=number)
        else:
            # What the caller itself is to PUT is linked to before it is there.
            there = [True] * len(every) if child.put else source.present(context, every)
            for i, ids, present in zip(shown, every, there, strict=True):
                if present:
                    added[i][child.link] = link(href=child.href(ids))
    return [resource.replace(**more) for (_, resource), more in zip(members, added, strict=True)]


def _owner(context: Context, place: Place) -> Owner | None:
    """The owner of a place that the caller is known to see."""
    device = place.device
    if device is None:
        return None
    return Owner(device, None if device == context.caller.device else context.caller.device)


def _poll_rate(context: Context, row: Row) -> int:
    default: int = getattr(row.resource_type, "pollRate")  # noqa: B009  (the schema's default, where it has one)
    # By type, not by row: an FSA's list of programs has the rate of every such list.
    return context.server.poll_rates.get(row.resource_type.__name__, default)


@cache
def _names(cls: type[r.Resource]) -> frozenset[str]:
    return frozenset(item.name for item in fields(cls))
