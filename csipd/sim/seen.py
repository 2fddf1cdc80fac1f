"""What a client makes of the programs that it reads: which documents belong to one, and when to look again.

Pure: whoever polls, over whatever connection, asks these.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from csipd.sep2 import resources as r
from csipd.sep2.types import TimeType


def curves_named(controls: Iterable[r.DERControl], default: r.DefaultDERControl | None) -> frozenset[str]:
    """The hrefs of the curves that events and the default of a program link to."""
    bases = [control.DERControlBase for control in controls]
    if default is not None:
        bases.append(default.DERControlBase)
    return frozenset(
        link.href for base in bases for link in vars(base).values() if isinstance(link, r.DERCurveLink)
    )


def is_to_be_looked_at(control: r.DERControl, ran: Collection[str], now: TimeType) -> bool:
    """Whether an event is to be read once more, since it starts now and may have been cancelled meanwhile.

    :param ran: mRIDs of the events that have started already
    """
    if control.mRID in ran:
        return False
    begins = control.interval.start + min(0, control.randomizeStart or 0)
    return begins <= now < control.interval.start + control.interval.duration
