"""Operations that tell: how the server is, what devices do, answered, reported and logged."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from csipd.daemon import scheduler
from csipd.db import audit, controls, devices, documents, logevents, outlook, responses
from csipd.db.tables import programs as programs_table
from csipd.der.responses import Bucket
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from csipd.version import VERSION
from csipd.web.admin import forms as f
from csipd.web.admin.operations import Call
from csipd.web.admin.paging import cut
from csipd.web.json_form import to_json

#: Alarms and responses that are shown with a device's state.
_SHOWN_WITH_STATE = 20


def status(connection: sa.Connection, call: Call) -> f.ServerState:
    """How the server is."""
    standings = devices.numbers_by_standing(connection)
    programs = connection.scalar(
        sa.select(sa.func.count()).select_from(programs_table).where(programs_table.c.retired.is_(None))
    )
    active, scheduled = controls.numbers_now(connection, call.now)
    return f.ServerState(
        version=VERSION,
        now=call.now,
        devices=sum(number for standing, number in standings.items() if standing != "retired"),
        registered=standings["registered"],
        programs=programs or 0,
        controls_active=active,
        controls_scheduled=scheduled,
        alarms_open=logevents.open_alarms(connection),
        next_transition=controls.next_moment(connection, call.now),
        last_tick=scheduler.last_tick(connection),
    )


def state(connection: sa.Connection, call: Call) -> f.DeviceState:
    """What a device should be doing now and why, and what it last said."""
    number = _device(connection, call)
    seen = outlook.outlook(connection, call.server.own, number, call.now)
    return f.DeviceState(
        device=number,
        now=call.now,
        acting=tuple(_acting(one) for one in seen.acting),
        passed=tuple(
            f.Passed(
                mode=one.mode, control=one.control, program=one.program, reason=one.reason.value, by=one.by
            )
            for one in seen.passed
        ),
        statuses=tuple(_reported(connection, number)),
        alarms=tuple(
            _alarm(one)
            for one in logevents.alarms(connection, device=number, open=True, limit=_SHOWN_WITH_STATE)
        ),
        responses=tuple(
            _response(one) for one in responses.listed(connection, device=number, limit=_SHOWN_WITH_STATE)
        ),
    )


def log_events(connection: sa.Connection, call: Call) -> f.LogEventPage:
    """The log events of a device, the last to come first; those that it deleted are marked hidden."""
    number, limit = _device(connection, call), call.query["limit"]
    found = logevents.listed(connection, device=number, before=call.query["after"], limit=limit + 1)
    items, following = cut(found, limit, lambda one: one.number)
    return f.LogEventPage(
        items=tuple(
            f.LogEventShown(number=one.number, device=number, event=one.event, hidden=one.hidden)
            for one in items
        ),
        next=following,
    )


def answers(connection: sa.Connection, call: Call) -> f.Answers:
    """Who has answered a control, and who is silent."""
    kept = controls.find(connection, call.numbers["control"], call.now)
    if kept is None:
        raise NotFound(f"there is no control {call.numbers['control']}")
    (found,) = responses.answers(connection, [kept], _poll_rate(call), call.now)
    said: dict[str, Any] = {bucket.value.replace(" ", "_"): found.said.get(bucket, 0) for bucket in Bucket}
    return f.Answers(
        control=kept.number,
        asked=found.asked,
        **said,
        silent=found.silent,
        silent_sample=found.sample,
    )


def list_responses(connection: sa.Connection, call: Call) -> f.ResponsePage:
    """Responses of devices, the last to come first."""
    query, limit = call.query, call.query["limit"]
    found = responses.listed(
        connection,
        control=query["control"],
        device=query["device"],
        flagged=query["flagged"],
        before=query["after"],
        limit=limit + 1,
    )
    items, following = cut(found, limit, lambda one: one.number)
    return f.ResponsePage(items=tuple(_response(one) for one in items), next=following)


def list_alarms(connection: sa.Connection, call: Call) -> f.AlarmPage:
    """Alarms, the last to come first."""
    query, limit = call.query, call.query["limit"]
    found = logevents.alarms(
        connection, device=query["device"], open=query["open"], before=query["after"], limit=limit + 1
    )
    items, following = cut(found, limit, lambda one: one.number)
    return f.AlarmPage(items=tuple(_alarm(one) for one in items), next=following)


def audit_log(connection: sa.Connection, call: Call) -> f.AuditPage:
    """The audit log, the newest first."""
    query, limit = call.query, call.query["limit"]
    found = audit.lines(
        connection,
        before=query["after"],
        limit=limit + 1,
        who=query["who"],
        subject=query["subject"],
    )
    items, following = cut(found, limit, lambda line: line.id)
    return f.AuditPage(
        items=tuple(
            f.AuditLine(
                number=line.id,
                at=line.at,
                who=line.who,
                action=line.action,
                subject=line.subject,
                detail=line.detail[:1024],
            )
            for line in items
        ),
        next=following,
    )


def _device(connection: sa.Connection, call: Call) -> int:
    number = call.numbers["device"]
    if not devices.listed(connection, numbers=[number], limit=1):
        raise NotFound(f"there is no device {number}")
    return number


def _poll_rate(call: Call) -> int:
    """Of the lists that devices read events from (s)."""
    return call.server.poll_rates.get("DERProgramList", r.DERProgramList.pollRate)


def _acting(one: outlook.Acting) -> f.Acting:
    # As the mode stands in the JSON of a DERControlBase.
    value = to_json(r.DERControlBase(**{one.mode: one.value}))[one.mode]
    return f.Acting(
        mode=one.mode,
        value=json.dumps(value)[:1024],
        source="default" if one.control is None else "control",
        program=one.program,
        control=one.control,
        since=one.since,
        until=one.until,
    )


def _reported(connection: sa.Connection, device: int) -> list[f.DERReport]:
    found = []
    _, ders = documents.page(connection, Place(ROWS["DERList"], (device,)), documents.ALL)
    for der, _ in ders:

        def report(name: str, ids: tuple[int, ...] = der.ids) -> Any:
            return documents.get(connection, Place(ROWS[name], ids))

        found.append(
            f.DERReport(
                der=der.ids[1],
                capability=report("DERCapability"),
                settings=report("DERSettings"),
                status=report("DERStatus"),
                availability=report("DERAvailability"),
            )
        )
    return found


def _alarm(one: logevents.Alarm) -> f.Alarm:
    return f.Alarm(
        number=one.number,
        device=one.device,
        name=one.name,
        functionSet=one.function_set,
        logEventCode=one.code,
        raised=one.raised,
        cleared=one.cleared,
        details=one.details,
    )


def _response(one: responses.Said) -> f.Response:
    return f.Response(
        number=one.number,
        device=one.device,
        lFDI=one.lfdi,
        control=one.control,
        subject=one.subject,
        status=one.status,
        meaning=one.meaning,
        createdDateTime=one.created,
        received=one.received,
        flagged=one.flagged,
    )
