"""JSON of the API -> what an operator reads: tables, facts and trees. `when` says how times are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Branch, Facts, Grid, Part
from csipd.cli.ctl.times import show_duration
from csipd.cli.ctl.values import (
    show_base,
    show_category,
    show_curve_type,
    show_level,
    show_mode,
    show_unit_ref,
)
from csipd.sep2.identity import pretty_lfdi
from csipd.sep2.types import ResponseRequired

When = Callable[[object], str]

_RESULTS = ("completed", "opted_out", "cancelled", "superseded", "rejected")
"""What a device says last of an event."""

_OVER = frozenset(("cancelled", "superseded", "completed"))
"""Statuses of a control of which nothing more comes."""


def text(value: object) -> str:
    """A simple value in a cell."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case list() | tuple():
            return ", ".join(map(text, value))
        case Mapping():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def lfdi(value: object) -> str:
    """An LFDI in groups of four."""
    try:
        return pretty_lfdi(str(value))
    except ValueError:
        return text(value)


# Devices


def devices(items: Iterable[Value]) -> Grid:
    rows = (
        (
            text(one.get("number")),
            text(one.get("name")),
            lfdi(one.get("lFDI")),
            text(one.get("standing")),
            "aggregator" if one.get("aggregator") else _category(one),
            text(one.get("manager")),
            text(one.get("groups")),
        )
        for one in items
    )
    heads = ("Device", "Name", "LFDI", "Standing", "Category", "Manager", "Groups")
    return Grid(heads, tuple(rows))


def device(one: Value, when: When) -> Facts:
    return Facts(
        (
            ("Device", text(one.get("number"))),
            ("Name", text(one.get("name"))),
            ("URI", text(one.get("href"))),
            ("LFDI", lfdi(one.get("lFDI"))),
            ("SFDI", text(one.get("sFDI"))),
            ("PIN", _pin(one.get("pIN"))),
            ("Standing", text(one.get("standing"))),
            ("Aggregator", "yes" if one.get("aggregator") else ""),
            ("Managed by", text(one.get("manager"))),
            ("Category", _category(one)),
            ("Groups", text(one.get("groups"))),
            ("Poll rate", _seconds(one.get("pollRate"))),
            ("Post rate", _seconds(one.get("postRate"))),
            ("Registered", when(one.get("registered"))),
            ("Withdrawn", when(one.get("withdrawn"))),
            ("Retired", when(one.get("retired"))),
            ("Changed", when(one.get("changedTime"))),
        )
    )


def state(one: Value, when: When) -> list[Part]:
    """What a device should be doing and why, then what it said of itself."""
    parts: list[Part] = [f"Device {text(one.get('device'))} at {when(one.get('now'))}"]
    acting = tuple(
        (
            text(each.get("mode")),
            _acting_value(each),
            _cause(each),
            when(each.get("since")),
            when(each.get("until")),
        )
        for each in one.get("acting", ())
    )
    heads = ("Mode", "Value", "Because of", "Since", "Until")
    parts += ["", Grid(heads, acting, "Should be doing") if acting else "No control and no default holds."]
    if one.get("passed"):
        rows = tuple(
            (
                text(each.get("mode")),
                f"control {text(each.get('control'))} of program {text(each.get('program'))}",
                text(each.get("reason")),
                text(each.get("by")),
            )
            for each in one["passed"]
        )
        parts += ["", Grid(("Mode", "Event", "Why not", "By control"), rows, "Passed over")]
    for report in one.get("statuses", ()):
        parts += _reported(report, when)
    if one.get("alarms"):
        parts += ["", _titled(alarms(one["alarms"], when), "Alarms")]
    if one.get("responses"):
        parts += ["", _titled(responses(one["responses"], when), "Responses")]
    return parts


def log_events(items: Iterable[Value], when: When) -> Grid:
    rows = []
    for one in items:
        event = one.get("event", {})
        rows.append(
            (
                text(one.get("number")),
                when(event.get("createdDateTime")),
                text(event.get("functionSet")),
                text(event.get("logEventCode")),
                text(event.get("details")),
                text(event.get("logEventID")),
                text(event.get("profileID")),
                "hidden" if one.get("hidden") else "",
            )
        )
    heads = ("Log event", "Time", "Function set", "Code", "Details", "ID", "Profile", "")
    return Grid(heads, tuple(rows))


def alarms(items: Iterable[Value], when: When) -> Grid:
    rows = (
        (
            text(one.get("number")),
            text(one.get("device")),
            text(one.get("name")),
            when(one.get("raised")),
            when(one.get("cleared")) or "open",
            text(one.get("details")),
        )
        for one in items
    )
    return Grid(("Alarm", "Device", "Name", "Raised", "Cleared", "Details"), tuple(rows))


# Groups and programs


def group_tree(items: Iterable[Value]) -> list[Branch]:
    """Groups as they hang; one whose parent is not there, or that is below itself, stands at the top."""
    known = {one.get("number"): one for one in items}
    below: dict[Any, list[Value]] = {}
    for one in known.values():
        parent = one.get("parent")
        below.setdefault(parent if parent in known else None, []).append(one)
    shown: set[Any] = set()

    def branch(one: Value) -> Branch:
        shown.add(one.get("number"))
        children = [each for each in below.get(one.get("number"), ()) if each.get("number") not in shown]
        return Branch(_group_line(one), tuple(map(branch, children)))

    tree = [branch(one) for one in below.get(None, ())]
    return tree + [branch(one) for one in known.values() if one.get("number") not in shown]


def _group_line(one: Value) -> str:
    parts = [f"{text(one.get('number'))} {text(one.get('name'))}"]
    if "level" in one:
        parts.append(show_level(one["level"]))
    count = one.get("devices", 0)
    parts.append(f"{count} device{'' if count == 1 else 's'}")
    if one.get("programs"):
        parts.append(f"programs {text(one['programs'])}")
    return " - ".join(parts)


def group(one: Value) -> Facts:
    return Facts(
        (
            ("Group", text(one.get("number"))),
            ("Name", text(one.get("name"))),
            ("Below", text(one.get("parent"))),
            ("Level", show_level(one["level"]) if "level" in one else ""),
            ("FSA", text(one.get("fsa"))),
            ("Programs", text(one.get("programs"))),
            ("Devices", text(one.get("devices"))),
        )
    )


def programs(items: Iterable[Value], when: When) -> Grid:
    rows = (
        (
            text(one.get("number")),
            text(one.get("description")),
            text(one.get("primacy")),
            _audience(one),
            text(one.get("version")),
            when(one.get("retired")),
        )
        for one in items
    )
    return Grid(("Program", "Description", "Primacy", "For", "Version", "Retired"), tuple(rows))


def program(one: Value, when: When) -> Facts:
    return Facts(
        (
            ("Program", text(one.get("number"))),
            ("Description", text(one.get("description"))),
            ("URI", text(one.get("href"))),
            ("mRID", text(one.get("mRID"))),
            ("Primacy", text(one.get("primacy"))),
            ("For", _audience(one)),
            ("Version", text(one.get("version"))),
            ("Retired", when(one.get("retired"))),
        )
    )


def default(one: Value) -> Facts:
    """A DefaultDERControl: its modes, then what only it sets."""
    base = one.get("DERControlBase", {})
    pairs = [("Description", text(one.get("description"))), ("mRID", text(one.get("mRID")))]
    pairs += [(name, show_mode(name, value)) for name, value in base.items()]
    pairs += [(name, text(value)) for name, value in one.items() if name.startswith("set")]
    return Facts(tuple(pairs))


def curves(items: Iterable[Value]) -> Grid:
    rows = (
        (
            text(one.get("href")),
            text(one.get("description")),
            show_curve_type(one.get("curveType")),
            show_unit_ref(one.get("yRefType")),
            f"10^{one.get('xMultiplier', 0)}, 10^{one.get('yMultiplier', 0)}",
            "  ".join(map(_point, one.get("CurveData", ()))),
        )
        for one in items
    )
    return Grid(("Curve", "Description", "Type", "Share of", "Multipliers", "Points"), tuple(rows))


# Controls


def controls(items: Iterable[Value], when: When) -> Grid:
    rows = tuple(_control_row(one, when) for one in items)
    heads = ("Control", "Program", "Status", "Start", "Duration", "Modes", "Description")
    return Grid(heads, rows)


def _control_row(one: Value, when: When) -> tuple[str, ...]:
    event = one.get("control", {})
    interval = event.get("interval", {})
    return (
        text(one.get("number")),
        text(one.get("program")),
        text(one.get("status")),
        when(interval.get("start")),
        _duration(interval.get("duration")),
        show_base(event.get("DERControlBase")),
        text(event.get("description")),
    )


def control(one: Value, when: When) -> Facts:
    event = one.get("control", {})
    interval, status = event.get("interval", {}), event.get("EventStatus", {})
    start, duration = interval.get("start"), interval.get("duration")
    ends = start + duration if isinstance(start, int) and isinstance(duration, int) else None
    pairs = [
        ("Control", text(one.get("number"))),
        ("Description", text(event.get("description"))),
        ("Program", text(one.get("program"))),
        ("Status", text(one.get("status"))),
        ("Since", when(status.get("dateTime"))),
        ("Reason", text(status.get("reason"))),
        ("Superseded by", text(one.get("superseded_by"))),
        ("Start", when(start)),
        ("Duration", _duration(duration)),
        ("End", when(ends)),
        ("Start randomized by", _signed(event.get("randomizeStart"))),
        ("Duration randomized by", _signed(event.get("randomizeDuration"))),
        ("For", _category(event)),
    ]
    pairs += [(name, show_mode(name, value)) for name, value in event.get("DERControlBase", {}).items()]
    pairs += [
        ("Responses wanted", text(event.get("responseRequired"))),
        ("Made", when(event.get("creationTime"))),
        ("Made by", text(one.get("who"))),
        ("URI", text(one.get("href"))),
        ("mRID", text(event.get("mRID"))),
    ]
    return Facts(tuple(pairs))


def preview(one: Value) -> list[Part]:
    """What a control would do."""
    count, sample = one.get("devices", 0), list(one.get("sample", ()))
    some = f" ({'such as' if len(sample) < count else 'numbers'} {text(sample)})" if sample else ""
    parts: list[Part] = [Facts((("Devices", f"{count}{some}"), ("Programs", text(one.get("programs")))))]
    for name, title in (("supersedes", "Would supersede"), ("superseded_by", "Would be superseded by")):
        if one.get(name):
            parts += ["", _superseded(one[name], title)]
    return [*parts, *warnings(one)]


def warnings(one: Value) -> list[Part]:
    """The warnings of a preview, or of controls that were made."""
    return [f"warning: {text(line)}" for line in one.get("warnings", ())]


def needs_asking(one: Value) -> bool:
    """Whether a preview has something in it that the operator should agree to."""
    return any(one.get(name) for name in ("supersedes", "superseded_by", "warnings"))


def _superseded(items: Iterable[Value], title: str) -> Grid:
    rows = (
        (
            text(one.get("control")),
            text(one.get("program")),
            text(one.get("modes")),
            "wholly" if one.get("wholly") else "in part",
        )
        for one in items
    )
    return Grid(("Control", "Program", "Modes", ""), tuple(rows), title)


def watched(items: Iterable[tuple[Value, Value]], when: When) -> Grid:
    """Controls, each with its answers."""
    names = ("asked", "received", "started", *_RESULTS, "silent")
    heads = (
        "Control",
        "Status",
        "Start",
        "Duration",
        *(name.capitalize().replace("_", " ") for name in names),
    )
    rows = []
    for one, said in items:
        number, _, status, start, duration, *_ = _control_row(one, when)
        rows.append((number, status, start, duration, *(text(said.get(name)) for name in names)))
    return Grid(heads, tuple(rows))


def is_over(one: Value, said: Value) -> bool:
    """Whether a control is over, and no device is still in time for an answer that was asked of it.

    Each count has the devices that said so, and one that is past its time counts as silent.
    """
    if one.get("status") not in _OVER:
        return False
    wanted = _bits(one.get("control", {}).get("responseRequired"))
    if not wanted & (ResponseRequired.RECEIVED | ResponseRequired.SPECIFIC):
        return True
    heard = sum(said.get(name, 0) for name in _RESULTS)
    if not wanted & ResponseRequired.SPECIFIC:
        heard = max(heard, said.get("received", 0))
    return bool(heard + said.get("silent", 0) >= said.get("asked", 0))


def _bits(digits: object) -> int:
    try:
        return int(str(digits), 16)
    except ValueError:
        return 0


# Responses, the audit log, the server


def responses(items: Iterable[Value], when: When) -> Grid:
    rows = (
        (
            text(one.get("number")),
            text(one["device"]) if "device" in one else lfdi(one.get("lFDI")),
            text(one["control"]) if "control" in one else text(one.get("subject")),
            text(one.get("status")),
            text(one.get("meaning")),
            when(one.get("createdDateTime")),
            when(one.get("received")),
            text(one.get("flagged")),
        )
        for one in items
    )
    heads = ("Response", "Device", "Control", "Status", "Meaning", "Created", "Received", "Flagged")
    return Grid(heads, tuple(rows))


def answers(one: Value) -> Facts:
    names = ("control", "asked", "received", "started", *_RESULTS, "silent")
    pairs = [(name.capitalize().replace("_", " "), text(one.get(name))) for name in names]
    return Facts((*pairs, ("Silent are", text(one.get("silent_sample")))))


def audit(items: Iterable[Value], when: When) -> Grid:
    names = ("who", "action", "subject", "detail")
    rows = (
        (text(one.get("number")), when(one.get("at")), *(text(one.get(name)) for name in names))
        for one in items
    )
    return Grid(("Line", "Time", "Who", "Action", "Subject", "Detail"), tuple(rows))


def status(one: Value, when: When) -> Facts:
    return Facts(
        (
            ("csipd", text(one.get("version"))),
            ("Time", when(one.get("now"))),
            ("Devices", text(one.get("devices"))),
            ("Registered", text(one.get("registered"))),
            ("Programs", text(one.get("programs"))),
            ("Controls active", text(one.get("controls_active"))),
            ("Controls scheduled", text(one.get("controls_scheduled"))),
            ("Alarms open", text(one.get("alarms_open"))),
            ("Next transition", when(one.get("next_transition"))),
            ("Last tick", when(one.get("last_tick"))),
        )
    )


# Pieces


def _reported(report: Value, when: When) -> list[Part]:
    """What a device last reported of a DER, each resource with its own title."""
    parts: list[Part] = []
    for name in ("capability", "settings", "status", "availability"):
        if report.get(name):
            pairs = tuple((field, _quantity(field, value, when)) for field, value in report[name].items())
            parts += ["", Facts(pairs, f"DER {text(report.get('der'))}: {name}")]
    return parts


def _quantity(name: str, value: Any, when: When) -> str:
    match value:
        case {"dateTime": since, "value": inner}:
            return f"{text(inner)} since {when(since)}"
        case {"value": _, "multiplier": _}:
            return show_mode("", value)
        case {"displacement": _, "multiplier": power}:
            return show_mode("", {"value": value["displacement"], "multiplier": power})
        case int() if name in ("readingTime", "updatedTime"):
            return when(value)
    return text(value)


def _titled(grid: Grid, title: str) -> Grid:
    return Grid(grid.heads, grid.rows, title)


def _acting_value(one: Value) -> str:
    """What holds a mode: the API has it as text, in JSON as in a DERControlBase."""
    value = text(one.get("value"))
    try:
        return show_mode(text(one.get("mode")), json.loads(value))
    except (ValueError, RecursionError):
        return value


def _cause(one: Value) -> str:
    source = f"control {text(one['control'])}" if "control" in one else text(one.get("source"))
    return f"{source} of program {text(one.get('program'))}"


def _audience(one: Value) -> str:
    return f"device {text(one['device'])}" if "device" in one else f"group {text(one.get('group'))}"


def _category(one: Value) -> str:
    return show_category(one["deviceCategory"]) if "deviceCategory" in one else ""


def _pin(pin: object) -> str:
    return f"{pin:06d}" if isinstance(pin, int) else text(pin)


def _seconds(count: object) -> str:
    return f"{count} s" if isinstance(count, int) else text(count)


def _signed(count: object) -> str:
    return f"{count:+d} s" if isinstance(count, int) else text(count)


def _duration(seconds: object) -> str:
    return show_duration(seconds) if isinstance(seconds, int) and seconds >= 0 else text(seconds)


def _point(point: Value) -> str:
    side = {True: " absorbing", False: " injecting"}.get(point.get("excitation", ""), "")
    return f"({text(point.get('xvalue'))}, {text(point.get('yvalue'))}{side})"
