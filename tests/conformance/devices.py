"""Those who call the server of the bench: direct DERs, aggregators, and whoever has a certificate.

A `Station` is a CSIP client: it finds everything from /dcap by links, reads lists by pages, polls by the
pollRates that it is given, reads an event once more just before it starts, and answers where replyTo says.
What it does about events is decided by csipd/der/client.py, one brain for each DER that it acts for.
Everything it sends and receives is validated against the schema of 2018, and kept in its `log`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from attrs import Factory, define, frozen
from lxml import etree
from twisted.internet.task import Clock

from csipd.der.client import Device, ProgramSeen, ResponseDue
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.types import EventState, ResponseStatus
from csipd.sim import seen
from tests.support.bodies import FULL
from tests.support.client import Answer, ClientTLS
from tests.support.memory_tls import Wire
from tests.support.pki import Authority, Credential
from tests.support.schema import validate
from tests.support.subscribing import subscription

if TYPE_CHECKING:
    from tests.conformance.listener import Listener, Told

R = TypeVar("R", bound=r.Resource)

#: What a DER reports of itself: the name of the link from its DER, and the document.
REPORTS = (
    ("DERCapabilityLink", "DERCapability"),
    ("DERSettingsLink", "DERSettings"),
    ("DERStatusLink", "DERStatus"),
    ("DERAvailabilityLink", "DERAvailability"),
)

#: What a station does not poll that has subscribed.
_TOLD_OF = ("edev", "fsa", "derp")

_valid = lru_cache(maxsize=1024)(validate)


class Gone(Exception):
    """A resource that was linked to is not there any more."""


class Lab(Protocol):
    """What a station needs of its bench."""

    clock: Clock

    @property
    def now(self) -> int: ...

    def wire(self, tls: ClientTLS) -> Wire: ...


@frozen
class Exchange:
    """A request and its answer, `at` in seconds after the bench began; `sent` is its body."""

    at: int
    method: str
    path: str
    answer: Answer
    sent: bytes | None = None


@frozen
class Acted:
    """From a moment on (minutes after T0) a control mode had a value.

    A curve's value is its points. `source` is whose it is: a control's label, or "SP default".
    """

    at: float
    value: Any
    source: str | None


@define(eq=False)
class DER:
    """One DER that a station acts for: what it knows, and what it has done."""

    device: r.EndDevice
    pin: int
    brain: Device
    fsas: tuple[r.FunctionSetAssignments, ...] = ()
    ders: tuple[r.DER, ...] = ()
    programs: tuple[r.DERProgram, ...] = ()
    seen: tuple[ProgramSeen, ...] = ()
    #: What every mode did, in order.
    acted: dict[str, list[Acted]] = Factory(dict)
    #: What was answered: (minutes after T0, label, status).
    answered: list[tuple[float, str, ResponseStatus]] = Factory(list)
    labels: dict[str, str] = Factory(dict)

    def story(self, mode: str) -> list[tuple[float, Any, str | None]]:
        """What a mode did: (minutes after T0, value, whose); the value None where nothing held it."""
        return [(line.at, line.value, line.source) for line in self.acted.get(mode, [])]

    def sources(self, mode: str) -> list[str | None]:
        """Whose values a mode had, in order."""
        return [line.source for line in self.acted.get(mode, [])]

    def answers(self, label: str) -> list[int]:
        """The statuses that were answered to an event, in order."""
        return [status for _, named, status in self.answered if named == label]

    def known(self) -> list[r.DERControl]:
        return [control for program in self.seen for control in program.controls]


class Station:
    """A client with a certificate.

    :param aggregator: whether it acts for all EndDevices that it sees but its own, or else for its own
    :param draw: the randomisation of its DERs, as for csipd.der.client.Device
    :param skew: how far its clock is off until it has read Time (s)
    """

    def __init__(
        self,
        bench: Lab,
        credential: Credential,
        trust: Authority,
        *,
        aggregator: bool = False,
        draw: Callable[[int], int] = lambda bound: 0,
        skew: int = 0,
    ) -> None:
        self.credential = credential
        self.trust = trust
        self.log: list[Exchange] = []
        self.ders: list[DER] = []
        self.skew = skew
        self.capability: r.DeviceCapability | None = None
        self.tls = ClientTLS(credential, trust=trust)
        self._bench = bench
        self._aggregator = aggregator
        self._draw = draw
        self._wire: Wire | None = None
        self._polls: dict[str, int] = {}
        self._curves: dict[str, r.DERCurve] = {}
        self._last = 0
        self._listener: Listener | None = None
        self._follows_all = False
        self._subscribed: dict[str, str] = {}
        self._heard: list[Told] = []

    @property
    def der(self) -> DER:
        """The DER of a direct client."""
        (der,) = self.ders
        return der

    @property
    def now(self) -> int:
        """What its own clock says."""
        return self._bench.now + self.skew

    def by_lfdi(self, lfdi: str) -> DER:
        """The DER of an LFDI."""
        (found,) = (der for der in self.ders if der.device.lFDI == lfdi)
        return found

    # --- asking

    def request(self, method: str, path: str, body: bytes | r.Resource | None = None) -> Answer:
        """What a request is answered with. What is sent and what comes has to be valid."""
        if isinstance(body, r.Resource):
            body = codec.encode(body)
        if body:
            _valid(body)
        wire = self._connected()
        return self._note_answer(method, path, wire.result(wire.client.request(method, path, body)), body)

    def raw(self, data: bytes) -> Answer:
        """What bytes that are one request are answered with."""
        wire = self._connected()
        (answer,) = wire.results(wire.client.raw(data))
        return self._note_answer("", "", answer)

    def _connected(self) -> Wire:
        if self._wire is not None:
            self._wire.pump()
        if self._wire is None or self._wire.closed:
            self._wire = self._bench.wire(self.tls)
        return self._wire

    def _note_answer(self, method: str, path: str, answer: Answer, sent: bytes | None = None) -> Answer:
        self.log.append(Exchange(int(self._bench.clock.seconds()), method, path, answer, sent))
        if answer.body:
            assert answer.headers["content-type"] == "application/sep+xml", answer
            assert answer.headers["content-length"] == str(len(answer.body)), answer
            _valid(answer.body)
        return answer

    def get(self, path: str, kind: type[R]) -> R:
        """A document; Gone if it is not there."""
        answer = self.request("GET", path)
        if answer.status == 301:
            path = answer.headers["location"]
            answer = self.request("GET", path)
        if answer.status == 404:
            raise Gone(path)
        assert answer.status == 200, f"{path}: {answer}"
        found = codec.decode(answer.body, kind)
        assert isinstance(found, kind)
        assert found.href == path.partition("?")[0], answer
        return found

    def members(self, href: str, kind: type[Any], step: int = 255) -> tuple[Any, list[Any]]:
        """A list's last page and all of its members, read by pages."""
        found: list[Any] = []
        while True:
            page = self.get(f"{href}?s={len(found)}&l={step}", kind)
            members = getattr(page, kind.__name__.removesuffix("List"))
            assert page.results == len(members) <= step
            found += members
            if len(found) >= page.all or not members:
                return page, found

    def put(self, path: str, body: r.Resource) -> None:
        """PUT a document; a GET then gives back what was put."""
        answer = self.request("PUT", path, body)
        assert (answer.status, answer.body) == (204, b""), f"{path}: {answer}"
        given = self.get(path, type(body))
        for name, value in vars(body).items():
            assert getattr(given, name) == value, f"{path}: {name}"

    def post(self, path: str, body: r.Resource) -> str:
        """POST a document; the Location of what was made."""
        answer = self.request("POST", path, body)
        assert (answer.status, answer.body) == (201, b""), f"{path}: {answer}"
        return answer.headers["location"]

    def hang_up(self) -> None:
        if self._wire is not None:
            self._wire.hang_up()

    # --- walking

    def walk(self) -> None:
        """Find everything from /dcap on, and poll from now on.

        AssertionError if it is not found, or the PIN is another than the installer was given.
        """
        self._last = self._bench.now
        self._read_capability()
        self._read_time()
        self._read_devices()
        self._read_assignments()
        self._read_ders()
        self._read_programs()

    def _read_capability(self) -> None:
        self.capability = dcap = self.get("/dcap", r.DeviceCapability)
        self._again("dcap", dcap.pollRate)

    def _read_time(self) -> None:
        assert self.capability is not None and self.capability.TimeLink is not None
        time = self.get(self.capability.TimeLink.href, r.Time)
        self.skew += time.currentTime - self.now
        self._again("tm", time.pollRate)

    def _read_devices(self) -> None:
        assert self.capability is not None and self.capability.EndDeviceListLink is not None
        page, found = self.members(self.capability.EndDeviceListLink.href, r.EndDeviceList)
        own = [d for d in found if (d.lFDI, d.sFDI) == (self.credential.lfdi, self.credential.sfdi)]
        assert len(own) == 1, found
        mine = [device for device in found if device not in own] if self._aggregator else own
        known = {der.device.lFDI: der for der in self.ders}
        self.ders = [known.get(device.lFDI) or self._meet(device) for device in mine]
        for der, device in zip(self.ders, mine, strict=True):
            der.device = device
        self._again("edev", page.pollRate)

    def _meet(self, device: r.EndDevice) -> DER:
        assert device.lFDI is not None and device.RegistrationLink is not None
        pin = self.get(device.RegistrationLink.href, r.Registration).pIN
        early = ResponseStatus.ABORTED_PROGRAM if self._aggregator else ResponseStatus.SUPERSEDED
        brain = Device(device.lFDI, draw=self._draw, superseded_early=early)
        return DER(device, pin, brain)

    def _read_assignments(self) -> None:
        for der in self.ders:
            assert der.device.FunctionSetAssignmentsListLink is not None
            page, found = self.members(
                der.device.FunctionSetAssignmentsListLink.href, r.FunctionSetAssignmentsList
            )
            der.fsas = tuple(found)
            self._again("fsa", page.pollRate)

    def _read_ders(self) -> None:
        for der in self.ders:
            assert der.device.DERListLink is not None
            page, found = self.members(der.device.DERListLink.href, r.DERList)
            der.ders = tuple(found)
            self._again("der", page.pollRate)

    def report(self, der: DER) -> None:
        """PUT everything that a DER says of itself, and see that it is given back."""
        for unit in der.ders:
            for link, document in REPORTS:
                self.put(getattr(unit, link).href, FULL[document])

    def _read_programs(self) -> None:
        try:
            self._follow_programs()
        except Gone:
            # The DER was moved to other groups since its FSAs were read.
            self._read_assignments()
            self._follow_programs()

    def _follow_programs(self) -> None:
        # Several DERs of an aggregator are in the same programs: each is read once.
        read: dict[str, ProgramSeen] = {}
        for der in self.ders:
            programs = []
            for fsa in der.fsas:
                if fsa.DERProgramListLink is not None:
                    page, found = self.members(fsa.DERProgramListLink.href, r.DERProgramList)
                    self._again("derp", page.pollRate)
                    programs += found
            der.programs = tuple(programs)
            for program in programs:
                if program.href not in read:
                    read[program.href] = self._read_program(program)
            der.seen = tuple(read[program.href] for program in programs)
            for read_now in der.seen:
                for named in (*read_now.controls, read_now.default):
                    if named is not None:
                        der.labels[named.mRID] = named.description or named.mRID
            self._answer(der, der.brain.read(self.now, der.seen))

    def _read_program(self, program: r.DERProgram) -> ProgramSeen:
        controls: list[r.DERControl] = []
        default = None
        if program.DERControlListLink is not None and program.DERControlListLink.all:
            _, controls = self.members(program.DERControlListLink.href, r.DERControlList)
        if program.DefaultDERControlLink is not None:
            default = self.get(program.DefaultDERControlLink.href, r.DefaultDERControl)
        for href in seen.curves_named(controls, default):
            if href not in self._curves:
                self._curves[href] = self.get(href, r.DERCurve)
        assert program.href is not None
        return ProgramSeen(program.href, program.primacy, tuple(controls), default)

    # --- being told

    def subscribe(self, listener: Listener) -> None:
        """Subscribe to what CSIP has an aggregator subscribe to, and poll none of it any more.

        That is the list of devices, and of each DER its lists of FSAs and programs, and the controls and
        default of each program; what several share once.
        """
        self.listen(listener)
        for what in _TOLD_OF:
            self._polls.pop(what, None)
        self._follows_all = True
        self._subscribe_to_all()

    def listen(self, listener: Listener) -> None:
        """Run a notification receiver."""
        self._listener = listener
        listener.hear = self.hear

    def subscribe_to(self, resource: str, *, limit: int = 100) -> str:
        """One subscription; its place."""
        assert self._listener is not None and self.capability is not None
        shown = etree.fromstring(self.request("GET", resource).body)
        assert shown.get("subscribable") == "1", resource
        asked = subscription(resource, self._listener.uri, limit)
        place = self.post(f"{self.own_href()}/sub", asked)
        self._subscribed[resource] = place
        return place

    def own_href(self) -> str:
        """The EndDevice of the station itself."""
        for device in self.members("/edev", r.EndDeviceList)[1]:
            if device.lFDI == self.credential.lfdi:
                return str(device.href)
        raise Gone("its own EndDevice")

    def _subscribe_to_all(self) -> None:
        assert self.capability is not None and self.capability.EndDeviceListLink is not None
        wanted = [self.capability.EndDeviceListLink.href]
        for der in self.ders:
            assert der.device.FunctionSetAssignmentsListLink is not None
            wanted.append(der.device.FunctionSetAssignmentsListLink.href)
            wanted += [fsa.DERProgramListLink.href for fsa in der.fsas if fsa.DERProgramListLink]
            for program in der.programs:
                wanted += [
                    link.href for link in (program.DERControlListLink, program.DefaultDERControlLink) if link
                ]
        for resource in wanted:
            if resource not in self._subscribed:
                self.subscribe_to(resource)

    def hear(self, told: Told) -> None:
        """Take a Notification in; what follows from it is done in `act`."""
        self._heard.append(told)

    @property
    def has_heard(self) -> bool:
        """Whether there are Notifications that nothing was done about yet."""
        return bool(self._heard)

    def _follow_what_was_heard(self) -> None:
        heard, self._heard = self._heard, []
        if not heard:
            return
        for told in heard:
            if told.status:
                self._subscribed = {
                    resource: place
                    for resource, place in self._subscribed.items()
                    if place != told.subscription
                }
        kinds = {told.kind for told in heard}
        if "EndDeviceList" in kinds or any(told.status for told in heard):
            self._read_devices()
        if kinds & {"EndDeviceList", "FunctionSetAssignmentsList"} or any(told.status for told in heard):
            self._read_assignments()
            self._read_ders()
        self._read_programs()
        if self._follows_all:
            self._subscribe_to_all()

    # --- acting

    def _again(self, what: str, rate: int) -> None:
        # Who is told of changes does not ask for them (8.7.3.4).
        if not self._follows_all or what not in _TOLD_OF:
            self._polls[what] = self._bench.now + rate

    def next_moment(self) -> int | None:
        """When there is something to do next; None before it has walked."""
        if not self._polls:
            return None
        if self._heard:
            return self._bench.now
        moments = [*self._polls.values()]
        moments += [at for der in self.ders if (at := der.brain.next_moment(self._last)) is not None]
        return min(moments)

    def act(self) -> None:
        """Do what is due by now: poll, look at events that are about to start, answer."""
        now = self._bench.now
        self._follow_what_was_heard()
        for what, read in (
            ("dcap", self._read_capability),
            ("tm", self._read_time),
            ("edev", self._read_devices),
            ("fsa", self._read_assignments),
            ("der", self._read_ders),
            ("derp", self._read_programs),
        ):
            if self._polls.get(what, now + 1) <= now:
                del self._polls[what]
                read()
        for der in self.ders:
            moment = der.brain.next_moment(self._last)
            if moment is not None and moment <= now:
                der.seen = tuple(self._look_again(der, seen) for seen in der.seen)
                self._answer(der, der.brain.read(now, der.seen))
            self._answer(der, der.brain.advance(now))
        self._last = now

    def _look_again(self, der: DER, program: ProgramSeen) -> ProgramSeen:
        """Read anew the events that are about to start: the operator may have cancelled one."""
        ran = der.brain.ran()
        controls = []
        for control in program.controls:
            if not seen.is_to_be_looked_at(control, ran, self.now):
                controls.append(control)
                continue
            assert control.href is not None
            found = self.get(control.href, r.DERControl)
            # There are clients that start nothing before the server says that it is active.
            assert found.EventStatus.currentStatus != EventState.SCHEDULED, found
            controls.append(found)
        return ProgramSeen(program.href, program.primacy, tuple(controls), program.default)

    def _answer(self, der: DER, dues: tuple[ResponseDue, ...]) -> None:
        for due in dues:
            location = self.post(due.replyTo, der.brain.document(due))
            assert location.startswith(due.replyTo), location
            der.answered.append((self._minutes(), der.labels[due.subject], due.status))
        self._note(der)

    def _note(self, der: DER) -> None:
        """Write down which modes have another value or source than before."""
        acting = der.brain.modes(self.now)
        for mode in {*acting, *der.acted}:
            found = acting.get(mode)
            line = (
                Acted(self._minutes(), None, None)
                if found is None
                else Acted(self._minutes(), self._value(found.value), der.labels[found.source])
            )
            lines = der.acted.setdefault(mode, [])
            if not lines or (lines[-1].value, lines[-1].source) != (line.value, line.source):
                lines.append(line)

    def _value(self, value: Any) -> Any:
        if isinstance(value, r.DERCurveLink):
            return tuple((point.xvalue, point.yvalue) for point in self._curves[value.href].CurveData)
        return value

    def _minutes(self) -> float:
        return self._bench.clock.seconds() / 60


def requests(station: Station, method: str, start: str) -> Iterator[Exchange]:
    """The exchanges of a method whose path begins so."""
    return (e for e in station.log if e.method == method and e.path.startswith(start))
