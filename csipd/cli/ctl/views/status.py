"""The server as facts."""

from __future__ import annotations

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts
from csipd.cli.ctl.views.cells import When, text


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
