"""``csipctl readings``: what meters say, now and over time."""

from __future__ import annotations

from pathlib import Path

import click

from csipd.cli.ctl import lookup, totals
from csipd.cli.ctl.client import Value
from csipd.cli.ctl.exports import export, export_options
from csipd.cli.ctl.options import DURATION, Command, Paging, paged, pass_session, show_list
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import readings as views

_QUANTITIES = "active_power, reactive_power, voltage, current, frequency, active_energy and others"
_STEPS = ("5min", "hour", "day")


@click.group("readings")
def readings() -> None:
    """What meters say. Generation is positive, and what is taken in negative."""


@readings.command("newest")
@click.option("--device", help="Of this device (number, name or LFDI).")
@click.option("--group", help="Of the devices in this group or under it (number or name).")
@paged
@pass_session
def show_newest(session: Session, paging: Paging, device: str | None, group: str | None) -> None:
    """The newest value of each quantity, with its age: of a device, or of the devices of a group.

    \b
    Examples:
      csipctl readings newest --device dev1
      csipctl readings newest --group feeder-1 --all
    """
    _one_of(device, group)
    if group is not None:
        path = f"/groups/{lookup.group(session.client, group)}/readings"
        show_list(session, path, paging, lambda items: views.newest(items, session.when))
        return
    document = session.client.get(f"/devices/{lookup.device(session.client, device or '')}/readings")
    session.out.document(document, views.newest([document.value], session.when))


@readings.command("now")
@click.argument("group")
@click.option(
    "--within",
    type=DURATION,
    default="15m",
    show_default=True,
    help="Readings that are older do not count, and are named.",
)
@pass_session
def show_now(session: Session, group: str, within: int) -> None:
    """What a group (number or name) gives now: the newest readings of its devices, added up.

    Power and current are sums, voltage and frequency the least and the greatest. Who has no readings, or
    none of late, is named and counts nowhere.

    \b
    Examples:
      csipctl readings now feeder-1
      csipctl readings now feeder-1 --within 2m
    """
    path = f"/groups/{lookup.group(session.client, group)}/readings"
    devices = (item for page in session.client.pages(path, {}) for item in page.value["items"])
    found = totals.add_up(devices, within)
    if session.out.as_json:
        session.out.json(views.now_figures(found))
    else:
        session.out.show(*views.now(found, within))


def _quantity(default: str | None = None) -> Command:
    """--quantity; the server knows which there are."""
    return click.option("--quantity", default=default, show_default=True, help=f"One of {_QUANTITIES}.")


@readings.command("series")
@click.option("--device", help="Of this device (number, name or LFDI).")
@click.option("--group", help="Of devices while they were in this group or under it (number or name).")
@_quantity()
@click.option(
    "--step",
    type=click.Choice(("raw", *_STEPS)),
    default="raw",
    show_default=True,
    help="Each reading, or what readings come to in steps of so long.",
)
@export_options
@pass_session
def export_series(
    session: Session,
    device: str | None,
    group: str | None,
    quantity: str | None,
    step: str,
    period: Value,
    output: Path | None,
) -> None:
    """Readings of a period: CSV, or with csipctl --json a JSON array.

    A step has the mean of power, voltage and the like, and of energy how much came.

    \b
    Examples:
      csipctl readings series --device dev1 --since -1h
      csipctl readings series --group feeder-1 --quantity voltage --step hour --since -7d --output volts.csv
    """
    _one_of(device, group)
    if group is not None:
        path = f"/exports/groups/{lookup.group(session.client, group)}/readings"
    else:
        path = f"/exports/devices/{lookup.device(session.client, device or '')}/readings"
    export(session, path, {"quantity": quantity, "step": step, **period}, output)


@readings.command("sums")
@click.argument("group")
@_quantity("active_power")
@click.option(
    "--step", type=click.Choice(_STEPS), default="5min", show_default=True, help="Steps of so long."
)
@click.option(
    "--meter",
    type=click.Choice(("der", "premises")),
    default="der",
    show_default=True,
    help="Of DERs' own meters, or of those of the premises.",
)
@export_options
@pass_session
def export_sums(
    session: Session,
    group: str,
    quantity: str,
    step: str,
    meter: str,
    period: Value,
    output: Path | None,
) -> None:
    """What the devices of a group (number or name) came to, step by step: CSV, or with csipctl --json JSON.

    A device counts while it was in the group or under it. Without --since it is the last day.

    \b
    Examples:
      csipctl readings sums feeder-1
      csipctl readings sums feeder-1 --quantity active_energy --step day --since -30d --output june.csv
    """
    path = f"/exports/groups/{lookup.group(session.client, group)}/sums"
    export(session, path, {"quantity": quantity, "step": step, "meter": meter, **period}, output)


def _one_of(device: str | None, group: str | None) -> None:
    if (device is None) == (group is None):
        raise click.UsageError("Give --device or --group.")
