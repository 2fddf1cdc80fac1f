"""Operations on programs, their default controls and their curves."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from csipd.db import audit, commands, controls, devices, documents, groups, programs
from csipd.db.database import Transaction
from csipd.refusals import Conflict, Full, Impossible, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import MODE
from csipd.web.admin import forms as f
from csipd.web.admin.checks import Flaws, name_flaws
from csipd.web.admin.operations import Call, Made
from csipd.web.admin.paging import cut

_DEFAULT = ROWS["DefaultDERControl"]
_CURVES = ROWS["DERCurveList"]
_CURVE = ROWS["DERCurve"]
#: The most curves that an operator may give to a program.
MOST_CURVES = 500


def page(connection: sa.Connection, call: Call) -> f.ProgramPage:
    """Programs of groups by number."""
    limit = call.query["limit"]
    found = programs.listed(connection, after=call.query["after"] or 0, limit=limit + 1)
    items, following = cut(found, limit, lambda program: program.id)
    return f.ProgramPage(items=tuple(_shown(program) for program in items), next=following)


def show(connection: sa.Connection, call: Call) -> f.Program:
    """One program: a group's, or a device's own."""
    number = call.numbers["program"]
    owner = programs.owner_of(number)
    if owner is None:
        return _shown(_find(connection, number))
    if not devices.listed(connection, numbers=[owner], limit=1):
        raise NotFound(f"there is no program {number}")
    own = call.server.own.program(owner)
    return f.Program(
        number=number,
        href=f"/derp/{number}",
        mRID=own.mRID,
        description=programs.OWN_DESCRIPTION,
        primacy=own.primacy,
        device=owner,
        version=0,
    )


def add(transaction: Transaction, call: Call) -> Made:
    """Make a program for all who are in a group."""
    body: f.NewProgram = call.body
    flaws = name_flaws("/description", body.description)
    flaws += _group_flaws(transaction.connection, body.group)
    if flaws:
        raise Impossible(flaws)
    if programs.find(transaction.connection, body.description) is not None:
        raise Conflict(f"there is, or was, a program {body.description}")
    number = programs.add(transaction, call.server.issuer, body.group, body.description, body.primacy)
    _record(transaction, call, "add", number, body.description)
    return Made(_shown(_find(transaction.connection, number)), f"/admin/programs/{number}")


def change(transaction: Transaction, call: Call) -> f.Program:
    """Change primacy or group: what is not named stays. A program that was retired comes back by it."""
    body: f.ChangedProgram = call.body
    connection = transaction.connection
    present = _find(connection, call.numbers["program"])
    group = present.group if body.group is None else body.group
    primacy = present.primacy if body.primacy is None else body.primacy
    if flaws := _group_flaws(connection, group):
        raise Impossible(flaws)
    if (group, primacy) != (present.group, present.primacy) or present.retired is not None:
        programs.change(transaction, present.id, group=group, primacy=primacy)
        said = f"primacy {present.primacy} -> {primacy}, group {present.group} -> {group}"
        _record(transaction, call, "change", present.id, said)
    return _shown(_find(connection, present.id))


def remove(transaction: Transaction, call: Call) -> None:
    """Retire a program that has no control to come."""
    connection = transaction.connection
    present = _find(connection, call.numbers["program"])
    if present.retired is not None:
        raise Conflict(f"program {present.id} is retired already")
    live, _ = controls.listed(connection, call.now, program=present.id, over=False, cancelled=False, limit=1)
    if live:
        raise Conflict(f"program {present.id} has controls that are not over, such as {live[0].number}")
    programs.retire(transaction, present.id, call.now)
    _record(transaction, call, "retire", present.id, present.description)


def show_default(connection: sa.Connection, call: Call) -> r.DefaultDERControl:
    """The DefaultDERControl of a program."""
    place = Place(_DEFAULT, (show(connection, call).number,))
    found = documents.get(connection, place)
    if not isinstance(found, r.DefaultDERControl):
        raise NotFound(f"program {place.ids[0]} has no default")
    return found.replace(href=place.href)


def set_default(transaction: Transaction, call: Call) -> r.DefaultDERControl:
    """Set the DefaultDERControl of a program."""
    body: f.NewDefaultControl = call.body
    connection = transaction.connection
    number = _written(connection, call)
    flaws = [
        (f"/DERControlBase/{mode}", flaw)
        for mode, value in vars(body.DERControlBase).items()
        if isinstance(value, r.DERCurveLink) and (flaw := _curve_flaw(connection, number, mode, value.href))
    ]
    if flaws:
        raise Impossible(flaws)
    commands.see_own_program(transaction, number, call.now)
    default = r.DefaultDERControl(mRID="0", **vars(body))
    programs.set_default(transaction, call.server.issuer, number, default, call.now)
    _record(transaction, call, "set default", number, ", ".join(vars(body.DERControlBase)))
    return show_default(connection, call)


def clear_default(transaction: Transaction, call: Call) -> None:
    """Take the DefaultDERControl of a program away."""
    show_default(transaction.connection, call)
    number = _written(transaction.connection, call)
    programs.set_default(transaction, call.server.issuer, number, None, call.now)
    _record(transaction, call, "clear default", number)


def curves(connection: sa.Connection, call: Call) -> f.CurvePage:
    """The curves of a program by number."""
    place = Place(_CURVES, (show(connection, call).number,))
    limit, after = call.query["limit"], call.query["after"] or 0
    _, members = documents.page(connection, place, documents.ALL)
    found = sorted((one for one in members if one[0].ids[1] > after), key=lambda one: one[0].ids[1])
    items, following = cut(found, limit, lambda one: one[0].ids[1])
    return f.CurvePage(items=tuple(_with_href(at, curve) for at, curve in items), next=following)


def add_curve(transaction: Transaction, call: Call) -> Made:
    """Add a curve to a program."""
    connection = transaction.connection
    number = _written(connection, call)
    href = Place(_CURVES, (number,)).href
    if documents.counts(connection, [href]).get(href, 0) >= MOST_CURVES:
        raise Full(f"program {number} has {MOST_CURVES} curves")
    curve = r.DERCurve(mRID="0", creationTime=call.now, **vars(call.body))
    place = programs.add_curve(transaction, call.server.issuer, number, curve, call.now)
    _record(transaction, call, "add curve", number, place.href)
    made = _with_href(place, documents.get(connection, place))
    return Made(made, f"/admin/programs/{number}/curves/{place.ids[1]}")


def remove_curve(transaction: Transaction, call: Call) -> None:
    """Remove a curve that neither the default nor a control to come uses."""
    connection = transaction.connection
    place = Place(_CURVE, (show(connection, call).number, call.numbers["curve"]))
    number = place.ids[0]
    if documents.get(connection, place) is None:
        raise NotFound(f"program {number} has no curve {place.ids[1]}")
    default = documents.get(connection, Place(_DEFAULT, (number,)))
    bases = [default.DERControlBase] if isinstance(default, r.DefaultDERControl) else []
    schedule = controls.schedules(connection, [number], call.now).get(number)
    if schedule is not None:
        bases += [control.DERControlBase for control in controls.shown(connection, schedule.listed())]
    if any(place.href == getattr(value, "href", None) for base in bases for value in vars(base).values()):
        raise Conflict(f"curve {place.ids[1]} is in use")
    documents.delete(transaction, place)
    _record(transaction, call, "remove curve", number, place.href)


def _curve_flaw(connection: sa.Connection, program: int, mode: str, href: str) -> str | None:
    for place, curve in documents.page(connection, Place(_CURVES, (program,)), documents.ALL)[1]:
        if place.href == href and isinstance(curve, r.DERCurve):
            fits = curve.curveType == MODE[mode].curve
            return None if fits else f"{href} is a curve of type {curve.curveType}"
    return f"{href} is no curve of program {program}"


def _group_flaws(connection: sa.Connection, group: int) -> Flaws:
    return [] if groups.exists(connection, group) else [("/group", f"there is no group {group}")]


def _with_href(place: Place, curve: Any) -> r.DERCurve:
    assert isinstance(curve, r.DERCurve)
    return curve.replace(href=place.href)


def _written(connection: sa.Connection, call: Call) -> int:
    """The number of a program that something is to be written to: one that devices see."""
    program = show(connection, call)
    if program.retired is not None:
        raise Conflict(f"program {program.number} is retired")
    if program.device is not None and devices.missing(connection, [program.device]):
        raise Conflict(f"device {program.device} is not registered, or an aggregator")
    return program.number


def _find(connection: sa.Connection, number: int) -> programs.Listed:
    found = programs.listed(connection, number=number)
    if not found:
        raise NotFound(f"there is no program {number}")
    return found[0]


def _shown(program: programs.Listed) -> f.Program:
    return f.Program(
        number=program.id,
        href=f"/derp/{program.id}",
        mRID=program.mrid,
        description=program.description,
        primacy=program.primacy,
        group=program.group,
        version=program.version,
        retired=program.retired,
    )


def _record(transaction: Transaction, call: Call, action: str, number: int, detail: str = "") -> None:
    audit.record(transaction, call.now, call.who, action, f"/derp/{number}", detail)
