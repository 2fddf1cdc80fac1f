"""Default controls of programs: ``/admin/programs/{program}/default``."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import documents, own_programs, program_contents, programs
from csipd.db.database import Transaction
from csipd.der.wording import base_text, value_text
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.differences import described, differences
from csipd.sep2.schema import Element, fields
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import Int16, String32, UInt16, UInt32
from csipd.web.admin.forms import Line
from csipd.web.admin.operations import Call, Operation
from csipd.web.admin.programs import record, writable
from csipd.web.admin.programs import show as show_program
from csipd.web.admin.summary import Consequences, line, of_default, program_members
from csipd.web.json_form import to_json

_DEFAULT = ROWS["DefaultDERControl"]
#: What only a default control has.
_SETTINGS = tuple(field.name for field in fields(r.DefaultDERControl) if field.name.startswith("set"))


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


class SetDefaultControl(r.DefaultDERControl):
    """A default that was set, with what is doubtful about it."""

    warnings: tuple[Line, ...] = ()


def show_default(connection: sa.Connection, call: Call) -> r.DefaultDERControl:
    """The DefaultDERControl of a program."""
    number = show_program(connection, call).number
    found = _find(connection, call, number)
    if found is None:
        raise NotFound(f"program {number} has no default")
    return found


def _find(connection: sa.Connection, call: Call, program: int) -> r.DefaultDERControl | None:
    place = Place(_DEFAULT, (program,))
    if programs.owner_of(program) is None:
        found = documents.get(connection, place)
    else:
        view = own_programs.default(connection, call.server.own, program)
        found = None if view is None else view.document
    return found.replace(href=place.href) if isinstance(found, r.DefaultDERControl) else None


def set_default(transaction: Transaction, call: Call) -> SetDefaultControl:
    """Set the DefaultDERControl of a program."""
    body: NewDefaultControl = call.body
    connection = transaction.connection
    number = writable(connection, call)
    default = r.DefaultDERControl(mRID="0", **vars(body))
    place = Place(_DEFAULT, (number,))
    before = documents.get(connection, place)
    doubts = program_contents.check_default(connection, number, default)
    program_contents.set_default(transaction, call.server.issuer, number, default, call.now)
    if changed := differences(before, documents.get(connection, place)):
        record(transaction, call, "set default", number, changed)
    return SetDefaultControl(**{**vars(show_default(connection, call)), "warnings": tuple(doubts)})


def preview_set(connection: sa.Connection, call: Call) -> Consequences:
    """What it will mean that a program has this default."""
    number = writable(connection, call)
    default = r.DefaultDERControl(mRID="0", **vars(call.body))
    doubts = program_contents.check_default(connection, number, default)
    sentences = of_default(connection, number, default, _SETTINGS)
    sentences += tuple(f"Doubtful: {doubt}." for doubt in doubts)
    before = _find(connection, call, number)
    if before is not None:
        sentences += (f"It takes the place of {_text(before) or 'an empty default'}.",)
    return Consequences(summary=tuple(map(line, sentences)))


def preview_clear(connection: sa.Connection, call: Call) -> Consequences:
    """What it will mean that a program has no default any more."""
    number, before = _clearable(connection, call)
    modes = _text(before) or "it was empty"
    whose = program_members(connection, number)
    sentences = f"Where no control holds a mode, {whose} will lose what this default says: {modes}."
    return Consequences(summary=(line(sentences),))


def _clearable(connection: sa.Connection, call: Call) -> tuple[int, r.DefaultDERControl]:
    """A program, and what of its default can be taken away: of a device's own, what the device has alone."""
    before = show_default(connection, call)
    number = writable(connection, call)
    owner = programs.owner_of(number)
    if owner is None:
        return number, before
    alone = own_programs.settings(connection, owner)
    if alone is None:
        raise programs.follows(owner)
    return number, alone


def _text(default: r.DefaultDERControl) -> str:
    """All that a default says, in one line."""
    given = vars(default)
    settings = [
        f"{name} {value_text(name, given[name])}" for name in _SETTINGS if given.get(name) is not None
    ]
    return "; ".join(filter(None, (base_text(to_json(default.DERControlBase)), *settings)))


def clear_default(transaction: Transaction, call: Call) -> None:
    """Take the DefaultDERControl of a program away."""
    number, before = _clearable(transaction.connection, call)
    owner = programs.owner_of(number)
    if owner is None:
        programs.set_default(transaction, call.server.issuer, number, None, call.now)
    else:
        own_programs.set_settings(transaction, owner, None, call.now)
    record(transaction, call, "clear default", number, described(before))


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
        gives=SetDefaultControl,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "POST",
        "/admin/programs/{program}/default/preview",
        "previewDefault",
        "What it would mean to set a program's DefaultDERControl",
        preview_set,
        takes=NewDefaultControl,
        gives=Consequences,
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
    Operation(
        "POST",
        "/admin/programs/{program}/default/clear/preview",
        "previewClearDefault",
        "What it would mean to take a program's DefaultDERControl away",
        preview_clear,
        gives=Consequences,
        refuses=(409,),
    ),
)
