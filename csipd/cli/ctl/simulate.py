"""``csipctl simulate``: a fleet of simulated devices against a running server (docs/simulator.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from attrs import frozen
from rich.console import Group
from rich.live import Live
from rich.progress import Progress

from csipd.cli.ctl.client import Client
from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.options import DURATION, DURATION_HELP, Parsed, pass_session
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import simulate as views
from csipd.config.fields import is_host
from csipd.net.tls import TLSError
from csipd.sim import enrolment
from csipd.sim.assembly import Plan, assemble, place_of
from csipd.sim.behaviour import Behaviour
from csipd.sim.clock import SimulatedClock
from csipd.sim.fleet import Fleet
from csipd.sim.roster import Roster, RosterError
from csipd.sim.running import new_reactor, run

#: Where devices find the server, where nothing else is said.
_PORT = 7443
#: Real seconds between two lines where there is no terminal.
_EVERY = 10.0
_MOST = 10_000


@frozen
class _Host:
    host: str
    port: int


def _host(text: str) -> _Host:
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not is_host(host) or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{text[:80]!r} is not of the form HOST:PORT")
    return _Host(host, int(port))


def _misbehaving(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each way to misbehave, which says how many devices do so."""
    for behaviour, about in reversed(_WAYS.items()):
        command = click.option(
            f"--{behaviour.value.replace(' ', '-')}",
            behaviour.name.lower(),
            type=click.IntRange(0, _MOST),
            default=0,
            metavar="N",
            help=about,
        )(command)
    return command


_WAYS = {
    Behaviour.LATE: "So many whose clock is two minutes slow.",
    Behaviour.SILENT: "So many that fall silent after five minutes.",
    Behaviour.NON_COMPLIANT: "So many that answer, and do as they like.",
    Behaviour.CHEATING_METER: "So many that do as they like, and whose meter says otherwise.",
    Behaviour.WRONG_CERTIFICATE: "So many with a certificate that nobody trusts.",
}


@click.command("simulate")
@click.option(
    "--devices", type=click.IntRange(0, _MOST), default=20, show_default=True, help="With certificates."
)
@click.option(
    "--aggregated", type=click.IntRange(0, _MOST), default=0, help="So many more behind an aggregator."
)
@_misbehaving
@click.option("--for", "lasts", type=DURATION, help=f"Until then {DURATION_HELP}; else until Ctrl-C.")
@click.option("--speed", type=click.FloatRange(0.1, 1000), help="Of their clock [the server's lab_speed].")
@click.option("--hour", type=click.FloatRange(0, 24), default=11, show_default=True, help="Of the day.")
@click.option("--clouds", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="0 is none.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of all that is drawn.")
@click.option("--name", default="sim", show_default=True, help="What the names of all begin with.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("simulated"),
    show_default=True,
    help="Where their keys, certificates and numbers are kept.",
)
@click.option("--at", "address", type=Parsed("at", _host), help="HOST:PORT where devices find the server.")
@click.option("--clean", is_flag=True, help="Take the fleet away from the server, and its files.")
@pass_session
def simulate(
    session: Session,
    /,
    devices: int,
    aggregated: int,
    lasts: int | None,
    speed: float | None,
    hour: float,
    clouds: float,
    seed: int,
    name: str,
    folder: Path,
    address: _Host | None,
    clean: bool,
    **misbehaving: int,
) -> None:
    """Run simulated solar inverters and batteries against the server.

    They are made known to it first: groups, programs, and devices with certificates, named sim-0001 and so
    on. Then they come, over TLS, and do as real ones do, on streets whose voltage follows from what they feed
    in. The next run takes the same ones; --clean takes all of them away.

    \b
    Examples:
      csipctl simulate                           20 devices, until Ctrl-C
      csipctl simulate --devices 30 --aggregated 10 --non-compliant 2 --for 10m
      csipctl simulate --clean
    """
    try:
        roster = Roster.read(folder)
        if clean:
            _clean(session, roster)
            return
        if devices + aggregated == 0:
            raise click.UsageError("There is nothing to simulate: give --devices or --aggregated.")
        status = session.client.get("/status").value
        _check_known(session.client, roster)
        _enrol(session, roster, name, devices, aggregated)
        plan = Plan(
            devices,
            aggregated,
            {way: misbehaving[way.name.lower()] for way in _WAYS},
            seed,
            hour,
            clouds,
        )
        begins = float(status["now"])
        _run(
            session,
            roster,
            plan,
            address or _where(session),
            begins,
            speed or status.get("lab_speed", 1),
            lasts,
        )
    except (RosterError, TLSError, OSError) as error:
        raise Failure(str(error)) from None


def _where(session: Session) -> _Host:
    settings = session.settings
    if settings is None or not settings.https_port:
        return _Host(session.server.host, _PORT)
    return _Host(session.server.host, settings.https_port)


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


def _enrol(session: Session, roster: Roster, name: str, devices: int, aggregated: int) -> None:
    steps = list(enrolment.missing(roster, name, devices, aggregated))
    if steps:
        _each(session, "Making devices known", steps)


def _clean(session: Session, roster: Roster) -> None:
    if not roster.members and not roster.feeders:
        session.out.note(f"There is no fleet in {roster.folder}.")
        return
    count = len(roster.members)
    steps = list(enrolment.remove(roster))
    gone = _each(session, "Taking the fleet away", steps, forgive=True)
    roster.remove()
    session.out.note(f"Took away {count} devices" + (f"; {gone} things were gone already." if gone else "."))


def _each(
    session: Session,
    what: str,
    steps: Iterable[Callable[[Any], None]],
    *,
    forgive: bool = False,
) -> int:
    """Take each step with a bar that shows how far it is; how many were refused, where that is forgiven."""
    refused = 0
    steps = list(steps)
    with Progress(console=session.out.error_console, transient=True) as progress:
        for step in progress.track(steps, description=what):
            try:
                step(session.client)
            except Failure as error:
                if not forgive or error.exit_code != Failure.exit_code:
                    raise
                refused += 1
    return refused


def _run(
    session: Session,
    roster: Roster,
    plan: Plan,
    at: _Host,
    begins: float,
    speed: float,
    lasts: int | None,
) -> None:
    reactor = new_reactor()
    clock = SimulatedClock(reactor, begins, speed)
    place = place_of(reactor, at.host, at.port, session.credentials.ca)
    fleet = assemble(reactor, clock, roster, plan, place)
    console = session.out.console
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            run(
                reactor,
                fleet.start,
                fleet.stop,
                seconds=lasts,
                show=lambda: live.update(Group(session.out.drawn(*views.fleet(fleet, session.zone)))),
            )
    else:
        session.out.note(f"{len(fleet.units)} devices begin at https://{place.authority}/dcap.")
        run(
            reactor,
            fleet.start,
            fleet.stop,
            seconds=lasts,
            show=lambda: click.echo(views.line(fleet, session.zone)),
            every=_EVERY,
        )
    _sum_up(session, fleet)


def _sum_up(session: Session, fleet: Fleet) -> None:
    if session.out.as_json:
        session.out.json(views.figures(fleet))
        return
    session.out.show(*views.summary(fleet))
