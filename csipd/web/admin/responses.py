"""What devices answered to controls: ``/admin/responses``, ``/admin/controls/{control}/answers``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from csipd.db import controls, rates, response_counts, response_history
from csipd.der.responses import ResponseKind
from csipd.refusals import NotFound
from csipd.sep2.schema import Element
from csipd.sep2.types import HexBinary160, TimeType, UInt8
from csipd.web.admin.forms import Count, Line, Number, Page
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation, Parameter
from csipd.web.admin.paging import PAGE, counted


class Response(Element):
    """What a device answered to an event."""

    number: Number
    device: Number | None = None
    device_name: Line | None = None
    lFDI: HexBinary160
    control: Number | None = None
    subject: Line
    status: UInt8 | None = None
    meaning: Line
    createdDateTime: TimeType | None = None
    received: TimeType
    flagged: Line | None = None


class ResponsePage(Page):
    """Responses, the newest first."""

    items: tuple[Response, ...] = ()


class Answers(Element):
    """How many devices of an event have said what, and who has said nothing in time."""

    control: Number
    asked: Count
    received: Count
    started: Count
    completed: Count
    opted_out: Count
    cancelled: Count
    superseded: Count
    rejected: Count
    silent: Count
    silent_sample: tuple[Number, ...] = ()
    silent_names: tuple[Line, ...] = ()


def answers(connection: sa.Connection, call: Call) -> Answers:
    """Who has answered a control, and who is silent."""
    kept = controls.commanded(connection, call.numbers["control"], call.now)
    if kept is None:
        raise NotFound(f"there is no control {call.numbers['control']}")
    (found,) = response_counts.answers(connection, [kept], _poll_rate(connection, call), call.now)
    counts: dict[str, Any] = {kind.value.replace(" ", "_"): found.said.get(kind, 0) for kind in ResponseKind}
    return Answers(
        control=kept.number,
        asked=found.asked,
        **counts,
        silent=found.silent,
        silent_sample=found.sample,
        silent_names=tuple(Names(connection).devices(found.sample)),
    )


def list_responses(connection: sa.Connection, call: Call) -> ResponsePage:
    """Responses of devices, the last to come first."""
    query = call.query
    items, following = response_history.listed(
        connection,
        control=query["control"],
        device=query["device"],
        flagged=query["flagged"],
        before=query["after"],
        limit=query["limit"],
    )
    return ResponsePage(
        items=tuple(response_forms(connection, items)),
        next=following,
        **counted(response_history.total(connection, query["control"], query["device"], query["flagged"])),
    )


def response_forms(
    connection: sa.Connection, found: Sequence[response_history.StoredResponse]
) -> list[Response]:
    """Responses as the API shows them."""
    names = Names(connection)
    names.devices([one.device for one in found if one.device is not None])
    return [
        Response(
            number=one.number,
            device=one.device,
            device_name=None if one.device is None else names.device(one.device),
            lFDI=one.lfdi,
            control=one.control,
            subject=one.subject,
            status=one.status,
            meaning=one.meaning,
            createdDateTime=one.created,
            received=one.received,
            flagged=one.flagged,
        )
        for one in found
    ]


def _poll_rate(connection: sa.Connection, call: Call) -> int:
    """Of the lists that devices read events from, in general (s)."""
    return rates.poll_rate(connection, response_counts.POLLED, call.server.poll_rates)


OPERATIONS = (
    Operation(
        "GET",
        "/admin/responses",
        "listResponses",
        "Responses of devices, the newest first",
        list_responses,
        gives=ResponsePage,
        query=(
            *PAGE,
            Parameter("control", int, "number of a control"),
            Parameter("device", int, "number of a device"),
            Parameter("flagged", bool, "only those that need a look"),
        ),
    ),
    Operation(
        "GET",
        "/admin/controls/{control}/answers",
        "controlAnswers",
        "How many have received, started, completed, and who is silent",
        answers,
        gives=Answers,
    ),
)
