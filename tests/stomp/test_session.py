"""One connection to a broker, by octets and moments."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.stomp.frames import Decoder, Frame, encode
from csipd.stomp.session import Confirmed, Connected, Received, Session, SessionError, Times

CLIENT = ("CONNECT", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT")
CONNECTED = b"CONNECTED\nversion:1.2\nserver:test/1\nheart-beat:10000,10000\n\n\0"


class SessionCase(SynchronousTestCase):
    """A session at moment 100, and what it sends."""

    def setUp(self) -> None:
        self.session = Session("me", "secret", "broker", 100.0, most_body=1000)
        self.sent = Decoder(lambda command, headers: 1 << 20, CLIENT)

    def frames(self, now: float = 100.0) -> list[Frame]:
        """What the session sends."""
        self.sent.feed(self.session.take_output(now))
        return list(iter(self.sent.take, None))

    def events(self, octets: bytes, now: float = 100.0) -> list[object]:
        """What comes of octets."""
        self.session.feed(octets, now)
        return list(iter(lambda: self.session.next_event(now), None))

    def connect(self, octets: bytes = CONNECTED) -> None:
        self.frames()
        self.events(octets)

    def assert_fails(self, kind: str, why: str, octets: bytes) -> None:
        with self.assertRaises(SessionError) as caught:
            self.events(octets)
        self.assertEqual(caught.exception.kind, kind)
        self.assertIn(why, str(caught.exception))


class ConnectTests(SessionCase):
    """The beginning."""

    def test_connect(self) -> None:
        """CONNECT says who we are and how often we speak; CONNECTED is told."""
        self.assertEqual(
            self.frames(),
            [
                Frame(
                    "CONNECT",
                    {
                        "accept-version": "1.2",
                        "host": "broker",
                        "login": "me",
                        "passcode": "secret",
                        "heart-beat": "10000,10000",
                    },
                )
            ],
        )
        self.assertFalse(self.session.is_connected)
        self.assertEqual(self.events(CONNECTED), [Connected("test/1")])
        self.assertTrue(self.session.is_connected)

    def test_refused(self) -> None:
        """ERROR in the place of CONNECTED is told in the broker's words, on one printable line."""
        self.assert_fails(
            "refused", "the broker says: bad password !", b"ERROR\nmessage:bad password\\n\x1b!\n\n\0"
        )
        self.setUp()
        self.assert_fails("refused", "the broker says: " + "x" * 200, b"ERROR\n\n" + b"x" * 5000 + b"\0")
        self.setUp()
        self.assert_fails("refused", "the broker says: ERROR", b"ERROR\n\n\0")

    def test_secrets_that_it_repeats(self) -> None:
        """Brokers repeat what one came in by: a token or a password is said to nobody."""
        said = b"ERROR\nmessage:User T.0-k is not authorized to read from\\c topic\n\n\0"
        self.session = Session("T.0-k", "", "broker", 100.0, most_body=1000)
        self.assert_fails("refused", "the broker says: User *** is not authorized to read from: topic", said)
        self.session = Session("me", "T.0-k", "broker", 100.0, most_body=1000)
        self.assert_fails("refused", "the broker says: User *** is not authorized to read from: topic", said)
        self.session = Session("me", "secret", "broker", 100.0, most_body=1000)
        self.assert_fails("refused", "the broker says: no me", b"ERROR\n\nno me\0")

    def test_other_versions(self) -> None:
        """A broker of another version is not spoken to."""
        self.assert_fails("no STOMP", "speaks STOMP 1.1, not 1.2", b"CONNECTED\nversion:1.1\n\n\0")
        self.setUp()
        self.assert_fails("no STOMP", "speaks STOMP 1.0, not 1.2", b"CONNECTED\nsession:1\n\n\0")

    def test_out_of_order(self) -> None:
        """CONNECTED comes first, and once."""
        self.assert_fails("no STOMP", "MESSAGE before CONNECTED", b"MESSAGE\n\n\0")
        self.setUp()
        self.assert_fails("no STOMP", "CONNECTED twice", CONNECTED * 2)

    def test_no_answer(self) -> None:
        """A broker that says nothing is given up."""
        self.frames()
        self.assertEqual(self.session.next_timer(), 110.0)
        self.session.tick(109.9)
        with self.assertRaises(SessionError) as caught:
            self.session.tick(110.0)
        self.assertEqual(caught.exception.kind, "no answer")

    def test_no_stomp(self) -> None:
        """What is no STOMP is told without what came."""
        self.assert_fails("no STOMP", "a command that a broker does not send", b"HTTP/1.1 200 OK\r\n")

    def test_names_that_cannot_be_sent(self) -> None:
        """A login with a line break would be headers of somebody's choice."""
        self.assertRaises(ValueError, Session, "me\nhost:x", "", "broker", 0.0, most_body=1)


class MessageTests(SessionCase):
    """What goes over a connection."""

    def setUp(self) -> None:
        super().setUp()
        self.connect()

    def test_subscribe(self) -> None:
        """SUBSCRIBE is confirmed by a receipt; messages come with the subscription's id."""
        receipt = self.session.subscribe("s0", "/topic/a", 100.0)
        self.assertEqual(
            self.frames(),
            [Frame("SUBSCRIBE", {"id": "s0", "destination": "/topic/a", "ack": "auto", "receipt": receipt})],
        )
        self.assertEqual(self.events(encode("RECEIPT", [("receipt-id", receipt)])), [Confirmed(receipt)])
        headers = {"subscription": "s0", "destination": "/topic/a", "message-id": "1"}
        found = self.events(encode("MESSAGE", headers.items(), b"hello"))
        self.assertEqual(found, [Received("s0", "/topic/a", {**headers, "content-length": "5"}, b"hello")])

    def test_receipts_nobody_waits_for(self) -> None:
        """Receipts that were not asked for are nothing."""
        self.assertEqual(self.events(b"RECEIPT\nreceipt-id:zz\n\n\0" * 3 + b"RECEIPT\n\n\0"), [])

    def test_receipts_that_never_come(self) -> None:
        """A subscription that is not confirmed ends the connection."""
        self.session.subscribe("s0", "/topic/a", 103.0)
        self.session.subscribe("s1", "/topic/b", 104.0)
        self.frames(104.0)
        self.assertEqual(self.session.next_timer(), min(104 + 7.5, 118.0))
        self.session.feed(b"\n", 117.9)
        self.session.tick(117.9)
        with self.assertRaises(SessionError) as caught:
            self.session.tick(118.0)
        self.assertEqual(caught.exception.kind, "no receipt")

    def test_send(self) -> None:
        """SEND has destination, further headers and the body's length."""
        self.session.send("/topic/a", b"x\0y", {"reply-to": "/temp-queue/r", "GOSS_SUBJECT": "a.b"})
        self.assertGreater(self.session.output_size, 0)
        self.assertEqual(
            self.frames(),
            [
                Frame(
                    "SEND",
                    {
                        "destination": "/topic/a",
                        "reply-to": "/temp-queue/r",
                        "GOSS_SUBJECT": "a.b",
                        "content-length": "3",
                    },
                    b"x\0y",
                )
            ],
        )
        self.assertEqual(self.session.output_size, 0)

    def test_sizes(self) -> None:
        """A body above the bound is told by its size; a subscription may have a bound of its own."""
        message = encode("MESSAGE", [("subscription", "s0"), ("destination", "/topic/a")], b"x" * 1001)
        self.session.subscribe("s0", "/topic/a", 100.0)
        (found,) = self.events(message)
        self.assertEqual((found.body, found.dropped), (b"", 1001))
        self.session.subscribe("s0", "/topic/a", 100.0, most_body=1001)
        (found,) = self.events(message)
        self.assertEqual((found.body, found.dropped), (b"x" * 1001, 0))
        self.session.unsubscribe("s0", "/topic/a")
        (found,) = self.events(message)
        self.assertEqual(found.dropped, 1001)

    def test_error(self) -> None:
        """ERROR is the end, whenever it comes."""
        self.assert_fails("refused", "not allowed", b"ERROR\nmessage:not allowed\n\nbody\0")

    def test_disconnect(self) -> None:
        """DISCONNECT is confirmed once the broker has taken everything."""
        receipt = self.session.disconnect(100.0)
        self.assertEqual(self.frames(), [Frame("DISCONNECT", {"receipt": receipt})])

    def test_a_frame_that_never_ends(self) -> None:
        """A frame has a minute, however many octets of it come."""
        self.assertEqual(self.events(b"MESSAGE\nsubscription:s0\n\nabc", 105.0), [])
        for now in range(110, 165, 10):
            self.assertEqual(self.events(b"abc", float(now)), [])
            self.session.tick(float(now))
            self.session.take_output(float(now))
        with self.assertRaises(SessionError) as caught:
            self.session.tick(165.0)
        self.assertIn("has not ended a frame", str(caught.exception))

    def test_each_frame_has_its_time(self) -> None:
        """Frames that end give the next one its own minute."""
        for now in (105.0, 150.0, 200.0):
            self.events(b"MESSAGE\n\nabc", now)
            self.events(b"\0MESSAGE\n\n", now + 1)
            self.session.tick(now + 1)
            self.session.take_output(now + 1)
            self.events(b"\0", now + 2)
        self.session.tick(215.0)


class HeartBeatTests(SessionCase):
    """Signs of life."""

    def test_ours(self) -> None:
        """A sign of life goes out before it is due, unless something else did."""
        self.connect()
        self.assertEqual(self.session.next_timer(), 107.5)
        self.session.tick(107.4)
        self.assertEqual(self.session.take_output(107.4), b"")
        self.session.tick(107.5)
        self.assertEqual(self.session.take_output(107.5), b"\n")
        self.session.send("/topic/a", b"", {})
        self.session.take_output(110.0)
        self.session.feed(b"\n", 110.0)
        self.session.tick(117.4)
        self.assertEqual(self.session.take_output(117.4), b"")
        self.assertEqual(self.session.next_timer(), 117.5)

    def test_theirs(self) -> None:
        """A broker that is silent for twice the time is given up; any octet counts."""
        self.connect()
        self.session.feed(b"\n", 115.0)
        self.session.tick(134.9)
        self.session.take_output(134.9)
        with self.assertRaises(SessionError) as caught:
            self.session.tick(135.0)
        self.assertEqual(caught.exception.kind, "silence")
        self.assertEqual(str(caught.exception), "the broker has been silent for 20 s")

    def test_agreed(self) -> None:
        """The slower of both sides counts; 0 of either is none; nobody makes us speak more often."""
        for offered, speaks, hears in (
            ("1,1", 10.0, 10.0),
            ("20000,30000", 30.0, 20.0),
            ("0,0", 0.0, 0.0),
            ("0,10000", 10.0, 0.0),
            ("999999999999999999,1", 10.0, 999999999999999.999),
        ):
            self.setUp()
            self.connect(f"CONNECTED\nversion:1.2\nheart-beat:{offered}\n\n\0".encode())
            self.assertEqual((self.session._speaks_every, self.session._hears_every), (speaks, hears))
            if not speaks and not hears:
                self.assertEqual(self.session.next_timer(), float("inf"))
        self.setUp()
        self.connect(b"CONNECTED\nversion:1.2\n\n\0")
        self.assertEqual(self.session.next_timer(), float("inf"))

    def test_no_heart_beat(self) -> None:
        """A header that is none is no STOMP."""
        for wrong in (b"1", b"a,b", b"1,-1", b"1,2,3", b""):
            self.setUp()
            self.assert_fails(
                "no STOMP", "heart-beat", b"CONNECTED\nversion:1.2\nheart-beat:" + wrong + b"\n\n\0"
            )

    def test_off(self) -> None:
        """Without heart-beats of ours there are none."""
        self.session = Session("", "", "h", 0.0, most_body=1, times=Times(heart_beat=0))
        self.assertEqual(self.frames(0.0)[0].headers["heart-beat"], "0,0")
        self.events(CONNECTED, 0.0)
        self.assertEqual(self.session.next_timer(), float("inf"))

    def test_a_flood_of_them(self) -> None:
        """A million signs of life are no events and leave nothing behind."""
        self.connect()
        for _ in range(16):
            self.assertEqual(self.events(b"\n" * 65_536), [])
        self.assertEqual(len(self.session._decoder._buffer), 0)
