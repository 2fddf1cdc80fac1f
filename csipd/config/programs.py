"""``curves``, ``controls``, ``programs``, ``fsas`` and ``events`` of the file.

Each list is read after those it refers to, so that a name is checked where it stands.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from attrs import evolve

from csipd.config.document import Mapping as MappingNode
from csipd.config.document import Node
from csipd.config.fields import (
    MISSING,
    Fields,
    InvalidValue,
    Reader,
    boolean,
    did_you_mean,
    hexadecimal,
    integer,
    is_number,
    name_of,
    once,
    scalar,
    text,
)
from csipd.config.model import IDENTITY, given
from csipd.config.settings import FSA, Control, Curve, Event, Program
from csipd.sep2 import resources as r
from csipd.sep2.rules import (
    Y_REFERENCES,
    base_flaws,
    curve_flaws,
    default_flaws,
    link_flaws,
    response_flaws,
    timing_flaws,
)
from csipd.sep2.types import MODES, CurveType

#: What IdentifiedObject.description holds (IEEE 2030.5-2018 B.2.3.4).
DESCRIPTION: Final = text(32, "a description")

_UINT32 = 2**32 - 1
_INT32 = integer(-(2**31), 2**31 - 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR = 366 * 24 * 3600
_POINTS = 10

_LINKS = [mode.name for mode in MODES if mode.curve is not None]


def instant(zone: ZoneInfo) -> Reader[int]:
    """An ISO 8601 date and time, in ``zone`` where it names no offset -> seconds since 1970."""

    def read(node: Node) -> int:
        expected = "a time such as 2026-07-01T12:00:00Z"
        written = scalar(node, expected).text
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            raise InvalidValue(expected) from None
        if len(written) < len("20260701T1200") or moment.microsecond:
            raise InvalidValue(expected)
        if moment.tzinfo is None:
            early, late = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
            if early.utcoffset() != late.utcoffset():
                raise InvalidValue(f"a time with its offset: clocks change then in {zone.key}")
            moment = early
        seconds = (moment - _EPOCH) // timedelta(seconds=1)
        if seconds < 0:
            raise InvalidValue("a time after 1970")
        return seconds

    return read


def program_of(programs: Collection[str]) -> Reader[str]:
    """A program by its description, plain or as ``{description: ...}``."""
    named = name_of("description of a program", programs)

    def read(node: Node) -> str:
        if isinstance(node, MappingNode) and list(node.items) == ["description"]:
            node = node.items["description"][1]
        return named(node)

    return read


def read_curves(top: Fields, zone: ZoneInfo) -> tuple[Curve, ...]:
    seen: dict[str, int] = {}
    return tuple(_curve(entry, zone, seen) for entry in top.each("curves"))


def _curve(entry: Fields, zone: ZoneInfo, seen: dict[str, int]) -> Curve:
    description = entry.need("description", DESCRIPTION, "")
    once(entry, "description", description, seen)
    values = given(entry, r.DERCurve, leave=IDENTITY | {"CurveData", "creationTime"})
    if not entry.has("curveType"):
        entry.error("curveType", MISSING)
    kind = CurveType(values.get("curveType", CurveType.FREQ_WATT))
    values["CurveData"] = _points(entry, kind)
    created = entry.get("creationTime", _time_or_epoch(zone), None)
    _take_defaults(entry, kind, values, created)
    if "curveType" in values and 1 <= len(values["CurveData"]) <= _POINTS:
        entry.flaws(curve_flaws(r.DERCurve(**{"mRID": "0", "creationTime": 0, **values})))
    entry.close()
    return Curve(description, values)


def _take_defaults(entry: Fields, kind: CurveType, values: dict[str, Any], created: int | None) -> None:
    """Fill in what the schema requires and the file leaves out; one warning a curve (decision 26)."""
    taken = []
    for key, default in (("xMultiplier", 0), ("yMultiplier", 0), ("yRefType", Y_REFERENCES[kind][0])):
        if key not in values:
            values[key] = int(default)
            taken.append(f"{key} {int(default)}")
    if created is None:
        taken.append("creationTime when first seen")
    else:
        values["creationTime"] = created
    if taken:
        entry.problems.warn(entry.line, entry.path, f"defaults taken: {', '.join(taken)}")


def _time_or_epoch(zone: ZoneInfo) -> Reader[int]:
    named, counted = instant(zone), integer(0, 2**40)
    return lambda node: counted(node) if is_number(node) else named(node)


def _points(entry: Fields, kind: CurveType) -> tuple[r.CurveData, ...]:
    points = []
    for point in entry.each("CurveData"):
        x, y = point.need("xvalue", _INT32, 0), point.need("yvalue", _INT32, 0)
        excitation = _excitation(point, kind)
        point.close()
        points.append(r.CurveData(excitation=excitation, xvalue=x, yvalue=y))
    size = entry.size("CurveData")
    if not entry.has("CurveData"):
        entry.error("CurveData", MISSING)
    elif size is not None and not 1 <= size <= _POINTS:
        entry.error("CurveData", f"expected 1..{_POINTS} points, got {size}")
    return tuple(points)


def _excitation(point: Fields, kind: CurveType) -> bool | None:
    """The side of a power factor; ``exitation`` is GridAPPS-D's spelling of it."""
    keys = [key for key in ("excitation", "exitation") if point.has(key)]
    if kind is not CurveType.WATT_PF:
        for key in keys:
            point.warn(key, "left out: y is not a power factor in this type of curve")
        return None
    if len(keys) > 1:
        point.error(keys[1], "given twice, also as excitation")
    return point.get(keys[0], boolean, False) if keys else None


def read_controls(top: Fields, curves: tuple[Curve, ...]) -> tuple[Control, ...]:
    seen: dict[str, int] = {}
    controls = []
    for entry in top.each("controls"):
        description = entry.need("description", DESCRIPTION, "")
        once(entry, "description", description, seen)
        controls.append(_control(entry, description, "base", curves))
        entry.close()
    return tuple(controls)


def _control(entry: Fields, description: str, base_key: str, curves: tuple[Curve, ...]) -> Control:
    modes: dict[str, Any] = {}
    links: dict[str, str] = {}
    base = entry.section(base_key)
    if base is not None:
        modes = given(base, r.DERControlBase, leave=_LINKS)
        links = _links(base, curves)
        base.flaws(base_flaws(r.DERControlBase(**modes)))
        base.close()
    settings = given(entry, r.DefaultDERControl, leave=IDENTITY | {"DERControlBase"})
    entry.flaws(default_flaws(r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(), **settings)))
    return Control(description, modes, links, settings)


def _links(base: Fields, curves: tuple[Curve, ...]) -> dict[str, str]:
    known = {curve.description: curve.values.get("curveType") for curve in curves}
    links = {}
    for mode in _LINKS:
        curve = base.get(mode, name_of("description of a curve", known), None)
        if curve is not None:
            links[mode] = curve
    # A curve whose type was wrong has been reported.
    readable: dict[str, Any] = {
        mode: r.DERCurveLink(href=curve) for mode, curve in links.items() if known[curve] is not None
    }
    base.flaws(link_flaws(r.DERControlBase(**readable), known.get, "in this file"))
    return links


def read_programs(
    top: Fields, controls: tuple[Control, ...], curves: tuple[Curve, ...]
) -> tuple[Program, ...]:
    templates = {control.description: control for control in controls}
    control_of = name_of("description of a control", templates)
    curve_of = name_of("description of a curve", [curve.description for curve in curves])
    seen: dict[str, int] = {}
    programs = []
    for entry in top.each("programs"):
        program = Program(
            description=entry.need("description", DESCRIPTION, ""),
            primacy=entry.need("primacy", integer(0, 255), 0),
            default_control=entry.get("default_control", control_of, None),
            controls=entry.listed("controls", control_of),
            curves=entry.listed("curves", curve_of),
        )
        once(entry, "description", program.description, seen)
        for name, template in templates.items():
            if program.names(name):
                for curve in sorted(set(template.curves.values()) - set(program.curves)):
                    entry.error("curves", f"expected {curve!r} among them: control {name!r} uses it")
        entry.close()
        programs.append(program)
    return tuple(programs)


def read_default_program(
    top: Fields, controls: tuple[Control, ...], programs: tuple[Program, ...]
) -> tuple[Control, Program] | None:
    """``default_program``, a program with a default control of its own description."""
    entry = top.section("default_program")
    if entry is None:
        return None
    description = entry.need("description", DESCRIPTION, "")
    if description in [c.description for c in controls] + [p.description for p in programs]:
        entry.error("description", "expected a description that no control or program has")
    primacy = entry.need("primacy", integer(0, 255), 0)
    default = entry.section("DefaultDERControl")
    control = Control(description)
    if default is not None:
        control = _control(default, description, "DERControlBase", ())
        default.close()
    entry.close()
    return control, Program(description, primacy, default_control=description)


def read_fsas(top: Fields, programs: Collection[str]) -> tuple[FSA, ...]:
    seen: dict[str, int] = {}
    fsas = []
    for entry in top.each("fsas"):
        fsa = FSA(
            description=entry.need("description", DESCRIPTION, ""),
            programs=entry.listed("programs", program_of(programs)),
        )
        once(entry, "description", fsa.description, seen)
        entry.close()
        fsas.append(fsa)
    return tuple(fsas)


def read_events(
    top: Fields, controls: tuple[Control, ...], programs: tuple[Program, ...], zone: ZoneInfo
) -> tuple[Event, ...]:
    """The events that can be scheduled; one that cannot, or that stands twice, is warned of and left out."""
    events: dict[Event, int] = {}
    for entry in top.each("events"):
        event = _event(entry, controls, programs, zone)
        if event is None:
            continue
        if event in events:
            entry.problems.warn(
                entry.line, entry.path, f"the same as in line {events[event]}: scheduled once"
            )
        events.setdefault(event, entry.line)
    return tuple(events)


def _event(
    entry: Fields, controls: tuple[Control, ...], programs: tuple[Program, ...], zone: ZoneInfo
) -> Event | None:
    control = entry.need("control", _control_of(controls), None)
    program = entry.get(
        "program", name_of("description of a program", [p.description for p in programs]), None
    )
    start, delay = entry.get("start", _start(zone), (None, 0))
    duration = entry.get("duration", integer(0, _UINT32), 3600)
    bound = integer(-3600, 3600)
    randomize_start = entry.get("randomizeStart", bound, None)
    randomize_duration = entry.get("randomizeDuration", bound, None)
    response_required = entry.get("responseRequired", hexadecimal(1), 3)
    flaws = [*timing_flaws(start or 0, duration, randomize_duration), *response_flaws(response_required)]
    # The interval's parts are keys of the event itself.
    entry.flaws(evolve(flaw, path=flaw.path[-1:]) for flaw in flaws)
    entry.close()
    if control is None:
        return None
    if not control.schedulable:
        entry.warn("control", f"{control.description!r} has no base and cannot be scheduled: left out")
        return None
    naming = tuple(p.description for p in programs if p.names(control.description))
    if program is not None and program not in naming:
        entry.error("program", f"expected a program that names control {control.description!r}")
    if not naming:
        entry.warn("control", f"no program names {control.description!r}: left out")
        return None
    return Event(
        control=control.description,
        program=program,
        programs=naming if program is None else (program,),
        start=start,
        delay=delay,
        duration=duration,
        randomizeStart=randomize_start,
        randomizeDuration=randomize_duration,
        responseRequired=response_required,
    )


def _control_of(controls: tuple[Control, ...]) -> Reader[Control]:
    known = {control.description: control for control in controls}

    def read(node: Node) -> Control:
        written = scalar(node, "a control")
        if written.text in known:
            return known[written.text]
        try:
            return controls[integer(0, len(controls) - 1)(node)]
        except InvalidValue:
            expected = f"the description of one of {len(controls)} controls, or its index from 0"
            raise InvalidValue(expected, did_you_mean(written.text, known)) from None

    return read


def _start(zone: ZoneInfo) -> Reader[tuple[int | None, int]]:
    """``(start, delay)``: a moment, or seconds after the entry is first seen."""
    moment, seconds = instant(zone), integer(0, _YEAR)
    return lambda node: (None, seconds(node)) if is_number(node) else (moment(node), 0)
