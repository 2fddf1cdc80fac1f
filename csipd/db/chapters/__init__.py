"""The chapters of the standard that do more than keep documents: one module each, named as in sep2/resources.

A module has a `CHAPTER`: where the documents of its rows come from and what writing them does. A function set
to come is a module here and a line in `CHAPTERS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from csipd.db.chapters import dcap, der, derprogram, di, edev, fsa, logevent, response, time
from csipd.db.tree import chapter
from csipd.db.tree.chapter import Chapter, Source, WriteRule
from csipd.sep2.site import ROWS, Row

CHAPTERS: tuple[Chapter, ...] = (
    dcap.CHAPTER,
    der.CHAPTER,
    derprogram.CHAPTER,
    di.CHAPTER,
    edev.CHAPTER,
    fsa.CHAPTER,
    logevent.CHAPTER,
    response.CHAPTER,
    time.CHAPTER,
)

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
