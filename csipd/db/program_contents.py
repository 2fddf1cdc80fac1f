"""What operators give programs beside controls, checked first: curves and defaults; and controls' curves."""

from __future__ import annotations

import re

import sqlalchemy as sa

from csipd.db import documents, programs
from csipd.db.database import Transaction
from csipd.refusals import Impossible
from csipd.sep2 import codec, rules
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer
from csipd.sep2.site import ROWS, Place, locate

_CURVES = ROWS["DERCurveList"]


def add_curve(transaction: Transaction, issuer: Issuer, program: int, curve: r.DERCurve, now: int) -> Place:
    """Give a program one more curve; what ``check_curve`` raises."""
    check_curve(curve)
    return programs.add_curve(transaction, issuer, program, curve, now)


def check_curve(curve: r.DERCurve) -> list[str]:
    """See that a program may have a curve.

    :return: what is doubtful about it, a line each
    :raises Impossible: with all that is wrong with it, and pointers into it
    """
    if problems := misfits(curve):
        raise Impossible(problems)
    found = rules.curve_flaws(curve)
    if problems := rules.errors(found):
        raise Impossible(problems)
    return rules.warnings(found)


def set_default(
    transaction: Transaction, issuer: Issuer, program: int, default: r.DefaultDERControl, now: int
) -> None:
    """Give a program a default control, whose curves are the program's own; what ``check_default`` raises."""
    check_default(transaction.connection, program, default)
    programs.set_default(transaction, issuer, program, default, now)


def check_default(connection: sa.Connection, program: int, default: r.DefaultDERControl) -> list[str]:
    """See that a program may have a default control.

    :return: what is doubtful about it, a line each
    :raises Impossible: with all that is wrong with it, and pointers into it
    """
    if problems := misfits(default):
        raise Impossible(problems)
    kinds = _curve_types(connection, program)
    links = rules.link_flaws(default.DERControlBase, kinds.get, f"of program {program}")
    found = [*rules.default_flaws(default), *(flaw.under("DERControlBase") for flaw in links)]
    if problems := rules.errors(found):
        raise Impossible(problems)
    return rules.warnings(found)


def _curve_types(connection: sa.Connection, program: int) -> dict[str, int]:
    """The curveType of each curve of a program, by href."""
    _, members = documents.page(connection, Place(_CURVES, (program,)), documents.ALL)
    return {place.href: curve.curveType for place, curve in members if isinstance(curve, r.DERCurve)}


def misfits(value: r.Resource) -> list[rules.Problem]:
    """What the codec would refuse of a value, with a pointer into it."""
    try:
        codec.check(value)
    except codec.BadValue as error:
        steps = error.path.split("/")[2:]
        # Members are counted from 1 in a path, from 0 in a pointer.
        pointer = re.sub(
            r"\[(\d+)\]", lambda found: f"/{int(found[1]) - 1}", "".join(f"/{one}" for one in steps)
        )
        return [(pointer, error.message)]
    return []


def curve_links(base: r.DERControlBase) -> list[tuple[str, r.DERCurveLink]]:
    """The modes of a base that are curves, with their links."""
    return [(name, value) for name, value in vars(base).items() if isinstance(value, r.DERCurveLink)]


def curve_at(connection: sa.Connection, href: str) -> r.DERCurve | None:
    """The curve of an href; None: there is none."""
    place = locate(href)
    if place is None or place.row.name != "DERCurve":
        return None
    found = documents.get(connection, place)
    return found if isinstance(found, r.DERCurve) else None


def with_own_curves(
    transaction: Transaction, issuer: Issuer, program: int, base: r.DERControlBase, now: int
) -> r.DERControlBase:
    """A base whose curves are the program's own (CSIP 6.1.8.3): others' are copied to it."""
    links = {}
    for mode, link in curve_links(base):
        place = locate(link.href)
        if place is not None and place.ids[0] != program:
            curve = curve_at(transaction.connection, link.href)
            assert curve is not None
            copied = _find_same(transaction.connection, program, curve) or programs.add_curve(
                transaction, issuer, program, curve.replace(href=None), now
            )
            links[mode] = r.DERCurveLink(href=copied.href)
    return base.replace(**links) if links else base


def _find_same(connection: sa.Connection, program: int, curve: r.DERCurve) -> Place | None:
    _, members = documents.page(connection, Place(_CURVES, (program,)), documents.ALL)
    for place, member in members:
        if isinstance(member, r.DERCurve) and member.replace(mRID=curve.mRID, version=None) == curve.replace(
            version=None
        ):
            return place
    return None
