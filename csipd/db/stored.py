"""Documents as the store holds them, on their way out of it."""

from __future__ import annotations

from typing import TypeVar

from csipd.db.columns import Unreadable
from csipd.sep2 import codec
from csipd.sep2.resources import Resource

T = TypeVar("T", bound=Resource)


def decode(body: bytes, kind: type[T], where: str) -> T:
    """A document that was encoded when it was stored.

    :param where: its place or table, for the log
    :raises Unreadable: it is no longer what was stored
    """
    try:
        return codec.decode(body, kind)
    except codec.DocumentError as refused:
        raise Unreadable(f"{where}: the {kind.__name__} in it is damaged") from refused
