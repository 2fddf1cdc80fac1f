"""What ``csipctl simulate --gridappsd`` does: the platform's devices come, in a simulation of the platform.

They are those of the platform's model, which csipd has made known, with the keys and certificates that it
made for them: so this runs where csipd does, with its configuration. Nothing is made known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
from attrs import frozen
from rich.console import Group
from rich.live import Live
from twisted.internet.defer import CancelledError, Deferred

from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.session import Session
from csipd.cli.ctl.simulation import EVERY, where
from csipd.cli.ctl.views import cosimulation as views
from csipd.config import Settings
from csipd.config.doors import SignOfPower
from csipd.config.settings import LFDIMode
from csipd.gridappsd.access import Access, AccessError, read_access
from csipd.gridappsd.broker import BrokerBus, endpoint_of
from csipd.gridappsd.bus import NoAnswer
from csipd.gridappsd.model import (
    ModelError,
    devices_of,
    dictionary_request,
    feeder_of,
    model_id,
    models_request,
)
from csipd.gridappsd.terminals import Terminal, terminals
from csipd.gridappsd.topics import CONFIG_REQUEST, MODEL_REQUEST
from csipd.net.peer_log import PeerLog
from csipd.net.tls import TLSError
from csipd.pki import PKIError
from csipd.pki.contents import Contents, lfdi_from_file
from csipd.sim.assembly import Making, Plan, place_of
from csipd.sim.clock import SimulatedClock
from csipd.sim.cosimulation import CoSimulation, Joining, join
from csipd.sim.running import new_reactor, run
from csipd.sim.tls import Credential

#: Real seconds that the broker has to take us in, and the platform for its model.
_PATIENCE: Final = 30.0
_ANSWER: Final = 120.0
#: Octets of a simulation's output: what is measured on the largest feeders.
_LARGEST: Final = 32 << 20


@frozen
class Wish:
    """What is wanted of a run.

    :param plan: seed, hour and clouds of the day; how many there are says the model
    :param at: where devices find the server; None: where csipctl does
    :param speed: of the devices' clock; None: the server's
    :param lasts: real seconds; None: until the simulation is over, or Ctrl-C
    """

    plan: Plan
    at: tuple[str, int] | None
    speed: float | None
    lasts: int | None


def carry_out(session: Session, wish: Wish) -> None:
    """Have the platform's devices come. Failure."""
    settings, access = _settings(session)
    assert access.simulation_id is not None
    status = session.client.get("/status").value
    reactor = new_reactor()
    clock = SimulatedClock(reactor, float(status["now"]), wish.speed or status.get("lab_speed", 1))
    host, port = wish.at or where(session)
    try:
        place = place_of(reactor, host, port, session.credentials.ca)
        making = Making(reactor, clock, wish.plan, place)
        bus = BrokerBus(
            endpoint_of(access, reactor),
            access,
            reactor,
            session.machine.now,
            PeerLog(reactor),
            largest=_LARGEST,
        )
        taking_part = _TakingPart(session, settings, access, making, bus)
    except (TLSError, OSError, ValueError) as error:
        raise Failure(str(error)) from None
    console = session.out.console
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            _run(taking_part, wish, lambda fleet: live.update(_picture(session, fleet)), 1.0)
    else:
        _run(taking_part, wish, lambda fleet: click.echo(views.line(fleet, session.zone)), EVERY)
    if taking_part.failure is not None:
        raise taking_part.failure
    if taking_part.fleet is None:
        session.out.note("It ended before the platform had given its model.")
        return
    if session.out.as_json:
        session.out.json(views.figures(taking_part.fleet))
    else:
        session.out.show(*views.summary(taking_part.fleet))


def _settings(session: Session) -> tuple[Settings, Access]:
    """The bus and the simulation, as the configuration names them. Failure."""
    if session.settings is None:
        raise Failure("the platform's devices have their keys where csipd runs: --config names its file")
    settings = session.settings
    try:
        access = read_access(settings.gridappsd)
    except AccessError as error:
        raise Failure(f"gridappsd: {error.key}: {error}") from None
    if access is None:
        raise Failure("there is no bus in csipd's configuration: gridappsd: names its address")
    if access.simulation_id is None:
        raise Failure("csipd's configuration names no simulation: simulation_id does")
    return settings, access


def _run(taking_part: _TakingPart, wish: Wish, show: Callable[[CoSimulation], object], every: float) -> None:
    def show_it() -> None:
        if taking_part.fleet is not None:
            show(taking_part.fleet)

    run(
        taking_part.reactor,
        taking_part.begin,
        taking_part.end,
        seconds=wish.lasts,
        show=show_it,
        every=every,
    )


def _picture(session: Session, fleet: CoSimulation) -> Group:
    return Group(session.out.drawn(*views.fleet(fleet, session.zone)))


class _TakingPart:
    """From the connection to the bus to the end of the simulation.

    :ivar fleet: once the model is known
    :ivar failure: why it ended before it had begun
    """

    def __init__(
        self, session: Session, settings: Settings, access: Access, making: Making, bus: BrokerBus
    ) -> None:
        self.fleet: CoSimulation | None = None
        self.failure: Exception | None = None
        self.reactor = making.reactor
        self._session = session
        self._settings = settings.gridappsd
        self._lfdi_mode = settings.lfdi_mode
        self._access = access
        self._making = making
        self._bus = bus
        self._waits: Any = None
        self._coming: Deferred[None] | None = None

    def begin(self) -> None:
        """Connect, and go on as soon as the broker has taken us in."""
        self._waits = self.reactor.callLater(_PATIENCE, self._out_of_patience)
        self._bus.startService()
        self._bus.when_up(self._come)

    def end(self) -> Any:
        """Let the devices fall silent, and leave the bus."""
        if self._waits is not None and self._waits.active():
            self._waits.cancel()
        if self._coming is not None:
            self._coming.cancel()
        if self.fleet is not None:
            self.fleet.stop()
        return self._bus.stopService()

    def _out_of_patience(self) -> None:
        broker, why = self._access.broker, self._bus.state.last_error
        self._fail(f"the bus at {broker.host}:{broker.port} is not to be had: {why or 'it does not answer'}")

    def _come(self) -> None:
        if self._waits.active():
            self._waits.cancel()
            self._coming = Deferred.fromCoroutine(self._assemble())
            self._coming.addErrback(self._failed)

    async def _assemble(self) -> None:
        feeder = feeder_of(await self._dictionary())
        devices = devices_of(feeder, self._settings.houses, self._settings.utilities)
        standing = terminals(feeder, [device.mrid for device in devices])
        known = list(self._with_certificates(standing))
        self._say_who_comes(len(devices), known)
        assert self._access.simulation_id is not None
        fleet = join(
            self._making,
            known,
            self._settings.default_pin,
            self._bus,
            self._access.simulation_id,
            load_sign=self._settings.p_sign is SignOfPower.LOAD,
            say=self._session.out.note,
            ended=self.reactor.stop,
        )
        fleet.start()
        self.fleet = fleet

    async def _dictionary(self) -> bytes:
        if self._settings.model_dict_file is not None:
            return self._settings.model_dict_file.read_bytes()
        feeder = self._access.feeder_id
        if feeder is None and self._settings.model_name is not None:
            answer = await self._bus.request(MODEL_REQUEST, models_request(), _ANSWER)
            feeder = model_id(answer, self._settings.model_name)
        if feeder is None:
            raise ModelError("the platform has none of that name, or no key of gridappsd: names one")
        return await self._bus.request(CONFIG_REQUEST, dictionary_request(feeder), _ANSWER)

    def _with_certificates(self, standing: list[Terminal]) -> Iterator[Joining]:
        """Those for which csipd has made a certificate; ValueError and OSError if one cannot be read."""
        contents = Contents(self._session.tls)
        by_file = self._lfdi_mode is LFDIMode.FILE
        for terminal in standing:
            without = terminal.device.removeprefix("_")
            for id in (f"_{without}", without):
                if contents.certificate(id).exists():
                    credential = Credential.read(contents.certificate(id), contents.key(id))
                    lfdi = lfdi_from_file(contents.combined(id)) if by_file else credential.lfdi
                    yield Joining(terminal, credential, lfdi)
                    break

    def _say_who_comes(self, count: int, known: list[Joining]) -> None:
        tls: Path = self._session.tls
        if not count:
            raise ModelError("it has no devices, or none whose name the regular expressions match")
        if not known:
            raise ModelError(
                f"none of its {count} devices has a certificate in {tls}, where csipd makes them"
            )
        say = self._session.out.note
        say(f"{len(known)} of {count} devices of the model come, in simulation {self._access.simulation_id}.")
        nowhere = sum(one.terminal.connection is None for one in known)
        if nowhere:
            say(f"{nowhere} of them have nothing in the model that feeds in: nothing is written for them.")
        unseen = sum(not one.terminal.voltages for one in known)
        if unseen:
            say(f"{unseen} of them have no measurement of their voltage in the model: they see 1.0 per unit.")

    def _failed(self, failure: Any) -> None:
        if failure.check(ModelError):
            self._fail(f"the model cannot be used: {failure.value}")
        elif failure.check(NoAnswer):
            self._fail(f"the platform gives no model: {failure.value}")
        elif failure.check(OSError, ValueError, PKIError):
            self._fail(str(failure.value))
        elif not failure.check(CancelledError):
            # A fault of ours: it is raised where the run was begun.
            self.failure = failure.value
            self.reactor.stop()

    def _fail(self, line: str) -> None:
        self.failure = Failure(line)
        self.reactor.stop()
