"""``csipctl responses``: what devices answered to controls."""

from __future__ import annotations

import click

from csipd.cli.ctl import lookup
from csipd.cli.ctl.options import NUMBER, Paging, paged, pass_session, show_list
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import responses as views


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
