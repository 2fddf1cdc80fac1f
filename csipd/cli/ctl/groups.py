"""``csipctl groups``: the topology, and groups beside it."""

from __future__ import annotations

from typing import Any

import click

from csipd.cli.ctl import lookup
from csipd.cli.ctl.client import Document
from csipd.cli.ctl.options import (
    Paging,
    Parsed,
    changed,
    confirm,
    given,
    idempotent,
    paged,
    pass_session,
    show_list,
    yes_option,
)
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.values import parse_level
from csipd.cli.ctl.views import groups as views
from csipd.cli.ctl.views.devices import devices

_LEVEL = Parsed("level", parse_level)
_LEVEL_HELP = "Place in the topology: system, substation, feeder, service_transformer ... or 0 to 6."
_one_group = click.argument("group")


@click.group("groups")
def groups() -> None:
    """Groups of devices: where programs are hung.

    GROUP is a number or a name.
    """


@groups.command("list")
@pass_session
def list_groups(session: Session) -> None:
    """List all groups, as a tree.

    \b
    Examples:
      csipctl groups list
    """
    pages = session.client.pages("/groups", {})
    if session.out.as_json:
        session.out.pages(pages)
        return
    tree = views.group_tree([one for page in pages for one in page.value.get("items", ())])
    if tree:
        session.out.show(*tree)
    else:
        session.out.note("None.")


@groups.command("show")
@_one_group
@pass_session
def show_group(session: Session, group: str) -> None:
    """Show one group, and how many devices are under it.

    \b
    Examples:
      csipctl groups show feeder-1
    """
    _show(session, session.client.get(f"/groups/{lookup.group(session.client, group)}"))


@groups.command("capability")
@_one_group
@pass_session
def show_capability(session: Session, group: str) -> None:
    """Show what the devices of a group can deliver now, by kind of DER and in all.

    These are sums of what the devices last said of themselves: each with how many DERs have said it, and how
    old that is. As CSV: csipctl export capability.

    \b
    Examples:
      csipctl groups capability feeder-1
    """
    path = f"/exports/groups/{lookup.group(session.client, group)}/capability"
    rows = session.client.rows(path)
    if session.out.as_json:
        session.out.json(rows)
    else:
        session.out.show(*(views.capability(row) for row in rows))


@groups.command("add")
@click.argument("name")
@click.option("--parent", help="The group that it hangs below (number or name).")
@click.option("--level", type=_LEVEL, help=f"{_LEVEL_HELP} Without one it stands beside the topology.")
@click.option("--fsa", help="Name of its FSA; groups that name the same one share it.")
@idempotent
@pass_session
def add_group(session: Session, /, name: str, key: str, parent: str | None, **more: Any) -> None:
    """Make a group.

    \b
    Examples:
      csipctl groups add feeder-1 --parent substation-3 --level feeder
      csipctl groups add pilot-project
    """
    content = given(
        name=name,
        parent=parent and lookup.group(session.client, parent),
        level=more["level"],
        fsa=more["fsa"],
    )
    _show(session, session.client.post("/groups", content, key))


@groups.command("change")
@_one_group
@click.option("--parent", help="The group that it is to hang below (number or name).")
@click.option("--top", is_flag=True, help="It is to hang below none.")
@click.option("--level", type=_LEVEL, help=_LEVEL_HELP)
@yes_option
@pass_session
def change_group(
    session: Session, group: str, parent: str | None, top: bool, level: int | None, yes: bool
) -> None:
    """Hang a group elsewhere, with all that is under it.

    What its devices lose and gain by that is said first, and you are asked.

    \b
    Examples:
      csipctl groups change transformer-12 --parent feeder-2
    """
    if top and parent is not None:
        raise click.UsageError("Give --parent or --top.")
    above = 0 if top else parent and lookup.group(session.client, parent)
    content = changed(parent=above, level=level)
    path = f"/groups/{lookup.group(session.client, group)}"
    if not yes:
        confirm(session, f"{path}/change/preview", content, "Change this group?")
    _show(session, session.client.patch(path, content))


@groups.command("remove")
@_one_group
@yes_option
@pass_session
def remove_group(session: Session, group: str, yes: bool) -> None:
    """Remove a group that nothing is in.

    \b
    Examples:
      csipctl groups remove pilot-project
    """
    path = f"/groups/{lookup.group(session.client, group)}"
    if not yes:
        confirm(session, f"{path}/remove/preview", None, "Remove this group?")
    _show(session, session.client.delete(path))


@groups.command("devices")
@_one_group
@paged
@pass_session
def list_members(session: Session, group: str, paging: Paging) -> None:
    """List the devices under a group: in it, and in the groups below it.

    \b
    Examples:
      csipctl groups devices feeder-1 --all
    """
    path = f"/groups/{lookup.group(session.client, group)}/devices"
    show_list(session, path, paging, lambda items: devices(items, session.when))


def _show(session: Session, document: Document) -> None:
    session.out.document(document, views.group(document.value) if document.value else "Done.")
