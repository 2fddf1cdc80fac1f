"""``csipctl audit``: who changed what, and when."""

from __future__ import annotations

import click

from csipd.cli.ctl.options import Paging, paged, pass_session, show_list
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import audit as views


@click.group("audit")
def audit() -> None:
    """Who changed what, and when."""


@audit.command("list")
@click.option("--who", help="Only what this operator, device or configuration did.")
@click.option("--subject", help="Only what was done to this.")
@paged
@pass_session
def list_audit(session: Session, paging: Paging, who: str | None, subject: str | None) -> None:
    """List the audit log, the newest line first.

    \b
    Examples:
      csipctl audit list --who admin
      csipctl audit list --limit 200
    """
    query = {"who": who, "subject": subject}
    show_list(session, "/audit", paging, lambda items: views.audit(items, session.when), query)
