"""``csipctl rates``: how often devices read and post, while the server runs."""

from __future__ import annotations

import click

from csipd.cli.ctl import lookup
from csipd.cli.ctl.client import Value
from csipd.cli.ctl.options import (
    DURATION,
    DURATION_HELP,
    Paging,
    Parsed,
    confirm,
    paged,
    pass_session,
    show_list,
    yes_option,
)
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import rates as views
from csipd.der.rates import RESOURCES

#: What has no rate of its own in IEEE 2030.5, and with what it is read.
_READ_WITH = {
    "dercontrollist": "DERProgramList",
    "activedercontrollist": "DERProgramList",
    "dercurvelist": "DERProgramList",
    "defaultdercontrol": "DERProgramList",
    "derprogram": "DERProgramList",
    "derstatus": "DERList",
    "derstatuslist": "DERList",
    "dercapability": "DERList",
    "dersettings": "DERList",
    "deravailability": "DERList",
    "mirrormeterreading": "MirrorUsagePoint",
    "meterreading": "MirrorUsagePoint",
    "reading": "MirrorUsagePoint",
}
_BY_NAME = {name.lower(): name for name in RESOURCES}


def _resource(text: str) -> str:
    found = _BY_NAME.get(text.lower())
    if found is None:
        instead = _READ_WITH.get(text.lower())
        hint = f"it goes with {instead}" if instead else f"those that have are {', '.join(RESOURCES)}"
        raise ValueError(f"{text[:80]!r} has no rate: {hint}")
    return found


_RESOURCE = Parsed("resource", _resource)
_of_group = click.option("--group", help="Of the devices in this group and below it (number or name).")
_of_device = click.option("--device", help="Of this device alone (number, name or LFDI).")


@click.group("rates")
def rates() -> None:
    """How often devices read each resource (pollRate), and post (postRate of EndDevice, MirrorUsagePoint).

    A device's own rate counts before that of its deepest group, that before the general one, that before a
    device's own wish, and that before the configuration's. Devices are told at once, without a restart.
    """


@rates.command("list")
@_of_group
@_of_device
@pass_session
def list_rates(session: Session, group: str | None, device: str | None) -> None:
    """List the rates in force, and whose word each is.

    \b
    Examples:
      csipctl rates list
      csipctl rates list --group feeder-1
      csipctl rates list --device inverter-7
    """
    found = session.client.get(_path(session, group, device))
    session.out.document(found, views.rates(found.value))
    for warning in found.value.get("warnings", ()):
        session.out.note(f"warning: {warning}")


@rates.command("groups")
@paged
@pass_session
def list_groups(session: Session, paging: Paging) -> None:
    """List the groups that have rates of their own.

    \b
    Examples:
      csipctl rates groups
    """
    show_list(session, "/rates/groups", paging, lambda items: views.of_each("Group", items))


@rates.command("devices")
@paged
@pass_session
def list_devices(session: Session, paging: Paging) -> None:
    """List the devices that have rates of their own.

    \b
    Examples:
      csipctl rates devices --all
    """
    show_list(session, "/rates/devices", paging, lambda items: views.of_each("Device", items))


@rates.command("set")
@click.argument("resource", metavar="RESOURCE", type=_RESOURCE)
@click.argument("seconds", metavar="RATE", type=DURATION)
@_of_group
@_of_device
@yes_option
@pass_session
def set_rate(
    session: Session, resource: str, seconds: int, group: str | None, device: str | None, yes: bool
) -> None:
    """Set the rate of a resource: RATE is a duration.

    Whom it is for is said first, and you are asked. RESOURCE is one that `csipctl rates list` shows: events
    are read with DERProgramList, what DERs report goes by DERList, readings by MirrorUsagePoint.

    \b
    Examples:
      csipctl rates set DERProgramList 5m
      csipctl rates set DERList 60s --group feeder-1
      csipctl rates set EndDevice 15m --device inverter-7 --yes
    """
    if not seconds:
        raise click.BadParameter(f"a rate is a second at least {DURATION_HELP}", param_hint="RATE")
    _change(session, resource, seconds, group, device, yes)


@rates.command("unset")
@click.argument("resource", metavar="RESOURCE", type=_RESOURCE)
@_of_group
@_of_device
@yes_option
@pass_session
def unset_rate(session: Session, resource: str, group: str | None, device: str | None, yes: bool) -> None:
    """Take back a rate that was set: what comes behind it counts then.

    \b
    Examples:
      csipctl rates unset DERList --group feeder-1
    """
    _change(session, resource, 0, group, device, yes)


def _change(
    session: Session, resource: str, seconds: int, group: str | None, device: str | None, yes: bool
) -> None:
    path = _path(session, group, device)
    content: Value = {"rates": [{"resource": resource, "seconds": seconds}]}
    if not yes:
        confirm(session, f"{path}/preview", content, "Change this rate?")
    found = session.client.patch(path, content)
    session.out.document(found, views.rates(found.value, resource))
    for warning in found.value.get("warnings", ()):
        session.out.note(f"warning: {warning}")


def _path(session: Session, group: str | None, device: str | None) -> str:
    if group is not None and device is not None:
        raise click.UsageError("Give --group or --device.")
    if group is not None:
        return f"/groups/{lookup.group(session.client, group)}/rates"
    if device is not None:
        return f"/devices/{lookup.device(session.client, device)}/rates"
    return "/rates"
