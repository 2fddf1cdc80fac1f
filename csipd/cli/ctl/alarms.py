"""``csipctl alarms``: alarms of devices."""

from __future__ import annotations

import click

from csipd.cli.ctl import lookup
from csipd.cli.ctl.options import NUMBER, Paging, paged, pass_session, show_list
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import alarms as views


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


@alarms.command("close")
@click.argument("alarm", type=NUMBER)
@pass_session
def close_alarm(session: Session, alarm: int) -> None:
    """Close an alarm that its device does not clear. Raised again, it is another alarm.

    \b
    Examples:
      csipctl alarms close 12
    """
    document = session.client.post(f"/alarms/{alarm}/close")
    session.out.document(
        document, views.alarms([document.value], session.when) if document.value else "Done."
    )
