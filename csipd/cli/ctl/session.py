"""One run of ``csipctl``: where the server is, who we are, how to print, and what the machine gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import tzinfo
from functools import cached_property
from pathlib import Path

from attrs import define, field, frozen

from csipd.cli.ctl.client import Client, Transport
from csipd.cli.ctl.https import Credentials, HTTPSTransport, Server
from csipd.cli.ctl.output import Output
from csipd.config import Settings
from csipd.der.wording import moment_text


def over_tls(server: Server, credentials: Credentials, timeout: float) -> Transport:
    """The way to a real server; `timeout` is in seconds."""
    return HTTPSTransport(server, credentials, timeout=timeout, monotonic=time.monotonic)


@frozen
class Machine:
    """What the machine gives to a run; tests hand in their own."""

    connect: Callable[[Server, Credentials, float], Transport] = over_tls
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    zone: tzinfo | None = None  #: None: as the machine is set


@define(slots=False)
class Session:
    """What the options before the command say. The connection is made when a command first needs it."""

    machine: Machine
    server: Server
    credentials: Credentials
    timeout: float
    tls: Path  #: tls_repository
    settings: Settings | None  #: csipd's own, where --config names them
    zone: tzinfo | None
    out: Output
    _transport: Transport | None = field(default=None, init=False)

    @cached_property
    def client(self) -> Client:
        self._transport = self.machine.connect(self.server, self.credentials, self.timeout)
        return Client(self._transport)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def now(self) -> float:
        """The machine's time of day."""
        return self.machine.now()

    def now_there(self) -> float:
        """The time by which events go: in a lab, whose clock may run fast, the server's."""
        if self.settings is not None and self.settings.lab:
            return float(self.client.get("/status").value["now"])
        return self.now()

    def when(self, moment: object) -> str:
        """A moment of the API for people; nothing for what is absent."""
        return moment_text(moment, self.zone) if isinstance(moment, int) else ""
