"""What an operation of the operator's API is, as data: routes, the OpenAPI document and tests come from it.

The operations themselves are in ``table.py``. What one does is a function of a transaction (or, for one that
only reads, a connection) and a ``Call``. It gives a form, or a form and where what it made is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, cast
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from attrs import field, frozen

from csipd.db.tree.context import Server
from csipd.discovery.state import DiscoveryState
from csipd.gridappsd.state import BusState
from csipd.sep2.schema import Element

_NUMBER = re.compile(r"\{(\w+)\}")


@frozen
class Created:
    """What was made, and where it is."""

    form: Element
    location: str


@frozen
class Portion:
    """A part of an answer that is given in portions, each a read of its own.

    :param items: forms that the operation ``gives``; there may be none, though more follow
    :param following: where the next portion begins, as ``Call.place`` has it; None: this was the last
    """

    items: Sequence[Element]
    following: Any = None


@frozen
class Parameter:
    """A query parameter: an integer in a range, a text, one of some words, or true and false.

    :param kind: ``int``, ``str`` or ``bool``
    :param read: makes the value of a text; its ValueError says what is wrong
    """

    name: str
    kind: type
    description: str
    words: tuple[str, ...] = ()
    least: int = 1
    most: int = 2**63 - 1
    default: Any = None
    longest: int = 128
    read: Callable[[str], Any] = str


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise ValueError("is a time zone, such as America/Los_Angeles") from None


#: Of what is said in sentences with times in them.
ZONE = Parameter("zone", str, "time zone of the times in the summary; the server's by default", read=_zone)


@frozen
class Call:
    """One request.

    :param who: the operator
    :param now: TimeType
    :param server: what the server says of itself
    :param numbers: those in the path, by name
    :param query: the query parameters, defaults filled in
    :param body: what was sent
    :param prepared: what the operation's ``prepare`` made of it
    :param place: where a portion begins, for an operation that ``streams``; None: at the start
    :param bus: how the GridAPPS-D bus is; None: there is none
    :param discovery: how discovery is; None: there is none
    :param certificate_ends: when the operator's certificate does (TimeType); None: it has no end
    """

    who: str
    now: int
    server: Server
    numbers: Mapping[str, int]
    query: Mapping[str, Any]
    body: Any = None
    prepared: Any = None
    place: Any = None
    bus: BusState | None = None
    discovery: DiscoveryState | None = None
    certificate_ends: int | None = None

    @property
    def zone(self) -> tzinfo:
        """The time zone of times in sentences."""
        asked = self.query.get(ZONE.name)
        return self.server.zone if asked is None else cast(tzinfo, asked)


@frozen
class Operation:
    """One operation.

    :param name: operationId
    :param run: what it does; of a ``Transaction`` if it writes, else of a connection
    :param takes: the form of the body
    :param body_optional: whether the body may be left out, which is the same as an empty form
    :param gives: the form of the answer; None for 204. Of each row, where it ``streams``
    :param streams: whether the answer comes in portions, as JSON or CSV: ``run`` gives a ``Portion``
    :param status: of the answer
    :param writes: whether it changes anything
    :param refuses: statuses that it may refuse with, besides those that follow from the rest
    :param prepare: what has to be done first, outside of the database: gives a Deferred of ``Call.prepared``
    :param check: refuses what need not be prepared; ``run`` checks again, in its transaction. What it returns
        is what ``prepare`` is given in place of the body
    """

    method: str
    path: str
    name: str
    summary: str
    run: Callable[[Any, Call], Any]
    takes: type[Element] | None = None
    body_optional: bool = False
    gives: type[Element] | None = None
    streams: bool = False
    status: int = 200
    writes: bool = False
    query: tuple[Parameter, ...] = ()
    refuses: tuple[int, ...] = ()
    prepare: str | None = None
    check: Callable[[sa.Connection, Call], Any] | None = None
    tag: str = field(init=False)
    #: Names of the numbers in the path, in their order.
    numbers: tuple[str, ...] = field(init=False)

    @tag.default
    def _tag(self) -> str:
        return self.path.split("/")[2]

    @numbers.default
    def _numbers(self) -> tuple[str, ...]:
        return tuple(_NUMBER.findall(self.path))

    @property
    def creates(self) -> bool:
        """Whether it may carry an idempotency key."""
        return self.writes and self.method == "POST"
