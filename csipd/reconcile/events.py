"""Controls that the file schedules."""

from __future__ import annotations

from typing import Any

from csipd.config import Event
from csipd.db import controls
from csipd.db.responses import REPLY_TO
from csipd.reconcile.context import WHO, Context, Rule, kept
from csipd.reconcile.programs import curve_href, program_number
from csipd.sep2 import resources as r


def put_event(context: Context, key: str, _before: Any, _after: Any) -> str:
    """Schedule an event the first time that the file has it, unless it is over by then."""
    event = context.declared.events[key]
    start = context.now + event.delay if event.start is None else event.start
    if start + event.duration <= context.now:
        return "not scheduled, for it is over,"
    for description in event.programs:
        program = program_number(context, description)
        control = _control(context, event, start, program)
        controls.add(context.transaction, context.issuer, program, control, WHO)
    return "scheduled"


def _control(context: Context, event: Event, start: int, program: int) -> r.DERControl:
    template = context.declared.controls[event.control]
    control = r.DERControl(
        mRID="0",
        description=event.control,
        creationTime=context.now,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=context.now, potentiallySuperseded=False),
        interval=r.DateTimeInterval(duration=event.duration, start=start),
        randomizeDuration=event.randomizeDuration,
        randomizeStart=event.randomizeStart,
        DERControlBase=template.base(lambda curve: curve_href(context, program, curve)),
    )
    if event.responseRequired:
        control = control.replace(replyTo=REPLY_TO, responseRequired=event.responseRequired)
    return control


#: An event that is gone from the file stays scheduled: an operator cancels it.
RULES = {"event": Rule(put_event, kept)}
