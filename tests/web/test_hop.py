"""A proxy's connection: whose a request is, belongs to the request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve
from lxml import etree
from twisted.logger import formatEvent as format_event
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.hop import LONGEST, PROBE
from csipd.net.identity import Identity
from csipd.net.limits import ConnectionLimits
from csipd.net.quotas import Quotas
from csipd.sep2 import codec
from csipd.web.hop import AT_ONCE, Hops
from tests.support.bodies import FULL, MINIMAL
from tests.support.client import Answer
from tests.support.memory_tls import Wire
from tests.support.raw_requests import plain, written
from tests.support.schema import validate
from tests.support.steps import steps
from tests.support.world import (
    AGGREGATOR,
    BOUNDLESS,
    LAB,
    MANAGED,
    NAMESPACE,
    NOW,
    OTHER,
    OWNER,
    PROXY,
    UNKNOWN,
    WITHDRAWN,
    World,
    behind,
    caller,
    handed_on,
)

OWN = plain("/edev?l=9")
STATUS = "/edev/1/der/1/ders"


class HopCase(SynchronousTestCase):
    """A world with a proxy in front of it."""

    def make(self, **how: Any) -> World:
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        world = World(path, **how)
        self.addCleanup(world.close)
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        return world

    def lines(self, word: str = "") -> list[str]:
        """What was logged by csipd with a word in it."""
        said = [str(format_event(e)) for e in self.events if e["log_namespace"].startswith("csipd")]
        return [line for line in said if word in line]

    def ask(self, wire: Wire, *requests: bytes, bodiless: bool = False) -> list[Answer]:
        """What requests that come in one read are answered with, in order."""
        return wire.results(wire.client.raw(b"".join(requests), len(requests), bodiless=bodiless))

    def assertOf(self, answer: Answer, *numbers: int) -> None:
        """See that an answer is the list of these EndDevices."""
        self.assertEqual(answer.status, 200, answer)
        found = {element.get("href") for element in etree.fromstring(answer.body)}
        self.assertEqual(found, {f"/edev/{number}" for number in numbers})

    def assertForbidden(self, answer: Answer) -> None:
        self.assertEqual(answer.status, 403, answer)
        validate(answer.body)
        self.assertEqual(etree.fromstring(answer.body).tag, f"{NAMESPACE}Error")


class IdentityTests(HopCase):
    """Who is asked for."""

    def test_each_its_own(self) -> None:
        """Requests of several devices in one read are answered in their order, each with what is its own."""
        world = self.make()
        wire, numbers = world.open(PROXY), world.numbers
        of_fleet = (numbers.aggregator, numbers.managed, numbers.bare)
        for _ in range(3):  # not kept, kept, kept
            requests = [behind(who, OWN) for who in (OWNER, AGGREGATOR, OTHER, OWNER)]
            first, second, third, fourth = self.ask(wire, *requests)
            self.assertOf(first, numbers.owner)
            self.assertOf(second, *of_fleet)
            self.assertOf(third, numbers.other)
            self.assertOf(fourth, numbers.owner)
        self.assertEqual(world.straight, 3)
        self.assertEqual(world.hits, 9)

    def test_kept_for_both(self) -> None:
        """What a device was answered on a connection of its own is kept for it behind a proxy, and back."""
        world = self.make()
        direct, wire = world.open(OWNER), world.open(PROXY)
        (before,) = self.ask(direct, OWN)
        (after,) = self.ask(wire, behind(OWNER, OWN))
        self.assertEqual(before, after)
        self.assertEqual(world.hits, 1)
        self.ask(wire, behind(OTHER, OWN))
        self.ask(world.open(OTHER), OWN)
        self.assertEqual(world.hits, 2)

    def test_one_write(self) -> None:
        """What is kept leaves in one write, and so does what is asked for together."""
        world = self.make()
        wire = world.open(PROXY)
        callers = [OWNER, OTHER, AGGREGATOR, MANAGED] * 4
        data = b"".join(behind(who, OWN) for who in callers)
        for _ in range(2):
            written: list[bytes] = []
            end = wire._server_end
            write = end.write
            self.patch(
                end, "write", lambda octets, write=write, all=written: (all.append(octets), write(octets))
            )
            wire.results(wire.client.raw(data, len(callers)))
            self.assertEqual(len(written), 1)

    def test_records(self) -> None:
        """Over TLS requests are cut anywhere, by records and by reads."""
        world = self.make()
        numbers = world.numbers
        for portion in (None, 1000, 16_500):
            wire = world.secure(Path(self.mktemp()), LAB.server("a proxy"), PROXY)
            wire.portion = portion
            for _ in range(2):
                many = [behind((OWNER, OTHER, MANAGED)[n % 3], OWN) for n in range(150)]
                for number, answer in enumerate(self.ask(wire, *many)):
                    self.assertOf(answer, (numbers.owner, numbers.other, numbers.managed)[number % 3])

    def test_writes_between_reads(self) -> None:
        """PUTs and GETs of several devices in one read: each is answered in turn, with what is true then."""
        world = self.make()
        wire, status = world.open(PROXY), codec.encode(MINIMAL["DERStatus"])
        foreign = written("PUT", STATUS, status)
        answers = self.ask(
            wire,
            behind(OWNER, plain(STATUS)),
            behind(OTHER, foreign),
            behind(OWNER, written("PUT", STATUS, status)),
            behind(OWNER, plain(STATUS)),
            behind(OTHER, plain(STATUS)),
            behind(AGGREGATOR, OWN),
        )
        self.assertEqual([each.status for each in answers], [200, 404, 204, 200, 404, 200])
        self.assertNotEqual(answers[0].body, answers[3].body)

    def test_long_way(self) -> None:
        """The headers may stand anywhere, in any spelling; several devices still get their own."""
        world = self.make()
        wire, numbers = world.open(PROXY), world.numbers

        def moved(who: Identity) -> bytes:
            lines = handed_on(who).replace(b"Client-Cert", b"client-CERT").replace(b": :", b":  \t:")
            return OWN[:-2] + lines + b"\r\n"

        first, second, third = self.ask(wire, moved(OWNER), behind(OTHER, OWN), moved(AGGREGATOR))
        self.assertOf(first, numbers.owner)
        self.assertOf(second, numbers.other)
        self.assertOf(third, numbers.aggregator, numbers.managed, numbers.bare)

    def test_nothing_is_left(self) -> None:
        """A request that says not whose it is gets nothing of the one before, whichever way that one went."""
        world = self.make()
        wire = world.open(PROXY)
        put = written("PUT", STATUS, codec.encode(FULL["DERStatus"]))
        for before in (OWN, put, plain("/edev?l=9", "OPTIONS"), plain(STATUS, "HEAD")):
            for way in (before, before[:-2] + b"X: a\r\n\r\n" if before is OWN else before):
                request = behind(OWNER, way)
                wire.client.raw(request, bodiless=b"HEAD" in request)
                wire.pump()
                for asked in (OWN, put, plain("/edev?l=9", "OPTIONS")):
                    (answer,) = self.ask(wire, asked)
                    self.assertForbidden(answer)

    def test_proxy_is_nobody(self) -> None:
        """The proxy itself may ask for nothing, and cannot say that it is the device."""
        world = self.make()
        wire = world.open(PROXY)
        self.assertForbidden(self.ask(wire, OWN)[0])
        self.assertForbidden(self.ask(wire, behind(PROXY, OWN))[0])
        self.assertEqual(len(self.lines("the certificate of a proxy")), 1)
        self.assertFalse(wire.closed)

    def test_probe(self) -> None:
        """PX-2: a proxy learns whether it is believed; that it asks is nothing to be logged."""
        world = self.make()
        wire = world.open(PROXY)
        (first,) = self.ask(wire, PROBE, bodiless=True)
        self.assertEqual(first.status, 403)
        self.assertOf(self.ask(wire, behind(OTHER, OWN))[0], world.numbers.other)
        self.assertEqual(self.lines("refused"), [])
        for somebody in (OWNER, UNKNOWN, WITHDRAWN):
            (answer,) = self.ask(world.open(somebody), PROBE, bodiless=True)
            self.assertNotEqual(answer.status, 403)

    def test_refused(self) -> None:
        """What is missing, malformed, doubled or refused is 403 and logged; who comes behind is answered."""
        world = self.make()
        wire, good = world.open(PROXY), handed_on(OWNER)
        line, rest = OWN.split(b"\r\n", 1)
        for lines, reason in (
            (b"", "no Client-Cert"),
            (b"Client-Cert: :A:\r\n", "malformed"),
            (b"Client-Cert: \r\n", "malformed"),
            (b"Client-Cert-Chain: :AAAA:\r\n", "no Client-Cert"),
            (good + good, "more than one"),
            (good + b"X: y\r\n" + good, "more than one"),
            (good + b"client-cert: :AAAA:\r\n", "more than one"),
            (good + b"Client-Cert-Chain: :AAAA:\r\nClient-Cert-Chain: :AAAA:\r\n", "more than one"),
            (b"Client-Cert: :AAAA:\r\n", "unable to get local issuer"),
            (b"Client-Cert: :" + b"A" * LONGEST + b":\r\n", "too long"),
        ):
            self.events.clear()
            world.clock.advance(61)
            first, second = self.ask(wire, line + b"\r\n" + lines + rest, behind(OTHER, OWN))
            self.assertForbidden(first)
            self.assertOf(second, world.numbers.other)
            (said,) = self.lines("request of the proxy")
            self.assertIn(reason, said)
            self.assertNotIn("AAAA", said)

    def test_refused_bodies(self) -> None:
        """A write that says not whose it is, is 403 too, and changes nothing."""
        world = self.make()
        put = written("PUT", STATUS, codec.encode(FULL["DERStatus"]))
        line, rest = put.split(b"\r\n", 1)
        for lines in (b"", b"Client-Cert: :AAAA:\r\n", handed_on(OWNER) * 2):
            wire = world.open(PROXY)
            self.assertForbidden(self.ask(wire, line + b"\r\n" + lines + rest)[0])
        self.assertEqual(world.changed, [])

    def test_log_is_bounded(self) -> None:
        """A thousand requests without a certificate are one line, and a count a minute later."""
        world = self.make()
        wire = world.open(PROXY)
        for _ in range(50):
            self.ask(wire, *[OWN] * 20)
        self.assertEqual(len(self.lines("no Client-Cert")), 1)
        world.clock.advance(61)
        self.assertEqual(len(self.lines("999 more")), 1)

    def test_head(self) -> None:
        """HEAD is answered as on a connection of one's own."""
        world = self.make()
        wire = world.open(PROXY)
        request = plain("/edev?l=9", "HEAD")
        for _ in range(2):
            (through,) = self.ask(wire, behind(OWNER, request), bodiless=True)
            (direct,) = self.ask(world.open(OWNER), request, bodiless=True)
            self.assertEqual(through, direct)


class ForgedTests(HopCase):
    """The same headers from somebody who is no proxy."""

    def test_ignored(self) -> None:
        """They are passed over by both ways, logged once a minute, and what is answered is not kept."""
        for straight in (True, False):
            world = self.make(straight=straight)
            self.events.clear()
            wire = world.open(OTHER)
            status = codec.encode(FULL["DERStatus"])
            for _ in range(3):
                answer, foreign = self.ask(
                    wire, behind(OWNER, OWN), behind(OWNER, written("PUT", STATUS, status))
                )
                self.assertOf(answer, world.numbers.other)
                self.assertEqual(foreign.status, 404)
                (answer,) = self.ask(wire, OWN[:-2] + b"client-cert-chain: x\r\n\r\n")
                self.assertOf(answer, world.numbers.other)
            self.assertEqual(world.hits, 0)
            (line,) = self.lines("Client-Cert")
            self.assertIn(OTHER.lfdi, line)

    def test_steps(self) -> None:
        """A forged header makes a request no dearer than one that was not asked before."""
        world = self.make()
        wire = world.open(OTHER)
        forged = behind(OWNER, OWN)

        def ask(request: bytes) -> int:
            wire.client.raw(request)
            return steps(wire.pump)

        fresh = ask(OWN)
        found = ask(OWN)
        self.assertLess(found, fresh)
        for _ in range(3):
            self.assertLess(ask(forged), 1.3 * fresh)
        self.assertEqual(ask(OWN), found)

    def test_before_it_is_known(self) -> None:
        """A proxy that is not known, or not any more, is anybody; and what it says of others is nothing."""
        world = self.make()
        stranger = caller("a proxy that nobody knows")
        (answer,) = self.ask(world.open(stranger), behind(OWNER, OWN))
        self.assertIn(answer.status, (403, 404))


class RightsTests(HopCase):
    """What changes while the proxy's connection stays."""

    def test_withdrawal(self) -> None:
        """A device that is withdrawn is shut out at once, and the others are not."""
        world = self.make()
        wire, numbers = world.open(PROXY), world.numbers
        requests = [behind(OWNER, OWN), behind(OTHER, OWN)]
        for _ in range(2):
            self.assertOf(self.ask(wire, *requests)[0], numbers.owner)
        world.withdraw(OWNER)
        first, second = self.ask(wire, *requests)
        (direct,) = self.ask(world.open(OWNER), OWN)
        self.assertEqual(first, direct)
        self.assertNotEqual(first.status, 200)
        self.assertOf(second, numbers.other)

    def test_withdrawn_while_asked(self) -> None:
        """A withdrawal that comes while the answer is under way holds for that answer."""
        world = self.make()
        wire = world.open(PROXY)
        world.back.hold()
        first, second = wire.client.raw(behind(OWNER, OWN) + behind(OTHER, OWN), 2)
        wire.pump()
        world.withdraw(OWNER)
        world.back.release()
        self.assertNotEqual(wire.result(first).status, 200)
        self.assertOf(wire.result(second), world.numbers.other)

    def test_certificate_ends(self) -> None:
        """A device whose certificate has ended is refused, kept answers or not; the connection stays."""
        world = self.make()
        ending = evolve(OWNER, not_after=NOW + 100)
        wire = world.open(PROXY)
        requests = [behind(ending, OWN), behind(OTHER, OWN)]
        for _ in range(2):
            self.assertOf(self.ask(wire, *requests)[0], world.numbers.owner)
        world.now += 101
        first, second = self.ask(wire, *requests)
        self.assertForbidden(first)
        self.assertOf(second, world.numbers.other)
        self.assertFalse(wire.closed)

    def test_other_roots(self) -> None:
        """When files were read anew every certificate is judged anew, at once."""
        world = self.make()
        wire = world.open(PROXY)
        request = behind(OWNER, OWN)
        self.assertOf(self.ask(wire, request)[0], world.numbers.owner)
        world.trusted = False
        self.assertOf(self.ask(wire, request)[0], world.numbers.owner)
        world.hops.use(world._judge, world.site.context)
        self.assertForbidden(self.ask(wire, request)[0])

    def test_refusal_is_not_for_ever(self) -> None:
        """A certificate that was refused is judged again a minute later: it may have begun."""
        world = self.make()
        wire = world.open(PROXY)
        request = behind(OWNER, OWN)
        world.trusted = False
        self.assertForbidden(self.ask(wire, request)[0])
        world.trusted = True
        self.assertForbidden(self.ask(wire, request)[0])
        world.now += 61
        self.assertOf(self.ask(wire, request)[0], world.numbers.owner)

    def test_proxy_that_is_not_known_any_more(self) -> None:
        """Its open connection is closed before it asks for anything again."""
        world = self.make()
        known: set[str] = {PROXY.fingerprint}
        world.hops.fingerprints = known
        wire, long = world.open(PROXY), world.open(PROXY)
        self.ask(wire, behind(OWNER, OWN))
        # One that goes the long way has begun.
        head = OWN[:-2] + handed_on(OWNER)
        long.client.send(behind(OTHER, OWN).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        long.pump()
        known.clear()
        (asked,) = long.client.raw(b"0\r\n\r\n" + head + b"\r\n")
        self.assertOf(long.result(asked), world.numbers.other)
        self.assertNotIn(f"/edev/{world.numbers.owner}".encode(), long.client.received)
        (asked,) = wire.client.raw(behind(OWNER, OWN))
        wire.pump()
        self.failureResultOf(asked)
        self.assertTrue(wire.closed)
        self.assertEqual(len(self.lines("is not known any more")), 1)

    def test_proxy_whose_certificate_ends(self) -> None:
        """The same holds for one whose own certificate has ended."""
        world = self.make()
        wire = world.open(evolve(PROXY, not_after=NOW + 10))
        self.ask(wire, behind(OWNER, OWN))
        world.now += 11
        (asked,) = wire.client.raw(behind(OWNER, OWN))
        wire.pump()
        self.failureResultOf(asked)

    def test_unknown_certificate(self) -> None:
        """Who is on no list gets what it would get on a connection of its own."""
        world = self.make()
        wire = world.open(PROXY)
        for who in (UNKNOWN, WITHDRAWN):
            for request in (OWN, plain("/dcap"), written("PUT", STATUS, codec.encode(FULL["DERStatus"]))):
                (through,) = self.ask(wire, behind(who, request))
                (direct,) = self.ask(world.open(who), request)
                self.assertEqual((through.status, through.body), (direct.status, direct.body))
                if wire.closed:
                    wire = world.open(PROXY)


class BoundsTests(HopCase):
    """Quotas, and what waits."""

    def test_quota_of_the_device(self) -> None:
        """Requests are charged to the device, what it does directly too; others are not held up."""
        world = self.make(quotas=Quotas(requests_per_second=1.0, request_burst=4.0))
        wire = world.open(PROXY)
        statuses = [each.status for each in self.ask(wire, *[behind(OWNER, OWN)] * 4)]
        self.assertEqual(statuses, [200] * 4)
        self.assertEqual(self.ask(wire, behind(OWNER, OWN))[0].status, 503)
        self.assertEqual(self.ask(world.open(OWNER), OWN)[0].status, 503)
        self.assertEqual(self.ask(wire, behind(OTHER, OWN))[0].status, 200)
        world.clock.advance(1)
        self.assertEqual(self.ask(wire, behind(OWNER, OWN))[0].status, 200)

    def test_unwanted_bodies(self) -> None:
        """A body that its sender may not send, or not so large, is dropped: the connection is that of all."""
        for straight in (True, False):
            world = self.make(straight=straight)
            wire = world.open(PROXY)
            small, large = codec.encode(FULL["DERStatus"]), b"x" * 1_000_000
            for who, body, expected in (
                (UNKNOWN, small, 404),
                (WITHDRAWN, small, 404),
                (UNKNOWN, large, 404),
                (OWNER, large, 413),
                (PROXY, small, 403),
                (PROXY, large, 403),
            ):
                put = written("PUT", STATUS, body)
                for cut in (len(put), 900, 40):
                    data = behind(who, put) + behind(OTHER, OWN)
                    first, second = wire.client.raw(data[:cut], 2)
                    wire.pump()
                    wire.client.send(data[cut:])
                    self.assertEqual(wire.result(first).status, expected)
                    self.assertOf(wire.result(second), world.numbers.other)
            self.assertFalse(wire.closed)
            (too_large,) = self.ask(wire, behind(OWNER, written("PUT", STATUS, b"x" * 1_100_000)))
            self.assertEqual(too_large.status, 413)
            self.assertTrue(wire.closed)
            self.assertEqual(world.changed, [])

    def test_heads_with_what_the_proxy_adds(self) -> None:
        """A head as large as a device's may be is taken with what the proxy adds, and no much larger one."""
        for straight in (True, False):
            world = self.make(straight=straight)
            wire = world.open(PROXY)
            pad = 8192 - len(OWN) - len(b"X: \r\n")
            most = OWN[:-2] + b"X: " + b"x" * pad + b"\r\n"
            lines = OWN[:-2] + b"".join(b"X%d: y\r\n" % number for number in range(98))
            for head in (most, lines):
                (answer,) = self.ask(wire, behind(OWNER, head + b"Via: 1.1 csipd\r\n\r\n"))
                self.assertOf(answer, world.numbers.owner)
            (answer,) = self.ask(wire, behind(OWNER, OWN[:-2] + b"X: " + b"x" * 10_000 + b"\r\n\r\n"))
            self.assertEqual(answer.status, 400)

    def test_connections_of_the_proxy(self) -> None:
        """It may have as many connections as an aggregator, and none of them is a device's."""
        world = self.make(quotas=evolve(BOUNDLESS, connections=1, aggregator_connections=3))
        wires = [world.open(PROXY) for _ in range(3)]
        for wire in wires:
            self.ask(wire, behind(OWNER, OWN))
        direct = world.open(OWNER)
        self.ask(direct, OWN)
        self.assertFalse(any(wire.closed for wire in (*wires, direct)))
        fourth = world.open(PROXY)
        self.ask(fourth, behind(OWNER, OWN))
        for wire in wires:
            wire.pump()
        self.assertEqual(sum(wire.closed for wire in wires), 1)

    def test_contacts(self) -> None:
        """A device behind a proxy is heard of, from the proxy's address; the proxy is not."""
        world = self.make()
        wire = world.open(PROXY)
        self.ask(wire, behind(OWNER, OWN), behind(UNKNOWN, OWN))
        world.now += 5
        world.clock.advance(5)
        self.ask(wire, behind(OWNER, OWN))

        def collected() -> dict[str, Any]:
            found = world.contacts.collect(world.site.connections.identified())
            return {each.lfdi: each for each in found if each.lfdi != PROXY.lfdi}

        found = collected()
        self.assertEqual(set(found), {OWNER.lfdi, UNKNOWN.lfdi})
        self.assertEqual((found[OWNER.lfdi].at, found[OWNER.lfdi].host), (NOW + 5, "198.51.100.7"))
        self.assertEqual(found[UNKNOWN.lfdi].refusals, 1)
        world.clock.advance(5)
        self.assertEqual(collected(), {})
        world.clock.advance(5)
        self.ask(wire, behind(OTHER, OWN))
        world.hops.use(world._judge, world.site.context)
        self.assertEqual(set(collected()), {OTHER.lfdi})

    def test_room(self) -> None:
        """What is kept of callers is bounded by octets; who finds no room is answered all the same."""
        world = self.make()
        known = {PROXY.fingerprint}
        world.site.context.proxies = small = Hops(known, largest=3_600)
        small.use(world._judge, world.site.context)
        wire = world.open(PROXY)
        for number in range(20):
            (answer,) = self.ask(wire, behind(caller(f"stranger {number}"), plain("/tm")))
            self.assertEqual(answer.status, 200)
            self.assertLessEqual(len(small.callers), 3)
        accounts = world.site.connections._accounts
        world.clock.advance(60)
        self.assertLessEqual(len(accounts), 4)
        for number in range(2000):
            self.ask(wire, OWN.replace(b"\r\n", b"\r\nClient-Cert: :" + b"%08d" % number + b":\r\n", 1))
        self.assertLessEqual(len(small._refused), 1024)

    def test_more_than_at_once(self) -> None:
        """However many come in one read, each is answered, and no more are asked for than may be at once."""
        world = self.make()
        wire = world.open(PROXY)
        world.back.hold()
        many = 3 * AT_ONCE
        requests = [behind((OWNER, OTHER)[n % 2], plain(f"/edev?s=0&l={n + 1}")) for n in range(many)]
        answers = wire.client.raw(b"".join(requests), many)
        wire.pump()
        self.assertEqual(len(world.back._waiting or ()), AT_ONCE)
        world.back.release()
        for number, answer in enumerate(wire.results(answers)):
            self.assertOf(answer, (world.numbers.owner, world.numbers.other)[number % 2])

    def test_reading_stops(self) -> None:
        """Behind what is not answered yet no more is read than there is room for; then it goes on."""
        world = self.make()
        wire = world.open(PROXY)
        world.back.hold()
        sent: list[Any] = []
        for number in range(2000):
            sent += wire.client.raw(behind(OWNER, plain(f"/edev?s=0&l={number + 1}")))
            wire.pump()
            if not wire.server_reading:
                break
        self.assertLess(len(sent), 1000)
        world.back.release()
        for answer in wire.results(sent):
            self.assertOf(answer, world.numbers.owner)
        self.assertTrue(wire.server_reading)

    def test_proxy_that_does_not_read(self) -> None:
        """Nothing more is begun for a proxy that takes no answers; when it does, all is answered in order."""
        world = self.make()
        wire = world.open(PROXY)
        self.ask(wire, behind(OWNER, OWN))
        wire.reading = False
        sent: list[Any] = []
        for _ in range(400):
            sent += wire.client.raw(behind(OWNER, OWN) + behind(OTHER, OWN), 2)
            wire.pump()
        self.assertLess(wire.server_waiting, 200_000)
        self.assertFalse(wire.server_reading)
        wire.reading = True
        for number, answer in enumerate(wire.results(sent)):
            self.assertOf(answer, (world.numbers.owner, world.numbers.other)[number % 2])

    def test_deadlines(self) -> None:
        """A head that does not come to its end, an answer that does not come, an idle line: all end."""
        limits = ConnectionLimits(request_seconds=30, answer_seconds=60, idle_seconds=300)
        world = self.make(limits=limits)
        for begin, seconds in ((behind(OWNER, OWN)[:-5], 30), (OWN[:10], 30), (b"", 300)):
            wire = world.open(PROXY)
            if begin:
                wire.client.send(begin)
            wire.pump()
            wire.advance(seconds - 2)
            self.assertFalse(wire.closed)
            wire.advance(4)
            self.assertTrue(wire.closed)
        wire = world.open(PROXY)
        world.back.hold()
        wire.client.raw(behind(OWNER, OWN))[0].addErrback(lambda failure: None)
        wire.pump()
        wire.advance(58)
        self.assertFalse(wire.closed)
        wire.advance(4)
        self.assertTrue(wire.closed)
        world.back.release()
        self.assertEqual(len(self.lines("no answer to GET /edev?l=9")), 1)

    def test_hangs_up(self) -> None:
        """A proxy that is gone while its devices' answers are under way harms nobody."""
        world = self.make()
        wire = world.open(PROXY)
        world.back.hold()
        for asked in wire.client.raw(behind(OWNER, OWN) * 3, 3):
            asked.addErrback(lambda failure: None)
        wire.pump()
        wire.hang_up()
        world.back.release()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertOf(self.ask(world.open(PROXY), behind(OWNER, OWN))[0], world.numbers.owner)

    def test_drain(self) -> None:
        """When the server ends, what is under way is answered, the last says so, and the line is closed."""
        world = self.make()
        wire = world.open(PROXY)
        world.back.hold()
        first, second = wire.client.raw(behind(OWNER, OWN) + behind(OTHER, OWN), 2)
        wire.pump()
        world.site.connections.drain()
        wire.pump()
        self.assertFalse(wire.closed)
        world.back.release()
        self.assertNotIn("connection", wire.result(first).headers)
        self.assertEqual(wire.result(second).headers["connection"], "close")
        self.assertTrue(wire.closed)

    def test_failure(self) -> None:
        """What fails in the server is one device's 500, and the others are answered."""
        world = self.make()
        wire = world.open(PROXY)
        world.back.hold()
        first, second = wire.client.raw(behind(OWNER, OWN) + behind(OTHER, plain("/tm")), 2)
        wire.pump()
        waiting = world.back._waiting or []
        waiting[0][1].addCallback(lambda _: 1 / 0)
        world.back.release()
        self.assertEqual(wire.result(first).status, 500)
        self.assertEqual(wire.result(second).status, 200)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_steps(self) -> None:
        """A kept answer costs little more through a proxy: the certificate is looked up, not read."""
        world = self.make()
        direct, wire = world.open(OWNER), world.open(PROXY)
        through = behind(OWNER, OWN)

        def ask(wire: Wire, request: bytes, number: int = 1) -> int:
            wire.client.raw(request * number, number)
            return steps(wire.pump)

        for each, request in ((direct, OWN), (wire, through)):
            ask(each, request)
            ask(each, request)
        alone = ask(direct, OWN)
        self.assertLess(ask(wire, through), 1.7 * alone)
        self.assertLess(ask(wire, through, 32) / 32, 2 * alone)
