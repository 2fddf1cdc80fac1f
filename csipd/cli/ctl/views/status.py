"""The server as facts."""

from __future__ import annotations

from collections.abc import Iterator

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts
from csipd.cli.ctl.views.cells import When, text

#: Seconds before its end at which a certificate is pointed out, as the server does in its log.
_SOON = 90 * 86_400
#: Roll-ups of an hour are made within half an hour of its end; further back they are behind (s).
_BEHIND = 3 * 3600


def _end(one: Value, when: When) -> str:
    end = one.get("your_certificate_ends")
    if not isinstance(end, int):
        return ""
    soon = end - one.get("now", 0) < _SOON
    return when(end) + (" (soon: csipctl certs renew operator)" if soon else "")


def _controls(one: Value, which: str) -> str:
    number, counted = text(one.get(which)), one.get("controls_counted")
    return number if counted is None else f"{number} of the first {counted} to end"


def _notifications(one: Value) -> str:
    """What is pending and failing; of more than the server counts that there are many."""

    def number(key: str) -> str:
        return text(one[key]) if key in one else "many"

    said = f"{number('notifications_pending')} pending, {number('notifications_failing')} failing"
    if one.get("receivers_failing") == 0:
        return said
    return f"{said}, {number('receivers_failing')} receivers cannot be reached (csipctl subscriptions list)"


def _readings(one: Value, when: When) -> str:
    said = text(one.get("readings"))
    until, now = one.get("rolled_up_to"), one.get("now")
    if not isinstance(until, int) or not isinstance(now, int):
        return said
    behind = now - until > _BEHIND
    return f"{said}, rolled up to {when(until)}" + (" (behind)" if behind else "")


def _bus(one: Value, when: When) -> Iterator[tuple[str, str]]:
    """How the GridAPPS-D bus is, where there is one."""
    bus = one.get("bus")
    if not isinstance(bus, dict):
        return
    up, error = bus.get("up_since"), bus.get("last_error")
    said = f"{text(bus.get('broker'))}, {'down' if up is None else f'up since {when(up)}'}"
    if error is not None:
        said += f"; {when(bus.get('last_error_at'))}: {error}"
    yield "GridAPPS-D bus", said
    refused = ", ".join(f"{each['count']} {each['kind']}" for each in bus.get("refused", ()))
    yield (
        "Bus messages",
        (
            f"{text(bus.get('received'))} received, {text(bus.get('sent'))} sent"
            + (f"; refused: {refused}" if refused else "")
        ),
    )
    commanded = ", ".join(f"{each['count']} {each['kind']}" for each in bus.get("commanded", ()))
    if commanded:
        yield "Bus commands", commanded


def _discovery(one: Value) -> Iterator[tuple[str, str]]:
    """How discovery is, where it is on."""
    said = one.get("discovery")
    if not isinstance(said, dict):
        return
    links = ", ".join(map(text, said.get("links", ()))) or "no link"
    yield "Discovery", f"{text(said.get('name'))} on {links}"
    for line in said.get("troubles", ()):
        yield "Discovery trouble", text(line)


def status(one: Value, when: When) -> Facts:
    warning = one.get("warning")
    return Facts(
        (
            ("csipd", text(one.get("version"))),
            *((("Warning", text(warning)),) if warning else ()),
            ("Time", when(one.get("now"))),
            ("Devices", text(one.get("devices"))),
            ("Registered", text(one.get("registered"))),
            ("Programs", text(one.get("programs"))),
            ("Controls active", _controls(one, "controls_active")),
            ("Controls scheduled", _controls(one, "controls_scheduled")),
            ("Alarms open", text(one.get("alarms_open"))),
            ("Subscriptions", text(one.get("subscriptions"))),
            ("Notifications", _notifications(one)),
            ("Mirrors", text(one.get("mirrors"))),
            ("Readings", _readings(one, when)),
            *_bus(one, when),
            *_discovery(one),
            ("Next transition", when(one.get("next_transition"))),
            ("Last tick", when(one.get("last_tick"))),
            ("Your certificate ends", _end(one, when)),
        )
    )
