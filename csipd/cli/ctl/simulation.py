"""What ``csipctl simulate`` does: devices are made known, run, and summed up. It brings Twisted in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from attrs import frozen
from rich.console import Group
from rich.live import Live
from rich.progress import Progress
from twisted.internet.error import CannotListenError

from csipd.cli.ctl.client import Client
from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.https import reachable
from csipd.cli.ctl.options import ask
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import simulate as views
from csipd.net.tls import TLSError
from csipd.sim import enrolment
from csipd.sim.assembly import Plan, assemble, place_of
from csipd.sim.clock import SimulatedClock
from csipd.sim.fleet import Fleet
from csipd.sim.roster import Roster, RosterError
from csipd.sim.running import new_reactor, run

#: Where devices find the server, where nothing else is said.
_PORT = 7443
#: Real seconds between two lines where there is no terminal.
EVERY = 10.0
#: Refusals that are shown.
_SHOWN = 3


@frozen
class Wish:
    """What is wanted of a run.

    :param name: what the names of all begin with
    :param at: where devices find the server; None: where csipctl does
    :param receiver: an address and a port of this machine where the aggregator is notified; None: beside a
        server that is on it
    :param speed: of their clock; None: the server's
    :param lasts: real seconds; None: until Ctrl-C
    :param unasked: whether a server that is no lab gets the fleet without a question
    """

    plan: Plan
    name: str
    folder: Path
    at: tuple[str, int] | None
    receiver: tuple[str, int] | None
    speed: float | None
    lasts: int | None
    unasked: bool = False


def carry_out(session: Session, wish: Wish) -> None:
    """Make the fleet known as far as it is not, and run it. Failure."""
    try:
        roster = Roster.read(wish.folder)
        status = session.client.get("/status").value
        _check_known(session.client, roster)
        _check_name(session.client, roster, wish.name)
        _enrol(session, roster, wish, is_lab="lab_speed" in status)
        _run(session, roster, wish, float(status["now"]), wish.speed or status.get("lab_speed", 1))
    except (RosterError, TLSError, OSError, CannotListenError) as error:
        raise Failure(str(error)) from None


def clean(session: Session, folder: Path) -> None:
    """Take the fleet of a folder away from the server, and its files. Failure."""
    try:
        _clean(session, Roster.read(folder))
    except (RosterError, OSError) as error:
        raise Failure(str(error)) from None


def where(session: Session) -> tuple[str, int]:
    """Where devices find the server, if nothing else is said."""
    settings, host = session.settings, session.server.host
    if settings is None:
        return host, _PORT
    if host == reachable(settings.admin.host):
        host = reachable(settings.server)  # on this machine, perhaps at another address than operators
    return host, settings.https_port or _PORT


def _check_known(client: Client, roster: Roster) -> None:
    """See that the server is that for which the fleet in the folder was made."""
    for member in roster.members[:1]:
        try:
            found = client.get(f"/devices/{member.number}").value
        except Failure:
            found = {}
        if found.get("lFDI") != member.lfdi or found.get("standing") == "retired":
            raise Failure(
                f"the fleet in {roster.folder} was made for another server, or another database:"
                f" --clean removes its files, --folder names another one"
            )


def _check_name(client: Client, roster: Roster, name: str) -> None:
    """See that no other fleet at the server is called so, whose groups and programs this one would take."""
    if roster.members:
        return
    for called in (f"{name}-0001", f"{name}-aggregator"):
        for one in client.get("/devices", name=called, limit=10).value["items"]:
            if one.get("name") == called and one["standing"] != "retired":
                raise Failure(
                    f"there is a device {called} at the server already, of a fleet that was made in another"
                    f" folder: --folder names that one, --name calls this fleet something else"
                )


def _enrol(session: Session, roster: Roster, wish: Wish, *, is_lab: bool) -> None:
    steps = list(enrolment.missing(roster, wish.name, wish.plan.devices, wish.plan.aggregated))
    if not steps:
        return
    if not (is_lab or wish.unasked):
        said = (
            f"The server at {session.server.host} is no lab (lab: true)."
            f" A simulated fleet named {wish.name} is made known to it: devices with certificates of its"
            f" lab PKI, groups and programs. --clean takes it away again, but for groups and history."
        )
        ask(session, [said], "Make it known there?")
    _each(session, "Making devices known", steps)


def _clean(session: Session, roster: Roster) -> None:
    if not roster.members and not roster.feeders:
        session.out.note(f"There is no fleet in {roster.folder}.")
        return
    count = len(roster.members)
    refused = _each(session, "Taking the fleet away", enrolment.remove_devices(roster), forgive=True)
    taken = count - len(refused)
    # Where nobody is known here, what is called as the fleet's programs are is not the fleet's either.
    if taken or not count:
        refused += _each(session, "Retiring its programs", enrolment.retire_programs(roster), forgive=True)
    roster.remove()
    for line in refused[:_SHOWN]:
        session.out.note(f"Not taken away: {line}")
    if len(refused) > _SHOWN:
        session.out.note(f"Not taken away: {len(refused) - _SHOWN} more")
    session.out.note(f"Took away {taken} devices; their history and their groups are kept.")


def _each(
    session: Session,
    what: str,
    steps: Iterable[Callable[[Any], None]],
    *,
    forgive: bool = False,
) -> list[str]:
    """Take each step with a bar that shows how far it is; what was refused, where that is forgiven."""
    refused = []
    console = session.out.error_console
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for step in progress.track(list(steps), description=what):
            try:
                step(session.client)
            except enrolment.Foreign as error:
                if not forgive:
                    raise Failure(str(error)) from None
                refused.append(str(error))
            except Failure as error:
                if not forgive or error.exit_code != Failure.exit_code:
                    raise
                refused.append(error.message)
    return refused


def _run(session: Session, roster: Roster, wish: Wish, begins: float, speed: float) -> None:
    reactor = new_reactor()
    clock = SimulatedClock(reactor, begins, speed)
    host, port = wish.at or where(session)
    place = place_of(reactor, host, port, session.credentials.ca, wish.receiver)
    if wish.plan.aggregated and place.listen is None:
        session.out.note(
            f"The aggregator polls and is not notified: {host} may be another machine. With --receiver"
            " ADDRESS:PORT, an address of this machine that the server reaches and has in its"
            " notifications: allow, it subscribes."
        )
    fleet = assemble(reactor, clock, roster, wish.plan, place)
    console = session.out.console
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            run(
                reactor,
                fleet.start,
                fleet.stop,
                seconds=wish.lasts,
                show=lambda: live.update(Group(session.out.drawn(*views.fleet(fleet, session.zone)))),
            )
    else:
        count = len(fleet.units)
        session.out.note(
            f"{count} {'device begins' if count == 1 else 'devices begin'} at https://{place.authority}/dcap."
        )
        run(
            reactor,
            fleet.start,
            fleet.stop,
            seconds=wish.lasts,
            show=lambda: click.echo(views.line(fleet, session.zone)),
            every=EVERY,
        )
    _sum_up(session, fleet)


def _sum_up(session: Session, fleet: Fleet) -> None:
    if session.out.as_json:
        session.out.json(views.figures(fleet))
        return
    session.out.show(*views.summary(fleet))
