"""``csipctl devices``: who is listed, what they are, and what they do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from csipd.cli.ctl import lookup
from csipd.cli.ctl.client import Document, Value
from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.files import NewFiles
from csipd.cli.ctl.imports import import_devices
from csipd.cli.ctl.options import (
    MOMENT_HELP,
    Moment,
    Paging,
    Parsed,
    changed,
    confirm,
    given,
    idempotent,
    paged,
    pass_session,
    read_text,
    show_list,
    yes_option,
)
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.values import parse_category
from csipd.cli.ctl.views import devices as views
from csipd.cli.ctl.views.alarms import log_events
from csipd.cli.ctl.views.state import state
from csipd.der.rates import LEAST, MOST
from csipd.sep2.identity import parse_lfdi

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)

_CATEGORY = Parsed("category", parse_category)
_LFDI = Parsed("LFDI", parse_lfdi)
_PIN = click.IntRange(0, 999_999)
_RATE = click.IntRange(LEAST, MOST)
_STANDINGS = ("listed", "registered", "withdrawn", "retired")
_one_device = click.argument("device")


@click.group("devices")
def devices() -> None:
    """Devices and aggregators: list, add, shut out.

    DEVICE is a number (that of /edev/NUMBER), a name, or an LFDI.
    """


@devices.command("list")
@click.option("--name", help="Only those whose names begin so.")
@click.option("--lfdi", type=_LFDI, help="Only the one with this LFDI.")
@click.option("--group", help="Only those in this group or under it (number or name).")
@click.option("--manager", help="Only this aggregator and its fleet.")
@click.option("--standing", type=click.Choice(_STANDINGS), help="Only those that stand so.")
@click.option(
    "--silent-since",
    type=Moment(ahead=False),
    help=f"Only those not heard of since a moment {MOMENT_HELP}, or never.",
)
@paged
@pass_session
def list_devices(
    session: Session,
    paging: Paging,
    name: str | None,
    lfdi: str | None,
    group: str | None,
    manager: str | None,
    standing: str | None,
    silent_since: int | None,
) -> None:
    """List devices, in the order of their numbers, or with --name in that of names.

    \b
    Examples:
      csipctl devices list
      csipctl devices list --group feeder-1 --standing registered
      csipctl devices list --standing registered --silent-since -24h
      csipctl --json devices list --all | jq -r '.items[].lFDI'
    """
    query = {
        "name": name,
        "lfdi": lfdi,
        "group": group and lookup.group(session.client, group),
        "manager": manager and lookup.device(session.client, manager),
        "standing": standing,
        "silent_since": silent_since,
    }
    show_list(session, "/devices", paging, lambda items: views.devices(items, session.when), query)


@devices.command("silent")
@click.option(
    "--since",
    type=Moment(ahead=False),
    default="-24h",
    show_default=True,
    help=f"Not heard of since then {MOMENT_HELP}, or never.",
)
@click.option("--group", help="Only those in this group or under it (number or name).")
@paged
@pass_session
def list_silent(session: Session, paging: Paging, since: int, group: str | None) -> None:
    """List registered devices that have not been heard of, with their last contact.

    \b
    Examples:
      csipctl devices silent
      csipctl devices silent --since -2h --group feeder-1
    """
    query: dict[str, str | int | None] = {
        "standing": "registered",
        "silent_since": since,
        "group": None if group is None else lookup.group(session.client, group),
    }
    show_list(session, "/devices", paging, lambda items: views.devices(items, session.when), query)


@devices.command("show")
@_one_device
@pass_session
def show_device(session: Session, device: str) -> None:
    """Show one device.

    \b
    Examples:
      csipctl devices show dev1
      csipctl devices show 3E4F-45AB-31ED-FE5B-67E3-43E5-E456-2E31-984E-23E5
    """
    number = lookup.device(session.client, device)
    _show(session, session.client.get(f"/devices/{number}"))


@devices.command("add")
@click.argument("name")
@click.option("--lfdi", type=_LFDI, help="Its LFDI, where it has a certificate already (or none of its own).")
@click.option("--csr", type=click.Path(path_type=Path), help="Sign this signing request (PEM).")
@click.option("--make-key", is_flag=True, help="Make a key and a certificate for it; needs --out.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for NAME.crt and, for its owner alone, NAME.pem. Nothing is overwritten.",
)
@click.option("--aggregator", is_flag=True, default=None, help="It is an aggregator.")
@click.option("--manager", help="The aggregator whose fleet it is of.")
@click.option("--group", "groups", multiple=True, help="A group to put it in (number or name); repeat.")
@click.option("--pin", type=_PIN, help="Registration PIN with its check digit; drawn if you give none.")
@click.option(
    "--category", type=_CATEGORY, help="deviceCategory: PHOTOVOLTAIC, EVSE,OTHER_STORAGE or 00200000."
)
@click.option("--poll-rate", type=_RATE, help="Seconds.")
@click.option("--post-rate", type=_RATE, help="Seconds.")
@click.option("--ders", type=click.IntRange(0, 255), help="How many DERs it has.")
@click.option(
    "--listed", is_flag=True, help="Do not make it an EndDevice yet: it registers itself, or later."
)
@idempotent
@pass_session
def add_device(
    session: Session,
    /,
    name: str,
    key: str,
    csr: Path | None,
    make_key: bool,
    out: Path | None,
    manager: str | None,
    groups: tuple[str, ...],
    **more: Any,
) -> None:
    """List a device or an aggregator.

    Its LFDI is given (--lfdi), or follows from a certificate that is made: for a signing request (--csr), or
    with a key that is made too (--make-key). The server keeps no such key: NAME.pem is the only copy.

    \b
    Examples:
      csipctl devices add dev9 --csr dev9.csr --out ./dev9 --group feeder-1
      csipctl devices add dev9 --make-key --out ./dev9 --category PHOTOVOLTAIC
      csipctl devices add der7 --lfdi 3E4F45AB31EDFE5B67E343E5E4562E31984E23E5 --manager agg1
      csipctl devices add agg1 --aggregator --csr agg1.csr --out .
    """
    lfdi = more.pop("lfdi")
    _check_source(lfdi, csr, make_key, out)
    if out is not None and not _FILE_NAME.fullmatch(name):
        raise click.UsageError(f"{name[:80]!r} cannot be the name of a file, and --out makes files of it.")
    content = given(
        name=name,
        lFDI=lfdi,
        csr=csr and read_text(csr, "--csr"),
        make_key=True if make_key else None,
        aggregator=more["aggregator"],
        manager=manager and lookup.device(session.client, manager),
        pIN=more["pin"],
        deviceCategory=more["category"],
        pollRate=more["poll_rate"],
        postRate=more["post_rate"],
        groups=tuple(lookup.group(session.client, group) for group in groups),
        ders=more["ders"],
        registered=False if more["listed"] else None,
    )
    _issue(session, "/devices", content, key, name, out)


@devices.command("replace-certificate")
@_one_device
@click.option("--lfdi", type=_LFDI, help="The LFDI of its new certificate.")
@click.option("--csr", type=click.Path(path_type=Path), help="Sign this signing request (PEM).")
@click.option("--make-key", is_flag=True, help="Make a key and a certificate for it; needs --out.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for NAME.crt and, for its owner alone, NAME.pem. Nothing is overwritten.",
)
@click.option("--now", "at_once", is_flag=True, help="The old certificate works no longer from now on.")
@idempotent
@pass_session
def replace_certificate(
    session: Session,
    device: str,
    key: str,
    lfdi: str | None,
    csr: Path | None,
    make_key: bool,
    out: Path | None,
    at_once: bool,
) -> None:
    """Give a device another certificate. It stays what it is: number, PIN, groups and history.

    The old certificate works until the new one's first request, or with --now no longer; then never again.

    \b
    Examples:
      csipctl devices replace-certificate dev9 --csr dev9-new.csr --out ./new
      csipctl devices replace-certificate dev9 --lfdi 3E4F45AB31EDFE5B67E343E5E4562E31984E23E5 --now
    """
    _check_source(lfdi, csr, make_key, out)
    number = lookup.device(session.client, device)
    content = given(
        lFDI=lfdi,
        csr=csr and read_text(csr, "--csr"),
        make_key=True if make_key else None,
        now=True if at_once else None,
    )
    name = device if _FILE_NAME.fullmatch(device) else f"device-{number}"
    _issue(session, f"/devices/{number}/certificate", content, key, name, out)
    session.out.note(
        "The certificate before it works no longer, on open connections either."
        if at_once
        else "The certificate before it works until the first request by the new one, and then never again."
    )


def _check_source(lfdi: str | None, csr: Path | None, make_key: bool, out: Path | None) -> None:
    """See that an LFDI comes from one thing, and that a key that is made has somewhere to go."""
    if sum((lfdi is not None, csr is not None, make_key)) != 1:
        raise click.UsageError("Give one of --lfdi, --csr and --make-key.")
    if make_key and out is None:
        raise click.UsageError("--make-key needs --out: a key is written to a file and never shown.")
    if out is not None and lfdi is not None:
        raise click.UsageError("With --lfdi no certificate is made, and --out has nothing to hold.")


def _issue(session: Session, path: str, content: Value, key: str, name: str, out: Path | None) -> None:
    """Send a request that may make a certificate and a key, write those to files, and show the device.

    :param content: the request; one that makes a key asks for ``make_key``
    :param key: the idempotency key
    :param name: of the files
    :param out: the folder for them, if any are wanted
    """
    wanted = {} if out is None else {f"{name}.crt": 0o644}
    if content.get("make_key"):
        wanted[f"{name}.pem"] = 0o600
    # The files are made first: a key that was made and cannot be written would be lost.
    with NewFiles(out, wanted) as files:
        made = session.client.post(path, content, key)
        for file, text in (
            (f"{name}.pem", made.value.pop("key", None)),
            (f"{name}.crt", made.value.get("certificate")),
        ):
            if file in wanted:
                if not isinstance(text, str):
                    raise Failure(
                        f"{name} is done, but the answer has nothing for {file}: a repeated request?"
                    )
                files.write(file, text)
    if session.out.as_json:
        session.out.json(made.value)
        return
    session.out.show(views.device(made.value.get("device", {}), session.when))
    for written in files.written:
        session.out.note(f"Wrote {written}")
    if out is None and "certificate" in made.value:
        click.echo(made.value["certificate"], nl=False)


@devices.command("change")
@_one_device
@click.option("--pin", type=_PIN, help="Registration PIN with its check digit.")
@click.option("--category", type=_CATEGORY, help="deviceCategory: PHOTOVOLTAIC, or eight hex digits.")
@click.option("--poll-rate", type=_RATE, help="Seconds.")
@click.option("--post-rate", type=_RATE, help="Seconds.")
@click.option("--manager", help="The aggregator whose fleet it is to be of.")
@click.option("--no-manager", is_flag=True, help="It is to be of no fleet.")
@pass_session
def change_device(
    session: Session,
    device: str,
    pin: int | None,
    category: str | None,
    poll_rate: int | None,
    post_rate: int | None,
    manager: str | None,
    no_manager: bool,
) -> None:
    """Change a device; what you do not name stays.

    \b
    Examples:
      csipctl devices change dev1 --pin 123455
      csipctl devices change dev1 --category COMBINED_PV_AND_STORAGE --post-rate 300
    """
    if no_manager and manager is not None:
        raise click.UsageError("Give --manager or --no-manager.")
    content = changed(
        pIN=pin,
        deviceCategory=category,
        pollRate=poll_rate,
        postRate=post_rate,
        manager=0 if no_manager else manager and lookup.device(session.client, manager),
    )
    number = lookup.device(session.client, device)
    _show(session, session.client.patch(f"/devices/{number}", content))


@devices.command("remove")
@_one_device
@yes_option
@pass_session
def remove_device(session: Session, device: str, yes: bool) -> None:
    """Remove a device: it is shut out and gone from all lists. Its history is kept.

    \b
    Examples:
      csipctl devices remove dev1
    """
    path = f"/devices/{lookup.device(session.client, device)}"
    if not yes:
        confirm(session, f"{path}/remove/preview", None, "Remove this device?")
    _show(session, session.client.delete(path))


@devices.command("register")
@_one_device
@pass_session
def register_device(session: Session, device: str) -> None:
    """Make a listed device an EndDevice, without waiting for it to register itself.

    \b
    Examples:
      csipctl devices register dev1
    """
    _post_action(session, device, "register")


@devices.command("withdraw")
@_one_device
@click.option("--reason", help="Why; it is kept with the device and in the audit log.")
@yes_option
@pass_session
def withdraw_device(session: Session, device: str, reason: str | None, yes: bool) -> None:
    """Shut a device out, at once. Only readmit lifts it: no restart and no configuration does.

    \b
    Examples:
      csipctl devices withdraw dev1 --reason "reported stolen"
    """
    path = f"/devices/{lookup.device(session.client, device)}/withdraw"
    if not yes:
        confirm(session, f"{path}/preview", None, "Shut this device out?")
    _show(session, session.client.post(path, given(reason=reason)))


@devices.command("readmit")
@_one_device
@pass_session
def readmit_device(session: Session, device: str) -> None:
    """Let a withdrawn device in again.

    \b
    Examples:
      csipctl devices readmit dev1
    """
    _post_action(session, device, "readmit")


@devices.command("move")
@_one_device
@click.argument("groups", nargs=-1)
@click.option("--nowhere", is_flag=True, help="Take it out of all groups.")
@yes_option
@pass_session
def move_device(session: Session, device: str, groups: tuple[str, ...], nowhere: bool, yes: bool) -> None:
    """Put a device into these groups (numbers or names) and no others; those above them follow.

    What it loses and gains by that is said first, and you are asked. add-to and remove-from change one group
    and leave the others.

    \b
    Examples:
      csipctl devices move dev1 transformer-12
      csipctl devices move dev1 transformer-12 pilot-project
      csipctl devices move dev1 --nowhere
    """
    if bool(groups) == nowhere:
        raise click.UsageError("Give the groups, or --nowhere.")
    content = {"groups": [lookup.group(session.client, group) for group in groups]}
    path = f"/devices/{lookup.device(session.client, device)}/groups"
    if not yes:
        confirm(session, f"{path}/preview", content, "Move this device?")
    _show(session, session.client.put(path, content))


@devices.command("add-to")
@_one_device
@click.argument("group")
@pass_session
def add_to_group(session: Session, device: str, group: str) -> None:
    """Put a device into one more group (number or name).

    \b
    Examples:
      csipctl devices add-to dev1 pilot-project
    """
    _show(session, session.client.put(_in_group(session, device, group), {}))


@devices.command("remove-from")
@_one_device
@click.argument("group")
@yes_option
@pass_session
def remove_from_group(session: Session, device: str, group: str, yes: bool) -> None:
    """Take a device out of one group (number or name); it stays in the others.

    What it loses by that is said first, and you are asked.

    \b
    Examples:
      csipctl devices remove-from dev1 pilot-project
    """
    path = _in_group(session, device, group)
    groups_path, _, number = path.rpartition("/")
    if not yes:
        present = session.client.get(groups_path.removesuffix("/groups")).value.get("groups", [])
        if int(number) in present:  # else there is nothing to ask about, and the server says so
            rest = [one for one in present if one != int(number)]
            confirm(session, f"{groups_path}/preview", {"groups": rest}, "Take it out of this group?")
    _show(session, session.client.delete(path))


@devices.command("state")
@_one_device
@pass_session
def show_state(session: Session, device: str) -> None:
    """Show what a device should be doing now and why, what it last reported, its alarms and responses.

    \b
    Examples:
      csipctl devices state dev1
    """
    number = lookup.device(session.client, device)
    document = session.client.get(f"/devices/{number}/state")
    session.out.document(document, *state(document.value, session.when))


@devices.command("log")
@_one_device
@click.option("--since", type=Moment(ahead=False), help=f"Only those that came since then {MOMENT_HELP}.")
@click.option("--until", type=Moment(ahead=False), help="Only those that came before this.")
@paged
@pass_session
def show_log(session: Session, device: str, paging: Paging, since: int | None, until: int | None) -> None:
    """List the log events of a device, the newest first.

    \b
    Examples:
      csipctl devices log dev1 --limit 10
      csipctl devices log dev1 --since -24h --all
    """
    path = f"/devices/{lookup.device(session.client, device)}/logevents"
    period: dict[str, str | int | bool | None] = {"since": since, "until": until}
    show_list(session, path, paging, lambda items: log_events(items, session.when), period)


def _in_group(session: Session, device: str, group: str) -> str:
    client = session.client
    return f"/devices/{lookup.device(client, device)}/groups/{lookup.group(client, group)}"


def _post_action(session: Session, device: str, what: str) -> None:
    number = lookup.device(session.client, device)
    _show(session, session.client.post(f"/devices/{number}/{what}"))


def _show(session: Session, document: Document) -> None:
    """The device in an answer, or that it is done where the answer is empty."""
    value = document.value
    session.out.document(document, views.device(value, session.when) if value else "Done.")


devices.add_command(import_devices)
