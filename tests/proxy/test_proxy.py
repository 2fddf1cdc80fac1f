"""Devices, the proxy and a server in memory: what goes where, what is refused, what is cut off."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.hop import PROBE
from csipd.net.limits import ConnectionLimits
from csipd.net.quotas import Quotas
from csipd.proxy.lane import LaneLimits
from csipd.proxy.turns import AT_ONCE
from csipd.sep2 import codec
from csipd.sep2.resources import Error
from tests.proxy.memory import Bench, Device, Got
from tests.proxy.smuggling import HANDED_ON, REFUSED, SECOND
from tests.support import schema
from tests.support.steps import steps


def get(target: bytes = b"/dcap", *lines: bytes) -> bytes:
    return b"\r\n".join((b"GET " + target + b" HTTP/1.1", b"Host: a", *lines, b"", b""))


def put(target: bytes, body: bytes, *lines: bytes) -> bytes:
    head = (b"PUT " + target + b" HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *lines)
    return b"\r\n".join((*head, b"", b"")) + body


class ProxyCase(SynchronousTestCase):
    """A bench, and what is asked of it again and again."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.server = self.bench.server

    def see_error(self, device: Device, status: int, answer: Got | None = None) -> None:
        """The device was answered with a status and an ``Error`` that a client can read."""
        if answer is None:
            (answer,) = device.answers()
        self.assertEqual(answer.status, status)
        self.assertIn(b"Content-Type: application/sep+xml", answer.head)
        schema.validate(answer.body)
        self.assertIsInstance(codec.decode(answer.body, Error), Error)


class WayTests(ProxyCase):
    """Which way requests go."""

    def test_gets_together(self) -> None:
        """GETs of several devices go on one connection, in one write if they come at once."""
        first = self.bench.device("A")
        first.send(get(b"/first"))
        self.bench.settle()
        devices = [self.bench.device(name) for name in "BCD"]
        for device in devices:
            device.send(get(b"/edev"))
        self.bench.clock.advance(0)
        (link,) = self.server.links
        self.assertEqual(len(link.end.out), 1)
        self.bench.settle()
        self.assertEqual([request.who for request in link.requests], [b"A", b"B", b"C", b"D"])
        link.answer_all()
        self.bench.settle()
        for device in devices:
            self.assertEqual(device.answers()[0].body, device.name + b" /edev ")

    def test_one_at_once(self) -> None:
        """A request for which nothing has to be waited leaves at once, without a timer."""
        device = self.bench.device("A")
        device.send(get())
        self.bench.serve_all()
        timers = list(self.bench.clock.calls)
        device.send(get())
        (link,) = self.server.links
        self.assertEqual(len(link.end.out), 1)
        self.assertEqual(self.bench.clock.calls, timers)
        link.read()
        link.answer()
        self.assertEqual(len(device.end.out), 1)
        self.assertEqual(self.bench.clock.calls, timers)

    def test_steps(self) -> None:
        """An ordinary GET and its answer cost the same few steps, however many devices there are."""
        device = self.bench.device("A")
        for _ in range(3):
            device.send(get())
            self.bench.serve_all()
        (link,) = self.server.links
        answer = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 600\r\n\r\n" + b"x" * 600

        def once() -> None:
            device.connection.dataReceived(get())
            link.connection.dataReceived(answer)

        few = steps(once)
        link.read()
        link.open.clear()
        for number in range(50):
            other = self.bench.device(f"D{number}")
            other.send(get())
            self.bench.serve_all()
        self.assertEqual(steps(once), few)
        self.assertLess(few, 450)

    def test_writes_apart(self) -> None:
        """What changes something has a connection on which nothing else is in flight."""
        devices = [self.bench.device(name) for name in "ABC"]
        for number, device in enumerate(devices):
            device.send(put(b"/%d" % number, b"body"))
        self.bench.device("D").send(get())
        self.bench.settle()
        self.assertEqual(sorted(len(link.open) for link in self.server.links), [1, 1, 1])
        (waiting,) = self.bench.writing.waiting
        self.assertIn(b"PUT /2", waiting.octets)
        next(link for link in self.server.links if link.open[0].target == b"/0").answer()
        self.bench.settle()
        self.assertEqual(self.server.requests[-1].target, b"/2")
        self.bench.serve_all()
        self.assertEqual([device.answers()[0].status for device in devices], [200, 200, 200])

    def test_past_the_slow(self) -> None:
        """Where an answer takes long, other devices' GETs go round it."""
        self.bench.device("A").send(get(b"/slow"))
        self.bench.settle()
        self.bench.advance(1)
        other = self.bench.device("B")
        other.send(get(b"/quick"))
        self.bench.settle()
        slow, quick = self.server.links
        quick.answer()
        self.bench.settle()
        self.assertEqual(other.answers()[0].body, b"B /quick ")
        self.assertEqual(len(slow.open), 1)

    def test_bounded(self) -> None:
        """There are no more connections and requests on each than a lane has; the rest waits."""
        for number in range(30):
            self.bench.device(f"D{number}").send(get(b"/%d" % number))
        self.bench.settle()
        self.bench.advance(1)
        self.assertEqual([len(link.open) for link in self.server.links], [4, 4])
        self.assertEqual(len(self.bench.reading.waiting), 22)
        self.bench.serve_all()
        self.assertEqual(len(self.server.links), 2)
        self.assertEqual(len(self.server.requests), 30)

    def test_turns(self) -> None:
        """PX-3: a device that asks on many connections has others wait for a few of its requests alone."""
        for make in (get, lambda target: put(target, b"x")):
            self.bench = Bench(reading=LaneLimits(connections=1), writing=LaneLimits(connections=64, depth=1))
            greedy = [self.bench.device("A") for _ in range(18)]
            for number, device in enumerate(greedy):
                device.send(make(b"/%d" % number))
            self.bench.settle()
            other = self.bench.device("B")
            other.send(make(b"/other"))
            self.bench.settle()
            asked = [one.who for one in self.bench.server.requests]
            self.assertEqual(asked, [b"A"] * AT_ONCE + [b"B"])
            # One that is on its way and one that waits are given up.
            greedy[0].hang_up()
            greedy[15].hang_up()
            self.bench.serve_all()
            self.assertEqual(other.answers()[0].body, b"B /other ")
            for number, device in enumerate(greedy):
                if number not in (0, 15):
                    self.assertEqual([one.body for one in device.answers()], [b"A /%d " % number])
            self.assertNotIn(b"/15", [one.target for one in self.bench.server.requests])
            greedy[1].send(make(b"/again"))
            self.bench.serve_all()
            self.assertEqual(len(greedy[1].answers()), 2)
            for device in (*greedy, other):
                device.hang_up()
            self.assertEqual(self.bench.context.turns, {})

    def test_turns_without_answers(self) -> None:
        """PX-3: those that wait for their turn have the server's time from when they are asked."""
        devices = [self.bench.device("A") for _ in range(AT_ONCE + 1)]
        for number, device in enumerate(devices):
            device.send(put(b"/%d" % number, b"x"))
        self.bench.settle()
        self.bench.advance(62)
        self.assertEqual([len(device.answers()) for device in devices], [1] * AT_ONCE + [0])
        self.bench.serve_all()
        self.assertEqual(devices[-1].answers()[0].status, 200)

    def test_idle_connections_go(self) -> None:
        """A connection with the server that is not used is closed, and made again when it is needed."""
        device = self.bench.device("A")
        device.send(get())
        self.bench.serve_all()
        self.bench.advance(121)
        self.assertTrue(self.server.links[0].gone)
        device.send(get())
        self.bench.serve_all()
        self.assertEqual(len(self.server.links), 2)
        self.assertEqual([answer.status for answer in device.answers()], [200, 200])

    def test_no_identity_of_its_own(self) -> None:
        """Two devices whose requests have the same octets are told apart by what the proxy says of each."""
        for name in ("A", "B"):
            self.bench.device(name).send(get(b"/edev", b"Client-Cert: :B:", b"Client-Cert-Chain: :B:"))
        self.bench.settle()
        self.assertEqual([request.who for request in self.server.requests], [b"A", b"B"])
        for request in self.server.requests:
            self.assertEqual(request.head.lower().count(b"client-cert:"), 1)


class FailureTests(ProxyCase):
    """A server that fails."""

    def test_get_again(self) -> None:
        """A GET whose connection is lost in silence is sent once more, on a connection opened since."""
        device = self.bench.device("A")
        device.send(get(b"/a"))
        self.bench.settle()
        other = self.bench.device("B")
        self.bench.advance(1)
        other.send(get(b"/b"))
        self.bench.settle()
        first, second = self.server.links
        second.answer()
        first.lose()
        self.bench.settle()
        # The other one was there before, and may be as dead.
        self.assertEqual(second.requests[0].target, b"/b")
        self.assertEqual(len(second.requests), 1)
        third = self.server.links[2]
        third.answer()
        self.bench.settle()
        self.assertEqual(device.answers()[0].body, b"A /a ")

    def test_get_not_thrice(self) -> None:
        """A GET that loses two connections is answered 502."""
        device = self.bench.device("A")
        device.send(get())
        for _ in range(2):
            self.bench.settle()
            self.server.links[-1].lose()
        self.bench.settle()
        self.see_error(device, 502)
        self.assertEqual(len(self.server.requests), 2)

    def test_get_again_in_vain(self) -> None:
        """Where none can be opened it is 502, though others that were there before still work."""
        self.bench.device("C").send(get(b"/c"))
        self.bench.settle()
        self.bench.advance(1)
        device = self.bench.device("A")
        device.send(get(b"/a"))
        self.bench.settle()
        self.server.is_up = False
        self.server.links[1].lose()
        self.bench.settle()
        self.see_error(device, 502)
        device.send(get(b"/again"))
        self.bench.serve_all()
        self.assertEqual(device.answers()[1].body, b"A /again ")

    def test_after_back_off(self) -> None:
        """While none can be made, what waits goes on those that there are."""
        self.bench.device("C").send(get(b"/slow"))
        self.bench.settle()
        self.bench.advance(1)
        self.server.is_up = False
        device, other = self.bench.device("A"), self.bench.device("B")
        for one in (device, other):
            one.send(get(b"/" + one.name))
        self.bench.settle()
        self.bench.advance(2)
        (link,) = self.server.links
        link.answer_all()
        self.bench.serve_all()
        self.assertEqual([one.answers()[0].status for one in (device, other)], [200, 200])

    def test_answer_in_part(self) -> None:
        """A GET of whose answer an octet has come is not sent again, and nothing of it is handed on."""
        device = self.bench.device("A")
        device.send(get())
        self.bench.settle()
        self.server.links[0].begin_answer(5)
        self.server.links[0].lose()
        self.bench.settle()
        self.see_error(device, 502)
        self.assertEqual(len(self.server.requests), 1)

    def test_write_never_again(self) -> None:
        """What changes something is never sent twice."""
        for method in (b"PUT", b"POST", b"DELETE", b"PATCH"):
            device = self.bench.device("A")
            device.send(put(b"/a", b"body").replace(b"PUT", method, 1))
            self.bench.settle()
            next(link for link in self.server.links if link.open).lose()
            self.bench.settle()
            self.see_error(device, 502)
        self.assertEqual([one.method for one in self.server.requests], [b"PUT", b"POST", b"DELETE", b"PATCH"])

    def test_server_away(self) -> None:
        """While the server is away it is 502; the device's connection stays, and works afterwards."""
        device = self.bench.device("A")
        device.send(get())
        self.bench.serve_all()
        self.server.stop()
        self.bench.settle()
        for request in (get(), put(b"/a", b"b"), get().replace(b"GET", b"HEAD")):
            device.send(request)
            self.bench.settle()
        found = device.answers((False, False, False, True))
        self.assertEqual([answer.status for answer in found], [200, 502, 502, 502])
        self.see_error(device, 502, found[1])
        self.server.is_up = True
        device.send(get())
        self.bench.serve_all()
        self.assertEqual(device.answers((False, False, False, True))[-1].status, 200)

    def test_no_server(self) -> None:
        """Whoever answers in the server's place, with a certificate of another, gets nothing to see."""
        self.server.is_server = False
        device = self.bench.device("A")
        device.send(get())
        self.bench.settle()
        self.see_error(device, 502)
        self.assertEqual(self.server.requests, [])

    def test_not_believed(self) -> None:
        """PX-2: a server that would take the proxy for who asks is asked for nothing."""
        self.server.probe = PROBE
        believed = self.server.probed
        device = self.bench.device("A")
        for probed in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 361\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 72\r\n\r\n",
            b"nonsense\r\n\r\n",
        ):
            self.server.probed = probed
            for data in (get(), put(b"/a", b"b")):
                device.send(data)
                self.bench.settle()
        self.assertEqual([one.status for one in device.answers()], [502] * 6)
        self.assertEqual(self.server.requests, [])
        self.server.probed = believed
        device.send(get())
        self.bench.serve_all()
        self.assertEqual(device.answers()[-1].status, 200)

    def test_handshake_without_end(self) -> None:
        """A server that does not finish its handshake is given up, and the request answered."""
        self.server.shakes = False
        device = self.bench.device("A")
        device.send(get())
        self.bench.settle()
        self.bench.advance(11)
        self.see_error(device, 502)

    def test_late(self) -> None:
        """What is not answered in time is 504; a late answer is dropped, those behind get theirs."""
        self.bench = Bench(limits=ConnectionLimits(answer_seconds=10.0))
        server = self.bench.server
        device, other = self.bench.device("A"), self.bench.device("B")
        device.send(get(b"/a"))
        other.send(get(b"/b"))
        self.bench.settle()
        server.links[0].begin_answer(20)
        self.bench.advance(11)
        self.see_error(device, 504)
        self.bench.serve_all()
        device.send(get(b"/again"))
        self.bench.serve_all()
        self.assertEqual(device.answers()[1].body, b"A /again ")
        self.assertIn(other.answers()[0].status, (200, 504))

    def test_write_late(self) -> None:
        """The same of what changes something: 504, and not sent again."""
        self.bench = Bench(limits=ConnectionLimits(answer_seconds=10.0))
        device = self.bench.device("A")
        device.send(put(b"/a", b"b"))
        self.bench.settle()
        self.bench.advance(11)
        self.see_error(device, 504)
        self.assertEqual(len(self.bench.server.requests), 1)
        self.assertTrue(self.bench.server.links[0].gone)

    def test_nonsense(self) -> None:
        """What is no answer is 502, and the connection that it came on is used no more."""
        for said in (
            b"hello\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ):
            device = self.bench.device("A")
            device.send(put(b"/a", b"b"))
            self.bench.settle()
            link = self.server.links[-1]
            link.connection.dataReceived(said)
            self.bench.settle()
            self.see_error(device, 502)
            self.assertTrue(link.gone)

    def test_more_than_asked(self) -> None:
        """Octets behind an answer are nobody's: the connection is cut, and nobody gets them."""
        device = self.bench.device("A")
        device.send(get(b"/a") + get(b"/b"))
        self.bench.settle()
        link = self.server.links[0]
        answer = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 1\r\n\r\na"
        link.open.clear()
        link.connection.dataReceived(answer + answer.replace(b"\r\na", b"\r\nX"))
        self.bench.serve_all()
        self.assertEqual([answer.body for answer in device.answers()], [b"a", b"A /b "])
        self.assertTrue(link.gone)

    def test_server_ends_connection(self) -> None:
        """Where the server closes behind an answer, GETs behind it go on another connection, as not sent."""
        devices = [self.bench.device(name) for name in "ABC"]
        for device in devices:
            device.send(get())
        self.bench.settle()
        self.server.links[0].end_with()
        self.bench.serve_all()
        self.assertEqual([device.answers()[0].status for device in devices], [200, 200, 200])
        self.assertNotIn(b"Connection", devices[0].answers()[0].head)


class DeviceTests(ProxyCase):
    """Devices that do as they like."""

    def test_smuggling(self) -> None:
        """Of what is refused nothing reaches the server, nor what stands behind it."""
        for what, (status, data) in REFUSED.items():
            device = self.bench.device("A")
            device.send(data)
            device.send(SECOND)
            self.bench.settle()
            self.see_error(device, status)
            self.assertIn(b"Connection: close", device.answers()[0].head)
            self.bench.settle()
            self.assertTrue(device.closed, what)
        self.assertEqual(self.server.requests, [])

    def test_refused_head(self) -> None:
        """A HEAD that is refused is answered without a body, as every HEAD is."""
        for data, status in (
            (b"HEAD /dcap HTTP/1.1\r\n\r\n", 400),
            (b"HEAD dcap HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"HEAD /dcap HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n", 413),
            (b"HEAD /" + b"a" * 9000, 414),
            (get() + b"HEAD /dcap HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        ):
            device = self.bench.device("A")
            device.send(data)
            self.bench.serve_all()
            *_, answer = device.answers((*(False,) * data.count(b"GET"), True))
            self.assertEqual((answer.status, answer.body), (status, b""))

    def test_smuggling_is_logged(self) -> None:
        """Who sends such things is named in the log with the reason, once a minute."""
        with capturedLogs() as events:
            for _ in range(3):
                device = self.bench.device("A")
                device.send(REFUSED["two lengths"][1])
                self.bench.settle()
        (line,) = [said for event in events if "not handed on" in (said := formatEvent(event))]
        self.assertIn("A at 198.51.100.1: a request is not handed on: content-length twice", line)

    def test_odd(self) -> None:
        """Of what is handed on the server gets one request, with a length, and then the one behind it."""
        for what, (data, _) in HANDED_ON.items():
            before = len(self.server.requests)
            device = self.bench.device("A")
            device.send(data + SECOND)
            self.bench.serve_all()
            found = self.server.requests[before:]
            self.assertEqual([one.target for one in found[1:]], [b"/smuggled"], what)
            self.assertEqual(len(device.answers()), 2)

    def test_pipelined(self) -> None:
        """Requests that a device sends without waiting are answered in order, whatever they are."""
        device = self.bench.device("A")
        device.send(
            get(b"/1") + put(b"/2", b"body") + get(b"/3") + get(b"/4", b"Connection: close") + get(b"/5")
        )
        self.bench.serve_all()
        self.assertEqual([one.body for one in device.answers()], [b"A /1 ", b"A /2 ", b"A /3 ", b"A /4 "])
        self.assertIn(b"Connection: close", device.answers()[-1].head)
        self.assertTrue(device.closed)

    def test_pipelined_bounded(self) -> None:
        """What waits behind a request is bounded: then the device's socket is not read from."""
        device = self.bench.device("A")
        device.send(get())
        sent = 0
        while device.end.reading:
            device.send(get(b"/more"))
            sent += 1
            self.assertLess(sent, 1_000)
        self.bench.serve_all()
        self.assertTrue(device.end.reading)
        self.assertEqual(len(device.answers()), sent + 1)

    def test_hang_up(self) -> None:
        """A device that goes away takes nobody's answer with it."""
        devices = [self.bench.device(name) for name in "ABC"]
        for device in devices:
            device.send(get())
        self.bench.settle()
        devices[1].hang_up()
        self.bench.serve_all()
        self.assertEqual(devices[0].answers()[0].body, b"A /dcap ")
        self.assertEqual(devices[2].answers()[0].body, b"C /dcap ")

    def test_hang_up_while_waiting(self) -> None:
        """A GET that nobody waits for is not sent; what changes something is, as without the proxy."""
        self.server.shakes = False
        reader, writer = self.bench.device("A"), self.bench.device("B")
        reader.send(get(b"/get"))
        writer.send(put(b"/put", b"b"))
        self.bench.settle()
        reader.hang_up()
        writer.hang_up()
        for link in list(self.server.links):
            link.connection.handshakeCompleted()
        self.bench.serve_all()
        self.assertEqual([request.target for request in self.server.requests], [b"/put"])

    def test_hang_up_and_stuck(self) -> None:
        """What nobody waits for any more is not kept for ever where it cannot be sent."""
        self.server.shakes = False
        writer = self.bench.device("A")
        writer.send(put(b"/put", b"b"))
        self.bench.settle()
        writer.hang_up()
        self.bench.clock.advance(61)
        self.bench.writing.look(self.bench.clock.seconds())
        self.assertEqual(len(self.bench.writing.waiting), 0)

    def test_does_not_read(self) -> None:
        """A device that does not take its answer is asked nothing more for, and holds up nobody else."""
        lazy, other = self.bench.device("A"), self.bench.device("B")
        lazy.reading = False
        lazy.send(get(b"/a?100000") + get(b"/next"))
        other.send(get(b"/b?100000"))
        self.bench.serve_all()
        self.assertEqual([one.target for one in self.server.requests], [b"/a?100000", b"/b?100000"])
        self.assertEqual(len(other.answers()), 1)
        self.assertGreater(self.bench.context.held_up, 100_000)
        lazy.reading = True
        self.bench.serve_all()
        self.assertEqual([one.target for one in self.server.requests][2:], [b"/next"])
        self.assertEqual(len(lazy.answers()), 2)
        self.assertEqual(self.bench.context.held_up, 0)

    def test_never_reads(self) -> None:
        """One that never reads is cut off in the end."""
        device = self.bench.device("A")
        device.reading = False
        device.send(get(b"/a?100000"))
        self.bench.serve_all()
        self.bench.advance(32)
        self.assertTrue(device.closed)
        self.assertEqual(self.bench.context.held_up, 0)

    def test_many_never_read(self) -> None:
        """What waits for those that do not read is bounded: whoever is beyond it is cut off."""
        self.bench = Bench(most_held_up=250_000)
        devices = [self.bench.device(f"D{number}") for number in range(3)]
        for device in devices:
            device.reading = False
            device.send(get(b"/a?100000"))
        self.bench.serve_all()
        self.assertEqual([device.closed for device in devices], [False, False, True])
        self.flushLoggedErrors()

    def test_slow_request(self) -> None:
        """A request has a time from its first octet to its last, however it trickles."""
        device = self.bench.device("A")
        for octet in put(b"/a", b"b" * 100):
            device.send(bytes((octet,)))
            self.bench.advance(1)
            if device.closed:
                break
        self.assertTrue(device.closed)
        self.assertLess(self.bench.clock.seconds(), 33)
        self.assertEqual(self.server.requests, [])

    def test_body_waits_here(self) -> None:
        """A body is taken in whole before a connection with the server is taken for it."""
        device = self.bench.device("A")
        data = put(b"/a", b"b" * 5_000)
        device.send(data[:-1])
        self.bench.settle()
        self.assertEqual(self.server.links, [])
        device.send(data[-1:])
        self.bench.settle()
        self.assertEqual(self.server.requests[0].body, b"b" * 5_000)

    def test_room_for_bodies(self) -> None:
        """Large bodies share their room; where there is none it is 503, and it comes back."""
        limits = ConnectionLimits(reading_body_bytes=100_000, reading_bodies_bytes=200_000)
        self.bench = Bench(limits=limits)
        first, second = self.bench.device("A"), self.bench.device("A")
        data = put(b"/a", b"b" * 60_000)
        first.send(data[:-1])
        second.send(data[:-1])
        self.bench.settle()
        self.see_error(second, 503)
        first.send(data[-1:])
        self.bench.serve_all()
        self.assertEqual(first.answers()[0].status, 200)
        third = self.bench.device("A")
        third.send(data)
        self.bench.serve_all()
        self.assertEqual(third.answers()[0].status, 200)

    def test_too_large(self) -> None:
        """A body that no place takes is 413 before it is read."""
        device = self.bench.device("A")
        device.send(put(b"/a", b"").replace(b"Content-Length: 0", b"Content-Length: 1048577"))
        self.bench.settle()
        self.see_error(device, 413)

    def test_continue(self) -> None:
        """A device that waits for 100 Continue gets it from the proxy, which has no need of the server's."""
        device = self.bench.device("A")
        device.send(put(b"/a", b"b", b"Expect: 100-continue")[:-1])
        self.bench.settle()
        self.assertEqual(device.received, b"HTTP/1.1 100 Continue\r\n\r\n")
        device.received = b""
        device.send(b"b")
        self.bench.serve_all()
        self.assertEqual(device.answers()[0].status, 200)
        self.assertNotIn(b"Expect", self.server.requests[0].head)

    def test_head(self) -> None:
        """A HEAD is answered without a body, also where there is no answer."""
        device = self.bench.device("A")
        device.send(get().replace(b"GET", b"HEAD"))
        self.bench.serve_all()
        self.server.stop()
        device.send(get().replace(b"GET", b"HEAD"))
        self.bench.settle()
        self.assertEqual([one.status for one in device.answers((True, True))], [200, 502])

    def test_silent_devices(self) -> None:
        """A thousand that connect and say nothing are gone when their time is, and keep nobody out."""
        quotas = Quotas(unfinished=200, unfinished_per_address=200, address_handshake_burst=5_000)
        self.bench = Bench(quotas=quotas)
        silent = []
        for number in range(1_000):
            origin = f"198.51.100.{number % 200}"
            if self.bench.context.connections.room(1) and not self.bench.context.connections.make_way(origin):
                silent.append(self.bench.device(f"S{number}", shakes=False))
            self.bench.clock.advance(0.02)
        self.assertLessEqual(self.bench.context.connections.unfinished, 201)
        device = self.bench.device("A")
        device.send(get())
        self.bench.serve_all()
        self.assertEqual(device.answers()[0].status, 200)
        self.bench.advance(12)
        self.assertEqual(self.bench.context.connections.unfinished, 0)
        self.assertTrue(all(one.closed for one in silent))
        self.assertEqual(len(self.bench.server.requests), 1)

    def test_idle_device(self) -> None:
        """A device that stays connected and asks nothing is closed after its time."""
        device = self.bench.device("A")
        self.bench.advance(299)
        self.assertFalse(device.closed)
        self.bench.advance(3)
        self.assertTrue(device.closed)

    def test_too_many_connections(self) -> None:
        """A device that opens more connections than its quota loses the longest idle one."""
        self.bench = Bench(quotas=Quotas(connections=2))
        devices = []
        for _ in range(3):
            devices.append(self.bench.device("A"))
            self.bench.advance(1)
        self.assertEqual([device.closed for device in devices], [True, False, False])

    def test_stop(self) -> None:
        """When the proxy stops, requests in the works get their answers, and each device its close."""
        busy, idle = self.bench.device("A"), self.bench.device("B")
        busy.send(get())
        self.bench.settle()
        gone = self.bench.context.connections.drain()
        self.bench.settle()
        self.assertTrue(idle.closed)
        self.assertNoResult(gone)
        self.bench.serve_all()
        self.assertEqual(busy.answers()[0].status, 200)
        self.assertIn(b"Connection: close", busy.answers()[0].head)
        self.successResultOf(gone)


class RenewTests(ProxyCase):
    """Keys that are read anew."""

    def test_renew(self) -> None:
        """Connections of before end with what they have; what is asked from then on goes on others."""
        device, other = self.bench.device("A"), self.bench.device("B")
        device.send(get(b"/before"))
        self.bench.settle()
        self.bench.reading.renew()
        other.send(get(b"/after"))
        self.bench.settle()
        first, second = self.server.links
        self.assertEqual([one.target for one in first.requests], [b"/before"])
        self.assertEqual([one.target for one in second.requests], [b"/after"])
        self.bench.serve_all()
        self.bench.advance(1)
        self.assertTrue(first.gone)
        self.assertEqual([device.answers()[0].status, other.answers()[0].status], [200, 200])

    def test_one_connection(self) -> None:
        """With one connection in all requests go one after the other, and none is lost."""
        self.bench = Bench(reading=LaneLimits(connections=1, depth=1))
        device = self.bench.device("A")
        device.send(get(b"/1") + get(b"/2"))
        other = self.bench.device("A")
        other.send(get(b"/3"))
        self.bench.serve_all()
        self.assertEqual(len(self.bench.server.links), 1)
        self.assertEqual(len(device.answers()) + len(other.answers()), 3)
