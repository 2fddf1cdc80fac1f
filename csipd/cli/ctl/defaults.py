"""``csipctl programs default``: what holds in a program when no control does."""

from __future__ import annotations

import click

from csipd.cli.ctl import lookup
from csipd.cli.ctl.client import Document, Value
from csipd.cli.ctl.options import (
    ask,
    base_options,
    check_units,
    confirm,
    given,
    pass_session,
    yes_option,
)
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.values import Unitless
from csipd.cli.ctl.views import defaults as views

_one_program = click.argument("program")


@click.group("default")
def default() -> None:
    """What holds in a program when no control does (DefaultDERControl)."""


@default.command("show")
@_one_program
@pass_session
def show_default(session: Session, program: str) -> None:
    """Show the default control of a program.

    \b
    Examples:
      csipctl programs default show 1
    """
    _show_default(session, session.client.get(_default(session, program)))


@default.command("set")
@_one_program
@click.option("--description", help="At most 32 characters.")
@base_options
@yes_option
@pass_session
def set_default(
    session: Session,
    program: str,
    description: str | None,
    base: Value,
    unitless: list[Unitless],
    yes: bool,
) -> None:
    """Set the default control of a program, in place of the one there was.

    What it will mean is said first, and you are asked.

    Beside control modes --set takes what only a default has: setGradW, setSoftGradW, setESDelay and so on.

    \b
    Examples:
      csipctl programs default set 1 --set opModMaxLimW=100% --set setGradW=0.27%/s
      csipctl programs default set 1 --base default.yml --set opModVoltVar="Volt-VAR 1"
    """
    check_units(unitless, yes)
    settings = {name: value for name, value in base.items() if name.startswith("set")}
    modes = {name: value for name, value in base.items() if name not in settings}
    number = lookup.program(session.client, program)
    content = {
        **given(description=description),
        "DERControlBase": lookup.base_with_curves(session.client, modes, lambda: [number]),
        **settings,
    }
    if not yes:
        preview = session.client.post(f"/programs/{number}/default/preview", content).value
        doubts = [f"warning: {one.warning}" for one in unitless]
        ask(session, [*preview.get("summary", ()), *doubts], "Set this default?")
    done = session.client.put(f"/programs/{number}/default", content)
    for doubt in done.value.get("warnings", ()):
        session.out.note(f"warning: {doubt}")
    _show_default(session, done)


@default.command("clear")
@_one_program
@yes_option
@pass_session
def clear_default(session: Session, program: str, yes: bool) -> None:
    """Take the default control of a program away.

    \b
    Examples:
      csipctl programs default clear 1
    """
    path = _default(session, program)
    if not yes:
        confirm(session, f"{path}/clear/preview", None, "Take this default away?")
    _show_default(session, session.client.delete(path))


def _default(session: Session, program: str) -> str:
    return f"/programs/{lookup.program(session.client, program)}/default"


def _show_default(session: Session, document: Document) -> None:
    session.out.document(document, views.default(document.value) if document.value else "Done.")
