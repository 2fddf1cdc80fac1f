"""Operations that tell: how the server is, what devices do, answered, reported and logged."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from csipd import version
from csipd.db import audit, controls, devices, documents, logevents, outlook, responses
from csipd.db.tables import programs as programs_table
from csipd.der import responses as meanings
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import EventState
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
        version=version.VERSION,
        now=call.now,
        devices=sum(number for standing, number in standings.items() if standing != "retired"),
        registered=standings["registered"],
        programs=programs or 0,
        controls_active=active,
        controls_scheduled=scheduled,
        alarms_open=logevents.open_alarms(connection),
        next_transition=controls.next_moment(connection, call.now),
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
