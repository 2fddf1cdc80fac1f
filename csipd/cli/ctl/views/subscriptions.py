"""Subscriptions as a table, and one with what becomes of its notifications in words."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts, Grid
from csipd.cli.ctl.views.cells import When, named, text


def subscriptions(items: Iterable[Value], when: When) -> Grid:
    rows = (
        (
            text(one.get("number")),
            named(one, "device"),
            text(one.get("resource")),
            text(one.get("notificationURI")),
            text(one.get("state")),
            when(one.get("told")),
            when(one.get("next_attempt")),
            text((one.get("failing") or one.get("receiver_failing") or {}).get("reason")),
        )
        for one in items
    )
    heads = ("Number", "Subscriber", "Resource", "Receiver", "State", "Told", "Next attempt", "Reason")
    return Grid(heads, tuple(rows))


def subscription(one: Value, when: When) -> Facts:
    return Facts(
        (
            ("Number", text(one.get("number"))),
            ("Subscriber", named(one, "device")),
            ("Resource", text(one.get("resource"))),
            ("Receiver", text(one.get("notificationURI"))),
            ("Members at most", text(one.get("limit"))),
            ("State", _state(one, when)),
            ("Told", when(one.get("told")) or "never"),
            ("Made", when(one.get("created"))),
            ("Expires", when(one.get("expires"))),
            *((("Fails", _failure(one["failing"], when)),) if one.get("failing") else ()),
            *(
                (("Receiver fails", _failure(one["receiver_failing"], when)),)
                if one.get("receiver_failing")
                else ()
            ),
        )
    )


def _state(one: Value, when: When) -> str:
    next_attempt = when(one.get("next_attempt"))
    match one.get("state"):
        case "told":
            return "its subscriber knows all"
        case "pending":
            return f"something may have to be sent, from {next_attempt} on"
        case "failing" if next_attempt:
            return f"the last attempt failed; the next one is at {next_attempt}"
        case "failing":
            return "the last attempt failed"
        case "ended":
            return f"ended at {when(one.get('ended'))}; its subscriber has still to be told so"
    return text(one.get("state"))


def _failure(failed: Value, when: When) -> str:
    attempts = failed.get("attempts")
    times = "once" if attempts == 1 else f"{attempts} times in a row"
    return f"{times} since {when(failed.get('since'))}: {text(failed.get('reason'))}"
