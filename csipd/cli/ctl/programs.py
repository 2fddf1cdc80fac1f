"""``csipctl programs``: DERPrograms, their default controls and their curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from csipd.cli.ctl import lookup, views
from csipd.cli.ctl.client import Document, Value
from csipd.cli.ctl.options import (
    NUMBER,
    Paging,
    Parsed,
    base_options,
    changed,
    given,
    idempotent,
    paged,
    pass_session,
    read_mapping,
    show_list,
)
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.values import curve_document, parse_point

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
@pass_session
def change_program(session: Session, program: str, primacy: int | None, group: str | None) -> None:
    """Change a program; what you do not name stays.

    \b
    Examples:
      csipctl programs change 1 --primacy 5
    """
    content = changed(primacy=primacy, group=group and lookup.group(session.client, group))
    number = lookup.program(session.client, program)
    _show(session, session.client.patch(f"/programs/{number}", content))


@programs.command("remove")
@_one_program
@pass_session
def remove_program(session: Session, program: str) -> None:
    """Retire a program: it is gone from all FSAs. Its history is kept.

    \b
    Examples:
      csipctl programs remove 4
    """
    _show(session, session.client.delete(f"/programs/{lookup.program(session.client, program)}"))


@programs.group("default")
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
@pass_session
def set_default(session: Session, program: str, description: str | None, base: Value) -> None:
    """Set the default control of a program, in place of the one there was.

    Beside control modes --set takes what only a default has: setGradW, setSoftGradW, setESDelay and so on.

    \b
    Examples:
      csipctl programs default set 1 --set opModMaxLimW=100% --set setGradW=27
      csipctl programs default set 1 --base default.yml --set opModVoltVar="Volt-VAR 1"
    """
    settings = {name: value for name, value in base.items() if name.startswith("set")}
    modes = {name: value for name, value in base.items() if name not in settings}
    number = lookup.program(session.client, program)
    content = {
        **given(description=description),
        "DERControlBase": lookup.base_with_curves(session.client, modes, lambda: [number]),
        **settings,
    }
    _show_default(session, session.client.put(f"/programs/{number}/default", content))


@default.command("clear")
@_one_program
@pass_session
def clear_default(session: Session, program: str) -> None:
    """Take the default control of a program away.

    \b
    Examples:
      csipctl programs default clear 1
    """
    _show_default(session, session.client.delete(_default(session, program)))


@programs.group("curves")
def curves() -> None:
    """The curves of a program, for modes such as opModVoltVar."""


@curves.command("list")
@_one_program
@paged
@pass_session
def list_curves(session: Session, program: str, paging: Paging) -> None:
    """List the curves of a program, in the order of their numbers.

    \b
    Examples:
      csipctl programs curves list 1
    """
    show_list(session, f"/programs/{lookup.program(session.client, program)}/curves", paging, views.curves)


@curves.command("add")
@_one_program
@click.option(
    "--file", type=click.Path(path_type=Path), help="A YAML or JSON file with the fields of a DERCurve."
)
@click.option("--type", "curveType", help="The mode that it is for (opModVoltVar), or its number.")
@click.option("--description", help="At most 32 characters.")
@click.option(
    "--point",
    "CurveData",
    multiple=True,
    type=Parsed("point", parse_point),
    metavar="X,Y",
    help="A point; repeat, up to 10. For opModWattPF X,Y,true where vars are absorbed.",
)
@click.option("--x-multiplier", "xMultiplier", type=click.IntRange(-9, 9), help="Power of ten; 0 by default.")
@click.option("--y-multiplier", "yMultiplier", type=click.IntRange(-9, 9), help="Power of ten; 0 by default.")
@click.option(
    "--y-ref", "yRefType", help="What y is a share of (SET_MAX_VAR), or its number; as usual by default."
)
@idempotent
@pass_session
def add_curve(session: Session, /, program: str, file: Path | None, key: str, **options: Any) -> None:
    """Add a curve to a program, from a file or from points; options win over the file.

    \b
    Examples:
      csipctl programs curves add 1 --file volt-var.yml
      csipctl programs curves add 1 --type opModVoltVar --description "Volt-VAR 1" \\
          --y-ref SET_MAX_VAR --point 92,44 --point 98,0 --point 102,0 --point 108,-44
    """
    try:
        curve = curve_document({**(read_mapping(file, "--file") if file else {}), **given(**options)})
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    number = lookup.program(session.client, program)
    made = session.client.post(f"/programs/{number}/curves", curve, key)
    session.out.document(made, views.curves([made.value]))


@curves.command("remove")
@_one_program
@click.argument("curve", type=NUMBER)
@pass_session
def remove_curve(session: Session, program: str, curve: int) -> None:
    """Remove a curve that nothing uses. CURVE is its number: 2 for /derp/1/dc/2.

    \b
    Examples:
      csipctl programs curves remove 1 2
    """
    number = lookup.program(session.client, program)
    session.out.document(session.client.delete(f"/programs/{number}/curves/{curve}"), "Done.")


def _default(session: Session, program: str) -> str:
    return f"/programs/{lookup.program(session.client, program)}/default"


def _show(session: Session, document: Document) -> None:
    value = document.value
    session.out.document(document, views.program(value, session.when) if value else "Done.")


def _show_default(session: Session, document: Document) -> None:
    session.out.document(document, views.default(document.value) if document.value else "Done.")
