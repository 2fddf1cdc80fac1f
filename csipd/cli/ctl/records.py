"""``csipctl responses``, ``alarms``, ``audit``, ``status``: what came back, and how things are."""

from __future__ import annotations

import click

from csipd.cli.ctl import lookup, views
from csipd.cli.ctl.options import NUMBER, Paging, paged, pass_session, show_list
from csipd.cli.ctl.session import Session


@click.group("responses")
def responses() -> None:
    """What devices answered to controls."""


@responses.command("list")
@click.option("--control", type=NUMBER, help="Only those to this control.")
@click.option("--device", help="Only those of this device (number, name or LFDI).")
@click.option("--flagged", is_flag=True, default=None, help="Only those with something odd about them.")
@paged
@pass_session
def list_responses(
    session: Session, paging: Paging, control: int | None, device: str | None, flagged: bool | None
) -> None:
    """List responses, the newest first.

    \b
    Examples:
      csipctl responses list --control 12
      csipctl responses list --device dev1 --limit 10
      csipctl responses list --flagged
    """
    query = {
        "control": control,
        "device": device and lookup.device(session.client, device),
        "flagged": flagged,
    }
    show_list(session, "/responses", paging, lambda items: views.responses(items, session.when), query)


@responses.command("answers")
@click.argument("control", type=NUMBER)
@pass_session
def show_answers(session: Session, control: int) -> None:
    """Count who has received, started, completed a control, and who is silent.

    \b
    Examples:
      csipctl responses answers 12
    """
    document = session.client.get(f"/controls/{control}/answers")
    session.out.document(document, views.answers(document.value))


@click.group("alarms")
def alarms() -> None:
    """Alarms of devices."""


@alarms.command("list")
@click.option("--device", help="Only those of this device (number, name or LFDI).")
@click.option("--open", "is_open", is_flag=True, default=None, help="Only those that are not over.")
@paged
@pass_session
def list_alarms(session: Session, paging: Paging, device: str | None, is_open: bool | None) -> None:
    """List alarms, the newest first.

    \b
    Examples:
      csipctl alarms list --open
      csipctl alarms list --device dev1
    """
    query = {"device": device and lookup.device(session.client, device), "open": is_open}
    show_list(session, "/alarms", paging, lambda items: views.alarms(items, session.when), query)


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


@click.command("status")
@pass_session
def status(session: Session) -> None:
    """Show how the server is.

    \b
    Examples:
      csipctl status
      csipctl --server https://csipd.example:7444 --tls /etc/csipd/tls status
    """
    document = session.client.get("/status")
    session.out.document(document, views.status(document.value, session.when))
