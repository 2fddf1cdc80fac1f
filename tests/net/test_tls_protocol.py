"""One TLS connection: that the short way does what Twisted's own does, and that both are ever in step.

Each stream of records goes to two servers, one with Twisted's protocol and one with csipd's, cut into reads
in the same way. What they deliver, send and close must be the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from csipd.net import tls_protocol
from csipd.net.tls_protocol import TLSProtocol
from tests.support.memory_tls import SERVER, End
from tests.support.steps import steps
from tests.support.tls_pair import Sealer, client_tls, outgoing, server_tls, step

TLS = server_tls()
#: What makes octets of what a client has to say.
Stream = Callable[[Sealer], bytes]


class Channel(Protocol):
    """Keeps what it is given. What `answers` it writes, and closes behind the one that is None."""

    def __init__(self) -> None:
        self.delivered: list[bytes] = []
        self.answers: list[bytes | None] = []
        self.reads = 0
        self.lost: type[BaseException] | None = None

    def read_begins(self) -> None:
        self.reads += 1

    def dataReceived(self, data: bytes) -> None:
        self.delivered.append(data)
        if self.answers:
            answer = self.answers.pop(0)
            if answer is None:
                self.transport.loseConnection()
            else:
                self.transport.write(answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason.type


class Twisteds(TLSMemoryBIOProtocol):
    """Twisted's own, which tells of no reads."""


class Talk:
    """A server's connection of one class and its client, whose handshake is over, or fewer flights of it."""

    def __init__(self, kind: type[TLSMemoryBIOProtocol], flights: int = 3) -> None:
        self.channel = Channel()
        factory = TLSMemoryBIOFactory(TLS, False, Factory.forProtocol(lambda: self.channel), Clock())
        factory.protocol = kind
        self.protocol: Any = factory.buildProtocol(SERVER)
        self.end = End(self.protocol, SERVER, SERVER)
        self.protocol.makeConnection(self.end)
        self.client = client_tls()
        for _ in range(flights):
            step(self.client)
            if data := outgoing(self.client):
                self.read(data)
            if data := self.end.take():
                self.client.bio_write(data)
        if flights > 1:
            self.sealed = Sealer(self.client)

    def read(self, data: bytes) -> None:
        """The server reads so much at once, unless it has stopped to read."""
        if not self.end.disconnecting:
            self.protocol.dataReceived(data)

    def opened(self) -> tuple[bytes, str]:
        """What the server has sent, as the client reads it, and how that ends."""
        if data := self.end.take():
            self.client.bio_write(data)
        found = b""
        while True:
            try:
                found += self.client.recv(2**16)
            except SSL.WantReadError:
                return found, "open"
            except SSL.ZeroReturnError:
                return found, "closed"
            except SSL.Error as error:
                return found, str(error)

    def state(self) -> tuple[Any, ...]:
        """What a channel, a peer and a socket see of it."""
        end = self.end
        reason = self.protocol._reason and self.protocol._reason.value
        delivered = b"".join(self.channel.delivered)
        return delivered, self.opened(), repr(reason), end.disconnecting, end.aborted


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = [0, *sorted({each % (len(data) + 1) for each in cuts}), len(data)]
    return [data[a:b] for a, b in pairwise(places) if b > a]


class SameTests(SynchronousTestCase):
    """Twisted's way and the short one."""

    def assertSame(
        self, stream: Stream, cuts: Sequence[int] = (), answers: Sequence[bytes | None] = ()
    ) -> Talk:
        """Both do the same with a stream; csipd's is given back."""
        talks = Talk(Twisteds), Talk(TLSProtocol)
        states = []
        for talk in talks:
            talk.channel.answers = list(answers)
            for read in cut(stream(talk.sealed), cuts):
                talk.read(read)
            states.append(talk.state())
        self.assertEqual(states[0], states[1])
        return talks[1]

    def test_each_octet(self) -> None:
        """A record comes to the same cut at each octet, and the next one is in step."""

        def stream(sealed: Sealer) -> bytes:
            return sealed(b"GET /dcap") + sealed(b"GET /tm")

        for place in range(len(stream(Talk(TLSProtocol).sealed))):
            talk = self.assertSame(stream, [place], [b"one", b"two"])
            self.assertEqual(b"".join(talk.channel.delivered), b"GET /dcapGET /tm")
            talk.read(talk.sealed(b"more"))
            self.assertEqual(talk.channel.delivered[-1], b"more")

    def test_octet_by_octet(self) -> None:
        """A record in as many reads as it has octets."""
        talk = self.assertSame(lambda sealed: sealed(b"GET /dcap"), range(100))
        self.assertEqual(talk.channel.delivered, [b"GET /dcap"])

    def test_several(self) -> None:
        """Several records of one read are delivered one by one, in their order, as one read."""
        talk = Talk(TLSProtocol)
        reads = talk.channel.reads
        talk.read(b"".join(talk.sealed(b"%d" % number) for number in range(9)))
        self.assertEqual(talk.channel.delivered, [b"%d" % number for number in range(9)])
        self.assertEqual(talk.channel.reads, reads + 1)

    def test_empty(self) -> None:
        """Records without content say nothing, alone, before, between and behind others."""
        for contents in ((b"",), (b"", b"x"), (b"x", b"", b"", b"y"), (b"x", b"")):
            talk = self.assertSame(lambda sealed, all=contents: b"".join(map(sealed, all)))
            self.assertEqual(b"".join(talk.channel.delivered), b"".join(contents))
            talk.read(talk.sealed(b"more"))
            self.assertEqual(talk.channel.delivered[-1], b"more")

    def test_close_notify(self) -> None:
        """A close_notify behind a request, and with something behind it, ends the connection properly."""
        for behind in (b"", b"GET /tm"):

            def stream(sealed: Sealer, behind: bytes = behind) -> bytes:
                return sealed(b"GET /dcap") + sealed(b"\x01\x00", 21) + (sealed(behind) if behind else b"")

            for place in (0, 10, 40, 50):
                talk = self.assertSame(stream, [place], [b"answer"])
                self.assertEqual(talk.channel.delivered, [b"GET /dcap"])
                self.assertTrue(talk.end.disconnecting)

    def test_garbage(self) -> None:
        """Garbage behind a record is answered with the alert that Twisted's way sends; the record counts."""
        for garbage in (b"\x00" * 20, b"GET / HTTP/1.1\r\n\r\n", b"\x17\x03\x03\xff\xff" + b"x" * 20):
            talk = self.assertSame(lambda sealed, more=garbage: sealed(b"GET /dcap") + more, [], [b"answer"])
            self.assertEqual(talk.channel.delivered, [b"GET /dcap"])

    def test_forged(self) -> None:
        """A record changed on its way ends the connection with bad_record_mac, and none behind counts."""

        def stream(sealed: Sealer) -> bytes:
            forged = sealed(b"two")
            return sealed(b"one") + forged[:-1] + bytes((forged[-1] ^ 1,)) + sealed(b"three")

        talk = self.assertSame(stream, [], [b"answer"])
        self.assertEqual(talk.channel.delivered, [])
        # In their order: the first is read before the second is found to be wrong.
        talk = Talk(TLSProtocol)
        good, bad = talk.sealed(b"one"), talk.sealed(b"two")
        talk.read(good + bad[:-1] + bytes((bad[-1] ^ 1,)))
        self.assertEqual(talk.channel.delivered, [b"one"])
        self.assertTrue(talk.end.disconnecting)
        self.assertIn("bad record mac", talk.opened()[1])

    def test_renegotiation(self) -> None:
        """A client that would negotiate again is told no, and goes on being served."""
        hello = b"\x01\x00\x00\x2d\x03\x03" + b"r" * 32 + b"\x00\x00\x04\xc0\xae\x00\xff\x01\x00\x00\x00"
        talk = self.assertSame(lambda sealed: sealed(hello, 22) + sealed(b"GET /dcap"), [], [b"answer"])
        talk.read(talk.sealed(b"more"))

    def test_closed_by_a_request(self) -> None:
        """A channel that closes in the middle of a read is given the rest all the same, as by Twisted."""
        self.assertSame(lambda sealed: b"".join(map(sealed, (b"1", b"2", b"3"))), [], [b"a", None, b"b"])

    def test_aborted_by_a_request(self) -> None:
        """One that aborts is given nothing more."""
        for kind in (Twisteds, TLSProtocol):
            talk = Talk(kind)
            delivered = talk.channel.delivered

            def abort(data: bytes, talk: Talk = talk, delivered: list[bytes] = delivered) -> None:
                delivered.append(data)
                talk.protocol.abortConnection()

            talk.channel.dataReceived = abort  # type: ignore[method-assign]
            talk.read(talk.sealed(b"one") + talk.sealed(b"two"))
            self.assertEqual((delivered, talk.end.aborted), ([b"one"], True))

    @settings(deadline=None)
    @given(
        st.lists(st.tuples(st.binary(max_size=60), st.sampled_from((23, 23, 23, 23, 21))), max_size=6),
        st.lists(st.integers(0, 2000), max_size=6),
        st.lists(st.binary(max_size=40) | st.none(), max_size=4),
        st.binary(max_size=12),
    )
    def test_any(
        self,
        records: list[tuple[bytes, int]],
        cuts: list[int],
        answers: list[bytes | None],
        garbage: bytes,
    ) -> None:
        """Whatever comes, cut wherever."""
        self.assertSame(lambda sealed: b"".join(sealed(*each) for each in records) + garbage, cuts, answers)


class ReadTests(SynchronousTestCase):
    """What is done for a read."""

    def test_short(self) -> None:
        """Whole records are read without asking OpenSSL whether there is more."""
        talk = Talk(TLSProtocol)
        asked: list[str] = []
        talk.protocol._flushReceiveBIO = lambda: asked.append("receive")
        talk.protocol._flushSendBIO = lambda: asked.append("send")
        for count in (1, 3):
            talk.channel.answers = [b"answer"] * count
            talk.read(b"".join(talk.sealed(b"x") for _ in range(count)))
        self.assertEqual((talk.channel.delivered, asked), ([b"x"] * 4, []))
        self.assertEqual(talk.opened(), (b"answer" * 4, "open"))

    def test_cost(self) -> None:
        """A request and its answer take few steps of csipd's, the same however often one came before."""
        talk = Talk(TLSProtocol)
        costs = []
        for _ in range(20):
            talk.channel.answers = [b"x" * 700]
            request = talk.sealed(b"GET /dcap HTTP/1.1\r\n\r\n")
            costs.append(steps(partial(talk.read, request)))
            talk.opened()
        self.assertEqual(len(set(costs[1:])), 1)
        self.assertLess(costs[1], 350)

    def test_comes_back(self) -> None:
        """After a record in two reads the next whole one goes the short way again."""
        talk = Talk(TLSProtocol)
        record = talk.sealed(b"torn")
        talk.read(record[:7])
        talk.read(record[7:])
        talk.protocol._flushReceiveBIO = self.fail
        talk.read(talk.sealed(b"whole"))
        self.assertEqual(talk.channel.delivered, [b"torn", b"whole"])

    def test_request_with_the_handshake(self) -> None:
        """A request in the same read as the end of the handshake is delivered behind it (RFC 7918)."""
        for place in range(40):
            talk = Talk(TLSProtocol, flights=1)
            step(talk.client)
            last = outgoing(talk.client) + Sealer(talk.client)(b"early")
            for read in cut(last, [len(last) - place] if place else []):
                talk.read(read)
            self.assertEqual(talk.channel.delivered, [b"early"])
            talk.protocol._flushReceiveBIO = self.fail


class WriteTests(SynchronousTestCase):
    """What is done for an answer."""

    def test_in_one_piece(self) -> None:
        """An answer leaves in one write, however many records it makes."""
        for size in (0, 1, 2**14, 2**14 + 1, 100_000):
            talk = Talk(TLSProtocol)
            talk.protocol.write(b"x" * size)
            self.assertEqual(len(talk.end.out), min(size, 1))
            self.assertEqual(talk.opened(), (b"x" * size, "open"))

    def test_short_records(self) -> None:
        """A client that negotiated short records (RFC 6066 4) is sent such, all of them at once."""
        talk = Talk(TLSProtocol)
        taken: list[int] = []

        def seal(connection: SSL.Connection, data: bytes) -> tuple[int, bytes]:
            taken.append(connection.send(data[:512]))
            return taken[-1], connection.bio_read(2**15)

        self.patch(tls_protocol.openssl, "seal", seal)
        talk.protocol.write(b"x" * 1300)
        self.assertEqual((taken, len(talk.end.out)), ([512, 512, 276], 1))
        self.assertEqual(talk.opened(), (b"x" * 1300, "open"))

    def test_error(self) -> None:
        """What OpenSSL does not take goes Twisted's way: behind an error the connection is closed."""
        for kind in (Twisteds, TLSProtocol):
            talk = Talk(kind)
            talk.protocol._tlsConnection.shutdown()
            talk.protocol.write(b"x" * 20_000)
            self.assertTrue(talk.protocol._lostTLSConnection)
            self.assertTrue(talk.end.disconnecting)
            self.assertEqual(talk.opened(), (b"", "closed"))

    def test_before_the_handshake(self) -> None:
        """What is written before the handshake is over is kept, and leaves behind it."""
        channel = Channel()
        factory = TLSMemoryBIOFactory(TLS, False, Factory.forProtocol(lambda: channel), Clock())
        factory.protocol = TLSProtocol
        protocol: Any = factory.buildProtocol(SERVER)
        end = End(protocol, SERVER, SERVER)
        protocol.makeConnection(end)
        self.assertEqual(end.out, [], "a server has nothing to say before its client has")
        protocol.write(b"early")
        self.assertEqual(protocol._appSendBuffer, [b"early"])
        client = client_tls()
        found = b""
        for _ in range(4):
            step(client)
            if data := outgoing(client):
                protocol.dataReceived(data)
            if data := end.take():
                client.bio_write(data)
        protocol.dataReceived(Sealer(client)(b"GET"))
        client.bio_write(end.take() or b"\x15\x03\x03\x00\x00")
        with contextlib.suppress(SSL.Error):
            found = client.recv(100)
        self.assertEqual((found, protocol._appSendBuffer), (b"early", []))

    def test_backpressure(self) -> None:
        """A slow reader's channel is asked to pause, and to go on when what it wrote has left."""
        talk = Talk(TLSProtocol)
        asked: list[str] = []

        class Producer:
            def __getattr__(self, name: str) -> Callable[[], None]:
                return lambda: asked.append(name)

        talk.protocol.registerProducer(Producer(), True)
        for _ in range(3):
            talk.protocol.write(b"x" * 50_000)
        self.assertEqual(asked, ["pauseProducing"])
        self.assertEqual(talk.opened()[0], b"x" * 150_000)
        self.assertEqual(asked, ["pauseProducing", "resumeProducing"])

    def test_behind_the_end(self) -> None:
        """Behind loseConnection nothing is written, unless a producer has still something to say."""
        for kind in (Twisteds, TLSProtocol):
            talk = Talk(kind)
            talk.protocol.loseConnection()
            talk.protocol.write(b"late")
            self.assertEqual(talk.opened(), (b"", "closed"))
            talk = Talk(kind)
            talk.protocol.registerProducer(Channel(), True)
            talk.protocol.loseConnection()
            talk.protocol.write(b"late")
            talk.protocol.unregisterProducer()
            self.assertEqual(talk.opened(), (b"late", "closed"))


class EndTests(SynchronousTestCase):
    """How a connection ends."""

    def test_hung_up(self) -> None:
        """A peer that leaves without a close_notify ends it; during the handshake the reason is kept."""
        talk = Talk(TLSProtocol)
        talk.protocol.connectionLost(Failure(ConnectionResetError()))
        self.assertIs(talk.channel.lost, ConnectionResetError)
        self.assertEqual((talk.protocol._tlsConnection, talk.protocol.wrappedProtocol), (None, None))

    def test_provides(self) -> None:
        """A channel finds what it needs to stop its peer; connections hold no declarations of their own."""
        talk = Talk(TLSProtocol)
        for interface in (IConsumer, IPushProducer):
            self.assertTrue(interface.providedBy(talk.protocol))
        self.assertNotIn("__provides__", vars(talk.protocol))
        self.assertIn("__provides__", vars(Talk(Twisteds).protocol))
