"""Responses as operators read them: of an event, of a device, or as they came."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db import listing
from csipd.db.tables import responses
from csipd.db.tally import Total
from csipd.der import responses as rules

_NEWEST = listing.Order((responses.c.id,))
_OLDEST = listing.Order((responses.c.id,), newest_first=False)
_BY_RECEIPT = listing.Order((responses.c.received, responses.c.id), newest_first=False)
_STORED = sa.select(
    responses.c.id,
    responses.c.control,
    responses.c.subject,
    responses.c.lfdi,
    responses.c.device,
    responses.c.status,
    responses.c.created_time,
    responses.c.received,
    responses.c.flagged,
)


@frozen
class StoredResponse:
    """A Response in the operator's history.

    :param control: the number of the event, if it is known
    :param subject: mRID of the event
    :param created: createdDateTime, if the device gave one
    :param received: TimeType
    :param flagged: why somebody should look at it; None: no reason
    """

    number: int
    control: int | None
    subject: str
    lfdi: str
    device: int
    status: int | None
    created: int | None
    received: int
    flagged: str | None

    @property
    def meaning(self) -> str:
        """What the status says, for people."""
        return rules.meaning(self.status)


def listed(
    connection: sa.Connection,
    *,
    control: int | None = None,
    device: int | None = None,
    flagged: bool | None = None,
    before: int | None = None,
    limit: int = 100,
) -> tuple[list[StoredResponse], int | None]:
    """A page of Responses, the last to come first.

    :param control: to one event; None: to all
    :param device: of one device; None: of all
    :param flagged: True: those that somebody should look at; False: the others; None: all
    :param before: only those of lower numbers
    :return: the Responses, and before which the next page begins; None: nothing follows. There may be fewer
        than ``limit`` though more follow
    """
    after = None if before is None else (before,)
    rows, following = listing.page(
        connection, _STORED, _NEWEST, _of(control, device, flagged), after=after, limit=limit
    )
    return [StoredResponse(*row) for row in rows], None if following is None else following[0]


def received(
    connection: sa.Connection,
    *,
    since: int | None = None,
    until: int | None = None,
    control: int | None = None,
    device: int | None = None,
    after: Sequence[int] | None = None,
    limit: int = 500,
) -> tuple[list[StoredResponse], Sequence[int] | None]:
    """Responses that came in a period, in the order in which they came.

    :param since: from this time on
    :param until: before this time
    :param after: the place that they begin after
    :return: the Responses, and the place after which the rest begins; None: nothing follows. There may be
        fewer than ``limit`` though more follow
    """
    period = listing.period(responses.c.received, since, until)
    if device is None and control is None:
        order, asked = _BY_RECEIPT, listing.conditions(period)
    else:
        order = _OLDEST
        asked = listing.conditions(
            None if device is None else responses.c.device == device,
            None if control is None else responses.c.control == control,
            others=[period],
        )
    rows, following = listing.page(connection, _STORED, order, asked, after=after, limit=limit)
    return [StoredResponse(*row) for row in rows], following


def total(
    connection: sa.Connection,
    control: int | None = None,
    device: int | None = None,
    flagged: bool | None = None,
) -> Total:
    """How many Responses ``listed`` has in all, where that can be counted."""
    return listing.total(connection, responses.c.id, _of(control, device, flagged))


def _of(control: int | None, device: int | None, flagged: bool | None) -> listing.Conditions:
    return listing.conditions(
        None if device is None else responses.c.device == device,
        None if control is None else responses.c.control == control,
        responses.c.flagged.is_not(None) if flagged else None,
        others=[responses.c.flagged.is_(None) if flagged is False else None],
    )
