"""``csipctl programs curves``: the curves of a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from csipd.cli.ctl import lookup
from csipd.cli.ctl.options import (
    Paging,
    Parsed,
    given,
    idempotent,
    paged,
    pass_session,
    read_mapping,
    show_list,
)
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.values import curve_document, parse_point, resolve
from csipd.cli.ctl.views import curves as views

_one_program = click.argument("program")


@click.group("curves")
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
        written, _ = resolve({**(read_mapping(file, "--file") if file else {}), **given(**options)})
        curve = curve_document(written)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    number = lookup.program(session.client, program)
    made = session.client.post(f"/programs/{number}/curves", curve, key)
    for doubt in made.value.get("warnings", ()):
        session.out.note(f"warning: {doubt}")
    session.out.document(made, views.curves([made.value]))


@curves.command("remove")
@_one_program
@click.argument("curve")
@pass_session
def remove_curve(session: Session, program: str, curve: str) -> None:
    """Remove a curve that nothing uses. CURVE is its number (2 for /derp/1/dc/2), href or description.

    \b
    Examples:
      csipctl programs curves remove 1 2
      csipctl programs curves remove "Feeder 1" "Volt-VAR 1"
    """
    number = lookup.program(session.client, program)
    which = lookup.curve(session.client, number, curve)
    session.out.document(session.client.delete(f"/programs/{number}/curves/{which}"), "Done.")
