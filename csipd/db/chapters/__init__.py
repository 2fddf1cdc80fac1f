"""The chapters of the standard that do more than keep documents: one module each, named as in sep2/resources.

A module has a `CHAPTER`: where the documents of its rows come from and what writing them does. A function set
to come is a module here and a line in `CHAPTERS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from csipd.db import facts
from csipd.db.chapters import (
    dcap,
    der,
    derprogram,
    di,
    edev,
    fsa,
    logevent,
    metering,
    mirror,
    pubsub,
    response,
    time,
)
from csipd.db.facts import KINDS, Kind
from csipd.db.tree import chapter
from csipd.db.tree.chapter import Chapter, Source, WriteRule
from csipd.der.rates import POSTED
from csipd.sep2.resources import Resource
from csipd.sep2.schema import fields
from csipd.sep2.site import ROWS, Audience, Row, children, list_of, member

CHAPTERS: tuple[Chapter, ...] = (
    dcap.CHAPTER,
    der.CHAPTER,
    derprogram.CHAPTER,
    di.CHAPTER,
    edev.CHAPTER,
    fsa.CHAPTER,
    logevent.CHAPTER,
    metering.CHAPTER,
    mirror.CHAPTER,
    pubsub.CHAPTER,
    response.CHAPTER,
    time.CHAPTER,
)

_DROPS: Mapping[tuple[str, str], tuple[Kind, ...]] = {
    k: v for each in CHAPTERS for k, v in each.drops.items()
}
_DOCUMENTS: Mapping[str, WriteRule] = {
    "PUT": chapter.put,
    "POST": chapter.post,
    "DELETE": chapter.delete,
}
_WRITES: Mapping[tuple[str, str], WriteRule] = {k: v for each in CHAPTERS for k, v in each.writes.items()}
_SOURCES: dict[str, Source] = {
    name: source(ROWS[name]) for each in CHAPTERS for name, source in each.sources.items()
}


def source_of(row: Row) -> Source:
    """Where the documents of a row come from."""
    if row.name not in _SOURCES:
        _SOURCES[row.name] = Source(row)
    return _SOURCES[row.name]


def write_rule(row: Row, method: str) -> WriteRule:
    """What a PUT, POST or DELETE at a place of that row does."""
    return _WRITES.get((row.name, method), _DOCUMENTS[method])


def read_facts(row: Row) -> tuple[Kind, ...]:
    """The kinds of facts that what a GET answers may hang on, its links and the caller's rights included."""
    own = {facts.device, *source_of(row).reads}
    shown = member(row)
    if row.is_list or shown is not row:
        # A list, or a resource under two names: its documents are those of another row.
        own |= {*source_of(row).linked, *source_of(shown).reads}
    for child in children(shown):
        if child.on:
            own |= {*source_of(child).linked}
    if any(_has_rate(each.resource_type) for each in (row, shown)):
        own |= {facts.rates, facts.own_rates, facts.groups_of, facts.topology}
    if row.audience is Audience.PROGRAM:
        own |= {facts.groups_of, facts.fleet_groups, facts.own_program, facts.topology}
    if row.audience in (Audience.MIRROR, Audience.USAGE_POINT):
        own |= {facts.mirror}
    return _in_order(own)


def _has_rate(kind: type[Resource]) -> bool:
    """Whether what a GET gives of a class has a rate, which operators may set."""
    return kind.__name__ in POSTED or any(item.name == "pollRate" for item in fields(kind))


def written_facts(row: Row, method: str) -> tuple[Kind, ...]:
    """The kinds of facts that a PUT, POST or DELETE may drop."""
    found = _DROPS.get((row.name, method))
    if found is None:
        one = method == "PUT" and list_of(row) is None
        found = (facts.document,) if one else (facts.document, facts.list_of)
    return _in_order({*found})


def _in_order(kinds: set[Kind]) -> tuple[Kind, ...]:
    return tuple(kind for kind in KINDS if kind in kinds)
