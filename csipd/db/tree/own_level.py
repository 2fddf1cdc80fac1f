"""What a resource says at its own level: what its subscribers are told changes of (decision 63).

That is its own fields and, of a list, those of its members; not how many members the lists have that it links
to, whose changes are told at their own level. So the digest of it says whether there is anything to tell, and
the facts that it hangs on say when to look again: far fewer than those of the document with its links.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from hashlib import blake2b

from csipd.db import programs
from csipd.db.chapters import source_of
from csipd.db.subscriptions import Look
from csipd.db.tree.context import Context
from csipd.db.tree.read import poll_rate
from csipd.refusals import NotFound
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.schema import fields
from csipd.sep2.site import Place, Row, children

#: Members of a list that are looked at; of more only how many there are counts.
MOST_MEMBERS = 500

_DIGEST_OCTETS = 16


def look(context: Context, place: Place) -> Look:
    """Look at a resource that the caller may see.

    :raises NotFound: there is nothing there
    :raises Outdated: as a GET does
    """
    digest = blake2b(digest_size=_DIGEST_OCTETS)
    for part in _said(context, place):
        digest.update(b"%d:%b" % (len(part), part))
    certain = source_of(place.row).certain(context, place)
    context.depend(*certain)
    return Look(digest.digest(), frozenset(context.depends_on), frozenset(certain), context.valid_until)


def _said(context: Context, place: Place) -> Iterator[bytes]:
    row = place.row
    source = source_of(row)
    if "pollRate" in _names(row.resource_type):
        yield b"%d" % poll_rate(context, place)
    if not row.is_list:
        yield _of_one(context, place)
        return
    if not source.exists(context, place.ids):
        raise NotFound(place.href)
    said = source.said(context, place)
    if said is not None:
        yield said
        return
    part = Page(limit=MOST_MEMBERS)
    shared = source.shared(context, place, part)
    if shared is not None:
        total, places = shared
        yield b"%d" % total
        for one in places:
            yield one.href.encode()
            yield _of_one(context, one)
        return
    total, members = source.page(context, place, part)
    yield b"%d" % total
    for one, found in members:
        yield one.href.encode()
        yield _octets(context, one, found)


def _of_one(context: Context, place: Place) -> bytes:
    """What a resource says that is no list."""
    source = source_of(place.row)

    def make() -> bytes:
        target = source.target(context, place.ids)
        found = source_of(target.row).get(context, target.ids)
        if found is None:
            raise NotFound(place.href)
        return _octets(context, target, found)

    if not source.is_shared(context, place.ids):
        return make()
    own = place.device is not None or programs.owner_of(place.ids[0]) is not None
    return context.kept(("own level", place.row.name, place.ids), make, len, own=own)


def _octets(context: Context, place: Place, found: r.Resource) -> bytes:
    """A bare resource, and which of the single resources are there that it links to."""
    links = b""
    for child in _singles(place.row):
        if source_of(child).present(context, [place.ids[: child.depth]]) == [True]:
            links += child.name.encode() + b" "
    return links + codec.encode(found)


@cache
def _singles(row: Row) -> tuple[Row, ...]:
    """What a resource may link to that is no list and not always there."""
    return tuple(child for child in children(row) if child.on and not child.is_list and not child.put)


@cache
def _names(cls: type[r.Resource]) -> frozenset[str]:
    return frozenset(item.name for item in fields(cls))
