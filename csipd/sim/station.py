"""A CSIP client: whoever has a certificate and speaks for devices, be it one device for itself.

It finds everything from /dcap on by links, registers who is not registered, checks PINs, reads lists by
pages and polls each by its pollRate, reads an event once more just before it starts, answers where replyTo
says, and reports: what its devices are, how they do, what they measure, which alarms begin and end. What they
do about events their brains decide (`csipd.der.client`), what comes of that their plants (`unit.Unit`).

What fails is counted and tried again later, ever more seldom. Nothing that a server says ends a station.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import Random
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from csipd.der.client import ProgramSeen, ResponseDue
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.sep2.lexical import DocumentError
from csipd.sim import seen, telling
from csipd.sim.asking import Asking, Refused
from csipd.sim.behaviour import LATE_BY, SILENT_AFTER, Behaviour
from csipd.sim.clock import Alarm, SimulatedClock
from csipd.sim.counts import Counts
from csipd.sim.curves import Curve
from csipd.sim.http import HTTPClient, Unanswered
from csipd.sim.unit import Unit

#: Real seconds between two tries of what failed: the first, and at most.
FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 60.0
#: Seconds between two polls of what names no rate, and the least that is kept to whatever a server says.
USUAL_RATE: Final = 900
LEAST_RATE: Final = 1
#: Seconds until a meter that has metered nothing is read again.
NOTHING_YET: Final = 10
#: Curves that a station remembers; beyond it all are read anew.
MOST_CURVES: Final = 1000


class Station(Asking):
    """One client. `units` are the devices that it speaks for.

    :param client: asks the server
    :param lfdi: of its own certificate
    :param aggregator: whether it speaks for others than itself
    :param behaviour: of the station as a client; units have their own
    :param chance: for moments that are spread
    :param spread: seconds within which it begins
    """

    _log = Logger()

    def __init__(
        self,
        client: HTTPClient,
        clock: SimulatedClock,
        lfdi: str,
        units: Sequence[Unit],
        counts: Counts,
        *,
        chance: Random,
        aggregator: bool = False,
        behaviour: Behaviour = Behaviour.GOOD,
        spread: float = 0.0,
    ) -> None:
        super().__init__(client, counts)
        self.lfdi = lfdi
        self.units = tuple(units)
        self.clock = clock
        self.behaviour = behaviour
        self.chance = chance
        self.is_aggregator = aggregator
        #: Where its own EndDevice is, once that was found.
        self.own: r.EndDevice | None = None
        self._begins = clock.now() + chance.uniform(0.0, spread)
        self._skew = -float(LATE_BY) if behaviour is Behaviour.LATE else 0.0
        self._capability: r.DeviceCapability | None = None
        self._curves: dict[str, Curve] = {}
        self._pauses: dict[str, float] = {}
        #: When what is to be done next, by the name of the step.
        self.due: dict[str, float] = {"dcap": self._begins}
        self.alarm = Alarm(clock)
        self._life: Deferred[None] | None = None
        for unit in self.units:
            unit.on_alarm = self._alarmed

    # --- living

    def start(self) -> None:
        """Begin, and go on until it is stopped."""
        self._life = Deferred.fromCoroutine(self._live())
        self._life.addErrback(self._ended)

    def stop(self) -> None:
        """Fall silent at once; what is on its way is given up."""
        if self._life is not None:
            self._life.cancel()
        self.client.close()

    def now(self) -> int:
        """What its own clock shows."""
        return int(self.clock.now() + self._skew)

    @property
    def is_silent(self) -> bool:
        return self.behaviour is Behaviour.SILENT and self.clock.now() > self._begins + SILENT_AFTER

    @property
    def is_settled(self) -> bool:
        """Whether it has walked to the end: it knows what its devices are to do."""
        return "derp" in self.due and all(unit.programs for unit in self._met())

    async def _live(self) -> None:
        while True:
            await self.alarm.wait(self._next_moment())
            if self.is_silent:
                self.client.close()
                return
            await self.act()

    def _ended(self, failure: Any) -> None:
        if not failure.check(CancelledError):
            self.counts.error("a fault of the simulator itself")
            self._log.failure("a simulated device ended", failure=failure)

    def _alarmed(self) -> None:
        self.due["log events"] = self.clock.now()
        self.alarm.ring()

    def _next_moment(self) -> float:
        moments = list(self.due.values())
        now = self.now()
        moments += [at - self._skew for unit in self.units if (at := unit.brain.next_moment(now)) is not None]
        return min(moments)

    def steps(self) -> Sequence[tuple[str, Callable[[], Awaitable[float]]]]:
        """What it does, by name, in the order of a walk; a step says in how many seconds it is due again."""
        return (
            ("dcap", self._read_capability),
            ("tm", self._read_time),
            ("edev", self._read_devices),
            ("fsa", self._read_assignments),
            ("der", self._report),
            ("derp", self._read_programs),
            ("readings", self._post_readings),
            ("log events", self._post_log_events),
        )

    async def act(self) -> None:
        """Do what is due by now."""
        for name, step in self.steps():
            if self.due.get(name, float("inf")) <= self.clock.now():
                await self._take(name, step)
        await self._watch_events()

    async def _take(self, name: str, step: Callable[[], Awaitable[float]]) -> None:
        """Take a step, and note when it is due again: by its rate, or soon where it failed."""
        try:
            wait = await step()
        except (Unanswered, Refused, DocumentError) as error:
            self.counts.error(_line(error))
            wait = self._pauses.get(name, FIRST_PAUSE) * self.clock.speed
            self._pauses[name] = min(LONGEST_PAUSE, 2 * self._pauses.get(name, FIRST_PAUSE))
        else:
            self._pauses.pop(name, None)
        self.due[name] = self.clock.now() + wait

    def soon(self, *names: str) -> None:
        """Have steps taken as soon as may be."""
        for name in names:
            self.due[name] = self.clock.now()
        self.alarm.ring()

    def _begin(self, *names: str) -> None:
        """Have steps taken that were not taken before."""
        for name in names:
            self.due.setdefault(name, self.clock.now())

    # --- walking

    async def _read_capability(self) -> float:
        self._capability = dcap = await self.get("/dcap", r.DeviceCapability)
        if dcap.TimeLink is not None:
            self._begin("tm")
        if dcap.EndDeviceListLink is not None:
            self._begin("edev")
        return _rate(dcap.pollRate)

    async def _read_time(self) -> float:
        assert self._capability is not None and self._capability.TimeLink is not None
        time = await self.get(self._capability.TimeLink.href, r.Time)
        if self.behaviour is not Behaviour.LATE:
            # A second is what the Time resource rounds away.
            skew = time.currentTime - self.clock.now()
            if abs(skew - self._skew) > 1.0:
                self._skew = skew
        return _rate(time.pollRate)

    async def _read_devices(self) -> float:
        assert self._capability is not None and self._capability.EndDeviceListLink is not None
        href = self._capability.EndDeviceListLink.href
        page, found = await self.members(href, r.EndDeviceList)
        missing = {self.lfdi, *(unit.lfdi for unit in self.units)} - {device.lFDI for device in found}
        if missing:
            await self._register(href, missing)
            page, found = await self.members(href, r.EndDeviceList)
        by_lfdi = {device.lFDI: device for device in found}
        self.own = by_lfdi.get(self.lfdi)
        for unit in self.units:
            await self._meet(unit, by_lfdi.get(unit.lfdi))
        if any(unit.device is not None for unit in self.units):
            self._begin("fsa", "der")
            if self._capability.MirrorUsagePointListLink is not None:
                self._begin("readings")
        return _rate(page.pollRate)

    async def _register(self, href: str, missing: Iterable[str]) -> None:
        for lfdi in sorted(missing):
            device = r.EndDevice(changedTime=self.now(), lFDI=lfdi, sFDI=identity.sfdi(lfdi))
            await self.send("POST", href, device)

    async def _meet(self, unit: Unit, device: r.EndDevice | None) -> None:
        """Take in a unit's EndDevice. One whose PIN is not that of the installer is not followed."""
        if device is None:
            unit.device = None
            return
        if unit.pin is not None and not unit.is_trusted:
            if device.RegistrationLink is None:
                self.counts.error("no registration to check a PIN by")
                return
            registration = await self.get(device.RegistrationLink.href, r.Registration)
            if registration.pIN != unit.pin:
                self.counts.error("another PIN than the installer was given")
                return
            unit.is_trusted = True
        unit.device = device

    async def _read_assignments(self) -> float:
        rate = None
        for unit in self._met():
            assert unit.device is not None
            link = unit.device.FunctionSetAssignmentsListLink
            if link is None:
                unit.assignments = ()
                continue
            page, found = await self.members(link.href, r.FunctionSetAssignmentsList)
            unit.assignments = tuple(found)
            rate = _soonest(rate, page.pollRate)
        self._begin("derp")
        return _rate(rate)

    def _met(self) -> list[Unit]:
        return [unit for unit in self.units if unit.device is not None]

    # --- programs

    async def _read_programs(self) -> float:
        rate = None
        # Several units of an aggregator are in the same programs: each is read once.
        lists: dict[str, tuple[Any, list[Any]]] = {}
        read: dict[str, ProgramSeen] = {}
        for unit in self._met():
            found: list[ProgramSeen] = []
            links: list[str] = []
            for assignments in unit.assignments:
                if assignments.DERProgramListLink is None:
                    continue
                href = assignments.DERProgramListLink.href
                if href not in lists:
                    lists[href] = await self.members(href, r.DERProgramList)
                page, programs = lists[href]
                rate = _soonest(rate, page.pollRate)
                for program in programs:
                    if program.href not in read:
                        read[program.href] = await self._read_program(program)
                    found.append(read[program.href])
                    for link in (program.DERControlListLink, program.DefaultDERControlLink):
                        if link is not None:
                            links.append(link.href)
            unit.programs, unit.program_links = tuple(found), tuple(links)
            await self._answer(unit, unit.brain.read(self.now(), unit.programs))
        return _rate(rate)

    async def _read_program(self, program: r.DERProgram) -> ProgramSeen:
        controls: list[r.DERControl] = []
        default = None
        if program.DERControlListLink is not None and program.DERControlListLink.all:
            _, controls = await self.members(program.DERControlListLink.href, r.DERControlList)
        if program.DefaultDERControlLink is not None:
            default = await self.get(program.DefaultDERControlLink.href, r.DefaultDERControl)
        await self._read_curves(seen.curves_named(controls, default))
        assert program.href is not None
        return ProgramSeen(program.href, program.primacy, tuple(controls), default)

    async def _read_curves(self, hrefs: Iterable[str]) -> None:
        """Read the curves that were not read yet: a curve never changes, another one has another href."""
        if len(self._curves) > MOST_CURVES:
            self._curves.clear()
        for href in sorted(hrefs):
            if href not in self._curves:
                self._curves[href] = Curve.of(await self.get(href, r.DERCurve))
        for unit in self.units:
            unit.curves = self._curves

    async def _watch_events(self) -> None:
        """Let time pass for the events, and read those that are about to start once more."""
        for unit in self._met():
            now = self.now()
            moment = unit.brain.next_moment(unit.watched)
            if moment is not None and moment <= now:
                try:
                    programs = [await self._look_again(unit, program, now) for program in unit.programs]
                except (Unanswered, Refused, DocumentError) as error:
                    self.counts.error(_line(error))  # what is known goes on
                else:
                    unit.programs = tuple(programs)
                    await self._answer(unit, unit.brain.read(now, unit.programs))
            await self._answer(unit, unit.brain.advance(now))
            unit.watched = now

    async def _look_again(self, unit: Unit, program: ProgramSeen, now: int) -> ProgramSeen:
        ran = unit.brain.ran()
        controls = []
        for control in program.controls:
            if seen.is_to_be_looked_at(control, ran, now) and control.href is not None:
                control = await self.get(control.href, r.DERControl)
            controls.append(control)
        return ProgramSeen(program.href, program.primacy, tuple(controls), program.default)

    async def _answer(self, unit: Unit, dues: Iterable[ResponseDue]) -> None:
        for due in dues:
            try:
                await self.send("POST", due.replyTo, unit.brain.document(due))
            except (Unanswered, Refused) as error:
                self.counts.error(_line(error))
            else:
                self.counts.responses += 1
                unit.answered.append((due.subject, due.status))

    # --- reporting

    async def _report(self) -> float:
        """PUT what is to be told of each DER: once what it is, and each time how it does."""
        rate = None
        for unit in self._met():
            assert unit.device is not None
            if unit.device.DERListLink is None:
                continue
            page, ders = await self.members(unit.device.DERListLink.href, r.DERList)
            rate = _soonest(rate, page.pollRate)
            for der in ders[:1]:
                await telling.of_der(self, unit, der, self.now())
        return _rate(rate)

    async def _post_readings(self) -> float:
        assert self._capability is not None
        link = self._capability.MirrorUsagePointListLink
        if link is None:
            return USUAL_RATE
        rate = None
        for unit in self._met():
            measured = unit.measure(self._skew)
            if measured is None:
                continue
            await telling.readings(self, link.href, unit, measured)
            rate = _soonest(rate, unit.post_rate)
        return NOTHING_YET if rate is None else _rate(rate)

    async def _post_log_events(self) -> float:
        for unit in self._met():
            await telling.log_events(self, unit)
        return float("inf")


def _rate(rate: int | None) -> float:
    return USUAL_RATE if rate is None else max(LEAST_RATE, rate)


def _soonest(one: int | None, other: int | None) -> int | None:
    return min((rate for rate in (one, other) if rate is not None), default=None)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
