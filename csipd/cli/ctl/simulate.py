"""``csipctl simulate``: a fleet of simulated devices against a running server (docs/simulator.md)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from csipd.cli.ctl.options import DURATION, DURATION_HELP, Parsed, pass_session
from csipd.cli.ctl.session import Session
from csipd.config.fields import is_address, is_host
from csipd.sim.behaviour import Behaviour

_MOST = 10_000


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not is_host(host) or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{text[:80]!r} is not of the form HOST:PORT")
    return host, int(port)


def _address(text: str) -> tuple[str, int]:
    host, port = _host(text)
    if not is_address(host):
        raise ValueError(f"{text[:80]!r} is not of the form ADDRESS:PORT, of an IP address of this machine")
    return host, port


def _name(text: str) -> str:
    # Names of devices are names of files, and "-aggregator" and the like come behind it.
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,19}", text):
        raise ValueError(f"{text[:80]!r} is not 1 to 20 letters, digits, dots, dashes and underscores")
    return text


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


#: What goes with the platform's devices.
_WITH_PLATFORM = frozenset({"gridappsd", "lasts", "speed", "hour", "clouds", "seed", "address"})


def _alone(context: click.Context) -> None:
    """See that nothing was asked for that the platform's model decides."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE and name not in _WITH_PLATFORM:
            raise click.UsageError(
                f"{parameter.opts[0]} does not go with --gridappsd: the platform's model says who comes."
            )


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
@click.option(
    "--name",
    type=Parsed("name", _name),
    default="sim",
    show_default=True,
    help="What the names of all begin with.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("simulated"),
    show_default=True,
    help="Where their keys, certificates and numbers are kept.",
)
@click.option("--at", "address", type=Parsed("at", _host), help="HOST:PORT where devices find the server.")
@click.option(
    "--receiver",
    type=Parsed("receiver", _address),
    help="ADDRESS:PORT of this machine where the server notifies the aggregator; needless beside it.",
)
@click.option(
    "--gridappsd",
    is_flag=True,
    help="Take part in the simulation of GridAPPS-D that csipd's configuration names.",
)
@click.option("--yes", is_flag=True, help="Do not ask, though the server is no lab.")
@click.option("--clean", is_flag=True, help="Take the fleet away from the server, and its files.")
@click.pass_context
@pass_session
def simulate(
    session: Session,
    context: click.Context,
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
    address: tuple[str, int] | None,
    receiver: tuple[str, int] | None,
    gridappsd: bool,
    yes: bool,
    clean: bool,
    **misbehaving: int,
) -> None:
    """Run simulated solar inverters and batteries against the server.

    They are made known to it first: groups, programs, and devices with certificates, named sim-0001 and so
    on. Then they come, over TLS, and do as real ones do, on streets whose voltage follows from what they feed
    in. The next run takes the same ones; --clean takes all of them away. Without options there are 20, until
    Ctrl-C. A server that is no lab (lab: true) is given them only after a question.

    With --gridappsd the devices are those of the platform's model, with the keys that csipd has made for
    them. They see the voltages of its simulation and tell it what they feed in, until it is complete.

    \b
    Examples:
      csipctl simulate
      csipctl simulate --devices 30 --aggregated 10 --non-compliant 2 --for 10m
      csipctl simulate --clean
      csipctl --config config.yml simulate --gridappsd
    """
    # Other commands need not wait for Twisted.
    from csipd.cli.ctl import simulation
    from csipd.sim.assembly import Plan

    if gridappsd:
        _alone(context)
        from csipd.cli.ctl import cosimulation

        plan = Plan(0, seed=seed, hour=hour, cloudiness=clouds)
        cosimulation.carry_out(session, cosimulation.Wish(plan, address, speed, lasts))
        return
    if clean:
        simulation.clean(session, folder)
        return
    if devices + aggregated == 0:
        raise click.UsageError("There is nothing to simulate: give --devices or --aggregated.")
    ways = {way: misbehaving[way.name.lower()] for way in _WAYS}
    if sum(ways.values()) > devices:
        raise click.UsageError(
            f"{sum(ways.values())} are to misbehave, of {devices} --devices with certificates of their own."
        )
    plan = Plan(devices, aggregated, ways, seed, hour, clouds)
    simulation.carry_out(session, simulation.Wish(plan, name, folder, address, receiver, speed, lasts, yes))
