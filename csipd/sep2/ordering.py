"""The order of lists, as text that sorts: what the database keeps beside each member of a list.

The standard orders every list by two or three keys, some of them descending (the tables of each chapter
of IEEE 2030.5-2018). Joined into one text the keys need one index, whatever the list.
"""

from __future__ import annotations

from typing import Any

from csipd.sep2.resources import Resource
from csipd.sep2.site import Row

#: 17 digits hold every integer of the model: 64 bits with a sign (times) and without (an EUI-64).
_DIGITS = 17
_SHIFT = 2**63
_TOP = 16**_DIGITS - 1
_COMPLEMENT = str.maketrans("0123456789abcdef", "fedcba9876543210")


def order_key(row: Row, member: Resource, number: int) -> str:
    """A text that sorts among those of the other members as the list's order wants it.

    :param row: the list's row
    :param number: the member's number in the list, the last key where all others are equal
    """
    parts = []
    for key in row.keys:
        value = number if key.path == ("href",) else _value(member, key.path)
        parts.append(_text(value, key.descending))
    parts.append(_text(number, False))
    return "".join(parts)


def order_prefix(row: Row, member: Resource) -> str:
    """What the keys of all members begin with that are equal to this one in the list's order."""
    return "".join(_text(_value(member, key.path), key.descending) for key in row.keys)


def time_key(row: Row, member: Resource) -> int | None:
    """The time that the query parameter ``a`` is compared with, on lists that are ordered by one."""
    if not row.timed:
        return None
    value = _value(member, row.keys[0].path)
    return value if isinstance(value, int) else 0


def _value(member: Resource, path: tuple[str, ...]) -> Any:
    value: Any = member
    for name in path:
        # What an optional part would hold is absent with it.
        value = None if value is None else getattr(value, name)
    return value


def _text(value: Any, descending: bool) -> str:
    if value is None or isinstance(value, int):
        rank = (value or 0) + _SHIFT
        return f"{_TOP - rank if descending else rank:0{_DIGITS}x}"
    digits = str(value).encode().hex()
    # The mark sorts before every digit, so that a text comes before those that it begins; turned
    # round it sorts after them all.
    return digits.translate(_COMPLEMENT) + "~" if descending else digits + "!"
