"""``make demo``: csipd, forty simulated devices and an operator, on this machine, in less than two minutes.

csipd runs in a process and a folder of its own, as a lab whose clock is fast. On a terminal the feeder is
shown live, elsewhere the story is told in lines. The folder stays, with all that happened, and can be served
again.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import Progress
from rich.table import Table
from rich.text import Text
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from csipd.cli.ctl.client import Client
from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.https import Credentials, HTTPSTransport, Server
from csipd.sim import enrolment
from csipd.sim.assembly import DAY, Plan, assemble, place_of
from csipd.sim.clock import SimulatedClock
from csipd.sim.fleet import Fleet
from csipd.sim.roster import Roster
from csipd.sim.running import new_reactor, run
from csipd.sim.story import LIMIT, MISBEHAVING, Outcome, Story, clock_text

#: Devices with certificates of their own, and behind the aggregator.
DEVICES: Final = 30
AGGREGATED: Final = 10
#: How fast the clock runs, and the hour of the day when the story begins.
SPEED: Final = 150
HOUR: Final = 9.1
#: Real seconds that csipd has to begin.
_START = 60.0
#: Real seconds between two lines of figures where there is no terminal.
_EVERY = 5.0
#: Sentences on the screen, which fits into 24 lines of 100 columns.
_SENTENCES = 8
#: Rows of the picture without sentences and controls: a feeder of forty houses, two trends, heads, gaps.
_ROWS = 14

_CONFIGURATION = """\
# Made by `make demo`: csipd as a lab on this machine, whose clock runs fast.
server: 127.0.0.1
https_port: {https_port}
admin_port: {admin_port}
tls_repository: {folder}/tls
storage_path: {folder}/var
generate_admin_cert: true
lab: true
lab_speed: {speed}
server_mode: enddevices_create_on_start
device_capability_poll_rate: 3600
time_poll_rate: 3600
end_device_list_poll_rate: 3600
function_set_assignments_list_poll_rate: 3600
der_program_list_poll_rate: 150
der_list_poll_rate: 600
mirror_usage_point_post_rate: 120
"""


class DemoFailed(Exception):
    """The demo cannot go on. One line."""


class Daemon:
    """csipd in a folder of its own.

    :param folder: an empty one
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yml"
        self.log = folder / "csipd.log"
        self.https_port, self.admin_port = _free_ports()
        self.config.write_text(
            _CONFIGURATION.format(
                https_port=self.https_port, admin_port=self.admin_port, folder=folder, speed=SPEED
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """How it is started in the foreground."""
        twistd = Path(sys.executable).with_name("twistd")
        return [str(twistd), "--nodaemon", "--pidfile=", "csipd", "--config", str(self.config)]

    @property
    def roots(self) -> Path:
        return self.folder / "tls" / "certs" / "ca.crt"

    def start(self) -> None:
        """Start it, and wait until it serves. DemoFailed with its last words."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        ends = time.monotonic() + _START
        while time.monotonic() < ends and self._process.poll() is None:
            try:
                self.client().get("/status")
            except Failure:
                time.sleep(0.1)
            else:
                return
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise DemoFailed(f"csipd does not start: {' '.join(last)} ({self.log})")

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def client(self) -> Client:
        """A connection of the operator's, opened when it is first used."""
        tls = self.folder / "tls"
        return Client(
            HTTPSTransport(
                Server("127.0.0.1", self.admin_port, "127.0.0.1"),
                Credentials(self.roots, tls / "certs" / "admin.crt", tls / "private" / "admin.pem"),
                timeout=30.0,
                monotonic=time.monotonic,
            )
        )


class Screen:
    """What is shown: live on a terminal, in lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._lines: list[str] = []
        self._live: Live | None = None
        self._story: Story | None = None
        self._offset = 0.0

    def begin(self, story: Story, offset: float) -> None:
        """Show a story from now on.

        :param offset: from the clock to the time of the simulated day (s)
        """
        self._story, self._offset = story, offset
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4)
            self._live.start()

    def end(self) -> None:
        """Leave the last picture."""
        if self._live is not None:
            self.show()
            self._live.stop()
            self._live = None

    def say(self, moment: float, sentence: str) -> None:
        """Tell a sentence."""
        line = f"{clock_text(moment, self._offset)}  {sentence}"
        self._lines.append(line)
        if not self.console.is_terminal:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self) -> None:
        """Show how it is now."""
        assert self._story is not None
        if self._live is not None:
            self._live.update(self._picture(self._story))
        elif self._story.history:
            self.console.print(figures(self._story, self._offset), highlight=False, soft_wrap=True)

    def _picture(self, story: Story) -> RenderableType:
        # What does not fit is left out: a live picture that is higher than the screen is cut at its end.
        rows = self.console.height - _ROWS - len(story.dispatched)
        lines = Text(
            "\n".join(self._lines[-max(1, min(_SENTENCES, rows)) :]), no_wrap=True, overflow="ellipsis"
        )
        return Group(
            Text(figures(story, self._offset), style="bold", no_wrap=True, overflow="ellipsis"),
            Text(),
            feeder(story.fleet),
            Text(),
            trend(story, self.console.width - len(_TRENDS[0])),
            Text(),
            controls(story),
            Text(),
            lines,
        )


def figures(story: Story, offset: float) -> str:
    """Time, voltage, power and what was exchanged, in a line."""
    fleet = story.fleet
    counts = fleet.counts
    return (
        f"{clock_text(fleet.clock.now(), offset)}  {story.volts:.3f} p.u.  {fleet.power() / 1000:.0f} kW"
        f"  {fleet.met()}/{len(fleet.units)} devices  {counts.polls} polls  {counts.readings} readings"
        f"  {counts.responses} responses  {counts.notifications} notified"
    )


def feeder(fleet: Fleet) -> Table:
    """The voltage along the feeder: a bar for every eighth house."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for place, volts in list(enumerate(fleet.voltages(0), 1))[7::8]:
        length = max(0, min(40, round((volts - 0.99) * 400)))
        style = "red" if volts > LIMIT else "green"
        table.add_row(
            f"house {place:02}", Text(f"{volts:.3f} p.u.", style=style), Text("█" * length, style=style)
        )
    return table


#: Columns of a trend at most, and what stands before it.
_COLUMNS = 76
_TRENDS = ("Voltage at the end  ", "Power               ")
_LEVELS = " ▁▂▃▄▅▆▇█"


def trend(story: Story, width: int) -> Group:
    """Voltage at the end and power over time, in so many columns at most."""
    found = list(story.history)
    columns = max(0, min(_COLUMNS, width, len(found)))
    samples = [found[column * len(found) // columns] for column in range(columns)]
    volts = [sample.volts for sample in samples]
    watts = [sample.watts for sample in samples]
    shown = Text(_TRENDS[0])
    for value in volts:
        shown.append(_level(value, 1.0, 1.08), style="red" if value > LIMIT else "green")
    power = Text(f"{_TRENDS[1]}{''.join(_level(value, 0.0, 220_000.0) for value in watts)}")
    return Group(shown, power)


def controls(story: Story) -> Table:
    """Who received, started, completed, and who did not."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for head in ("control", "asked", "received", "started", "completed", "silent", "who"):
        table.add_column(head)
    for control in story.dispatched:
        said = control.answers
        table.add_row(
            f"{control.number} {control.title}",
            *(str(said.get(name, "")) for name in ("asked", "received", "started", "completed", "silent")),
            ", ".join(said.get("silent_names", ())),
        )
    return table


def _level(value: float, low: float, high: float) -> str:
    share = (value - low) / (high - low)
    return _LEVELS[max(0, min(len(_LEVELS) - 1, round(share * (len(_LEVELS) - 1))))]


def _free_ports() -> tuple[int, int]:
    """Two ports of the loopback interface that were free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def tell(daemon: Daemon, screen: Screen) -> Outcome:
    """Enrol the fleet and tell the story against a csipd that runs. DemoFailed, Failure."""
    client = daemon.client()
    roster = Roster.read(daemon.folder / "fleet")
    steps = list(enrolment.missing(roster, "demo", DEVICES, AGGREGATED))
    with Progress(console=screen.console, transient=True, disable=not screen.console.is_terminal) as progress:
        for step in progress.track(steps, description="Making forty devices known"):
            step(client)
    reactor = new_reactor()
    begins = float(client.get("/status").value["now"])
    clock = SimulatedClock(reactor, begins, SPEED)
    place = place_of(reactor, "127.0.0.1", daemon.https_port, daemon.roots)
    plan = Plan(DEVICES, AGGREGATED, MISBEHAVING, hour=HOUR, cloudiness=0.0, spread=3.0)
    fleet = assemble(reactor, clock, roster, plan, place)

    def ask(call: Callable[[Any], Any]) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), call, client)

    story = Story(fleet, ask, roster.feeders[1].program, screen.say)
    outcomes: list[Outcome] = []
    failures: list[Any] = []

    def begin() -> None:
        fleet.start()
        telling = Deferred.fromCoroutine(story.tell())
        telling.addCallbacks(outcomes.append, failures.append)
        telling.addBoth(lambda _: reactor.stop())

    offset = HOUR * 3600 - begins % DAY
    screen.begin(story, offset)
    try:
        every = 0.25 if screen.console.is_terminal else _EVERY
        run(reactor, begin, fleet.stop, show=screen.show, every=every)
    finally:
        screen.end()
    if failures:
        raise failures[0].value
    if not outcomes:
        raise KeyboardInterrupt
    for line in fleet.counts.in_words():
        screen.console.print(line, markup=False, highlight=False, soft_wrap=True)
    return outcomes[0]


def _look_closer(daemon: Daemon) -> str:
    """The commands that show what happened."""
    csipctl = Path(sys.executable).with_name("csipctl")
    ctl = f"{_shown(csipctl)} --config {shlex.quote(str(daemon.config))}"
    serve = [_shown(Path(daemon.command[0])), *map(shlex.quote, daemon.command[1:])]
    return "\n".join(
        (
            "To look closer, serve it again:",
            f"  {' '.join(serve)}",
            "and in another shell:",
            f"  {ctl} controls list",
            f"  {ctl} controls delivery 1",
            f"  {ctl} responses answers 1",
            f"  {ctl} alarms list",
            f"  {ctl} devices state demo-0001",
            f"  {ctl} readings series --device demo-0001 --quantity voltage --since -6h",
            f"  {ctl} subscriptions list",
            f"  {ctl} audit list",
            f"It lies in {daemon.folder}; rm -r {shlex.quote(str(daemon.folder))} removes it.",
        )
    )


def _shown(program: Path) -> str:
    """A program's path, from here where it is below."""
    try:
        return shlex.quote(str(program.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(program))


def main() -> int:
    """Run the demo; the exit code."""
    console = Console(highlight=False)
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    daemon = Daemon(Path(mkdtemp(prefix="csipd-demo-")))
    os.chmod(daemon.folder, 0o700)
    began = time.monotonic()
    try:
        console.print(f"Starting csipd in {daemon.folder} ...", soft_wrap=True)
        daemon.start()
        outcome = tell(daemon, Screen(console))
    except (DemoFailed, Failure, AssertionError) as error:
        message = error.message if isinstance(error, Failure) else str(error)
        errors.print(f"demo: {message}")
        return 1
    except KeyboardInterrupt:
        errors.print(f"demo: ended; what there is lies in {daemon.folder}")
        return 130
    finally:
        daemon.stop()
    console.print()
    console.print(result(outcome, time.monotonic() - began), markup=False, soft_wrap=True)
    console.print(_look_closer(daemon), markup=False, soft_wrap=True)
    return 0 if outcome.saved else 1


def result(outcome: Outcome, seconds: float) -> str:
    """How it went, in words."""
    word = "The voltage was saved twice" if outcome.saved else "The voltage was not saved"
    rows = (
        ("before", outcome.before),
        ("curtailed", outcome.curtailed),
        ("without", outcome.after),
        ("volt-var", outcome.volt_var),
    )
    told = "; ".join(f"{name} {one.volts:.3f} p.u. at {one.watts / 1000:.0f} kW" for name, one in rows)
    return f"{word}: {told}. ({seconds:.0f} s)\n"


if __name__ == "__main__":
    sys.exit(main())
