"""What a command will do, in sentences: read by an operator before it is confirmed, here or in any client.

The facts are those of the previews (db/commands.py); this module finds the names and makes the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import tzinfo

import sqlalchemy as sa

from csipd.db import addressees, controls, documents, group_counts, programs, rates, schedules
from csipd.db.commands import Command, Effect, Overlap, Target
from csipd.der.events import ALL_CATEGORIES, Event
from csipd.der.wording import counted, duration_text, listed, mode_text, moment_text, value_text
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element
from csipd.sep2.site import locate
from csipd.sep2.types import DeviceCategory
from csipd.web.admin.forms import Line
from csipd.web.admin.names import Names
from csipd.web.json_form import to_json

#: Devices that a sentence names; the others are counted.
NAMED = 10
#: Events in conflict, or programs, that are listed one by one.
MOST_LISTED = 20
_LONGEST = 1024
_SINGULAR = frozenset(("1 second", "1 minute", "1 hour", "1 day"))


class Consequences(Element):
    """What a command will do, in sentences."""

    summary: tuple[Line, ...]


def line(text: str) -> str:
    """A sentence as a form can hold it."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def of_control(
    connection: sa.Connection,
    target: Target,
    command: Command,
    effect: Effect,
    *,
    zone: tzinfo,
    poll_rates: Mapping[str, int],
    now: int,
) -> tuple[str, ...]:
    """What a control will do: who, what, when, and what becomes of others.

    :param poll_rates: pollRate by resource name (s); the schema's default for the others
    """
    names = Names(connection)
    sentences = [
        f"{_addressees(names, target, effect)} will {_modes_text(connection, command.base)}.",
        _times_text(effect.event, zone, now),
        *_randomized(effect.event),
        *_delivery_text(connection, names, effect, poll_rates, now),
    ]
    sentences += [_supersedes_text(names, one, zone) for one in effect.supersedes[:MOST_LISTED]]
    sentences += [_loses_text(names, one, zone) for one in effect.superseded_by[:MOST_LISTED]]
    rest = sum(max(0, len(some) - MOST_LISTED) for some in (effect.supersedes, effect.superseded_by))
    if rest:
        sentences.append(f"{counted(rest, 'more control')} that meet it are not told here.")
    return tuple(map(line, sentences))


def of_cancellation(
    connection: sa.Connection, kept: schedules.StoredControl, *, randomized: bool, zone: tzinfo, now: int
) -> tuple[str, ...]:
    """What it will mean that a control is cancelled."""
    names = Names(connection)
    (document,) = controls.shown(connection, [kept])
    event = kept.event
    until = moment_text(event.end, zone)
    how = "each device at a random moment of its own" if randomized else "at once"
    sentences = [
        f"{control_name(kept.number, document.description)} of {program_name(names, kept.program)} will be"
        f" cancelled: {_modes_text(connection, document.DERControlBase)}.",
    ]
    if event.begins > now:
        start = moment_text(event.begins, zone)
        sentences.append(f"It has not begun; it was to run from {start} to {until} (time zone {zone}).")
    else:
        left = duration_text(max(0, event.end - now))
        sentences.append(
            f"It is running and was to end at {until}; it ends {how}, {left} early (time zone {zone})."
        )
    whom = program_members(connection, kept.program)
    if event.categories != ALL_CATEGORIES:
        whom = f"of {whom}, those of category {_categories(event)}"
    sentences.append(f"Then other controls, or the defaults, hold for {whom}. This cannot be taken back.")
    return tuple(map(line, sentences))


def of_default(
    connection: sa.Connection, program: int, default: r.DefaultDERControl, settings: Iterable[str]
) -> tuple[str, ...]:
    """What it will mean that a program has this default."""
    given = vars(default)
    parts = [f"{name} {value_text(name, given[name])}" for name in settings if name in given]
    modes = _modes_text(connection, default.DERControlBase)
    sentences = [f"Where no control holds a mode, {program_members(connection, program)} will {modes}."]
    if parts:
        sentences.append(f"Besides, {listed(parts, most=len(parts))}.")
    return tuple(map(line, sentences))


def program_members(connection: sa.Connection, program: int) -> str:
    """The devices of a program: how many, under which group, some by name."""
    owner = programs.owner_of(program)
    if owner is not None:
        return f"device {Names(connection).device(owner)}"
    return group_members(connection, programs.group_of(connection, program))


def group_members(connection: sa.Connection, group: int) -> str:
    """The devices under a group, likewise."""
    names = Names(connection)
    total = group_counts.number_under(connection, group)
    some = names.devices(addressees.some_under(connection, group, NAMED))
    named = f" ({listed(some, total)})" if some else ""
    return f"{counted(total, 'device')} under group {names.group(group)}{named}"


def program_name(names: Names, number: int) -> str:
    """A program by description and number, with its group."""
    if programs.owner_of(number) is not None:
        return f"the {names.program(number)}"
    group = names.group_of(number)
    return f"program {names.program(number)!r} ({number}{f', group {group}' if group else ''})"


def control_name(number: int, description: str | None) -> str:
    """A control by number and description."""
    return f"Control {number}{f' {description!r}' if description else ''}"


def _addressees(names: Names, target: Target, effect: Effect) -> str:
    some = names.devices(effect.sample[:NAMED])
    if target.devices:
        return f"{counted(effect.devices, 'device')} by name ({listed(some, effect.devices)})"
    owner = programs.owner_of(effect.programs[0])
    if owner is not None:
        return f"Device {names.device(owner)}"
    named = f" ({listed(some, effect.devices)})" if some else ""
    of = "" if effect.event.categories == ALL_CATEGORIES else f" of category {_categories(effect.event)}"
    return f"{counted(effect.devices, 'device')}{of} in {program_name(names, effect.programs[0])}{named}"


def _categories(event: Event) -> str:
    named = [one.name for one in DeviceCategory if event.categories & one and one.name]
    return ", ".join(named) or f"{event.categories:08X}"


def _modes_text(connection: sa.Connection, base: r.DERControlBase) -> str:
    curves = {}
    for value in vars(base).values():
        if isinstance(value, r.DERCurveLink) and (place := locate(value.href)) is not None:
            curve = documents.get(connection, place)
            if isinstance(curve, r.DERCurve) and curve.description:
                curves[value.href] = curve.description
    parts = [mode_text(name, value, curves) for name, value in to_json(base).items()]
    return listed(parts, most=len(parts)) or "follow nothing"


def _times_text(event: Event, zone: tzinfo, now: int) -> str:
    begins = "at once" if event.begins <= now else f"at {moment_text(event.start, zone)}"
    if event.start < now:
        begins += f" (its start was {moment_text(event.start, zone)})"
    left = duration_text(event.end - max(event.start, now))
    return f"It begins {begins} and ends at {moment_text(event.end, zone)}, {left} later (time zone {zone})."


def _randomized(event: Event) -> list[str]:
    shifts = (("start", event.randomize_start), ("duration", event.randomize_duration))
    parts = [
        f"{'lengthens' if bound > 0 else 'shortens'} its duration by up to {duration_text(abs(bound))}"
        if name == "duration"
        else f"begins up to {duration_text(abs(bound))} {'later' if bound > 0 else 'sooner'}"
        for name, bound in shifts
        if bound
    ]
    return [f"Each device {listed(parts)}, by chance."] if parts else []


def _delivery_text(
    connection: sa.Connection, names: Names, effect: Effect, poll_rates: Mapping[str, int], now: int
) -> list[str]:
    """How long it takes until devices know of it, where that may be after its start."""
    lists = _slowest(connection, "DERProgramList", effect, poll_rates)
    fsas = _slowest(connection, "FunctionSetAssignmentsList", effect, poll_rates)
    owned = {
        program: owner for program in effect.programs if (owner := programs.owner_of(program)) is not None
    }
    shown = programs.shown(connection, list(owned.values()))
    new = sorted(program for program, owner in owned.items() if owner not in shown)
    sentences = []
    if new and effect.event.begins - now < fsas + lists:
        who = listed(names.devices([owned[program] for program in new[:NAMED]]), len(new))
        sentences.append(
            f"It is the first control by name for {who}: a device finds the program that it is in when it"
            " next reads its function set assignments and programs, up to"
            f" {duration_text(fsas + lists)} from now."
        )
    if len(new) < len(effect.programs) and effect.event.begins - now < lists:
        sentences.append(
            f"Devices that do not subscribe read their programs every {duration_text(lists)}, and may begin"
            " so much later."
        )
    return sentences


def _slowest(connection: sa.Connection, resource: str, effect: Effect, poll_rates: Mapping[str, int]) -> int:
    """The longest pollRate that counts where a control goes (s); devices of a group may have others alone."""
    found = []
    for program in effect.programs[:NAMED]:
        owner = programs.owner_of(program)
        whose = {"group": programs.group_of(connection, program)} if owner is None else {"device": owner}
        found.append(rates.poll_rate(connection, resource, poll_rates, **whose))
    return max(found, default=poll_rates.get(resource, r.DERProgramList.pollRate))


def _supersedes_text(names: Names, one: Overlap, zone: tzinfo) -> str:
    modes = listed(one.modes, most=len(one.modes))
    return f"It takes {modes} from {_other(names, one, zone)}{_loss_text(one, 'that one', 'this one', zone)}"


def _loses_text(names: Names, one: Overlap, zone: tzinfo) -> str:
    modes = listed(one.modes, most=len(one.modes))
    fate = _loss_text(one, "this one", "that one", zone)
    return f"It loses {modes} to {_other(names, one, zone)}, which is better{fate}"


def _other(names: Names, one: Overlap, zone: tzinfo) -> str:
    period = f"{moment_text(one.event.start, zone)} to {moment_text(one.event.end, zone)}"
    return f"control {one.other} of {program_name(names, one.program)}, {period}"


def _loss_text(one: Overlap, loser: str, winner: str, zone: tzinfo) -> str:
    """What becomes of the loser."""
    loss = one.loss
    if loss is None:
        return "."
    part = "" if one.wholly else f" in {'this mode' if len(one.modes) == 1 else 'these modes'}"
    if loss.ends is None:
        how = f"{loser} does not run at all{part}, not even outside the time of {winner}"
    else:
        how = f"{loser} ends at {moment_text(loss.ends, zone)}{part} and does not resume"
    bare = duration_text(loss.uncovered)
    left = f"; {bare} {'is' if bare in _SINGULAR else 'are'} left without it" if loss.uncovered else ""
    return f": {how}{left}."
