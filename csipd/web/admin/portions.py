"""Answers that come in portions: exports of whatever length, as JSON or CSV, in the memory of one portion.

Each portion is a read of its own in the operators' lane, by key from where the one before ended, so nobody
waits behind an export and no snapshot is held. The next one is read once the client has taken what was
written. JSON is an array of objects, a line each, that ends with its bracket. CSV is that of RFC 4180 with a
line of names; moments are ISO 8601 in UTC there, and what begins as a formula does in a spreadsheet stands
behind an apostrophe, since devices wrote it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Protocol

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from csipd.sep2.schema import Element, fields
from csipd.web.admin.operations import Parameter
from csipd.web.json_form import to_json
from csipd.web.server import Request

#: Rows of a portion at most.
ROWS = 250
#: What a cell begins with that a spreadsheet takes for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

FORMAT = Parameter("format", str, "how rows are written", words=("json", "csv"), default="json")
#: The query parameters of every export: a period, from a moment until before another, and the format.
PERIOD = (
    Parameter("since", int, "only from this time on", least=0),
    Parameter("until", int, "only before this time", least=0),
    FORMAT,
)


class Row(Element):
    """A row of an export: its fields are numbers, texts and truths. Times are in ``moments``."""

    moments = tuple[str, ...]()  # without an annotation, which would make a field of it


class Writer(Protocol):
    """Makes octets of rows."""

    media_type: bytes

    def write(self, rows: Iterable[Element]) -> bytes:
        """The octets of some rows, behind those of before."""

    def end(self) -> bytes:
        """What stands behind the last row."""


class JSONWriter:
    """An array of objects."""

    media_type = b"application/json"

    def __init__(self) -> None:
        self._before = "["

    def write(self, rows: Iterable[Element]) -> bytes:
        parts = []
        for row in rows:
            parts.append(f"{self._before}\n{json.dumps(to_json(row))}")
            self._before = ","
        return "".join(parts).encode()

    def end(self) -> bytes:
        return b"[]\n" if self._before == "[" else b"\n]\n"


class CSVWriter:
    """Lines of values under their names."""

    media_type = b"text/csv; charset=utf-8; header=present"

    def __init__(self, form: type[Element]) -> None:
        self._names = [field.name for field in fields(form)]
        self._moments = frozenset(getattr(form, "moments", ()))
        self._begun = False

    def write(self, rows: Iterable[Element]) -> bytes:
        out = StringIO()
        lines = csv.writer(out)
        if not self._begun:
            lines.writerow(self._names)
            self._begun = True
        for row in rows:
            values = to_json(row)
            lines.writerow([self._cell(name, values.get(name)) for name in self._names])
        return out.getvalue().encode()

    def end(self) -> bytes:
        return self.write(())

    def _cell(self, name: str, value: Any) -> str:
        match value:
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case int() if name in self._moments:
                return _moment(value)
            case str() if value.startswith(_FORMULA):
                return f"'{value}"
        return str(value)


def writer(form: type[Element], format: str) -> Writer:
    """The one that writes rows of a form in a format."""
    return CSVWriter(form) if format == "csv" else JSONWriter()


def _moment(value: int) -> str:
    try:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # what no calendar reaches
        return str(value)


@implementer(IPushProducer)
class Outlet:
    """Where portions go: says when the client has taken what was written."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._paused = request.channel.peer_is_behind
        self._waiting: Deferred[None] | None = None
        request.registerProducer(self, True)

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:
        """The client is gone; whoever reads for it is told by the request."""
        self._paused = True

    @inlineCallbacks
    def send(self, data: bytes) -> Generator[Deferred[Any], Any, None]:
        """Write a portion; fires once another one may come."""
        self._request.stream(data)
        if self._paused:
            self._waiting = Deferred()
            yield self._waiting

    def close(self) -> None:
        """Nothing more comes."""
        if self._request.channel is not None:  # the client is there
            self._request.unregisterProducer()
