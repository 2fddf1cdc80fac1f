"""What a device should be doing, as tables and facts."""

from __future__ import annotations

from typing import Any

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts, Grid, Part
from csipd.cli.ctl.views.alarms import alarms
from csipd.cli.ctl.views.cells import When, named, of_program, text, titled
from csipd.cli.ctl.views.responses import responses
from csipd.der.wording import value_text

#: What a device put of itself: where it stands in the answer, and its title.
_OF_THE_DEVICE = (
    ("information", "DeviceInformation"),
    ("device_status", "DeviceStatus"),
    ("power_status", "PowerStatus"),
)
#: Elements that are moments.
_TIMES = ("readingTime", "updatedTime", "changedTime", "mfDate", "swActTime")


def state(one: Value, when: When) -> list[Part]:
    """What a device should be doing and why, then what it said of itself."""
    parts: list[Part] = [f"Device {named(one, 'device')} at {when(one.get('now'))}"]
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
                f"control {text(each.get('control'))} of {of_program(each)}",
                text(each.get("reason")),
                text(each.get("by")),
            )
            for each in one["passed"]
        )
        parts += ["", Grid(("Mode", "Event", "Why not", "By control"), rows, "Passed over")]
    for report in one.get("statuses", ()):
        parts += _reported(report, when)
    for name, title in _OF_THE_DEVICE:
        if one.get(name):
            parts += ["", _facts(one[name], title, when)]
    if one.get("alarms"):
        parts += ["", titled(alarms(one["alarms"], when), "Alarms")]
    if one.get("responses"):
        parts += ["", titled(responses(one["responses"], when), "Responses")]
    return parts


def _reported(report: Value, when: When) -> list[Part]:
    """What a device last reported of a DER, each resource with its own title."""
    parts: list[Part] = []
    for name in ("capability", "settings", "status", "availability"):
        if report.get(name):
            parts += ["", _facts(report[name], f"DER {text(report.get('der'))}: {name}", when)]
    return parts


def _facts(resource: Value, title: str, when: When) -> Facts:
    return Facts(tuple((name, _quantity(name, value, when)) for name, value in resource.items()), title)


def _quantity(name: str, value: Any, when: When) -> str:
    match value:
        case {"dateTime": since, "value": inner}:
            return f"{text(inner)} since {when(since)}"
        case {"value": _, "multiplier": _}:
            return value_text("", value)
        case {"displacement": _, "multiplier": power}:
            return value_text("", {"value": value["displacement"], "multiplier": power})
        case int() if name in _TIMES:
            return when(value)
    return text(value)


def _acting_value(one: Value) -> str:
    """What holds a mode: the API has it as a DERControlBase of this one mode."""
    return "; ".join(value_text(name, value) for name, value in one.get("value", {}).items())


def _cause(one: Value) -> str:
    source = f"control {text(one['control'])}" if "control" in one else text(one.get("source"))
    return f"{source} of {of_program(one)}"
