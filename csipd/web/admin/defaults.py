"""Default controls of programs: ``/admin/programs/{program}/default``."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import commands, documents, own_programs, programs
from csipd.db.database import Transaction
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import Int16, String32, UInt16, UInt32
from csipd.web.admin.operations import Call, Operation
from csipd.web.admin.programs import record, writable
from csipd.web.admin.programs import show as show_program

_DEFAULT = ROWS["DefaultDERControl"]
_CURVES = ROWS["DERCurveList"]


class NewDefaultControl(Element):
    """What a program's devices are to do when no event holds a mode; ramp rates and enter service too."""

    description: String32 | None = None
    DERControlBase: r.DERControlBase
    setESDelay: UInt32 | None = None
    setESHighFreq: UInt16 | None = None
    setESHighVolt: Int16 | None = None
    setESLowFreq: UInt16 | None = None
    setESLowVolt: Int16 | None = None
    setESRampTms: UInt32 | None = None
    setESRandomDelay: UInt32 | None = None
    setGradW: UInt16 | None = None
    setSoftGradW: UInt16 | None = None


def show_default(connection: sa.Connection, call: Call) -> r.DefaultDERControl:
    """The DefaultDERControl of a program."""
    place = Place(_DEFAULT, (show_program(connection, call).number,))
    if programs.owner_of(place.ids[0]) is None:
        found = documents.get(connection, place)
    else:
        view = own_programs.default(connection, call.server.own, place.ids[0])
        found = None if view is None else view.document
    if not isinstance(found, r.DefaultDERControl):
        raise NotFound(f"program {place.ids[0]} has no default")
    return found.replace(href=place.href)


def set_default(transaction: Transaction, call: Call) -> r.DefaultDERControl:
    """Set the DefaultDERControl of a program."""
    body: NewDefaultControl = call.body
    connection = transaction.connection
    number = writable(connection, call)
    default = r.DefaultDERControl(mRID="0", **vars(body))
    commands.set_default(transaction, call.server.issuer, number, default, call.now)
    record(transaction, call, "set default", number, ", ".join(vars(body.DERControlBase)))
    return show_default(connection, call)


def clear_default(transaction: Transaction, call: Call) -> None:
    """Take the DefaultDERControl of a program away."""
    show_default(transaction.connection, call)
    number = writable(transaction.connection, call)
    programs.set_default(transaction, call.server.issuer, number, None, call.now)
    record(transaction, call, "clear default", number)


OPERATIONS = (
    Operation(
        "GET",
        "/admin/programs/{program}/default",
        "showDefault",
        "Show a program's DefaultDERControl",
        show_default,
        gives=r.DefaultDERControl,
    ),
    Operation(
        "PUT",
        "/admin/programs/{program}/default",
        "setDefault",
        "Set a program's DefaultDERControl",
        set_default,
        takes=NewDefaultControl,
        gives=r.DefaultDERControl,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "DELETE",
        "/admin/programs/{program}/default",
        "clearDefault",
        "Take a program's DefaultDERControl away",
        clear_default,
        status=204,
        writes=True,
        refuses=(409,),
    ),
)
