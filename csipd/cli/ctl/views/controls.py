"""Controls, what one would do, and how they are answered, as tables and facts."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts, Grid, Part
from csipd.cli.ctl.views.cells import (
    RESULTS,
    When,
    all_named,
    category,
    duration,
    named,
    of_program,
    signed,
    text,
)
from csipd.der.wording import base_text, counted, listed, value_text
from csipd.sep2.types import MODE, ResponseRequired

_NAMED = 20
"""Devices of a preview that are named."""

_OVER = frozenset(("cancelled", "superseded", "completed"))
"""Statuses of a control of which nothing more comes."""


def controls(items: Iterable[Value], when: When) -> Grid:
    rows = tuple(_control_row(one, when) for one in items)
    heads = ("Control", "Program", "Status", "Start", "Duration", "Modes", "Description")
    return Grid(heads, rows)


def _status(one: Value) -> str:
    """The status in a word, and whether devices do not run it all the same, or not all of it."""
    displaced = one.get("displaced", ())
    if not displaced:
        return text(one.get("status"))
    better = ", ".join(dict.fromkeys(text(lost.get("control")) for lost in displaced))
    modes = MODE.keys() & one.get("control", {}).get("DERControlBase", {})
    whole = modes <= {mode for lost in displaced for mode in lost.get("modes", ())}
    return f"{text(one.get('status'))}, {'' if whole else 'in part '}displaced by {better}"


def _displacements(one: Value) -> str:
    return "; ".join(
        f"control {lost.get('control')} of {of_program(lost)} took {listed(list(lost.get('modes', ())))} on"
        f" {counted(lost.get('devices', 0), 'device')}, where it does not resume"
        for lost in one.get("displaced", ())
    )


def _control_row(one: Value, when: When) -> tuple[str, ...]:
    event = one.get("control", {})
    interval = event.get("interval", {})
    return (
        text(one.get("number")),
        named(one, "program"),
        _status(one),
        when(interval.get("start")),
        duration(interval.get("duration")),
        base_text(event.get("DERControlBase")),
        text(event.get("description")),
    )


def control(one: Value, when: When) -> Facts:
    event = one.get("control", {})
    interval, status = event.get("interval", {}), event.get("EventStatus", {})
    start, length = interval.get("start"), interval.get("duration")
    ends = start + length if isinstance(start, int) and isinstance(length, int) else None
    pairs = [
        ("Control", text(one.get("number"))),
        ("Description", text(event.get("description"))),
        ("Program", named(one, "program")),
        ("Status", text(one.get("status"))),
        ("Displaced", _displacements(one)),
        ("Since", when(status.get("dateTime"))),
        ("Reason", text(status.get("reason"))),
        ("Superseded by", text(one.get("superseded_by"))),
        ("Start", when(start)),
        ("Duration", duration(length)),
        ("End", when(ends)),
        ("Start randomized by", signed(event.get("randomizeStart"))),
        ("Duration randomized by", signed(event.get("randomizeDuration"))),
        ("For", category(event)),
    ]
    pairs += [(name, value_text(name, value)) for name, value in event.get("DERControlBase", {}).items()]
    pairs += [
        ("Responses wanted", text(event.get("responseRequired"))),
        ("Made", when(event.get("creationTime"))),
        ("Made by", text(one.get("who"))),
        ("URI", text(one.get("href"))),
        ("mRID", text(event.get("mRID"))),
    ]
    return Facts(tuple(pairs))


def preview(one: Value, when: When) -> list[Part]:
    """What a control would do: in words, then in tables."""
    count, sample = one.get("devices", 0), list(one.get("sample", ()))
    names = list(one.get("names", ())) or sample
    known = [f"{name} ({number})" for name, number in zip(names, sample, strict=False)]
    facts = Facts(
        (
            ("Start", when(one.get("start"))),
            ("End", when(one.get("end"))),
            ("Devices", f"{count}: {listed(known, count, _NAMED)}" if known else text(count)),
            ("Programs", all_named(one, "programs", "program_names")),
        )
    )
    parts: list[Part] = [*map(text, one.get("summary", ())), "", facts]
    for name, title in (("supersedes", "Would supersede"), ("superseded_by", "Would be superseded by")):
        if one.get(name):
            parts += ["", _superseded(one[name], title, when)]
    return [*parts, *warnings(one)]


def warnings(one: Value) -> list[Part]:
    """The warnings of a preview, or of controls that were made."""
    return [f"warning: {text(line)}" for line in one.get("warnings", ())]


def _superseded(items: Iterable[Value], title: str, when: When) -> Grid:
    rows = (
        (
            text(one.get("control")),
            named(one, "program"),
            when(one.get("start")),
            when(one.get("end")),
            text(one.get("modes")),
            "wholly" if one.get("wholly") else "in part",
            duration(one.get("uncovered")) if one.get("uncovered") else "",
        )
        for one in items
    )
    heads = ("Control", "Program", "Start", "End", "Modes", "Loses them", "Left without")
    return Grid(heads, tuple(rows), title)


def watched(items: Iterable[tuple[Value, Value]], when: When) -> Grid:
    """Controls, each with its answers."""
    names = ("asked", "received", "started", *RESULTS, "silent")
    heads = (
        "Control",
        "Status",
        "Start",
        "Duration",
        *(name.capitalize().replace("_", " ") for name in names),
    )
    rows = []
    for one, said in items:
        number, _, status, start, length, *_ = _control_row(one, when)
        rows.append((number, status, start, length, *(text(said.get(name)) for name in names)))
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
    heard = sum(said.get(name, 0) for name in RESULTS)
    if not wanted & ResponseRequired.SPECIFIC:
        heard = max(heard, said.get("received", 0))
    return bool(heard + said.get("silent", 0) >= said.get("asked", 0))


def _bits(digits: object) -> int:
    try:
        return int(str(digits), 16)
    except ValueError:
        return 0
