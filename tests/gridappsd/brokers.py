"""A broker in memory, at the other end of the bus's endpoint, that does what a test has it do."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from csipd.config import HostPort
from csipd.gridappsd.access import Access
from csipd.gridappsd.broker import BrokerBus
from csipd.net.peer_log import PeerLog
from csipd.stomp.frames import Decoder, Frame, encode

CLIENT = ("CONNECT", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT")
TOKEN = "TOKEN.abc-def"


def access(*, token: bool = True) -> Access:
    """The way to a broker that only tests know."""
    return Access(
        broker=HostPort("broker", 61613),
        username="system",
        password="manager",
        token=token,
        tls=False,
        roots=None,
        simulation_id=None,
        feeder_id=None,
        open_to_others={},
    )


class Wire(StringTransport):
    """One connection as the broker sees it.

    :ivar frames: what the client sent, in order
    :ivar ended: how the client ended it, if it did
    """

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.frames: list[Frame] = []
        self.gone = False
        self.ended = ""
        self._decoder = Decoder(lambda command, headers: 1 << 24, CLIENT)

    def write(self, data: bytes) -> None:
        super().write(data)
        self._decoder.feed(data)
        self.frames += iter(self._decoder.take, None)

    def loseConnection(self) -> None:
        self.ended = "in order"
        self.drop()

    def abortConnection(self) -> None:
        self.ended = "cut off"
        self.drop()

    def drop(self) -> None:
        """The connection is gone."""
        if not self.gone:
            self.gone = True
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def of(self, command: str) -> list[Frame]:
        """The frames of a command."""
        return [frame for frame in self.frames if frame.command == command]

    def give(self, command: str, body: bytes = b"", **headers: str) -> None:
        """Send a frame to the client."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.octets(encode(command, named.items(), body))

    def octets(self, data: bytes) -> None:
        """Send octets to the client."""
        self.protocol.dataReceived(data)

    def accept(self) -> None:
        """Take the client in."""
        self.give("CONNECTED", version="1.2", heart_beat="10000,10000", server="memory")

    def confirm(self) -> None:
        """Confirm all that waits for it."""
        for frame in list(self.frames):
            if "receipt" in frame.headers:
                self.give("RECEIPT", receipt_id=frame.headers["receipt"])

    def message(self, destination: str, body: bytes, **headers: str) -> None:
        """Send a message to each subscription of a destination."""
        for frame in self.of("SUBSCRIBE"):
            if frame.headers["destination"] == destination:
                self.give(
                    "MESSAGE",
                    body,
                    subscription=frame.headers["id"],
                    destination=destination,
                    message_id="1",
                    **headers,
                )


@implementer(IStreamClientEndpoint)
class MemoryBroker:
    """Where the bus connects to.

    :ivar wires: all connections that there were
    :ivar refuses: whether nobody listens
    :ivar hangs: whether a connection is neither made nor refused
    """

    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self.refuses = False
        self.hangs = False

    @property
    def last(self) -> Wire:
        """The newest connection."""
        return self.wires[-1]

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        if self.refuses:
            return fail(ConnectionRefusedError("nobody listens"))
        if self.hangs:
            return Deferred()
        protocol = protocolFactory.buildProtocol(None)
        wire = Wire(protocol)
        self.wires.append(wire)
        protocol.makeConnection(wire)
        return succeed(protocol)

    def give_token(self, token: bytes = TOKEN.encode()) -> None:
        """Go through the dance for the token, up to the answer."""
        wire = self.last
        wire.accept()
        wire.confirm()
        (request,) = wire.of("SEND")
        wire.message(f"/queue/{request.headers['reply-to']}", token)
        wire.confirm()

    def come_up(self) -> Wire:
        """Go through all that a platform does until the bus is up."""
        self.give_token()
        self.last.accept()
        self.last.confirm()
        return self.last


class Lab:
    """A bus on a broker in memory, with a clock that is turned by hand."""

    def __init__(self, *, token: bool = True) -> None:
        self.clock = Clock()
        self.broker = MemoryBroker()
        self.peer_log = PeerLog(self.clock)
        self.bus = BrokerBus(
            self.broker,
            access(token=token),
            self.clock,
            lambda: 1_000_000 + self.clock.seconds(),
            self.peer_log,
            draw=lambda: 0.5,
        )
