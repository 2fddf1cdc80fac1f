"""A small utility: a server over a database of its own, everybody who may call it, and a way to call.

Nothing runs by itself. Requests go through the real channel, site, app and database, each call in place; time
is `world.now`. The database is laid out once a process and copied for each world, so that one is cheap.

    world = World(Path(self.mktemp()))
    self.addCleanup(world.close)
    answer = world.get(OWNER, "/dcap")

Who is there: see the names below. What they are in: System (SY) over Feeder A and Feeder B, Point 1 under
Feeder A, Campaign beside the topology. OWNER and MANAGED are at Point 1, OTHER, BARE and FOREIGN in Feeder B;
OWNER is in Campaign besides.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import cache
from hashlib import sha256
from itertools import count
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import sqlalchemy as sa
from attrs import frozen
from lxml import etree
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from csipd.daemon.changes import ChangeNotifier
from csipd.db import (
    controls,
    devices,
    documents,
    engine,
    fact_store,
    fair_queue,
    groups,
    own_programs,
    programs,
)
from csipd.db.database import Database, Read, Remark, Transaction, Write
from csipd.db.fair_queue import Share
from csipd.db.tree.context import Server
from csipd.der.access import Policy
from csipd.net.contacts import Contacts
from csipd.net.hop import HandedOn, HopRefused, Judged, header_lines
from csipd.net.identity import Identity, identify_by
from csipd.net.limits import ConnectionLimits
from csipd.net.quotas import Quotas
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.net.tls_factory import TLSFactory
from csipd.sep2 import codec, identity
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer
from csipd.sep2.site import ROWS, Place
from csipd.web.app import Application
from csipd.web.cache import Cache
from csipd.web.endpoint import Ask, Endpoint
from csipd.web.hop import Hops
from csipd.web.server import Site
from tests.support import pki
from tests.support.bodies import FULL
from tests.support.client import Answer, ClientTLS
from tests.support.memory_tls import Wire
from tests.support.pki import Authority, Credential
from tests.support.watched import WatchedDatabase
from tests.support.ways import goes_straight, goes_through_a_proxy

T = TypeVar("T")

NAMESPACE = "{urn:ieee:std:2030.5:ns}"
#: When the world begins (epoch s): 2026-01-01T00:00:00Z. All devices were registered an hour before.
NOW = 1_767_225_600
REGISTERED = NOW - 3600
PIN = 111115
#: Who issues certificates to those who come with TLS.
LAB = Authority.make()
ISSUER = Issuer(store=0xABCDEF, pen=40732)

#: Quotas of tests that are about something else.
BOUNDLESS = Quotas(requests_per_second=1e9, handshakes_per_second=1e9, address_handshakes_per_second=1e9)

IN_BAND = Policy(in_band=True)
OUT_OF_BAND = Policy()
ALLOW_ALL = Policy(in_band=True, anyone=True)


def caller(name: str) -> Identity:
    """Somebody with a certificate of that name."""
    fingerprint = sha256(name.encode()).hexdigest().upper()
    lfdi = fingerprint[:40]
    return Identity(lfdi=lfdi, sfdi=identity.sfdi(lfdi), not_after=None, fingerprint=fingerprint)


OWNER = caller("a direct device")
OTHER = caller("another direct device")
LISTED = caller("a device that may register and has not")
AGGREGATOR = caller("an aggregator")
MANAGED = caller("a device of the aggregator, with a certificate of its own")
BARE = caller("a device of the aggregator, without a certificate")
UNREGISTERED = caller("a device of the aggregator that is only listed")
RIVAL = caller("another aggregator")
FOREIGN = caller("a device of the other aggregator")
IDLE = caller("an aggregator that is only listed")
WITHDRAWN = caller("a device that the operator shut out")
RETIRED = caller("a device that is gone from the configuration")
UNKNOWN = caller("a stranger with a good certificate")
SERVER = caller("the server")
PROXY = caller("the proxy")

EVERYBODY = {
    "owner": OWNER,
    "other": OTHER,
    "listed": LISTED,
    "aggregator": AGGREGATOR,
    "managed": MANAGED,
    "bare": BARE,
    "unregistered": UNREGISTERED,
    "rival": RIVAL,
    "foreign": FOREIGN,
    "idle": IDLE,
    "withdrawn": WITHDRAWN,
    "retired": RETIRED,
    "unknown": UNKNOWN,
}


@frozen
class Numbers:
    """Where things are: the numbers in their URIs.

    :param scheduled: of the control of Point 1 that is to start; the others likewise
    """

    owner: int
    other: int
    aggregator: int
    managed: int
    bare: int
    rival: int
    foreign: int
    withdrawn: int
    retired: int
    listed: int
    system: int
    feeder_a: int
    feeder_b: int
    point_1: int
    campaign: int
    spare: int
    gone: int
    topology: int
    campaigns: int
    curve: int
    active: int
    scheduled: int
    ended: int
    forgotten: int


class Held:
    """The database as the application sees it, whose reads and writes can be held on their way back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Deferred[Any], Deferred[Any]]] | None = None

    def hold(self) -> None:
        """Let nothing come back from now on."""
        if self._waiting is None:
            self._waiting = []

    def release(self, failure: Exception | None = None) -> None:
        """Let come back what was held, or a failure in its place; and all that follows."""
        waiting, self._waiting = self._waiting or [], None
        for asked, answer in waiting:
            answer.addBoth(lambda outcome: outcome if failure is None else Failure(failure))
            answer.chainDeferred(asked)

    def read(self, operation: Read[Any], share: Share = fair_queue.SERVER) -> Deferred[Any]:
        return self._back(self._database.read(operation, share))

    def write(self, operation: Write[Any], share: Share = fair_queue.SERVER) -> Deferred[Any]:
        return self._back(self._database.write(operation, share))

    def _back(self, answer: Deferred[Any]) -> Deferred[Any]:
        if self._waiting is None:
            return answer
        asked: Deferred[Any] = Deferred()
        self._waiting.append((asked, answer))
        return asked


class World:
    """A server with its database, and its callers.

    :param path: of the database, which is made unless it is there, as after a restart
    :param policy: how certificates come to be registered
    :param straight: whether ordinary requests go the straight path; None: as the test is run (ways.py)
    :param answers: bytes of answers that are kept at most; None: as many as the server keeps
    :param facts: bytes of what was read that are kept at most; None likewise
    :param database: makes the store
    :param through_a_proxy: whether all callers are behind one proxy; None: as the test is run (ways.py)
    :param more: of what the server says of itself (``Server``)
    """

    def __init__(
        self,
        path: Path,
        *,
        policy: Policy = IN_BAND,
        zone: tzinfo = UTC,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
        quotas: Quotas = BOUNDLESS,
        straight: bool | None = None,
        answers: int | None = None,
        facts: int | None = None,
        database: type[WatchedDatabase] = WatchedDatabase,
        through_a_proxy: bool | None = None,
        **more: Any,
    ) -> None:
        content, self.numbers = _template()
        if not path.exists():
            path.write_bytes(content)
        self.now: float = NOW
        self.clock = Clock()
        self.notifier = ChangeNotifier()
        #: Facts that were published as dropped, in order.
        self.changed: list[str] = []
        self.notifier.subscribe(self.changed.extend)
        #: What transactions would have logged, in order.
        self.remarks: list[Remark] = []
        room = {} if facts is None else {"fact_cache": facts}
        self.database = database(
            f"sqlite:///{path}", None, self.notifier.publish, self.remarks.append, **room
        )
        self.server = Server(
            lfdi=SERVER.lfdi, sfdi=SERVER.sfdi, issuer=ISSUER, zone=zone, policy=policy, **more
        )
        bound = {} if answers is None else {"largest": answers}
        self.cache = Cache(lambda: self.now, lambda: self.site.date(), **bound)
        self.notifier.subscribe(self.cache.changed)
        #: Answers from the cache, and requests that went the straight path besides.
        self.hits = 0
        self.straight = 0
        self.back = Held(self.database)
        held: Any = self.back
        self.endpoint = Endpoint(held, self.server, lambda: self.now, self.cache)
        self._asks: Identity | None = UNKNOWN
        self.contacts = Contacts(self.clock.seconds, lambda: self.now)
        #: Who may speak for others.
        self.hops = Hops({PROXY.fingerprint})
        self.site = Site(
            Application(self.endpoint.answer, self.server.layout).resource(),
            clock=self.clock,
            now=lambda: self.now,
            limits=limits,
            identify=lambda transport: self._asks or identify_by(identity.lfdi)(transport),
            endpoint=self._answer if (goes_straight() if straight is None else straight) else None,
            find_answer=self._find,
            look_up=self.endpoint.look_up,
            # Tests ask in a moment what a device asks in a month.
            quotas=quotas,
            contacts=self.contacts,
            locate=self.server.layout.locate,
            proxies=self.hops,
        )
        self.hops.use(self._judge, self.site.context)
        self._through_a_proxy = goes_through_a_proxy() if through_a_proxy is None else through_a_proxy
        #: Whether certificates that are handed on are good.
        self.trusted = True
        self._wires: dict[Identity, Wire] = {}
        self._fresh = count(1)

    def _find(self, lfdi: str, head: bytes) -> bytes | None:
        found = self.cache.find(lfdi, head)
        self.hits += found is not None
        return found

    def _answer(self, ask: Ask) -> Any:
        self.straight += 1
        return self.endpoint.answer(ask)

    def close(self) -> None:
        """Let go of connections and database."""
        for wire in self._wires.values():
            wire.hang_up()
        self.database.stopService()
        lacks = sorted(set(self.database.lacks))
        assert not lacks, f"facts that were not dropped: {lacks}"

    # --- calling

    def wire(self, who: Identity) -> Wire:
        """The connection of a caller: one each, kept alive, made anew when it was closed."""
        who = PROXY if self._through_a_proxy else who
        wire = self._wires.get(who)
        if wire is None or wire.closed:
            wire = self._wires[who] = self.open(who)
        return wire

    def _judge(self, handed_on: HandedOn) -> Judged:
        """Whose a certificate is; it is good until that ends."""
        who = _HANDED_ON.get(handed_on.leaf)
        until = inf if who is None or who.not_after is None else who.not_after
        if who is None or until <= self.now or not self.trusted:
            raise HopRefused("unable to get local issuer certificate")
        return Judged(who, until)

    def open(self, who: Identity) -> Wire:
        """One more connection of a caller, without TLS."""
        self._asks = who
        return Wire.plain(self.site, self.clock)

    def secure(self, folder: Path, credential: Credential, who: Identity | None = None) -> Wire:
        """A connection with TLS, whose caller is known by the certificate that it presents.

        :param who: whom it is taken for all the same
        """
        pki.write(folder, LAB, server=LAB.server("localhost"))
        settings = TLSSettings(
            private_key=folder / "private" / "server.pem",
            certificate=folder / "certs" / "server.crt",
            trust_roots=(folder / "certs" / "ca.crt",),
        )
        tls = ServerTLS(settings, now=lambda: self.now)
        factory = TLSFactory(tls, self.site, clock=self.clock)
        self._asks = who
        wire = Wire.tls(factory, ClientTLS(credential, trust=LAB), self.clock)
        wire.pump()
        return wire

    def send(
        self,
        who: Identity,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str | None] | None = None,
    ) -> Answer:
        """What one request is answered with."""
        wire = self.wire(who)
        more: Any = headers
        first = handed_on(who) if self._through_a_proxy else b""
        return wire.result(wire.client.request(method, path, body, more, first))

    def raw(self, who: Identity, data: bytes, *, bodiless: bool = False) -> Answer:
        """What bytes that are one request are answered with."""
        wire = self.wire(who)
        data = behind(who, data) if self._through_a_proxy else data
        (answer,) = wire.results(wire.client.raw(data, bodiless=bodiless))
        return answer

    def get(self, who: Identity, path: str, headers: dict[str, str | None] | None = None) -> Answer:
        return self.send(who, "GET", path, headers=headers)

    def fresh(self, who: Identity, path: str) -> Answer:
        """A GET that was never asked before in these words, so that no answer to it is kept."""
        return self.get(who, path, {"X-Words": str(next(self._fresh))})

    def put(self, who: Identity, path: str, body: bytes | r.Resource, **how: Any) -> Answer:
        return self.send(who, "PUT", path, encoded(body), **how)

    def post(self, who: Identity, path: str, body: bytes | r.Resource, **how: Any) -> Answer:
        return self.send(who, "POST", path, encoded(body), **how)

    def delete(self, who: Identity, path: str) -> Answer:
        return self.send(who, "DELETE", path)

    def document(self, who: Identity, path: str) -> etree._Element:
        """The document at a path, which has to be there."""
        answer = self.get(who, path)
        assert answer.status == 200, f"{path}: {answer}"
        return etree.fromstring(answer.body)

    def damage(self, operation: Write[Any]) -> None:
        """Change the store as damage does, without a word, before anybody has asked."""
        self.write(operation)
        self.database.lacks.clear()
        self.forget()

    def forget(self) -> None:
        """Have the reading thread keep nothing of what it has read."""

        def clear(connection: sa.Connection) -> None:
            kept = fact_store.of(connection)
            assert kept is not None
            kept.clear()

        self.read(clear)

    # --- what the operator, the configuration and the clock do

    def write(self, operation: Write[T]) -> T:
        """Carry out a write, commit it and publish what it changed."""
        return _result(self.database.write(operation))

    def read(self, operation: Read[T]) -> T:
        return _result(self.database.read(operation))

    def withdraw(self, who: Identity) -> None:
        """The operator shuts a caller out."""
        self.write(lambda transaction: devices.withdraw(transaction, who.lfdi, "operator", int(self.now)))

    def control(
        self, program: int, *, start: int = 0, duration: int = 600, fixed_w: int = 5000, **more: Any
    ) -> str:
        """A new control of a program, ``start`` seconds from now; its href."""
        made = der_control(int(self.now), int(self.now) + start, duration, fixed_w=fixed_w, **more)

        def add(transaction: Transaction) -> Place:
            own_programs.show(transaction, program, int(self.now))
            return controls.add(transaction, ISSUER, program, made)

        return self.write(add).href


_HANDED_ON: dict[bytes, Identity] = {}


def handed_on(who: Identity) -> bytes:
    """The header lines by which a proxy says that a request is somebody's."""
    octets = f"the certificate of {who.fingerprint} until {who.not_after}".encode()
    _HANDED_ON[octets] = who
    return header_lines(HandedOn(octets))


def behind(who: Identity, request: bytes) -> bytes:
    """A request as a proxy sends it for somebody."""
    line, end, rest = request.partition(b"\r\n")
    return line + end + handed_on(who) + rest


def encoded(body: bytes | r.Resource) -> bytes:
    """A body as bytes."""
    return body if isinstance(body, bytes) else codec.encode(body, extensions=True)


def der_control(created: int, start: int, duration: int, *, fixed_w: int = 5000, **more: Any) -> r.DERControl:
    """A control of one mode, as the operator would make it."""
    return r.DERControl(
        mRID="0",
        creationTime=created,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=created, potentiallySuperseded=False),
        interval=r.DateTimeInterval(duration=duration, start=start),
        DERControlBase=r.DERControlBase(opModFixedW=fixed_w),
        **more,
    )


def end_device(who: Identity, **more: Any) -> r.EndDevice:
    """What a device posts to be registered."""
    return r.EndDevice(lFDI=who.lfdi, sFDI=who.sfdi, changedTime=NOW, **more)


def _result(deferred: Any) -> Any:
    outcomes: list[Any] = []
    deferred.addBoth(outcomes.append)
    (outcome,) = outcomes
    if isinstance(outcome, Failure):
        outcome.raiseException()
    return outcome


@cache
def _template() -> tuple[bytes, Numbers]:
    """A database as the world begins with, and where things are in it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "world.sqlite"
        engine.prepare(f"sqlite:///{path}")
        database = Database(f"sqlite:///{path}", None)
        numbers: Numbers = _result(database.write(_lay))
        database.stopService()
        return path.read_bytes(), numbers


def _lay(transaction: Transaction) -> Numbers:
    at = REGISTERED

    def group(name: str, parent: int | None, level: int | None, fsa: str) -> int:
        assignment = groups.assignment(transaction, fsa)
        return groups.put_group(transaction, name, parent=parent, level=level, assignment=assignment)

    def enrolled(who: Identity, name: str, at: int = at, **more: Any) -> int:
        device = devices.add(transaction, who.lfdi, now=at, name=name, pin=PIN, **more)
        devices.make_end_device(transaction, device, at)
        return device.id

    system = group("System", None, 0, "Topology")
    feeder_a = group("Feeder A", system, 3, "Topology")
    feeder_b = group("Feeder B", system, 3, "Topology")
    point_1 = group("Point 1", feeder_a, 6, "Topology")
    campaign = group("Campaign", None, None, "Campaigns")

    def program(group: int, description: str, primacy: int) -> int:
        return programs.add(transaction, ISSUER, group, description, primacy)

    sy = program(system, "SY", 10)
    fa = program(feeder_a, "FDA", 7)
    fb = program(feeder_b, "FDB", 7)
    sp = program(point_1, "SP1", 4)
    ca = program(campaign, "Campaign", 1)
    spare = program(feeder_b, "Spare", 9)
    gone = program(system, "Gone", 2)
    programs.retire(transaction, gone, at)

    curve = programs.add_curve(transaction, ISSUER, fa, _curve("volt-var", 11, 10), at)
    programs.add_curve(transaction, ISSUER, fa, _curve("volt-watt", 12, 1), at + 1)
    programs.add_curve(transaction, ISSUER, sp, _curve("low voltage", 5, 2), at)
    for number, default in (
        (sy, r.DERControlBase(opModFixedW=10000)),
        (fa, r.DERControlBase(opModVoltVar=r.DERCurveLink(href=curve.href))),
        (sp, r.DERControlBase(opModConnect=True)),
    ):
        made = r.DefaultDERControl(mRID="0", DERControlBase=default, setGradW=10000)
        programs.set_default(transaction, ISSUER, number, made, at)

    def control(program: int, start: int, duration: int, **more: Any) -> int:
        made = der_control(at, NOW + start, duration, **more)
        return controls.add(transaction, ISSUER, program, made).ids[1]

    owner = enrolled(OWNER, "owner", at - 3)
    other = enrolled(OTHER, "other")
    listed = devices.add(transaction, LISTED.lfdi, now=at, name="listed", pin=PIN).id
    aggregator = enrolled(AGGREGATOR, "aggregator", at - 2, aggregator=True)
    managed = enrolled(MANAGED, "managed", at - 1, manager=aggregator)
    bare = enrolled(BARE, "bare", manager=aggregator)
    devices.add(transaction, UNREGISTERED.lfdi, now=at, name="unregistered", pin=PIN, manager=aggregator)
    rival = enrolled(RIVAL, "rival", aggregator=True)
    foreign = enrolled(FOREIGN, "foreign", manager=rival)
    devices.add(transaction, IDLE.lfdi, now=at, name="idle", pin=PIN, aggregator=True)
    withdrawn = enrolled(WITHDRAWN, "withdrawn")
    retired = enrolled(RETIRED, "retired")
    for device, place in (
        (owner, point_1),
        (owner, campaign),
        (managed, point_1),
        (other, feeder_b),
        (bare, feeder_b),
        (foreign, feeder_b),
        (withdrawn, point_1),
        (retired, point_1),
    ):
        devices.join(transaction, device, place, at)
    active = control(sp, -300, 900)
    scheduled = control(sp, 3600, 600, randomizeStart=-60, randomizeDuration=30, description="full")
    ended = control(sp, -1200, 600)
    forgotten = control(sp, -200_000, 600)
    control(fb, 7200, 60)
    control(sy, 1800, 300)
    for device in (owner, other, managed, bare, foreign, withdrawn, retired):
        _report(transaction, device, at)
    for device in (aggregator, rival):
        documents.put(transaction, Place(ROWS["DeviceStatus"], (device,)), FULL["DeviceStatus"], at, device)
    devices.withdraw(transaction, WITHDRAWN.lfdi, "operator", at)
    devices.update(transaction, retired, retired=at, changed_time=at)
    return Numbers(
        owner=owner,
        other=other,
        aggregator=aggregator,
        managed=managed,
        bare=bare,
        rival=rival,
        foreign=foreign,
        withdrawn=withdrawn,
        retired=retired,
        listed=listed,
        system=sy,
        feeder_a=fa,
        feeder_b=fb,
        point_1=sp,
        campaign=ca,
        spare=spare,
        gone=gone,
        topology=groups.assignment(transaction, "Topology"),
        campaigns=groups.assignment(transaction, "Campaigns"),
        curve=curve.ids[1],
        active=active,
        scheduled=scheduled,
        ended=ended,
        forgotten=forgotten,
    )


def _report(transaction: Transaction, device: int, at: int) -> None:
    """Everything that a device PUTs after it was registered."""
    lfdi = devices.end_device(transaction.connection, device)
    assert lfdi is not None
    information = FULL["DeviceInformation"].replace(lFDI=lfdi.lFDI)
    documents.put(transaction, Place(ROWS["DeviceInformation"], (device,)), information, at, device)
    for name in ("DeviceStatus", "PowerStatus", "Configuration"):
        documents.put(transaction, Place(ROWS[name], (device,)), FULL[name], at, device)
    for name in ("DERCapability", "DERSettings", "DERStatus", "DERAvailability"):
        documents.put(transaction, Place(ROWS[name], (device, 1)), FULL[name], at, device)
    locale = r.SupportedLocale(locale="en-US")
    documents.post(transaction, Place(ROWS["SupportedLocaleList"], (device,)), locale, at, device)


def _curve(description: str, kind: int, points: int) -> r.DERCurve:
    return r.DERCurve(
        mRID="0",
        description=description,
        creationTime=REGISTERED,
        CurveData=tuple(r.CurveData(xvalue=9000 + 100 * i, yvalue=4000 - 100 * i) for i in range(points)),
        curveType=kind,
        xMultiplier=-2,
        yMultiplier=-2,
        yRefType=3,
    )
