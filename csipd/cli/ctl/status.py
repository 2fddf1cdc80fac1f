"""``csipctl status``: how the server is."""

from __future__ import annotations

import click

from csipd.cli.ctl.options import pass_session
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import status as views


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
