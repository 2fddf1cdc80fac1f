"""Curves of programs: ``/admin/programs/{program}/curves``."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa

from csipd.db import controls, documents, program_contents, schedules
from csipd.db.database import Transaction
from csipd.refusals import Conflict, Full, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.differences import described
from csipd.sep2.schema import Element, Occurs
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import (
    Boolean,
    DERCurveType,
    DERUnitRefType,
    PerCent,
    PowerOfTenMultiplierType,
    String32,
    UInt16,
    UInt32,
)
from csipd.web.admin.forms import Line, Page
from csipd.web.admin.operations import Call, Created, Operation
from csipd.web.admin.paging import PAGE, cut
from csipd.web.admin.programs import record, writable
from csipd.web.admin.programs import show as show_program

_DEFAULT = ROWS["DefaultDERControl"]
_CURVES = ROWS["DERCurveList"]
_CURVE = ROWS["DERCurve"]
#: The most curves that an operator may give to a program.
MOST_CURVES = 500


class NewCurve(Element):
    """A curve of up to ten points; multipliers are powers of ten."""

    description: String32 | None = None
    autonomousVRefEnable: Boolean | None = None
    autonomousVRefTimeConstant: UInt32 | None = None
    CurveData: Annotated[tuple[r.CurveData, ...], Occurs(1, 10)]
    curveType: DERCurveType
    openLoopTms: UInt16 | None = None
    rampDecTms: UInt16 | None = None
    rampIncTms: UInt16 | None = None
    rampPT1Tms: UInt16 | None = None
    vRef: PerCent | None = None
    xMultiplier: PowerOfTenMultiplierType
    yMultiplier: PowerOfTenMultiplierType
    yRefType: DERUnitRefType


class MadeCurve(r.DERCurve):
    """A curve that was made, with what is doubtful about it."""

    warnings: tuple[Line, ...] = ()


class CurvePage(Page):
    """The curves of a program in the order of their numbers, with their hrefs."""

    items: tuple[r.DERCurve, ...] = ()


def curves(connection: sa.Connection, call: Call) -> CurvePage:
    """The curves of a program by number."""
    place = Place(_CURVES, (show_program(connection, call).number,))
    limit, after = call.query["limit"], call.query["after"] or 0
    numbers = documents.numbers(connection, place)
    found = [number for number in numbers if number > after]
    items, following = cut(found, limit, lambda number: number)
    places = [Place(_CURVE, (*place.ids, number)) for number in items]
    shown = tuple(_with_href(at, documents.get(connection, at)) for at in places)
    return CurvePage(items=shown, next=following, total=len(numbers))


def add_curve(transaction: Transaction, call: Call) -> Created:
    """Add a curve to a program."""
    connection = transaction.connection
    number = writable(connection, call)
    href = Place(_CURVES, (number,)).href
    if documents.counts(connection, [href]).get(href, 0) >= MOST_CURVES:
        raise Full(f"program {number} has {MOST_CURVES} curves")
    curve = r.DERCurve(mRID="0", creationTime=call.now, **vars(call.body))
    doubts = program_contents.check_curve(curve)
    place = program_contents.add_curve(transaction, call.server.issuer, number, curve, call.now)
    shown = _with_href(place, documents.get(connection, place))
    record(transaction, call, "add curve", number, f"{place.href}: {described(shown.replace(href=None))}")
    made = MadeCurve(**{**vars(shown), "warnings": tuple(doubts)})
    return Created(made, f"/admin/programs/{number}/curves/{place.ids[1]}")


def remove_curve(transaction: Transaction, call: Call) -> None:
    """Remove a curve that neither the default nor a control to come uses."""
    connection = transaction.connection
    place = Place(_CURVE, (show_program(connection, call).number, call.numbers["curve"]))
    number = place.ids[0]
    if documents.get(connection, place) is None:
        raise NotFound(f"program {number} has no curve {place.ids[1]}")
    default = documents.get(connection, Place(_DEFAULT, (number,)))
    bases = [default.DERControlBase] if isinstance(default, r.DefaultDERControl) else []
    listed = schedules.of(connection, [number], call.now)[number].listed()
    bases += [control.DERControlBase for control in controls.shown(connection, listed)]
    if any(place.href == getattr(value, "href", None) for base in bases for value in vars(base).values()):
        raise Conflict(f"curve {place.ids[1]} is in use")
    documents.delete(transaction, place)
    record(transaction, call, "remove curve", number, place.href)


def _with_href(place: Place, curve: Any) -> r.DERCurve:
    assert isinstance(curve, r.DERCurve)
    return curve.replace(href=place.href)


OPERATIONS = (
    Operation(
        "GET",
        "/admin/programs/{program}/curves",
        "listCurves",
        "The curves of a program",
        curves,
        gives=CurvePage,
        query=PAGE,
    ),
    Operation(
        "POST",
        "/admin/programs/{program}/curves",
        "addCurve",
        "Add a curve to a program",
        add_curve,
        takes=NewCurve,
        gives=MadeCurve,
        status=201,
        writes=True,
    ),
    Operation(
        "DELETE",
        "/admin/programs/{program}/curves/{curve}",
        "removeCurve",
        "Remove a curve that nothing uses",
        remove_curve,
        status=204,
        writes=True,
        refuses=(409,),
    ),
)
