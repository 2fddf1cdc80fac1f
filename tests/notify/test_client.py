"""One Notification to one receiver: where it goes, who answers, what becomes of hostile ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.receivers import ReceiverPolicy
from csipd.net.identity import identify_by
from csipd.net.tls import ServerTLS
from csipd.notify.answers import BODY_BYTES
from csipd.notify.client import MOST_ADDRESSES, Client, ClientLimits
from csipd.notify.failures import ClosedInSilence, Unanswered, Undelivered, Unreachable
from csipd.notify.pace import HANDSHAKES
from csipd.sep2.identity import lfdi
from tests.support.pki import Authority, Credential, critical_purpose, expired
from tests.support.receivers import (
    CREATED,
    MemoryNetwork,
    Received,
    Receiver,
    receiver_tls,
    sender_tls,
    status,
)

LAB = Authority.make()
SERVER = LAB.server("csipd.example")
AGGREGATOR = LAB.aggregator("aggregator")
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
ADDRESS = "8.8.8.8"
URI = "https://a.example/notify?x=1"
BODY = b"<Notification/>"
LIMITS = ClientLimits(connections=4, connecting=10, answering=10, idle=60)


class ClientCase(SynchronousTestCase):
    """A client and receivers in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.names: dict[str, list[str]] = {"a.example": [ADDRESS]}
        self.tls = sender_tls(SERVER, LAB, now=NOW)
        self.now = NOW
        self.client = self.make()

    def make(self, policy: ReceiverPolicy = ReceiverPolicy(), limits: ClientLimits = LIMITS) -> Client:  # noqa: B008
        return Client(
            self.clock,
            lambda: self.now,
            policy,
            self.resolve,
            self.network.connect,
            lambda: self.tls,
            identify_by(lfdi),
            limits,
        )

    def resolve(self, host: str) -> Deferred[list[str]]:
        if host not in self.names:
            return fail(Unreachable(f"{host} has no address (Name or service not known)"))
        return succeed(self.names[host])

    def receiver(
        self,
        answers: Callable[[Received], bytes | None] = lambda request: CREATED,
        own: Credential = AGGREGATOR,
        address: str = ADDRESS,
        port: int = 443,
        tls: ServerTLS | None = None,
    ) -> Receiver:
        made = Receiver(answers)
        self.network.listen(address, port, made, tls or receiver_tls(own, LAB, now=NOW))
        return made

    def post(
        self,
        uri: str = URI,
        lfdis: tuple[str, ...] = (AGGREGATOR.lfdi,),
        seconds: float = 0,
        body: bytes = BODY,
    ) -> int | Undelivered:
        """What came of one, after so many seconds."""
        results: list[Any] = []
        self.network.advance(2 * HANDSHAKES.longest, 2 * HANDSHAKES.longest)
        self.client.post(uri, lfdis, body).addBoth(results.append)
        self.network.pump()
        if seconds and not results:
            self.network.advance(seconds)
        self.assertEqual(len(results), 1, "nothing came of it")
        found = results[0].value if isinstance(results[0], Failure) else results[0]
        self.assertIsInstance(found, int | Undelivered, results)
        outcome: int | Undelivered = found
        return outcome

    def assert_failed(
        self, outcome: int | Undelivered, reason: str, kind: type[Exception] = Unreachable
    ) -> None:
        self.assertIs(type(outcome), kind, outcome)
        self.assertIn(reason, str(outcome))

    def at_rest(self) -> None:
        """No timer is left, nothing is open, once all that is kept has been let go."""
        self.network.advance(LIMITS.idle + 10, 5)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.client.connections, 0)


class PostTests(ClientCase):
    """A receiver that does what it should."""

    def test_request(self) -> None:
        """What is sent, to the octet of the body; over mutual TLS with the server's own certificate."""
        receiver = self.receiver()
        self.assertEqual(self.post(), 201)
        (received,) = receiver.received
        self.assertEqual(received.target, "/notify?x=1")
        self.assertEqual(received.body, BODY)
        self.assertEqual(
            received.headers,
            {"host": "a.example", "content-type": "application/sep+xml", "content-length": str(len(BODY))},
        )
        (connection,) = receiver.open
        peer = connection.transport.getPeerCertificate().to_cryptography()
        self.assertEqual(peer, SERVER.certificate)
        self.assertEqual(connection.transport.getHandle().get_servername(), b"a.example")
        self.at_rest()

    def test_kept(self) -> None:
        """The next one goes over the same connection, until that has waited long."""
        receiver = self.receiver()
        for _ in range(5):
            self.assertEqual(self.post(), 201)
            self.network.advance(LIMITS.idle / 2)
        self.assertEqual((receiver.made, len(receiver.received)), (1, 5))
        self.network.advance(LIMITS.idle)
        self.assertEqual(receiver.open, [])
        self.assertEqual(self.post(), 201)
        self.assertEqual(receiver.made, 2)
        self.at_rest()

    def test_several_at_once(self) -> None:
        """Two that are under way have a connection each; both are kept."""
        silent = self.receiver(lambda request: None)
        results: list[Any] = []
        for _ in range(2):
            self.client.post(URI, (), BODY).addBoth(results.append)
        self.network.pump()
        self.assertEqual(silent.made, 1, "the other one's handshake has its turn later")
        self.network.advance(HANDSHAKES.longest, HANDSHAKES.longest)
        self.assertEqual(silent.made, 2)
        for connection in silent.open:
            connection.transport.write(CREATED)
        self.network.pump()
        self.assertEqual(results, [201, 201])
        self.assertEqual(self.client.connections, 2)
        self.at_rest()

    def test_statuses(self) -> None:
        """Whatever the status, it is what comes of it; a redirect is not followed."""
        for code in (200, 201, 204, 301, 302, 307, 400, 404, 410, 500, 503):
            answer = status(code, "Location: https://127.0.0.1/evil")
            self.receiver(lambda request, answer=answer: answer)
            self.assertEqual(self.post(), code)
            self.client.close()
            self.network.pump()
        self.assertEqual(set(self.network.connected), {(ADDRESS, 443)})

    def test_large(self) -> None:
        """A body of many records arrives whole."""
        receiver = self.receiver()
        body = bytes(range(256)) * 2_000
        self.assertEqual(self.post(body=body), 201)
        self.assertEqual(receiver.received[0].body, body)

    def test_plain(self) -> None:
        """In a lab http goes without TLS, and nobody is asked who it is."""
        self.client = self.make(ReceiverPolicy(plain=True))
        receiver = Receiver()
        self.network.listen(ADDRESS, 8080, receiver, None)
        self.assertEqual(self.post("http://a.example:8080/n"), 201)
        self.assertEqual(receiver.received[0].headers["host"], "a.example:8080")
        self.assertEqual(self.post("http://a.example:8080/n"), 201)
        self.assertEqual(receiver.made, 1)
        self.at_rest()

    def test_room(self) -> None:
        """Where there is no more room the connection that has waited longest is closed for a new one."""
        receivers = []
        for number in range(LIMITS.connections + 1):
            self.names[f"{number}.example"] = [f"8.8.4.{number}"]
            receivers.append(self.receiver(address=f"8.8.4.{number}"))
            self.assertEqual(self.post(f"https://{number}.example/"), 201)
        self.assertEqual(self.client.connections, LIMITS.connections)
        self.assertEqual([len(receiver.open) for receiver in receivers], [0, 1, 1, 1, 1])


class WhoTests(ClientCase):
    """Whose certificate answers."""

    def test_subscriber_or_listed(self) -> None:
        """Another LFDI than those that may answer gets nothing; that is the subscription's fault alone."""
        receiver = self.receiver(own=LAB.device("other"))
        self.assert_failed(self.post(), f"LFDI {LAB.device('other').lfdi} answers there", Undelivered)
        self.assertEqual(receiver.received, [])
        listed = (AGGREGATOR.lfdi, LAB.device("other").lfdi)
        self.assertEqual(self.post(lfdis=listed), 201)
        self.assertEqual(self.post(lfdis=()), 201)
        self.assertEqual(receiver.made, 1)

    def test_wrong_certificates(self) -> None:
        """A chain of another root, one that has ended and one that the profile refuses: nothing is sent."""
        stranger = Authority.make("stranger").device("dev1")
        cases = (
            (stranger, ("unable to get issuer cert locally", "self signed cert in chain")),
            (expired(LAB), ("cert has expired",)),
            (critical_purpose(LAB), ("critical extension 2.5.29.37",)),
        )
        for own, reasons in cases:
            receiver = self.receiver(tls=receiver_tls(own, LAB, now=NOW))
            outcome = self.post(lfdis=(own.lfdi,))
            self.assertIs(type(outcome), Unreachable)
            self.assertIn("the receiver's certificate is refused", str(outcome))
            self.assertTrue(any(reason in str(outcome) for reason in reasons), str(outcome))
            self.assertEqual(receiver.received, [])
            self.assertEqual(receiver.open, [])
        self.at_rest()

    def test_our_certificate_refused(self) -> None:
        """A receiver that does not trust the server: the alert is the reason."""
        self.receiver(tls=receiver_tls(AGGREGATOR, Authority.make("stranger"), now=NOW))
        self.assert_failed(self.post(), "TLS failed: tlsv1 alert unknown ca")
        self.at_rest()

    def test_certificate_that_ends(self) -> None:
        """A kept connection is not used once the certificate at its other end has ended."""
        own = LAB.device("ends", end=datetime(2400, 1, 1, tzinfo=UTC))
        receiver = self.receiver(own=own)
        self.assertEqual(self.post(lfdis=(own.lfdi,)), 201)
        self.now = datetime(2400, 1, 2, tzinfo=UTC).timestamp()
        # OpenSSL goes by the machine's clock, so that a new connection is made all the same.
        self.assertEqual(self.post(lfdis=(own.lfdi,)), 201)
        self.assertEqual(receiver.made, 2)


class AddressTests(ClientCase):
    """What is connected to."""

    def test_checked_address(self) -> None:
        """An address that was judged is connected to, and never the name: that may lead elsewhere by then."""
        self.receiver()
        self.assertEqual(self.post(), 201)
        self.assertEqual(self.network.connected, [(ADDRESS, 443)])

    def test_forbidden(self) -> None:
        """A name that leads to a private address is not connected to."""
        for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:a00:1"):
            self.names["a.example"] = [address]
            self.receiver(address=address)
            self.assert_failed(self.post(), f"a.example leads to {address}")
        self.assertEqual(self.network.connected, [])

    def test_rebinding(self) -> None:
        """A name that was good once and leads inside now is refused, when its next connection is made."""
        self.receiver()
        inside = self.receiver(address="10.0.0.1")
        self.assertEqual(self.post(), 201)
        self.names["a.example"] = ["10.0.0.1"]
        self.network.advance(LIMITS.idle + 10, 5)
        self.assert_failed(self.post(), "leads to 10.0.0.1")
        self.assertEqual(inside.made, 0)

    def test_some_forbidden(self) -> None:
        """Of several addresses those that are admitted are tried, in order, until one takes a connection."""
        self.names["a.example"] = ["10.0.0.1", "8.8.4.1", "2606:4700::1", ADDRESS]
        self.receiver()
        self.assertEqual(self.post(), 201)
        self.assertEqual(self.network.connected, [("8.8.4.1", 443), ("2606:4700::1", 443), (ADDRESS, 443)])

    def test_many_addresses(self) -> None:
        """Of a name with many addresses a few are tried: nobody has csipd knock at a whole network."""
        self.names["a.example"] = [f"8.8.4.{number}" for number in range(100)]
        self.assert_failed(self.post(), f"8.8.4.{MOST_ADDRESSES - 1} port 443")
        self.assertEqual(len(self.network.connected), MOST_ADDRESSES)

    def test_nobody_listens(self) -> None:
        """A refused connection is the receiver's failure, with its address."""
        self.assert_failed(self.post(), f"{ADDRESS} port 443")
        self.assert_failed(self.post("https://nowhere.example/"), "nowhere.example has no address")
        self.at_rest()

    def test_policy(self) -> None:
        """What the policy forbids by now is refused though it was let when somebody subscribed."""
        for uri in ("http://a.example/", "https://127.0.0.1/", "https://localhost/", "no uri"):
            self.assert_failed(self.post(uri), "the notificationURI", Undelivered)
        self.client = self.make(ReceiverPolicy(networks=(ip_network("10.0.0.0/8"),)))
        self.assert_failed(self.post(), "neither name nor address are on this server's list")

    def test_address_for_host(self) -> None:
        """An address in the URI is connected to without a look-up, and no name is told."""
        receiver = self.receiver(address="2606:4700::1", port=8443)
        self.assertEqual(self.post("https://[2606:4700::1]:8443/n"), 201)
        self.assertEqual(receiver.received[0].headers["host"], "[2606:4700::1]:8443")
        self.assertIsNone(receiver.open[0].transport.getHandle().get_servername())


class Mute(Protocol):
    """Says what it is told to, and nothing else."""

    def __init__(self, says: bytes = b"") -> None:
        self._says = says

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._says)


class Speaking(Factory):
    """A place that speaks no TLS."""

    def __init__(self, says: bytes = b"") -> None:
        self._says = says

    def buildProtocol(self, addr: Any) -> Mute:
        return Mute(self._says)


class HostileTests(ClientCase):
    """Receivers that hang, trickle, talk nonsense or without end."""

    def test_silent_network(self) -> None:
        """Where packets vanish the connection is given up in time."""
        self.network.silent.add(ADDRESS)
        self.assert_failed(self.post(seconds=10), "no connection within 10 s")
        self.at_rest()

    def test_slow_name(self) -> None:
        """A name's server that says nothing is not waited for."""
        self.client._resolve = lambda host: Deferred()
        self.assert_failed(self.post(seconds=10), "no connection within 10 s")
        self.at_rest()

    def test_no_handshake(self) -> None:
        """A receiver that takes the connection and never speaks TLS."""
        self.network.places[(ADDRESS, 443)] = Speaking()
        self.assert_failed(self.post(seconds=10), "no connection within 10 s")
        self.at_rest()

    def test_plain_text(self) -> None:
        """A receiver that speaks HTTP where TLS is wanted."""
        self.network.places[(ADDRESS, 443)] = Speaking(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assert_failed(self.post(), "TLS failed")
        self.at_rest()

    def test_hangs(self) -> None:
        """A receiver that takes a Notification and says nothing."""
        self.receiver(lambda request: None)
        self.assert_failed(self.post(seconds=10), "no answer within 10 s", Unanswered)
        self.at_rest()

    def test_trickles(self) -> None:
        """A receiver that answers an octet a second is cut at the same moment."""
        receiver = self.receiver(lambda request: None)
        results: list[Any] = []
        self.client.post(URI, (), BODY).addErrback(lambda failure: results.append(str(failure.value)))
        self.network.pump()
        for octet in range(9):
            receiver.open[0].transport.write(CREATED[octet : octet + 1])
            self.network.advance(1)
        self.assertEqual(results, [])
        self.network.advance(1)
        self.assertEqual(results, ["no answer within 10 s"])
        self.assertEqual(receiver.open, [])
        self.at_rest()

    def test_trickled_body(self) -> None:
        """A status that came counts, though the body never ends."""
        self.receiver(lambda request: b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n12")
        self.assertEqual(self.post(seconds=10), 201)
        self.at_rest()

    def test_gigabytes(self) -> None:
        """A body that is large is not read: the connection is closed, the status counts."""
        endless = (
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 2 * BODY_BYTES
        )
        for answer in (
            b"HTTP/1.1 201 Created\r\nContent-Length: 4000000000\r\n\r\n" + b"x" * 5000,
            endless,
        ):
            receiver = self.receiver(lambda request, answer=answer: answer)
            self.assertEqual(self.post(), 201)
            self.assertEqual(receiver.open, [])
        self.at_rest()

    def test_endless_head(self) -> None:
        """A head without end is cut."""
        receiver = self.receiver(lambda request: b"HTTP/1.1 201 Created\r\nX: " + b"x" * 20_000)
        self.assert_failed(self.post(), "a head of more than", Unanswered)
        self.assertEqual(receiver.open, [])
        self.at_rest()

    def test_garbage(self) -> None:
        """What is no HTTP is no answer."""
        self.receiver(lambda request: b"220 mail.example ESMTP\r\n")
        self.assert_failed(self.post(), "answered what is no HTTP response: no HTTP/1.1", Unanswered)
        self.at_rest()

    def test_hangs_up(self) -> None:
        """A receiver that closes a new connection instead of answering has not got it."""
        receiver = self.receiver()
        receiver.answers = lambda request: receiver.open[-1].transport.loseConnection()
        self.assert_failed(self.post(), "closed the connection without an answer", ClosedInSilence)
        self.assertEqual(len(receiver.received), 1)
        self.at_rest()

    def test_closed_while_kept(self) -> None:
        """On a kept connection that closes in silence it is sent once more, on a new one."""
        receiver = self.receiver()
        self.assertEqual(self.post(), 201)
        old = receiver.open[0]

        def answer(request: Received) -> bytes | None:
            if receiver.open[0] is old:
                old.transport.loseConnection()
                return None
            return CREATED

        receiver.answers = answer
        self.assertEqual(self.post(), 201)
        self.assertEqual((receiver.made, len(receiver.received)), (2, 3))
        self.at_rest()

    def test_closed_by_the_receiver(self) -> None:
        """A kept connection that its receiver closes is gone; the next one is new at once."""
        receiver = self.receiver()
        self.assertEqual(self.post(), 201)
        receiver.open[0].transport.loseConnection()
        self.network.pump()
        self.assertEqual(self.client.connections, 0)
        self.assertEqual(self.post(), 201)
        self.assertEqual(len(receiver.received), 2)
        self.at_rest()

    def test_answered_in_part(self) -> None:
        """A kept connection that closes within its answer: not sent once more, since it was taken in."""
        receiver = self.receiver()
        self.assertEqual(self.post(), 201)

        def answer(request: Received) -> bytes | None:
            receiver.open[-1].transport.write(b"HTTP/1.1 2")
            receiver.open[-1].transport.loseConnection()
            return None

        receiver.answers = answer
        self.assert_failed(self.post(), "in the midst of its answer", Unanswered)
        self.assertEqual(len(receiver.received), 2)
        self.at_rest()

    def test_unasked(self) -> None:
        """A receiver that talks without being asked loses its connection; that was no answer."""
        receiver = self.receiver()
        self.assertEqual(self.post(), 201)
        receiver.open[0].transport.write(status(400))
        self.network.pump()
        self.assertEqual((receiver.open, self.client.connections), ([], 0))
        self.assertEqual(self.post(), 201)
        self.at_rest()

    def test_two_answers(self) -> None:
        """A second answer behind the first is not the next one's."""
        receiver = self.receiver(lambda request: CREATED + status(400))
        self.assertEqual(self.post(), 201)
        self.assertEqual(receiver.open, [])
        self.assertEqual(self.post(), 201)
        self.at_rest()

    def test_interim(self) -> None:
        """Interim responses are passed over."""
        self.receiver(lambda request: b"HTTP/1.1 100 Continue\r\n\r\n" + CREATED)
        self.assertEqual(self.post(), 201)
        self.assertEqual(self.client.connections, 1)
        self.at_rest()

    def test_close(self) -> None:
        """When the daemon stops, what is under way fails and nothing stays open."""
        self.receiver(lambda request: None)
        results: list[Any] = []
        self.client.post(URI, (), BODY).addErrback(lambda failure: results.append(str(failure.value)))
        self.network.pump()
        closed = self.client.close()
        self.network.pump()
        self.successResultOf(closed)
        self.assertEqual(len(results), 1)
        self.assertEqual((self.clock.getDelayedCalls(), self.client.connections), ([], 0))
        self.at_rest()
