"""``csipctl programs``: DERPrograms."""

from __future__ import annotations

import click

from csipd.cli.ctl import lookup
from csipd.cli.ctl.client import Document
from csipd.cli.ctl.curves import curves
from csipd.cli.ctl.defaults import default
from csipd.cli.ctl.options import (
    Paging,
    changed,
    confirm,
    idempotent,
    paged,
    pass_session,
    show_list,
    yes_option,
)
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.views import programs as views

_PRIMACY = click.IntRange(0, 255)
_one_program = click.argument("program")


@click.group("programs")
def programs() -> None:
    """DER programs, their defaults and curves.

    PROGRAM is a number (that of /derp/NUMBER) or a description.
    """


@programs.command("list")
@paged
@pass_session
def list_programs(session: Session, paging: Paging) -> None:
    """List programs, in the order of their numbers.

    \b
    Examples:
      csipctl programs list
    """
    show_list(session, "/programs", paging, lambda items: views.programs(items, session.when))


@programs.command("show")
@_one_program
@pass_session
def show_program(session: Session, program: str) -> None:
    """Show one program.

    \b
    Examples:
      csipctl programs show 1
      csipctl programs show "Feeder 1"
    """
    _show(session, session.client.get(f"/programs/{lookup.program(session.client, program)}"))


@programs.command("add")
@click.argument("description")
@click.option("--primacy", type=_PRIMACY, required=True, help="0 to 255; the lower wins.")
@click.option("--group", required=True, help="The group that it is for (number or name).")
@idempotent
@pass_session
def add_program(session: Session, description: str, primacy: int, group: str, key: str) -> None:
    """Make a program for all devices under a group.

    \b
    Examples:
      csipctl programs add "Feeder 1" --primacy 7 --group feeder-1
    """
    number = lookup.group(session.client, group)
    content = {"description": description, "primacy": primacy, "group": number}
    _show(session, session.client.post("/programs", content, key))


@programs.command("change")
@_one_program
@click.option("--primacy", type=_PRIMACY, help="0 to 255; the lower wins.")
@click.option("--group", help="The group that it is to be for (number or name).")
@yes_option
@pass_session
def change_program(session: Session, program: str, primacy: int | None, group: str | None, yes: bool) -> None:
    """Change a program; what you do not name stays.

    Who loses and gains it, and which programs it then stands before or behind, is said first, and you are
    asked.

    \b
    Examples:
      csipctl programs change 1 --primacy 5
    """
    content = changed(primacy=primacy, group=group and lookup.group(session.client, group))
    path = f"/programs/{lookup.program(session.client, program)}"
    if not yes:
        confirm(session, f"{path}/change/preview", content, "Change this program?")
    _show(session, session.client.patch(path, content))


@programs.command("remove")
@_one_program
@yes_option
@pass_session
def remove_program(session: Session, program: str, yes: bool) -> None:
    """Retire a program: it is gone from all FSAs. Its history is kept.

    \b
    Examples:
      csipctl programs remove 4
    """
    path = f"/programs/{lookup.program(session.client, program)}"
    if not yes:
        confirm(session, f"{path}/remove/preview", None, "Retire this program?")
    _show(session, session.client.delete(path))


@programs.command("hide")
@_one_program
@pass_session
def hide_program(session: Session, program: str) -> None:
    """Hide a device's own program, which has no control that is not over, until it is used again.

    \b
    Examples:
      csipctl programs hide 1000000000001
    """
    number = lookup.program(session.client, program)
    _show(session, session.client.post(f"/programs/{number}/hide"))


def _show(session: Session, document: Document) -> None:
    value = document.value
    session.out.document(document, views.program(value, session.when) if value else "Done.")


programs.add_command(default)
programs.add_command(curves)
