"""The list query: s, l and a (IEEE 2030.5-2018 4.6).

``s`` is the first member wanted, counted from zero; ``l`` how many at most, one when it is absent; ``a``
keeps only members whose first ordering key, a time, is later. A parameter that is repeated counts
once, the first time; unknown parameters are ignored.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from attrs import frozen

#: Nothing a list can hold lies beyond this; larger numbers would not fit the store's integers.
_LARGEST = 2**63 - 1
_UINT = re.compile(r"[0-9]{1,19}", re.ASCII)
_TIME = re.compile(r"-?[0-9]{1,19}", re.ASCII)


class BadQuery(ValueError):
    """A list parameter is not a number, negative, or beyond 64 bits."""


@frozen
class Page:
    """The part of a list that a caller asks for.

    :param start: index of the first member, from 0
    :param limit: the most members to return
    :param after: keep members whose time key is strictly later (TimeType), or None for all
    """

    start: int = 0
    limit: int = 1
    after: int | None = None


#: What a GET without any parameter asks for (clause 4.6: l defaults to one).
DEFAULT = Page()


def parse(query: str, maximum: int) -> Page:
    """Read the query string of a list's URI.

    :param query: the text after ``?``, possibly empty
    :param maximum: the most members the server gives in one page; a larger ``l`` gets this many
    :raises BadQuery: for a value of s, l or a that is not a number in range
    """
    if not query:
        return DEFAULT
    first: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name in ("s", "l", "a") and name not in first:
            first[name] = unquote_plus(value)
    after = first.get("a")
    return Page(
        start=_number("s", first.get("s", "0"), _UINT),
        limit=min(_number("l", first.get("l", "1"), _UINT), maximum),
        after=None if after is None else _number("a", after, _TIME),
    )


def _number(name: str, text: str, form: re.Pattern[str]) -> int:
    if not form.fullmatch(text) or abs(value := int(text)) > _LARGEST:
        raise BadQuery(f"{name} is not a number in range")
    return value
