"""Where DeviceCapability is: the standard's sample path, or another that the operator gave it (CSIP ERR-001).

All else is where the resource table has it. A server whose DeviceCapability has moved is told of to whoever
asks at the old path; links, routes and the document's own href follow from the row that stands in its place.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import Factory, evolve, field, frozen

from csipd.sep2.site import ROWS, TABLE, Place, Row, locate

_SAMPLE = ROWS["DeviceCapability"]


def is_free(path: str) -> bool:
    """Whether no other resource has this path, or could have it if there were one of some number."""
    segments = path[1:].split("/")
    return not any(row is not _SAMPLE and _fits(row, segments) for row in TABLE)


def _fits(row: Row, segments: list[str]) -> bool:
    return len(row.segments) == len(segments) and all(
        one[0] == "{" or one == other for one, other in zip(row.segments, segments, strict=True)
    )


@frozen
class Layout:
    """The paths of a server.

    :param path: of DeviceCapability; one that `is_free`
    :param dcap: its place
    :param has_moved: whether that is another than the standard's
    :param locate: finds the served resource at a path, or None; it is also found where it has left. Where
        nothing has moved it is the table's own: it is on the way of every request
    """

    path: str = _SAMPLE.uri
    dcap: Place = field(
        init=False, eq=False, default=Factory(lambda self: Place(_row(self.path)), takes_self=True)
    )
    has_moved: bool = field(
        init=False, default=Factory(lambda self: self.path != _SAMPLE.uri, takes_self=True)
    )
    locate: Callable[[str], Place | None] = field(
        init=False,
        eq=False,
        repr=False,
        default=Factory(lambda self: self._locate if self.has_moved else locate, takes_self=True),
    )

    def _locate(self, path: str) -> Place | None:
        return self.dcap if path == self.path else locate(path)

    def moved(self, place: Place) -> Place | None:
        """Where a resource is that was asked for where it is no more; None: it is there."""
        return self.dcap if self.has_moved and place.row is _SAMPLE else None


def _row(path: str) -> Row:
    return _SAMPLE if path == _SAMPLE.uri else evolve(_SAMPLE, uri=path)
