"""Who changed what, and when: ``/admin/audit``."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import audit
from csipd.sep2.schema import Element
from csipd.sep2.types import TimeType
from csipd.web.admin.forms import Line, Number, Page
from csipd.web.admin.operations import Call, Operation, Parameter
from csipd.web.admin.paging import PAGE, cut


class AuditLine(Element):
    """Who changed what, and when."""

    number: Number
    at: TimeType
    who: Line
    action: Line
    subject: Line
    detail: Line


class AuditPage(Page):
    """The audit log, the newest first."""

    items: tuple[AuditLine, ...] = ()


def audit_log(connection: sa.Connection, call: Call) -> AuditPage:
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
    return AuditPage(
        items=tuple(
            AuditLine(
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
        total=audit.number_of_lines(connection, query["who"], query["subject"]),
    )


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
