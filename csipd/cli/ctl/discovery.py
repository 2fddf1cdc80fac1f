"""``csipctl discovery``: what clients find of the server on a link, a file for avahi, and who is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.offline import read_certificate
from csipd.cli.ctl.options import Parsed, pass_session
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.session import Session
from csipd.config.discovery import NAME
from csipd.discovery.avahi import service_file
from csipd.discovery.records import SUBTYPES, Advertisement

_EXTRA = "it needs packages that are not installed: pip install 'csipd[mdns]'"


def _name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise ValueError(f"{text[:60]!r} is not 1 to 40 letters, digits and dashes")
    return text


def _named(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--name", type=Parsed("name", _name), help="What names begin with [mdns_name, else csipd]."
    )(command)


@click.group("discovery")
def discovery() -> None:
    """How clients find the server by mDNS: show, avahi, browse. No server's API is asked."""


@discovery.command("show")
@_named
@pass_session
def show(session: Session, name: str | None) -> None:
    """Show what is announced: names, subtypes, ports, TXT records.

    It is what the configuration and the server's certificate say, with `mdns: true` or without.

    \b
    Examples:
      csipctl --config /etc/csipd/config.yml discovery show
    """
    server = _advertisement(session, name)
    instances = [
        {"instance": one.name, "type": one.type, "port": server.port, "text": list(one.text)}
        for one in server.instances()
    ]
    said = session.settings.discovery if session.settings else None
    if session.out.as_json:
        links = list(said.interfaces) if said else []
        session.out.json({"host": server.host, "interfaces": links, "instances": instances})
        return
    rows = tuple(
        (one.type, one.name.partition(".")[0], str(server.port), " ".join(one.text))
        for one in server.instances()
    )
    session.out.show(Grid(("Type", "Instance", "Port", "TXT"), rows))
    if said is None:
        session.out.note("mdns is not true in the configuration: csipd itself announces nothing.")


@discovery.command("avahi")
@_named
@pass_session
def avahi(session: Session, name: str | None) -> None:
    """Print a static service file for avahi, where avahi speaks mDNS on the server's machine.

    \b
    Examples:
      csipctl --config /etc/csipd/config.yml discovery avahi > /etc/avahi/services/csipd.service
    """
    click.echo(service_file(_advertisement(session, name)), nl=False)


@discovery.command("browse")
@click.option(
    "--interface",
    "wanted",
    multiple=True,
    help="Name or address; several times for several [mdns_interfaces, else all but loopback].",
)
@click.option("--subtype", type=click.Choice(sorted(SUBTYPES)), help="Of servers with this function set.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(0.5, 60),
    default=3,
    show_default=True,
    help="Seconds to look.",
)
@pass_session
def browse(session: Session, wanted: tuple[str, ...], subtype: str | None, seconds: float) -> None:
    """List the servers of IEEE 2030.5 that answer on the links of this machine.

    \b
    Examples:
      csipctl discovery browse --interface eth0
      csipctl --json discovery browse --subtype derp --for 5
    """
    try:
        from csipd.discovery import browsing
        from csipd.discovery.interfaces import interfaces
    except ImportError:
        raise Failure(_EXTRA) from None
    if not wanted and session.settings is not None and session.settings.discovery is not None:
        wanted = session.settings.discovery.interfaces
    there = interfaces()
    for one in wanted:
        if not any(interface.is_called(one) for interface in there):
            names = ", ".join(interface.name for interface in there)
            raise Failure(f"{one} is no interface of this machine, nor an address of one: it has {names}")
    addresses = [
        str(address)
        for interface in there
        for address, _ in interface.addresses
        if (any(map(interface.is_called, wanted)) if wanted else not address.is_loopback)
    ]
    if not addresses:
        raise Failure("this machine has no address on those interfaces")
    try:
        found = browsing.browse(addresses, subtype, seconds, session.machine.sleep)
    except OSError as error:
        raise Failure(f"multicast DNS cannot be spoken there: {error.strerror or error}") from None
    if session.out.as_json:
        items = [
            {
                "instance": one.name,
                "host": one.host,
                "port": one.port,
                "addresses": list(one.addresses),
                "text": list(one.text),
                "dcap": one.dcap,
            }
            for one in found
        ]
        session.out.json({"items": items})
        return
    rows = tuple(
        (one.name.partition(".")[0], one.host, ", ".join(one.addresses), one.dcap or "", " ".join(one.text))
        for one in found
    )
    session.out.show(Grid(("Instance", "Host", "Addresses", "DeviceCapability", "TXT"), rows))
    if not found:
        session.out.note(f"Nobody answered in {seconds:g} s.")


def _advertisement(session: Session, name: str | None) -> Advertisement:
    """What the configuration and the server's certificate say."""
    settings = session.settings
    if settings is None:
        raise click.UsageError(
            "Give --config before the command: it has the ports, and where certificates are."
        )
    file = session.tls / "certs" / f"{settings.server}.crt"
    if not file.exists():
        raise Failure(f"{file}: there is no certificate of the server yet; its first start makes it")
    _, facts = read_certificate(file)
    # Other commands need not wait for what the daemon is made of.
    from csipd.daemon.discovery import advertisement

    return advertisement(settings, facts.lfdi, name)
