"""Who changed what, and when: ``/admin/audit``."""

from __future__ import annotations

import re
from collections.abc import Iterable

import sqlalchemy as sa

from csipd.db import audit
from csipd.sep2.schema import Element
from csipd.sep2.types import TimeType
from csipd.web.admin.forms import Line, Number, Page
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation, Parameter
from csipd.web.admin.paging import PAGE, counted

#: Subjects that have a name: devices and programs, and what lies below them.
_NAMED = re.compile(r"/(edev|derp)/(\d{1,18})(?:/|$)", re.ASCII)


class AuditLine(Element):
    """Who changed what, and when. ``subject_name``: of the device or program that the subject is or is of."""

    number: Number
    at: TimeType
    who: Line
    action: Line
    subject: Line
    subject_name: Line | None = None
    detail: Line


class AuditPage(Page):
    """The audit log, the newest first."""

    items: tuple[AuditLine, ...] = ()


def audit_log(connection: sa.Connection, call: Call) -> AuditPage:
    """The audit log, the newest first."""
    query = call.query
    items, following = audit.lines(
        connection,
        before=query["after"],
        limit=query["limit"],
        who=query["who"],
        subject=query["subject"],
    )
    named = _names(connection, [line.subject for line in items])
    return AuditPage(
        items=tuple(
            AuditLine(
                number=line.id,
                at=line.at,
                who=line.who,
                action=line.action,
                subject=line.subject,
                subject_name=named.get(line.subject),
                detail=line.detail[:1024],
            )
            for line in items
        ),
        next=following,
        **counted(audit.total(connection, query["who"], query["subject"])),
    )


def _names(connection: sa.Connection, subjects: Iterable[str]) -> dict[str, str]:
    """The names of the devices and programs that subjects are of, by subject, as they are now."""
    found = {subject: match for subject in subjects if (match := _NAMED.match(subject))}
    names = Names(connection)
    told: dict[str, str] = {}
    for kind, lookup in (("edev", names.devices), ("derp", names.programs)):
        some = {subject: int(match[2]) for subject, match in found.items() if match[1] == kind}
        told |= {
            subject: name
            for (subject, number), name in zip(some.items(), lookup(some.values()), strict=True)
            if name != str(number)
        }
    return told


OPERATIONS = (
    Operation(
        "GET",
        "/admin/audit",
        "listAudit",
        "The audit log, the newest first",
        audit_log,
        gives=AuditPage,
        query=(
            *PAGE,
            Parameter("who", str, "the operator, or an LFDI"),
            Parameter("subject", str, "what was changed"),
        ),
    ),
)
