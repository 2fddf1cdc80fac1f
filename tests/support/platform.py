"""GridAPPS-D without GridAPPS-D, as a program: what csipd meets on the platform's bus, on this machine.

    python -m tests.support.platform --broker

A broker (CoilMQ), the service that gives tokens, the model, a simulator of one feeder
(`tests.support.feeder`) and an application that holds its voltage below a limit: it limits the houses where
that is passed, and takes that back when it has held for a while. They speak by gridappsd-python, the
platform's own client.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Any, Final

from coilmq.server.socket_server import ThreadedStompServer
from gridappsd import DifferenceBuilder, GridAPPSD
from gridappsd import topics as t
from stomp.exception import StompException

from tests.support import coil
from tests.support.fake_platform import REQUESTS, TokenService
from tests.support.feeder import SimulatedFeeder, mrid

HOST: Final = "localhost"
#: As the platform comes.
USER: Final = "system"
PASSWORD: Final = "manager"
TOKEN: Final = "a-token"
SERVICE: Final = "IEEE_2030_5"
#: The limit of voltage, per unit, and what houses may feed in where it was passed (0.01 % of setMaxW).
LIMIT: Final = 1.05
ALLOWED: Final = 4000
_MODE: Final = "opModMaxLimW"
#: Both ways in which applications write the attribute.
_SHAPES: Final = (f"DERControl.DERControlBase.{_MODE}", f"DERControlBase.{_MODE}")
_RETRY: Final = 0.5  # s
_LINGERS: Final = 2.0  # s
#: Outputs after which a command that has no effect is given again.
_AGAIN: Final = 20


def say(line: str) -> None:
    """Say a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def broker(port: int) -> ThreadedStompServer:
    """A broker that listens at a port of this machine (0: a free one) and serves in threads of its own."""
    made = coil.server(port)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    return made


class Services(TokenService):
    """What answers requests: it gives tokens, and the model as a CIM dictionary."""

    def __init__(self, port: int, feeder: SimulatedFeeder) -> None:
        self._feeder = feeder
        super().__init__(port, USER, PASSWORD, TOKEN)
        self._connection.subscribe(t.CONFIG, 2)

    @property
    def connected(self) -> bool:
        return bool(self._connection.is_connected())

    def on_message(self, frame: Any) -> None:
        if frame.headers["destination"] == REQUESTS:
            super().on_message(frame)
            return
        asked = json.loads(frame.body)
        say(f"model: asked for the {asked['configurationType']} of {asked['parameters']['model_id']}")
        self._connection.send(frame.headers["reply-to"], json.dumps(self._feeder.dictionary()))

    def close(self) -> None:
        self._connection.disconnect()


class Application:
    """Holds the voltage below the limit: it limits the houses where that is passed, and lets go later.

    A command that has no effect is given again: whoever was not on the bus has not heard it.

    :param release: outputs after a limit when it is taken back; 0: never
    """

    def __init__(self, feeder: SimulatedFeeder, release: int) -> None:
        self._feeder = feeder
        self._release = release
        self._limits = False
        self._since = 0  #: outputs since the last command
        self._commands = -1

    def command(self, volts: float) -> tuple[str, dict[str, Any]] | None:
        """What it commands now, if anything: in words, and as a difference message."""
        self._since += 1
        is_high = volts > LIMIT
        if not self._limits and is_high:
            self._limits = True
            self._commands += 1
        elif self._limits and not is_high and self._release and self._since > self._release:
            self._limits = False
        elif self._commands < 0 or is_high is not self._limits or self._since <= _AGAIN:
            return None
        self._since = 0
        what = f"is {ALLOWED}" if self._limits else "is taken back"
        return f"{self._attribute} {what}", self._message(ALLOWED if self._limits else None)

    @property
    def _attribute(self) -> str:
        return _SHAPES[self._commands % len(_SHAPES)]

    def _message(self, value: int | None) -> dict[str, Any]:
        """A limit, or a reverse difference without a forward one."""
        builder = DifferenceBuilder(self._feeder.simulation_id)
        for name in self._feeder.names:
            builder.add_difference(mrid(name), self._attribute, value, None)
        message: dict[str, Any] = builder.get_message()
        if value is None:
            message["input"]["message"]["forward_differences"] = []
        return message


class Platform:
    """What of it goes over one connection: services, the simulation, and how the application speaks.

    :param port: where the broker listens
    """

    def __init__(self, port: int, feeder: SimulatedFeeder, application: Application | None) -> None:
        self._feeder = feeder
        self._application = application
        self._lock = threading.Lock()
        self._services = Services(port, feeder)
        self._gapps = GridAPPSD(stomp_address=HOST, stomp_port=port, username=USER, password=PASSWORD)
        self._id = feeder.simulation_id
        self._reports = 0
        self._gapps.subscribe(t.simulation_input_topic(self._id), self._input)
        self._gapps.subscribe(t.service_output_topic(SERVICE, self._id), self._report)

    @property
    def connected(self) -> bool:
        return self._services.connected and bool(self._gapps.connected)

    def step(self, seconds: int) -> None:
        """Let the simulation go on, and the application see it."""
        with self._lock:
            output = self._feeder.step(seconds)
            volts, power = max(self._feeder.voltages().values()), self._feeder.power()
            taken, strange = self._feeder.taken, len(self._feeder.strange)
        self._gapps.send(t.simulation_output_topic(self._id), output)
        say(
            f"simulation {self._id}: {volts:.4f} p.u. at the end, {power / 1000:.1f} kW,"
            f" {taken} differences taken over, {strange} strange; csipd told {self._reports} times"
        )
        if self._application is not None:
            commanded = self._application.command(volts)
            if commanded is not None:
                words, message = commanded
                self._gapps.send(t.service_input_topic(SERVICE, self._id), message)
                say(f"application: {words}")

    def end(self, status: str) -> None:
        """Say that the simulation is over."""
        self._gapps.send(t.simulation_log_topic(self._id), self._feeder.log(status))

    def close(self) -> None:
        for close in (self._services.close, self._gapps.disconnect):
            try:
                close()
            except (StompException, OSError):
                continue

    def _input(self, _: dict[str, str], message: Any) -> None:
        with self._lock:
            self._feeder.take(message)

    def _report(self, _: dict[str, str], message: Any) -> None:
        self._reports += 1


def run(
    port: int, feeder: SimulatedFeeder, application: Application | None, every: float, steps: int
) -> None:
    """Let the simulation go on until it is over, whatever becomes of the broker."""
    platform: Platform | None = None
    done = 0
    while done < steps:
        try:
            if platform is None:
                platform = Platform(port, feeder, application)
                say(f"platform: simulation {feeder.simulation_id} of {len(feeder.names)} houses")
            if not platform.connected:
                raise StompException("the connection is lost")
            platform.step(max(1, round(every)))
            done += 1
        except (StompException, OSError) as error:
            say(f"platform: {type(error).__name__} {error}")
            if platform is not None:
                platform.close()
            platform = None
        time.sleep(every if platform is not None else _RETRY)
    if platform is not None:
        platform.end("COMPLETE")
        platform.close()
    say(f"platform: simulation {feeder.simulation_id} is complete")


def main() -> None:
    parser = argparse.ArgumentParser(prog="platform", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=61_613, help="where the broker listens (61613)")
    parser.add_argument("--broker", action="store_true", help="run the broker, too")
    parser.add_argument("--only-broker", action="store_true", help="run nothing else")
    parser.add_argument("--simulation", default="1234", help="id of the simulation (1234)")
    parser.add_argument("--houses", type=int, default=10, help="of the feeder, with an inverter each (10)")
    parser.add_argument("--every", type=float, default=1.0, help="seconds from one output to the next (1)")
    parser.add_argument(
        "--steps", type=int, default=3600, help="outputs until the simulation is complete (3600)"
    )
    parser.add_argument(
        "--release", type=int, default=60, help="outputs after which a limit is taken back (60); 0: never"
    )
    parser.add_argument("--no-application", action="store_true", help="nobody holds the voltage")
    parser.add_argument("--model", action="store_true", help="print the model's CIM dictionary and end")
    found = parser.parse_args()
    feeder = SimulatedFeeder(found.simulation, found.houses)
    if found.model:
        say(json.dumps(feeder.dictionary()["data"], indent=1))
        return
    if found.broker or found.only_broker:
        served = broker(found.port)
        found.port = served.server_address[1]
        say(f"broker: listens on {HOST}:{found.port}")
        if found.only_broker:
            threading.Event().wait()
    application = None if found.no_application else Application(feeder, found.release)
    run(found.port, feeder, application, found.every, found.steps)
    if found.broker:
        # What was said last is still on its way through it.
        time.sleep(_LINGERS)


if __name__ == "__main__":
    main()
