"""``csipctl subscriptions``: who is notified of what, and what becomes of it."""

from __future__ import annotations

import click

from csipd.cli.ctl import lookup
from csipd.cli.ctl.options import NUMBER, Paging, ask, paged, pass_session, show_list, yes_option
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import subscriptions as views
from csipd.db.subscription_list import STATES


@click.group("subscriptions")
def subscriptions() -> None:
    """Who is notified of what: what is pending, what fails and why; to send again, to end."""


@subscriptions.command("list")
@click.option("--device", help="Only those of this device or aggregator (number, name or LFDI).")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@paged
@pass_session
def list_subscriptions(session: Session, paging: Paging, device: str | None, state: str | None) -> None:
    """List subscriptions, the newest first.

    \b
    Examples:
      csipctl subscriptions list --state failing
      csipctl subscriptions list --device agg1
    """
    query = {"device": device and lookup.device(session.client, device), "state": state}
    show_list(
        session, "/subscriptions", paging, lambda items: views.subscriptions(items, session.when), query
    )


@subscriptions.command("show")
@click.argument("subscription", type=NUMBER)
@pass_session
def show_subscription(session: Session, subscription: int) -> None:
    """Show a subscription: what is pending, why it fails, when it is tried next.

    \b
    Examples:
      csipctl subscriptions show 12
    """
    document = session.client.get(f"/subscriptions/{subscription}")
    session.out.document(document, views.subscription(document.value, session.when))


@subscriptions.command("send")
@click.argument("subscription", type=NUMBER)
@pass_session
def send_notification(session: Session, subscription: int) -> None:
    """Notify a subscriber now, of what its resource says, though nothing has changed.

    That sends again what failed, without waiting for the next attempt, and tests a receiver. What came of it
    `csipctl subscriptions show` tells. A subscriber is notified once in 30 seconds at most.

    \b
    Examples:
      csipctl subscriptions send 12
    """
    document = session.client.post(f"/subscriptions/{subscription}/send")
    session.out.document(
        document, views.subscription(document.value, session.when) if document.value else "Done."
    )


@subscriptions.command("end")
@click.argument("subscription", type=NUMBER)
@click.option("--quietly", is_flag=True, help="Delete it at once; its subscriber is told nothing.")
@yes_option
@pass_session
def end_subscription(session: Session, subscription: int, quietly: bool, yes: bool) -> None:
    """End a subscription. Its subscriber is told so (status 1), and may subscribe again.

    \b
    Examples:
      csipctl subscriptions end 12
      csipctl subscriptions end 12 --quietly --yes
    """
    path = f"/subscriptions/{subscription}"
    if not yes:
        found = session.client.get(path).value
        told = "Its subscriber is told nothing." if quietly else "Its subscriber is told so."
        ask(session, [views.subscription(found, session.when), told], "End it?")
    if quietly:
        session.client.delete(path)
        session.out.note("Done.")
        return
    document = session.client.post(f"{path}/end")
    session.out.document(
        document, views.subscription(document.value, session.when) if document.value else "Done."
    )
