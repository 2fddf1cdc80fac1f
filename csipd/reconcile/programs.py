"""Programs of the file, with their curves and their default controls."""

from __future__ import annotations

from typing import Any

from csipd.db import documents, programs
from csipd.reconcile.context import Context, Rule, added_or_changed
from csipd.reconcile.groups import group_number
from csipd.sep2 import resources as r


def put_program(context: Context, description: str, before: Any, after: Any) -> str:
    """Make a program, or give it another group or primacy; a retired one comes back."""
    number = programs.find(context.connection, description)
    group = group_number(context, after["group"])
    if number is None:
        programs.add(context.transaction, context.issuer, group, description, after["primacy"])
    else:
        programs.change(context.transaction, number, group=group, primacy=after["primacy"])
    return added_or_changed(before)


def remove_program(context: Context, description: str, _before: Any) -> str:
    """Take a program from every list; it keeps its number, controls, curves and default."""
    number = programs.find(context.connection, description)
    if number is not None:
        programs.retire(context.transaction, number, context.now)
    return "retired"


def put_curve(context: Context, key: str, before: Any, _after: Any) -> str:
    """Make a curve of a program, or change its points. Its creationTime stays what it was."""
    description, _, name = key.partition("\t")
    program = program_number(context, description)
    said = context.declared.curves[name]
    place = programs.find_curve(context.connection, program, name)
    if place is None:
        curve = said.curve("0", context.now)
        programs.add_curve(context.transaction, context.issuer, program, curve, context.now)
    else:
        present = documents.get(context.connection, place)
        assert isinstance(present, r.DERCurve)
        curve = said.curve("0", present.creationTime)
        programs.change_curve(context.transaction, place, curve, context.now)
    return added_or_changed(before)


def remove_curve(context: Context, key: str, _before: Any) -> str:
    """Delete a curve of a program, unless an operator did."""
    description, _, name = key.partition("\t")
    place = programs.find_curve(context.connection, program_number(context, description), name)
    if place is not None:
        documents.delete(context.transaction, place)
    return "removed"


def put_default(context: Context, description: str, before: Any, _after: Any) -> str:
    """Give a program the default control that the file names for it."""
    program = program_number(context, description)
    named = context.declared.programs[description].default_control
    assert named is not None
    default = context.declared.controls[named].default("0", lambda curve: curve_href(context, program, curve))
    programs.set_default(context.transaction, context.issuer, program, default, context.now)
    return added_or_changed(before)


def remove_default(context: Context, description: str, _before: Any) -> str:
    """Leave a program without a default control."""
    program = program_number(context, description)
    programs.set_default(context.transaction, context.issuer, program, None, context.now)
    return "removed"


def program_number(context: Context, description: str) -> int:
    """The number of a program whose statement was carried out before."""
    number = programs.find(context.connection, description)
    assert number is not None
    return number


def curve_href(context: Context, program: int, curve: str) -> str:
    """Where the program's own copy of a curve is served."""
    place = programs.find_curve(context.connection, program, curve)
    assert place is not None
    return place.href


RULES = {
    "program": Rule(put_program, remove_program),
    "curve": Rule(put_curve, remove_curve),
    "default": Rule(put_default, remove_default),
}
