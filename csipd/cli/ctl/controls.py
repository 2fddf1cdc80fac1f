"""``csipctl controls``: what devices are told to do, and how they answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.live import Live

from csipd.cli.ctl import lookup
from csipd.cli.ctl.client import Client, Document, Value
from csipd.cli.ctl.errors import Failure, ServerFailed, Unreachable
from csipd.cli.ctl.options import (
    DURATION,
    DURATION_HELP,
    MOMENT_HELP,
    NUMBER,
    Command,
    Moment,
    Paging,
    Parsed,
    ask,
    base_options,
    check_units,
    given,
    idempotent,
    paged,
    pass_session,
    show_list,
    yes_option,
    zone_query,
)
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.values import Unitless, parse_category
from csipd.cli.ctl.views import controls as views
from csipd.cli.ctl.views import delivery as delivery_views

Snapshot = list[tuple[Value, Value]]
"""Controls as they are at a moment, each with its answers."""

_SHOWN = 20
"""Controls that were made, of which there may be one for each device, and are shown."""

_WANTED = (
    "program",
    "group",
    "devices",
    "start",
    "duration",
    "description",
    "randomize_start",
    "randomize_duration",
    "category",
    "response_required",
)
_WATCHED = 50
"""Controls that are watched where none is named."""

_STATUSES = ("scheduled", "active", "cancelled", "superseded", "completed")
_RANDOM = click.IntRange(-3600, 3600)


def _bits(text: str) -> str:
    if len(text) != 2 or set(text) - set("0123456789abcdefABCDEF"):
        raise ValueError(f"{text[:20]!r} is not two hexadecimal digits, such as 03")
    return text.upper()


@click.group("controls")
def controls() -> None:
    """DER controls: make, preview, watch, cancel.

    CONTROL is its number. Events never change: to change one, cancel it and make another.
    """


def _control_options(command: Command) -> Command:
    """What a control is to be, handed on as one argument `wanted`: the request, without curves looked up."""

    @click.option("--program", help="For all devices of this program (number or description).")
    @click.option("--group", help="For all devices under this group (number or name).")
    @click.option(
        "--device", "devices", multiple=True, help="For this device (number, name or LFDI); repeat."
    )
    @click.option("--start", type=Moment(ahead=True), help=f"At once if you give none {MOMENT_HELP}.")
    @click.option("--duration", type=DURATION, required=True, help=f"How long {DURATION_HELP}.")
    @click.option("--description", help="At most 32 characters.")
    @click.option("--randomize-start", type=_RANDOM, help="Seconds by which each device may shift the start.")
    @click.option(
        "--randomize-duration", type=_RANDOM, help="Seconds by which each device may shift the duration."
    )
    @click.option(
        "--category", type=Parsed("category", parse_category), help="Only devices of this deviceCategory."
    )
    @click.option(
        "--response-required",
        type=Parsed("bits", _bits),
        help="Two hex digits: 01 received, 02 what became of it, 04 the user's word.",
    )
    @base_options
    @functools.wraps(command)
    def with_control(*args: Any, base: Value, unitless: list[Unitless], **options: Any) -> Any:
        chosen = {name: options.pop(name) for name in _WANTED}
        if sum(bool(chosen[name]) for name in ("program", "group", "devices")) != 1:
            raise click.UsageError("Give one of --program, --group and --device.")
        if not base:
            raise click.UsageError("A control needs modes: --set, --base or both.")
        return command(*args, wanted={**chosen, "base": base}, unitless=unitless, **options)

    return with_control


def _request(session: Session, wanted: Value) -> Value:
    """The request for a control: names become numbers, curves hrefs."""
    client = session.client
    program = wanted["program"] and lookup.program(client, wanted["program"])
    group = wanted["group"] and lookup.group(client, wanted["group"])

    if group is not None:
        _check_group(client, wanted["group"], group)

    def programs() -> list[int] | None:
        if program is not None:
            return [program]
        return None if group is None else list(client.get(f"/groups/{group}").value.get("programs", ()))

    return given(
        program=program,
        group=group,
        devices=tuple(lookup.device(client, device) for device in wanted["devices"]),
        description=wanted["description"],
        start=wanted["start"],
        duration=wanted["duration"],
        randomizeStart=wanted["randomize_start"],
        randomizeDuration=wanted["randomize_duration"],
        deviceCategory=wanted["category"],
        responseRequired=wanted["response_required"],
        base=lookup.base_with_curves(client, wanted["base"], programs),
    )


def _check_group(client: Client, called: str, group: int) -> None:
    """See that a group has the one program that a control for it needs, and say what to do where not."""
    found = client.get(f"/groups/{group}").value
    programs, names = found.get("programs", ()), found.get("program_names", ())
    if not programs:
        raise Failure(
            f"group {called} has no program that a control could be in: make one first, such as"
            f" csipctl programs add 'For {called}' --primacy 7 --group {called}"
        )
    if len(programs) > 1:
        known = ", ".join(f"{name} ({number})" for number, name in zip(programs, names, strict=False))
        raise Failure(f"group {called} has several programs, say which by --program: {known or programs}")


@controls.command("create")
@_control_options
@yes_option
@idempotent
@pass_session
def create_control(session: Session, wanted: Value, unitless: list[Unitless], yes: bool, key: str) -> None:
    """Make a control for a program, a group, or named devices.

    What it will do is said first, and you are asked; the end of input counts as no. --yes does it unasked,
    but not with a number whose unit is in doubt: opModMaxLimW=60 would be 0.6 %, opModMaxLimW=60% is not.

    \b
    Examples:
      csipctl controls create --program 1 --duration 2h --set opModMaxLimW=60% --start 16:00
      csipctl controls create --group feeder-1 --duration 30m --set opModConnect=false --yes
      csipctl controls create --device dev1 --device dev2 --duration 1h --set opModTargetW=3kW
      csipctl controls create --program 1 --duration 1h --start "in 5m" --set opModVoltVar="Volt-VAR 1"
      csipctl controls create --program 1 --duration 1h --set opModFixedPFInjectW.displacement=95 \\
          --set opModFixedPFInjectW.multiplier=-2 --set opModFixedPFInjectW.excitation=true
    """
    check_units(unitless, yes)
    request = _request(session, wanted)
    if not yes:
        preview = session.client.post("/controls/preview", request, query=zone_query(session)).value
        doubts = [f"warning: {one.warning}" for one in unitless]
        ask(session, [*views.preview(preview, session.when), *doubts], "Make this control?")
    made = session.client.post("/controls", request, key)
    items = made.value.get("items", [])
    session.out.document(
        made, *views.warnings(made.value), "Made", views.controls(items[:_SHOWN], session.when)
    )
    if len(items) > _SHOWN and not session.out.as_json:
        session.out.note(f"and {len(items) - _SHOWN} more, for one device each")


@controls.command("preview")
@_control_options
@pass_session
def preview_control(session: Session, wanted: Value, unitless: list[Unitless]) -> None:
    """Show what a control would do, without making it: whom it reaches and what it supersedes.

    \b
    Examples:
      csipctl controls preview --program 1 --duration 2h --set opModMaxLimW=60%
    """
    preview = session.client.post("/controls/preview", _request(session, wanted), query=zone_query(session))
    session.out.document(preview, *views.preview(preview.value, session.when))
    for one in unitless:
        session.out.note(f"warning: {one.warning}")


@controls.command("list")
@click.option("--program", help="Only those of this program (number or description).")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those that stand so.")
@click.option("--since", type=Moment(ahead=False), help=f"Only those that end after this {MOMENT_HELP}.")
@click.option("--until", type=Moment(ahead=False), help="Only those that start before this.")
@paged
@pass_session
def list_controls(
    session: Session,
    paging: Paging,
    program: str | None,
    status: str | None,
    since: int | None,
    until: int | None,
) -> None:
    """List controls, the latest start first.

    \b
    Examples:
      csipctl controls list --status active
      csipctl controls list --program 1 --since -24h
      csipctl controls list --since 2026-07-01 --until 2026-07-02
    """
    query = {
        "program": program and lookup.program(session.client, program),
        "status": status,
        "since": since,
        "until": until,
    }
    show_list(session, "/controls", paging, lambda items: views.controls(items, session.when), query)


@controls.command("show")
@click.argument("control", type=NUMBER)
@pass_session
def show_control(session: Session, control: int) -> None:
    """Show one control.

    \b
    Examples:
      csipctl controls show 12
    """
    document = session.client.get(f"/controls/{control}")
    session.out.document(document, views.control(document.value, session.when))


@controls.command("delivery")
@click.argument("control", type=NUMBER)
@click.option(
    "--verdict",
    "verdicts",
    type=click.Choice([name.replace("_", "-") for name in delivery_views.VERDICTS]),
    multiple=True,
    help="Only devices of which this is so, of all pages; may be given several times.",
)
@paged
@pass_session
def show_delivery(session: Session, control: int, paging: Paging, verdicts: tuple[str, ...]) -> None:
    """Show what was commanded, and what readings say was delivered: in all, and by device.

    The totals are as of when the server last went over the control; devices are judged as of now. A device
    without readings is named as such. All of it, as CSV or JSON: csipctl export delivery.

    \b
    Examples:
      csipctl controls delivery 12
      csipctl controls delivery 12 --all
      csipctl controls delivery 12 --verdict not-obeyed --verdict no-readings
    """
    path = f"/controls/{control}/delivery"
    if verdicts:
        _show_some(session, session.client.pages(path, {}, paging.after), verdicts)
        return
    if paging.everything:
        pages = session.client.pages(path, {}, paging.after)
        if session.out.as_json:
            session.out.pages(pages)
            return
    else:
        pages = iter([session.client.get(path, limit=paging.limit, after=paging.after)])
    following = None
    for place, page in enumerate(pages):
        if session.out.as_json:
            session.out.document(page)
            return
        value = page.value
        rows = value.get("items", [])
        if place == 0:
            session.out.show(*delivery_views.totals(value.get("totals", ()), session.when))
            if not rows:
                session.out.note(
                    "It commands no amount of power, as curves and power factors do not, or is for no device."
                )
        if rows:
            session.out.show(delivery_views.devices(rows), goes_on=place > 0)
        following = value.get("next")
    if following is not None:
        session.out.note(f"There are more: --after {following} goes on, --all shows all.")


def _show_some(session: Session, pages: Iterable[Document], verdicts: tuple[str, ...]) -> None:
    wanted = {verdict.replace("-", " ") for verdict in verdicts}
    rows = [one for page in pages for one in page.value.get("items", ()) if one.get("verdict") in wanted]
    if session.out.as_json:
        session.out.json({"items": rows})
    elif rows:
        session.out.show(delivery_views.devices(rows))
    else:
        session.out.note("None.")


@controls.command("cancel")
@click.argument("numbers", metavar="CONTROL...", type=NUMBER, nargs=-1, required=True)
@click.option(
    "--randomized", is_flag=True, default=None, help="Each device ends at a random moment of its own."
)
@click.option("--reason", help="Why; devices see it.")
@yes_option
@pass_session
def cancel_controls(
    session: Session, numbers: tuple[int, ...], randomized: bool | None, reason: str | None, yes: bool
) -> None:
    """Cancel controls that are scheduled or active.

    What it will mean is said first, and you are asked once for all of them.

    \b
    Examples:
      csipctl controls cancel 12 --reason "forecast was wrong"
      csipctl controls cancel 12 13 14 --yes
      csipctl controls cancel 12 --randomized
    """
    content = given(randomized=randomized, reason=reason)
    numbers = tuple(dict.fromkeys(numbers))
    if not yes:
        said: list[str] = []
        for control in numbers:
            path = f"/controls/{control}/cancel/preview"
            preview = session.client.post(path, content, query=zone_query(session))
            said += preview.value.get("summary", ())
        question = "Cancel this control?" if len(numbers) == 1 else f"Cancel these {len(numbers)} controls?"
        ask(session, said, question)
    for control in numbers:
        document = session.client.post(f"/controls/{control}/cancel", content)
        value = document.value
        session.out.document(document, views.control(value, session.when) if value else "Done.")


@controls.command("watch")
@click.argument("numbers", metavar="[CONTROL]...", type=NUMBER, nargs=-1)
@click.option(
    "--every", type=DURATION, default="5s", show_default=True, help=f"How often to ask {DURATION_HELP}."
)
@pass_session
def watch_controls(session: Session, numbers: tuple[int, ...], every: int) -> None:
    """Watch controls and the answers of devices, until all is over or Ctrl-C.

    Without numbers it is those that are active or scheduled when the watch begins, the next ones first.

    That is when it is completed, cancelled or superseded and each device has given the last answer that was
    asked of it, or is silent beyond its time. With --json there is one line for each time.

    \b
    Examples:
      csipctl controls watch
      csipctl controls watch 12
      csipctl controls watch 12 13 14 --every 30s
    """
    if every < 1:
        raise click.BadParameter("is a second at least", param_hint="--every")
    numbers = numbers or _current(session)
    if not numbers:
        session.out.note("No control is active or scheduled.")
        return
    snapshot = _fetch(session, numbers)  # what is wrong with the numbers is said before anything is drawn
    with _live_view(session) as show:
        while True:
            show(snapshot)
            if all(views.is_over(one, said) for one, said in snapshot):
                return
            session.machine.sleep(every)
            try:
                snapshot = _fetch(session, numbers)
            except (Unreachable, ServerFailed) as failure:  # it may be back the next time
                session.out.note(f"csipctl: {failure.message}; trying again")


def _current(session: Session) -> tuple[int, ...]:
    """The controls that are active or scheduled, by their starts."""
    found: list[Value] = []
    for status in ("active", "scheduled"):
        for page in session.client.pages("/controls", {"status": status}):
            found += page.value.get("items", ())
    found.sort(key=lambda one: one["control"]["interval"]["start"])
    if len(found) > _WATCHED:
        session.out.note(f"Of {len(found)} controls these are the first {_WATCHED}.")
    return tuple(one["number"] for one in found[:_WATCHED])


def _fetch(session: Session, numbers: Sequence[int]) -> Snapshot:
    get = session.client.get
    return [(get(f"/controls/{one}").value, get(f"/controls/{one}/answers").value) for one in numbers]


@contextmanager
def _live_view(session: Session) -> Iterator[Callable[[Snapshot], None]]:
    """How snapshots are shown: a line of JSON each, a table that is redrawn, or one for each change."""
    out = session.out
    last: list[Grid] = []

    def line(snapshot: Snapshot) -> None:
        out.json({"items": [{"control": one, "answers": said} for one, said in snapshot]})

    def change(snapshot: Snapshot) -> None:
        grid = views.watched(snapshot, session.when)
        if last != [grid]:
            last[:] = [grid]
            out.show(session.when(int(session.now_there())), grid)

    if out.as_json:
        yield line
    elif not out.console.is_terminal:
        yield change
    else:
        with Live(console=out.console, auto_refresh=False) as live:

            def redraw(snapshot: Snapshot) -> None:
                grid = views.watched(snapshot, session.when)
                live.update(out.drawn(session.when(int(session.now_there())), grid), refresh=True)

            yield redraw
