"""Access before the body: what is read, parsed and answered of a request that is refused (decision 35)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent as format_event
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import devices, replacement
from csipd.db.database import Transaction
from csipd.db.fair_queue import Kind, Share, device_share
from csipd.net.identity import Identity
from csipd.refusals import Unavailable
from csipd.sep2 import codec
from tests.support.bodies import MINIMAL
from tests.support.client import Answer
from tests.support.memory_tls import Wire
from tests.support.operator import ALICE, Office
from tests.support.ways import both_ways
from tests.support.world import (
    AGGREGATOR,
    LAB,
    LISTED,
    OTHER,
    OWNER,
    UNKNOWN,
    WITHDRAWN,
    World,
    encoded,
    end_device,
)

#: What took a server 15 s: 2,000 namespaces declared, and as many elements of another namespace.
NASTY = b"<DERStatus xmlns='urn:ieee:std:2030.5:ns' %s>%s</DERStatus>" % (
    b" ".join(b"xmlns:n%d='u'" % n for n in range(2000)),
    b"<n1:a/>" * 2000,
)


class _Case(SynchronousTestCase):
    """A world, its log, and a count of the bodies that were parsed."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.own = f"/edev/{self.world.numbers.owner}"
        self.status = f"{self.own}/der/1/ders"
        self.good = encoded(MINIMAL["DERStatus"])
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        parse = mock.patch.object(codec, "decode", wraps=codec.decode)
        self.parsed = parse.start()
        self.addCleanup(parse.stop)

    def lines(self) -> list[str]:
        return [str(format_event(each)) for each in self.events if each["log_namespace"].startswith("csipd")]

    def head(self, method: str, path: str, length: int | None, *more: str) -> bytes:
        size = ["Transfer-Encoding: chunked"] if length is None else [f"Content-Length: {length}"]
        lines = (f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/sep+xml", *size, *more)
        return "\r\n".join((*lines, "", "")).encode()

    def known(self, who: Identity) -> Wire:
        """A connection whose caller the server has asked the store about."""
        wire = self.world.wire(who)
        wire.result(wire.client.get("/tm"))
        return wire


class StrangerTests(_Case):
    """A certificate that is on no list costs nothing but its handshake and a head."""

    def test_nothing_is_parsed(self) -> None:
        """A body that is dear to parse is answered 404, and not parsed at all (case F1)."""
        for who in (UNKNOWN, WITHDRAWN):
            answer = self.world.put(who, self.status, NASTY)
            self.assertEqual((answer.status, answer.headers["connection"]), (404, "close"))
        self.parsed.assert_not_called()

    def test_at_the_head(self) -> None:
        """The answer goes out before a byte of the body has come, and nobody is told to send it (F1)."""
        for path, status in ((self.status, 404), ("/edev", 403), ("/tm", 405), ("/nowhere", 404)):
            method = "POST" if path == "/edev" else "PUT"
            for more in ((), ("Expect: 100-continue",)):
                wire = self.world.wire(UNKNOWN)
                (answer,) = wire.client.raw(self.head(method, path, 50_000, *more))
                self.assertEqual(wire.result(answer).status, status, path)
                self.assertEqual((wire.client.interim, wire.closed), (0, True))

    def test_chunked(self) -> None:
        """So it does where the length is not said."""
        wire = self.world.wire(UNKNOWN)
        (answer,) = wire.client.raw(self.head("PUT", self.status, None))
        self.assertEqual(wire.result(answer).status, 404)
        self.assertTrue(wire.closed)

    def test_goes_on_sending(self) -> None:
        """What it goes on sending is dropped, up to 64 KiB; then it is not read, and soon cut (case F1)."""
        wire = self.world.secure(Path(self.mktemp()), LAB.device("a stranger"))
        wire.reading = False
        (answer,) = wire.client.raw(self.head("PUT", self.status, 10_000_000))
        for _ in range(5):
            wire.client.send(b"x" * 20_000)
            wire.pump()
        self.assertFalse(wire.server_reading)
        wire.reading = True
        self.assertEqual(wire.result(answer).status, 404)
        wire.advance(3)
        self.assertTrue(wire.closed)

    def test_asked_anew(self) -> None:
        """Who was put on the list meanwhile is let in on its next connection."""
        self.world.put(WITHDRAWN, "/tm", self.good)
        lfdi = WITHDRAWN.lfdi
        now = int(self.world.now)
        self.world.write(lambda transaction: devices.readmit(transaction, lfdi, "operator", now))
        path = f"/edev/{self.world.numbers.withdrawn}/der/1/ders"
        self.assertEqual(self.world.put(WITHDRAWN, path, self.good).status, 204)

    def test_operators_door(self) -> None:
        """No body of one who is no operator is read by the operator's API."""
        office = Office(self.world)
        self.addCleanup(office.close)
        for who, status in ((OWNER, 403), (UNKNOWN, 403)):
            wire = office.wire(who)
            (answer,) = wire.client.raw(
                self.head("POST", "/admin/devices", 1_000_000, "Expect: 100-continue")
            )
            self.assertEqual(wire.result(answer).status, status)
            self.assertEqual((wire.client.interim, wire.closed), (0, True))
        wire = office.wire(ALICE)
        (answer,) = wire.client.raw(self.head("POST", "/admin/devices", 2 << 20))
        self.assertEqual(wire.result(answer).status, 413)


class LookUpTests(_Case):
    """While the store is asked who a caller is, before the first body."""

    def begin(self, body: bytes, *more: str) -> tuple[Wire, Deferred[Answer]]:
        """A first PUT of the owner, which waits for the store."""
        wire = self.world.wire(OWNER)
        self.world.back.hold()
        (answer,) = wire.client.raw(self.head("PUT", self.status, len(body), *more))
        wire.pump()
        self.assertFalse(wire.server_reading)
        wire.client.send(body)
        wire.pump()
        return wire, answer

    def test_listed(self) -> None:
        """A caller on the list has its body read then, and what follows it."""
        wire, answer = self.begin(self.good)
        following = wire.client.get(self.status)
        wire.pump()
        self.assertNoResult(answer)
        self.world.back.release()
        self.assertEqual(wire.result(answer).status, 204)
        self.assertEqual(wire.result(following).status, 200)
        self.assertFalse(wire.closed)

    def test_continue(self) -> None:
        """One that waits to be told to send its body is told so then, and not before."""
        wire = self.world.wire(OWNER)
        self.world.back.hold()
        (answer,) = wire.client.raw(self.head("PUT", self.status, len(self.good), "Expect: 100-continue"))
        wire.pump()
        self.assertEqual(wire.client.interim, 0)
        self.world.back.release()
        wire.pump()
        self.assertEqual(wire.client.received, b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.client.send(self.good)
        self.assertEqual(wire.result(answer).status, 204)

    def test_once(self) -> None:
        """It is asked once for each connection."""
        asked: list[object] = []
        context = self.world.site.context
        look_up = context.look_up
        assert look_up is not None

        def counted(identity: Identity) -> Any:
            asked.append(identity)
            return look_up(identity)

        context.look_up = counted
        for _ in range(3):
            self.assertEqual(self.world.put(OWNER, self.status, self.good).status, 204)
        self.assertEqual(asked, [OWNER])

    def test_gone(self) -> None:
        """A client that is gone by then leaves nothing behind."""
        wire, answer = self.begin(self.good)
        wire.hang_up()
        self.failureResultOf(answer)
        self.world.back.release()
        self.parsed.assert_not_called()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_unavailable(self) -> None:
        """Where the store cannot say, it is 503."""
        wire, answer = self.begin(self.good)
        read = mock.patch.object(self.world.back, "read")
        with read as broken:
            broken.side_effect = lambda *_: _failed(Unavailable("gone"))
            self.world.back.release(Unavailable("gone"))
            self.assertEqual(wire.result(answer).status, 503)


def _failed(error: Exception) -> Deferred[Any]:
    failed: Deferred[Any] = Deferred()
    failed.errback(error)
    return failed


class OrderTests(_Case):
    """501, 404 or 403, 405, 413, 415, 400: what comes first is said, and no more is done (decision 35)."""

    def test_not_parsed(self) -> None:
        """A body is parsed for those only who may send one there (case F1)."""
        for path, status in (
            (f"/edev/{self.world.numbers.other}/der/1/ders", 404),
            (self.own + "/der/9/ders", 404),
            ("/tm", 405),
        ):
            wire = self.known(OWNER)
            answer = wire.result(wire.client.put(path, NASTY))
            self.assertEqual((answer.status, wire.closed), (status, False))
        self.parsed.assert_not_called()

    def test_too_large(self) -> None:
        """Whoever may not write there hears that, and not that the body is too large."""
        for chunked in (False, True):
            for path, status in ((self.status, 413), ("/edev/77/der/1/ders", 404), ("/tm", 405)):
                wire = self.known(OWNER)
                body = b"x" * 70_000
                if chunked:
                    sent = self.head("PUT", path, None) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                else:
                    sent = self.head("PUT", path, len(body))
                (answer,) = wire.client.raw(sent)
                self.assertEqual(wire.result(answer).status, status, (chunked, path))
                wire.advance(2)
                self.assertTrue(wire.closed)
        self.parsed.assert_not_called()

    def test_each_before_the_next(self) -> None:
        """Each refusal hides those behind it."""
        large, media, wrong = b"x" * 70_000, {"Content-Type": "text/plain"}, b"<a/>"
        for method, path, body, headers, status in (
            ("FOO", "/edev/77/der/1/ders", large, media, 501),
            ("PUT", "/edev/77/der/1/ders", large, media, 404),
            ("PUT", "/tm", large, media, 405),
            ("PUT", self.status, large, media, 413),
            ("PUT", self.status, wrong, media, 415),
            ("PUT", self.status, wrong, {}, 400),
        ):
            answer = self.world.send(OWNER, method, path, body, dict(headers))
            self.assertEqual(answer.status, status, (method, path))

    def test_withdrawn_meanwhile(self) -> None:
        """Rights are asked in the write's own transaction: what was known before it does not count."""
        wire = self.known(OWNER)
        self.world.withdraw(OWNER)
        self.assertEqual(wire.result(wire.client.put(self.status, self.good)).status, 404)
        self.parsed.assert_not_called()


class HeaderTests(_Case):
    """Header values are bytes until they are read, in one place for both doors (case F4)."""

    def raw(self, wire: Wire, request: bytes) -> int:
        (answer,) = wire.client.raw(request)
        return wire.result(answer).status

    def test_devices(self) -> None:
        """Accept of any bytes is 200 or 406, Content-Type of any bytes 415, and no line is written."""
        wire = self.known(OWNER)
        for value in (b"\xff", b"\xc3\x28;q=\xff", b"application/sep-exi;\xfe=\xff", b"\x80\x81,\xff"):
            status = self.raw(wire, b"GET /dcap HTTP/1.1\r\nHost: x\r\nAccept: %b\r\n\r\n" % value)
            self.assertIn(status, (200, 406))
            head = self.head("PUT", self.status, len(self.good)).replace(b"application/sep+xml", value)
            self.assertEqual(self.raw(wire, head + self.good), 415)
        for name in (b"Cookie", b"User-Agent", b"Expect", b"X-Any", b"Authorization"):
            self.assertEqual(self.raw(wire, b"GET /dcap HTTP/1.1\r\nHost: x\r\n%b: \xff\r\n\r\n" % name), 200)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_strangers(self) -> None:
        """Nor do those of a stranger make more than a line."""
        wire = self.world.wire(UNKNOWN)
        for _ in range(20):
            self.assertEqual(self.raw(wire, b"GET /dcap HTTP/1.1\r\nHost: x\r\nAccept: \xff\r\n\r\n"), 200)
        self.assertEqual((self.flushLoggedErrors(), len(self.lines())), ([], 1))

    def test_operators(self) -> None:
        """The same at the operator's door."""
        office = Office(self.world)
        self.addCleanup(office.close)
        wire = office.wire(ALICE)
        self.assertEqual(
            self.raw(wire, b"GET /admin/status HTTP/1.1\r\nHost: x\r\nAccept: \xff\r\n\r\n"), 200
        )
        head = self.head("POST", "/admin/devices", 2).replace(b"application/sep+xml", b"\xff")
        self.assertEqual(self.raw(wire, head + b"{}"), 415)
        for name in (b"Origin", b"Idempotency-Key"):
            head = self.head("POST", "/admin/devices", 2).replace(b"Host: x", b"Host: x\r\n%b: \xff" % name)
            self.assertIn(self.raw(wire, head + b"{}"), (400, 403, 415))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_tracebacks(self) -> None:
        """A request that fails in the server makes one traceback for its sender in the minute (case F4)."""
        wire = self.known(OWNER)
        with mock.patch("csipd.web.endpoint.wanted", side_effect=ZeroDivisionError):
            for _ in range(20):
                self.assertEqual(self.raw(wire, b"GET /dcap HTTP/1.1\r\nHost: x\r\nAccept: a\r\n\r\n"), 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.world.clock.advance(60)
        self.assertIn("a request failed: ZeroDivisionError: 19 more", self.lines()[-1])


class LineTests(_Case):
    """What the log says of a refusal: who, from where, what and why, once for each peer and reason (C2)."""

    def only(self) -> str:
        (line,) = self.lines()
        self.events.clear()
        return line

    def test_on_no_list(self) -> None:
        """A good certificate that is on no list, whatever it asks for (case C2)."""
        for path in ("/dcap", "/edev", self.own, "/dcap"):
            self.world.get(UNKNOWN, path)
        line = self.only()
        self.assertIn(f"{UNKNOWN.lfdi} at 198.51.100.7: a good certificate that is on no list", line)
        self.assertIn("GET /dcap", line)

    def test_withdrawn(self) -> None:
        """A device whose access was withdrawn (case C2)."""
        self.world.get(WITHDRAWN, "/edev")
        self.assertIn(f"{WITHDRAWN.lfdi} at 198.51.100.7: a device whose access was withdrawn", self.only())

    def test_registration(self) -> None:
        """A refused POST of an EndDevice, and one that was taken (case C2)."""
        self.world.post(OTHER, "/edev", end_device(LISTED))
        line = self.only()
        self.assertIn(f"{OTHER.lfdi} at 198.51.100.7: POST /edev refused: ", line)
        self.assertIn(LISTED.lfdi, line)
        made = self.world.post(LISTED, "/edev", end_device(LISTED))
        self.assertEqual(self.only(), f"{LISTED.lfdi} at 198.51.100.7 registered {made.headers['location']}")

    def test_refused_document(self) -> None:
        """A PUT or POST that is 400: the path in the document, and what is wrong there (case C2)."""
        wrong = self.good.replace(b"<readingTime>", b"<readingTime>x")
        self.assertEqual(self.world.put(OWNER, self.status, wrong).status, 400)
        line = self.only()
        self.assertIn(f"{OWNER.lfdi} at 198.51.100.7: PUT {self.status} refused: ", line)
        self.assertIn("readingTime", line)
        self.assertEqual(self.world.post(OWNER, f"{self.own}/di/loc", self.good).status, 400)
        self.assertIn(f"POST {self.own}/di/loc refused: ", self.only())

    def test_each_document(self) -> None:
        """A device all of whose documents are wrong has a line for each of them, with the cause (case C2)."""
        for name in ("ders", "dercap", "derg"):
            self.world.put(OWNER, f"{self.own}/der/1/{name}", b"<a/>")
            self.assertIn(f"PUT {self.own}/der/1/{name} refused: ", self.only())

    def test_removed(self) -> None:
        """A device that was removed is told from one that was never listed (case C2)."""
        self.world.write(lambda transaction: devices.retire(transaction, self.world.numbers.owner, 0))
        self.world.get(OWNER, "/edev")
        self.assertIn("a device that was removed, or is gone from the configuration", self.only())

    def test_replaced(self) -> None:
        """So is one that comes with the certificate that it had before (cases C2, B5)."""
        number = self.world.numbers.owner

        def replace(transaction: Transaction) -> None:
            replacement.replace(transaction, number, UNKNOWN.lfdi, "alice", 0, at_once=True)

        self.world.write(replace)
        self.events.clear()
        self.world.get(OWNER, "/edev")
        self.assertIn("a device with the certificate that another one has replaced", self.only())

    def test_bounded(self) -> None:
        """However often: one line, and one that counts the rest."""
        for _ in range(30):
            self.world.put(OWNER, self.status, b"<a/>")
            self.world.put(AGGREGATOR, self.status, b"<a/>")
        self.assertEqual(len([line for line in self.lines() if OWNER.lfdi in line]), 1)
        self.events.clear()
        self.world.clock.advance(60)
        self.assertIn(f"{OWNER.lfdi}: PUT DERStatus refused: 29 more in the last 60 s", self.lines())

    def test_ordinary(self) -> None:
        """What goes well, and what clients only try, makes no line."""
        self.world.get(OWNER, "/edev")
        self.world.get(OWNER, "/nowhere")
        self.world.put(OWNER, self.status, self.good)
        self.world.put(OWNER, "/tm", self.good)
        self.world.get(LISTED, "/edev")
        self.assertEqual(self.lines(), [])


class ShareTests(_Case):
    """On whose account the store works: what a request costs is its caller's (decision 37)."""

    def test_shares(self) -> None:
        """Devices by LFDI, aggregators with the weight of their fleet, operators by name."""
        shares: list[Share] = []
        back = self.world.back
        read, write = back.read, back.write

        def noted(call: Callable[..., Any]) -> Callable[..., Any]:
            def asked(operation: Any, share: Share) -> Any:
                shares.append(share)
                return call(operation, share)

            return asked

        self.patch(back, "read", noted(read))
        self.patch(back, "write", noted(write))
        self.world.put(OWNER, self.status, self.good)
        self.assertEqual(set(shares), {device_share(OWNER.lfdi)})
        shares.clear()
        for path in ("/edev", "/edev?s=0"):
            self.world.fresh(AGGREGATOR, path)
        # Who it is, is known from its first request on.
        managed = self.world.site.connections.account(AGGREGATOR.lfdi).info.managed
        self.assertEqual(managed, 2)
        self.assertEqual(shares[-1], device_share(AGGREGATOR.lfdi, managed))
        shares.clear()
        office = Office(self.world)
        self.addCleanup(office.close)
        office.get("/status")
        office.send("POST", "/groups", {"name": "another"})
        self.assertEqual({share.kind for share in shares}, {Kind.OPERATORS})
        self.assertEqual(len({share.key for share in shares}), 1)


both_ways(globals())
