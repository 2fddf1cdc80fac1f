"""The document that a GET answers: what the chapters give, with href, pollRate and links.

Links come from the resource table, so that a link is shown exactly where what it names answers for this
caller (IEEE 2030.5-2018 4.4; decisions 1 and 8).

What is below a program is the same for all who may see it: its octets are kept and shared (`Context.kept`),
and lists of programs are put together from those of their members. So is the list of a device's EndDevices,
which has its own alone: who asks for the list asks for the member next.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from csipd.db import documents, facts, programs
from csipd.db.chapters import source_of
from csipd.db.tree import rates
from csipd.db.tree.chapter import Source, count_members
from csipd.db.tree.context import Context
from csipd.der.access import Owner, may_see
from csipd.refusals import NotFound
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.paging import DEFAULT, Page
from csipd.sep2.schema import fields
from csipd.sep2.site import Place, Row, children, member
from csipd.sep2.splicing import spliced

#: By the name of the element: the href, and of a list how many members it has for the caller.
_Links = dict[str, tuple[str, int | None]]

#: Own programs of devices that are read one by one.
_FEW = 3
_NAMESPACE = f' xmlns="{codec.NAMESPACE}"'.encode()


def read(context: Context, place: Place, part: Page, *, extensions: bool) -> bytes:
    """The octets of the document that a GET of a place gives to a caller that may see it.

    :param part: of a list
    :param extensions: whether the caller is given what it added to the base schema
    :raises NotFound: there is nothing there
    """
    row = place.row
    source = source_of(row)
    if source.is_shared(context, place.ids):
        return _shared(context, place, part)
    if source.is_kept and not _linked(row) and (octets := _spliced(context, place, extensions)):
        return octets
    if source.is_all_links:
        links = tuple(_links(context, row, [place])[0].items())
        return context.kept(
            ("links", row.name, place.ids, links, _rate_of(context, place)),
            lambda: codec.encode(document(context, place, part)),
            len,
        )
    found = source.shared(context, place, part) if row.is_list else None
    if found is None:
        return codec.encode(document(context, place, part), extensions=extensions)
    if not source.exists(context, place.ids):
        raise NotFound(place.href)
    total, places = found
    return _of_parts(_list(context, place, total, len(places)), _parts(context, places))


def is_common(context: Context, place: Place) -> bool:
    """Whether what was read at a place is the same for everybody: nothing but time and the server."""
    return source_of(place.row).is_common and rates.is_one(context, place.row.resource_type)


def _spliced(context: Context, place: Place, extensions: bool) -> bytes | None:
    """A document without links as it was stored, with its href; None where it has to be decoded."""
    href, kind = place.href, place.row.resource_type
    context.depend(facts.document(href))
    stored = context.cached(documents.stored_at, href)
    if stored is None or not stored.sound:
        return None
    rate = poll_rate(context, place) if "pollRate" in _names(kind) else None
    return spliced(stored.body, kind, href, rate, extensions=extensions)


def document(context: Context, place: Place, part: Page) -> r.Resource:
    """The document of a place, before it is octets."""
    row = place.row
    source = source_of(row)
    if not row.is_list:
        target = source.target(context, place.ids)
        found = source_of(target.row).get(context, target.ids)
        if found is None:
            raise NotFound(place.href)
        shown = add_links(context, target.row, [(target, found)])[0]
        if target.row.subscribable and not row.subscribable:
            # Under its other name.
            return shown.replace(href=place.href, subscribable=None)
        return shown.replace(href=place.href)
    if not source.exists(context, place.ids):
        raise NotFound(place.href)
    total, members = source.page(context, place, part)
    row_of_members = member(row)
    linked = tuple(add_links(context, row_of_members, members))
    return _list(context, place, total, len(members)).replace(**{row_of_members.name: linked})


def _list(context: Context, place: Place, total: int, results: int) -> r.Resource:
    """A list without its members."""
    attributes: dict[str, Any] = {"href": place.href, "all": total, "results": results}
    if "pollRate" in _names(place.row.resource_type):
        attributes["pollRate"] = poll_rate(context, place)
    if place.row.subscribable and context.may_subscribe:
        attributes["subscribable"] = 1
    return place.row.resource_type(**attributes)


def _shared(context: Context, place: Place, part: Page) -> bytes:
    """The octets of a document that all who may see it share; of a device's own that is the device alone."""
    shown = context.may_subscribe, _rate_of(context, place)
    key = ("page", place.row.name, place.ids, part.start, part.limit, part.after, *shown)
    own = place.device is not None or programs.owner_of(place.ids[0]) is not None
    return context.kept(key, lambda: codec.encode(document(context, place, part)), len, own=own)


def _parts(context: Context, places: Sequence[Place]) -> list[bytes]:
    """The octets of the members of a list: each is kept, but for own programs where they are many.

    An aggregator's list has one of each of its devices. These are read together, in a few statements, and
    what they hang on is then not told apart.

    :raises NotFound: one is not there
    """
    own = [each for each in places if programs.owner_of(each.ids[0]) is not None]
    if len(own) <= _FEW:
        return [_shared(context, each, DEFAULT) for each in places]
    row = own[0].row
    members = []
    for each in own:
        found = source_of(row).get(context, each.ids)
        if found is None:
            raise NotFound(each.href)
        members.append((each, found))
    made = {one.href: codec.encode(one) for one in add_links(context, row, members)}
    return [made[each.href] if each.href in made else _shared(context, each, DEFAULT) for each in places]


def _of_parts(around: r.Resource, members: Sequence[bytes]) -> bytes:
    """The octets of a list, of which the members are octets."""
    head = codec.encode(around)
    if not members:
        return head
    # What a document of its own declares at its root, a list declares for all its members.
    inner = b"".join([part.replace(_NAMESPACE, b"", 1) for part in members])
    return b"%b>%b</%b>" % (head[:-2], inner, type(around).__name__.encode())


def add_links(context: Context, row: Row, members: Sequence[tuple[Place, r.Resource]]) -> list[r.Resource]:
    """Bare resources of one row with their href, pollRate and links."""
    added: list[dict[str, Any]] = [{"href": place.href} for place, _ in members]
    if row.subscribable and context.may_subscribe:
        for more in added:
            more["subscribable"] = 1
    if "pollRate" in _names(row.resource_type):
        for (place, resource), more in zip(members, added, strict=True):
            # A resource of its own rate (a device's Registration) keeps it.
            if "pollRate" not in resource.__dict__:
                more["pollRate"] = poll_rate(context, place)
    for more, links in zip(added, _links(context, row, [place for place, _ in members]), strict=True):
        for name, (href, number) in links.items():
            link = getattr(r, name)
            more[name] = link(href=href) if number is None else link(href=href, all=number)
    return [resource.replace(**more) for (_, resource), more in zip(members, added, strict=True)]


def _links(context: Context, row: Row, places: Sequence[Place]) -> list[_Links]:
    """What the resources at some places of one row link to for the caller."""
    found: list[_Links] = [{} for _ in places]
    owners = [_owner(context, place) for place in places]
    caller, policy = context.caller, context.server.policy
    # Those that one statement counts: its place and name, and the list.
    together: list[tuple[int, str, str]] = []
    for child, name, source in _linked(row):
        shown = [i for i, owner in enumerate(owners) if may_see(caller, child, owner, policy, True)]
        if not shown:
            continue
        every = [places[i].ids[: child.depth] for i in shown]
        if child.is_list:
            lists = [(i, ids) for i, ids in zip(shown, every, strict=True) if source.exists(context, ids)]
            if source.is_counted:
                together += [(i, name, child.href(ids)) for i, ids in lists]
                numbers = [0] * len(lists)
            else:
                numbers = source.counts(context, [ids for _, ids in lists])
            for (i, ids), number in zip(lists, numbers, strict=True):
                found[i][name] = child.href(ids), number
        else:
            # What the caller itself is to PUT is linked to before it is there.
            there = [True] * len(every) if child.put else source.present(context, every)
            for i, ids, present in zip(shown, every, there, strict=True):
                if present:
                    found[i][name] = child.href(ids), None
    if together:
        numbers = count_members(context, [href for _, _, href in together])
        for (i, name, href), number in zip(together, numbers, strict=True):
            found[i][name] = href, number
    return found


@cache
def _linked(row: Row) -> tuple[tuple[Row, str, Source], ...]:
    """What a resource may link to: the row, the element's name, where the documents are from."""
    return tuple((child, child.link, source_of(child)) for child in children(row) if child.on)


def _owner(context: Context, place: Place) -> Owner | None:
    """The owner of a place that the caller is known to see."""
    device = place.device
    if device is None:
        return None
    return Owner(device, None if device == context.caller.device else context.caller.device)


def _rate_of(context: Context, place: Place) -> int | None:
    """The pollRate that a document shows, so that devices with another one do not share its octets."""
    return poll_rate(context, place) if "pollRate" in _names(place.row.resource_type) else None


def poll_rate(context: Context, place: Place) -> int:
    """pollRate for the device whose resource it is; of what is nobody's, for who asks."""
    device = context.caller.device if place.device is None else place.device
    return rates.poll_rate(context, place.row.resource_type, device)


@cache
def _names(cls: type[r.Resource]) -> frozenset[str]:
    return frozenset(item.name for item in fields(cls))
