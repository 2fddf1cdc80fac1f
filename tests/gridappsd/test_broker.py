"""The bus of a broker, against one in memory that does right and wrong."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from csipd.gridappsd.broker import MOST_REQUESTS, MOST_WAITING
from csipd.gridappsd.bus import LARGEST, Message, NoAnswer
from csipd.gridappsd.live import LARGEST_ANSWER
from csipd.gridappsd.topics import TOKEN_REQUEST
from tests.gridappsd.brokers import TOKEN, Lab, Wire

TOPIC = "/topic/goss.gridappsd.IEEE_2030_5.input"


class BrokerCase(SynchronousTestCase):
    """A bus that has been started, with one subscription."""

    def setUp(self) -> None:
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)
        self.lab = Lab()
        self.bus, self.broker, self.clock = self.lab.bus, self.lab.broker, self.lab.clock
        self.got: list[Message] = []
        self.ups = 0
        self.bus.subscribe(TOPIC, self.got.append)
        self.bus.when_up(self._count_up)
        self.bus.startService()
        self.addCleanup(self._stop)

    def _stop(self) -> None:
        """Nothing is left behind by whatever was tried."""
        if self.bus.running:
            self.bus.stopService()
        self.clock.advance(10)
        self.lab.peer_log.flush()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([wire for wire in self.broker.wires if not wire.gone], [])

    def _observe(self, event: dict[str, Any]) -> None:
        if event.get("log_namespace", "").startswith("csipd."):
            self.lines.append(event["log_format"].format(**event))

    def _count_up(self) -> None:
        self.ups += 1

    def up(self) -> Wire:
        return self.broker.come_up()

    @property
    def state(self):
        return self.bus.state


class TokenTests(BrokerCase):
    """How csipd gets in."""

    def test_the_dance(self) -> None:
        """Name and password get a token on a connection of its own; the next one shows it."""
        wire = self.broker.last
        (connect,) = wire.of("CONNECT")
        self.assertEqual((connect.headers["login"], connect.headers["passcode"]), ("system", "manager"))
        wire.accept()
        (subscribe,), (send,) = wire.of("SUBSCRIBE"), wire.of("SEND")
        self.assertEqual(send.headers["destination"], TOKEN_REQUEST)
        self.assertEqual(b64decode(send.body), b"system:manager")
        answers_to = send.headers["reply-to"]
        self.assertTrue(answers_to.startswith("temp.token_resp.system-"), answers_to)
        self.assertEqual(subscribe.headers["destination"], f"/queue/{answers_to}")
        wire.message(f"/queue/{answers_to}", TOKEN.encode())
        self.assertEqual(len(wire.of("DISCONNECT")), 1)
        self.assertEqual(len(self.broker.wires), 1)
        wire.confirm()
        self.assertTrue(wire.gone)
        (connect,) = self.broker.last.of("CONNECT")
        self.assertEqual((connect.headers["login"], connect.headers["passcode"]), (TOKEN, ""))
        self.assertIsNone(self.state.up_since)

    def test_each_queue_is_its_own(self) -> None:
        """The queue of the answer is another one each time: nobody can wait there for the token."""
        first = self.broker.last
        first.accept()
        first.drop()
        self.clock.advance(1)
        self.broker.last.accept()
        names = {wire.of("SEND")[0].headers["reply-to"] for wire in self.broker.wires}
        self.assertEqual(len(names), 2)

    def test_no_token(self) -> None:
        """Where nobody gives one it is said, and tried again."""
        wire = self.broker.last
        wire.accept()
        wire.confirm()
        self.clock.advance(10)
        wire.confirm()
        self.assertEqual(self.state.last_error, "nobody gave a token within 10 s")
        self.clock.advance(1)
        self.assertEqual(len(self.broker.wires), 2)

    def test_no_token_and_no_end(self) -> None:
        """A broker that does not even confirm the end is left."""
        self.broker.last.accept()
        self.clock.advance(10)
        self.assertFalse(self.broker.last.gone)
        self.clock.advance(2)
        self.assertTrue(self.broker.wires[0].gone)
        self.assertEqual(self.state.last_error, "nobody gave a token within 10 s")

    def test_what_is_no_token(self) -> None:
        """An answer that cannot be one is not sent to the broker."""
        for answer in (b"", b"a b", b"a\nhost:x", b"\xff", b"x" * 8193, b"\0"):
            self.broker.give_token(answer)
            self.assertEqual(self.state.last_error, "what the platform answered is no token")
            self.clock.advance(60)
        self.broker.give_token(b" " + b"x" * 8192 + b"\n")
        self.assertEqual(self.broker.last.of("CONNECT")[0].headers["login"], "x" * 8192)

    def test_wrong_password(self) -> None:
        """What the broker says of it is told, without the password."""
        self.broker.last.give("ERROR", message="User name [system] or password is invalid.")
        self.assertEqual(self.state.last_error, "the broker says: User name [system] or password is invalid.")
        self.assertNotIn("manager", "".join(self.lines))

    def test_wrong_token(self) -> None:
        """A token that is refused is asked for anew, not shown again and again."""
        self.broker.give_token()
        self.broker.last.give("ERROR", message="no")
        self.assertEqual(self.state.last_error, "the broker says: no")
        self.clock.advance(1)
        self.assertEqual(self.broker.last.of("CONNECT")[0].headers["login"], "system")

    def test_without(self) -> None:
        """With token: false name and password are shown, and no message says who sends."""
        lab = Lab(token=False)
        lab.bus.startService()
        (connect,) = lab.broker.last.of("CONNECT")
        self.assertEqual((connect.headers["login"], connect.headers["passcode"]), ("system", "manager"))
        lab.broker.last.accept()
        self.assertTrue(lab.bus.send(TOPIC, b"x"))
        self.assertNotIn("GOSS_SUBJECT", lab.broker.last.of("SEND")[0].headers)
        lab.bus.stopService()
        lab.broker.last.confirm()
        self.assertTrue(lab.broker.last.gone)


class UpTests(BrokerCase):
    """A bus that is up, and one that goes down."""

    def test_up(self) -> None:
        """It is up once all subscriptions are confirmed, and says so in the log and to who asked."""
        self.broker.give_token()
        wire = self.broker.last
        wire.accept()
        (subscribe,) = wire.of("SUBSCRIBE")
        self.assertEqual(subscribe.headers["destination"], TOPIC)
        self.assertEqual((self.state.up_since, self.ups), (None, 0))
        self.assertFalse(self.bus.send(TOPIC, b""))
        wire.confirm()
        self.assertEqual((self.state.up_since, self.state.connections, self.ups), (1_000_000, 1, 1))
        self.assertIn("the GridAPPS-D bus: connected to broker:61613", self.lines)
        again: list[int] = []
        self.bus.when_up(lambda: again.append(1))
        self.assertEqual(again, [1])

    def test_messages(self) -> None:
        """Messages come to all who subscribed, in their order; one that fails takes nothing from others."""

        def failing(message: Message) -> None:
            raise ZeroDivisionError

        after: list[Message] = []
        self.bus.subscribe(TOPIC, failing)
        self.bus.subscribe(TOPIC, after.append)
        wire = self.up()
        wire.message(TOPIC, b"1", reply_to="/queue/x")
        wire.message(TOPIC, b"2")
        self.assertEqual([(m.destination, m.body) for m in self.got], [(TOPIC, b"1"), (TOPIC, b"2")])
        self.assertEqual(self.got[0].headers["reply-to"], "/queue/x")
        self.assertEqual(self.got, after)
        self.assertEqual((self.state.received, self.state.refused["fault"]), (2, 2))
        self.assertEqual(len(wire.of("SUBSCRIBE")), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_subscribed_later(self) -> None:
        """A subscription may be made at any time, and is made again with the others."""
        wire = self.up()
        later: list[Message] = []
        self.bus.subscribe("/topic/later", later.append)
        wire.message("/topic/later", b"1")
        wire.drop()
        self.clock.advance(1)
        wire = self.up()
        self.assertEqual(
            [frame.headers["destination"] for frame in wire.of("SUBSCRIBE")], [TOPIC, "/topic/later"]
        )
        wire.message("/topic/later", b"2")
        self.assertEqual([message.body for message in later], [b"1", b"2"])

    def test_subscribed_meanwhile(self) -> None:
        """A subscription that is made while csipd connects is made with the others."""
        later: list[Message] = []
        self.broker.give_token()
        self.bus.subscribe("/topic/later", later.append)
        self.broker.last.accept()
        self.broker.last.confirm()
        self.broker.last.message("/topic/later", b"1")
        self.assertEqual([message.body for message in later], [b"1"])
        self.assertEqual(len(self.broker.last.of("SUBSCRIBE")), 2)

    def test_subscribed_on_the_way(self) -> None:
        """The same before there is a connection at all."""
        self.broker.last.drop()
        self.broker.hangs = True
        self.clock.advance(1)
        self.bus.subscribe("/topic/later", lambda message: None)
        self.broker.hangs = False
        self.bus._connecting.cancel()
        self.clock.advance(2)
        self.assertEqual(len(self.up().of("SUBSCRIBE")), 2)

    def test_send(self) -> None:
        """What is sent says who sends."""
        wire = self.up()
        self.assertTrue(self.bus.send("/topic/out", b"body", reply_to="/queue/r"))
        (frame,) = wire.of("SEND")
        self.assertEqual(
            dict(frame.headers),
            {
                "destination": "/topic/out",
                "reply-to": "/queue/r",
                "GOSS_HAS_SUBJECT": "True",
                "GOSS_SUBJECT": TOKEN,
                "content-length": "4",
            },
        )
        self.assertEqual((frame.body, self.state.sent), (b"body", 1))

    def test_down(self) -> None:
        """While it is down nothing is sent or kept, which is counted and known to who sends."""
        self.assertFalse(self.bus.send(TOPIC, b"x"))
        self.failureResultOf(self.bus.request(TOPIC, b"x", 1.0), NoAnswer)
        wire = self.up()
        wire.drop()
        self.assertIsNone(self.state.up_since)
        self.assertEqual(self.state.last_error, "the broker has closed the connection")
        self.assertFalse(self.bus.send(TOPIC, b"x"))
        self.assertEqual(self.state.refused["not sent: the bus is down"], 2)
        self.assertEqual((self.state.sent, len(wire.of("SEND"))), (0, 0))

    def test_refused_subscription(self) -> None:
        """A broker that refuses a subscription is tried again like any that fails."""
        self.broker.give_token()
        self.broker.last.accept()
        self.broker.last.give("ERROR", message="not authorized to read from it")
        self.assertIn("not authorized", self.state.last_error)
        self.assertEqual(self.state.connections, 0)
        self.clock.advance(1)
        self.up()
        self.assertEqual(self.state.connections, 1)

    def test_stop(self) -> None:
        """It ends in order: the broker has taken everything when the service has stopped."""
        wire = self.up()
        self.bus.send("/topic/out", b"last words")
        stopped = self.bus.stopService()
        self.assertNoResult(stopped)
        self.assertEqual([frame.command for frame in wire.frames[-2:]], ["SEND", "DISCONNECT"])
        wire.message(TOPIC, b"too late")
        wire.confirm()
        self.successResultOf(stopped)
        self.assertEqual(self.got, [])

    def test_how_it_ends(self) -> None:
        """A connection is closed in order where the broker agreed to its end, and else cut off."""
        self.broker.give_token()
        self.assertEqual(self.broker.wires[0].ended, "in order")
        self.broker.last.accept()
        self.broker.last.confirm()
        stopped = self.bus.stopService()
        self.clock.advance(2)
        self.successResultOf(stopped)
        self.assertEqual(self.broker.last.ended, "cut off")

    def test_told_of_it_in_vain(self) -> None:
        """Who asked to be told that it is up, and fails then, takes nothing from others."""
        told: list[int] = []
        self.bus.when_up(lambda: 1 // 0)
        self.bus.when_up(lambda: told.append(1))
        wire = self.up()
        self.assertEqual((told, wire.gone, self.state.refused["fault"]), ([1], False, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stop_as_the_token_is_given_up(self) -> None:
        """An end that has begun is not begun anew by whatever else wants it."""
        self.broker.last.accept()
        self.clock.advance(9)
        stopped = self.bus.stopService()
        self.clock.advance(2)
        self.successResultOf(stopped)
        self.assertEqual(len(self.broker.last.of("DISCONNECT")), 1)

    def test_stop_between_attempts(self) -> None:
        """Where there is no connection there is nothing to wait for."""
        self.broker.last.drop()
        self.assertIsNone(self.bus.stopService())
        self.assertIsNone(self.bus.stopService())

    def test_stop_without_an_answer(self) -> None:
        """A broker that does not let us end in order is left after two seconds."""
        self.up()
        stopped = self.bus.stopService()
        self.clock.advance(2)
        self.successResultOf(stopped)

    def test_stop_while_connecting(self) -> None:
        """A connection that hangs does not keep csipd from stopping."""
        self.broker.last.drop()
        self.broker.hangs = True
        self.clock.advance(1)
        self.successResultOf(self.bus.stopService())
        self.assertEqual(len(self.broker.wires), 1)

    def test_stop_with_a_token(self) -> None:
        """Stopped while the token is fetched, nothing else is begun."""
        wire = self.broker.last
        wire.accept()
        stopped = self.bus.stopService()
        wire.confirm()
        self.successResultOf(stopped)
        self.assertEqual(len(self.broker.wires), 1)


class AgainTests(BrokerCase):
    """Attempts."""

    def attempts(self, seconds: int, fails: Callable[[Wire], None]) -> list[float]:
        """When attempts begin, each of which fails."""
        found = []
        seen = 0
        for _ in range(seconds * 2):
            while len(self.broker.wires) > seen:
                found.append(self.clock.seconds())
                seen += 1
                fails(self.broker.wires[seen - 1])
            self.clock.advance(0.5)
        return found

    def test_pauses(self) -> None:
        """The pauses double up to a minute."""
        found = self.attempts(400, Wire.drop)
        self.assertEqual(found[:10], [0, 1, 3, 7, 15, 31, 63, 123, 183, 243])

    def test_chance(self) -> None:
        """Pauses are a quarter shorter or longer by chance."""
        for draw, pause in ((0.0, 0.75), (1.0, 1.25)):
            lab = Lab()
            lab.bus._draw = lambda draw=draw: draw
            lab.broker.refuses = True
            lab.bus.startService()
            (call,) = (one for one in lab.clock.getDelayedCalls() if one.getTime() < 10)
            self.assertEqual(call.getTime(), pause)
            lab.bus.stopService()

    def test_one_line_a_minute(self) -> None:
        """What fails again and again is one line a minute for each reason."""
        self.attempts(180, Wire.drop)
        told = [line for line in self.lines if "has closed the connection" in line]
        self.assertLessEqual(len(told), 4)
        self.assertIn("the next attempt is in 1 s", told[0])

    def test_short_lives(self) -> None:
        """A broker that takes csipd in and throws it out at once is not asked each second."""
        found = self.attempts(200, lambda wire: None if wire.gone else self.broker.come_up().drop())
        self.assertLess(len(found), 20)

    def test_a_long_life(self) -> None:
        """After a minute of life the pauses begin anew."""
        self.attempts(30, Wire.drop)
        while self.broker.last.gone:
            self.clock.advance(1)
        wire = self.up()
        for _ in range(7):
            self.clock.advance(9)
            wire.octets(b"\n")
        wire.drop()
        before = len(self.broker.wires)
        self.clock.advance(1)
        self.assertEqual(len(self.broker.wires), before + 1)

    def test_nobody_listens(self) -> None:
        """A broker that is not there is told by its address."""
        self.broker.last.drop()
        self.broker.refuses = True
        self.clock.advance(1)
        self.assertIn("broker:61613 cannot be reached", self.state.last_error)
        self.broker.refuses = False
        self.clock.advance(2)
        self.up()
        self.assertEqual(self.ups, 1)


class RequestTests(BrokerCase):
    """Questions and answers."""

    def setUp(self) -> None:
        super().setUp()
        self.wire = self.up()

    def test_answer(self) -> None:
        """The answer comes on a queue of the request's own, which is given up then."""
        answer = self.bus.request("/queue/q", b"question", 5.0)
        (frame,) = self.wire.of("SEND")
        self.assertEqual((frame.headers["destination"], frame.body), ("/queue/q", b"question"))
        queue = frame.headers["reply-to"]
        self.assertTrue(queue.startswith("/temp-queue/response."))
        self.assertNoResult(answer)
        self.wire.message(queue, b"answer")
        self.assertEqual(self.successResultOf(answer), b"answer")
        self.assertEqual(self.wire.of("UNSUBSCRIBE")[0].headers["destination"], queue)
        self.wire.message(queue, b"another")
        self.assertEqual(self.state.refused["not asked for"], 1)

    def test_no_answer(self) -> None:
        """Nobody answers in time."""
        answer = self.bus.request("/queue/q", b"", 5.0)
        self.wire.confirm()
        self.clock.advance(5)
        self.assertEqual(str(self.failureResultOf(answer, NoAnswer).value), "nobody answered within 5 s")
        self.assertEqual(len(self.wire.of("UNSUBSCRIBE")), 1)

    def test_lost(self) -> None:
        """A request does not outlive its connection."""
        answer = self.bus.request("/queue/q", b"", 5.0)
        self.wire.drop()
        self.failureResultOf(answer, NoAnswer)

    def test_cancelled(self) -> None:
        """Who asks may give up."""
        answer = self.bus.request("/queue/q", b"", 5.0)
        answer.cancel()
        self.failureResultOf(answer)
        self.wire.confirm()
        self.clock.advance(5)

    def test_a_large_answer(self) -> None:
        """An answer may be larger than other messages, but not as large as it likes."""
        answer = self.bus.request("/queue/q", b"", 5.0)
        self.wire.message(self.wire.of("SEND")[-1].headers["reply-to"], b"x" * (LARGEST + 1))
        self.assertEqual(len(self.successResultOf(answer)), LARGEST + 1)
        answer = self.bus.request("/queue/q", b"", 5.0)
        self.wire.message(self.wire.of("SEND")[-1].headers["reply-to"], b"x" * (LARGEST_ANSWER + 1))
        self.clock.pump([0.1] * 60)
        self.assertIn("octets", str(self.failureResultOf(answer, NoAnswer).value))

    def test_how_many(self) -> None:
        """So many requests wait at once and no more."""
        answers = [self.bus.request("/queue/q", b"", 5.0) for _ in range(MOST_REQUESTS)]
        self.failureResultOf(self.bus.request("/queue/q", b"", 5.0), NoAnswer)
        self.wire.confirm()
        self.clock.advance(5)
        for answer in answers:
            self.failureResultOf(answer, NoAnswer)


class HostileTests(BrokerCase):
    """A broker that does what it should not."""

    def test_garbage(self) -> None:
        """Octets that are no STOMP end the connection, at each of its stages."""
        for _ in range(2):
            self.broker.last.octets(b"HTTP/1.1 200 OK\r\n\r\n")
            self.assertIn("a command that a broker does not send", self.state.last_error)
            self.clock.advance(60)
        self.broker.give_token()
        self.broker.last.octets(b"\xff\xfe")
        self.assertTrue(self.broker.last.gone)
        self.clock.advance(60)
        self.up().octets(b"MESSAGE\nx\n\n\0")
        self.assertIn("a header without", self.state.last_error)

    def test_says_nothing(self) -> None:
        """A broker that takes the connection and says nothing is left after ten seconds."""
        self.clock.advance(10)
        self.assertTrue(self.broker.last.gone)
        self.assertEqual(self.state.last_error, "the broker did not answer CONNECT within 10 s")

    def test_falls_silent(self) -> None:
        """A broker without a sign of life is left after twice the time that was agreed; ours are sent."""
        wire = self.up()
        wire.clear()
        self.clock.advance(8)
        self.assertEqual(wire.value(), b"\n")
        self.clock.pump([1] * 11)
        self.assertFalse(wire.gone)
        self.clock.advance(1)
        self.assertTrue(wire.gone)
        self.assertEqual(self.state.last_error, "the broker has been silent for 20 s")

    def test_confirms_nothing(self) -> None:
        """Subscriptions that are not confirmed are not taken for made."""
        self.broker.give_token()
        wire = self.broker.last
        wire.accept()
        for _ in range(15):
            self.assertFalse(wire.gone)
            self.clock.advance(1)
            wire.octets(b"\n") if not wire.gone else None
        self.assertEqual(self.state.last_error, "the broker has confirmed nothing for 15 s")
        self.assertEqual(self.ups, 0)

    def test_a_frame_without_end(self) -> None:
        """It takes neither room nor for ever."""
        wire = self.up()
        wire.octets(b"MESSAGE\nsubscription:s0\ndestination:x\n\n")
        for _ in range(61):
            if not wire.gone:
                wire.octets(b"x" * 60_000)
                self.assertLess(len(wire.protocol.session._decoder._buffer), LARGEST + 1)
                self.clock.advance(1)
        self.assertTrue(wire.gone)
        self.assertIn("has not ended a frame", self.state.last_error)

    def test_too_large(self) -> None:
        """A message above a mebibyte is counted and nothing else; the next one is taken."""
        wire = self.up()
        wire.message(TOPIC, b"x" * (LARGEST + 1))
        wire.message(TOPIC, b"x" * LARGEST)
        self.assertEqual([len(message.body) for message in self.got], [LARGEST])
        self.assertEqual(self.state.refused, {"message too large": 1})

    def test_not_asked_for(self) -> None:
        """Messages of subscriptions that nobody made are counted."""
        wire = self.up()
        wire.give("MESSAGE", b"x", subscription="s99", destination=TOPIC)
        wire.give("MESSAGE", b"x")
        self.assertEqual((self.got, self.state.refused["not asked for"]), ([], 2))

    def test_kinds_in_the_log(self) -> None:
        """What is refused is one line a minute for each kind, with the number of the rest."""
        for number in range(1000):
            self.bus.refuse("unknown device", "{what} is no device", what=f"_{number}")
        self.bus.refuse("unknown attribute", "x")
        self.clock.advance(60)
        told = [line for line in self.lines if "unknown device" in line]
        self.assertEqual(
            told,
            [
                "the GridAPPS-D bus: unknown device: _0 is no device",
                "the GridAPPS-D bus: unknown device: 999 more in the last 60 s",
            ],
        )
        self.assertEqual(self.state.refused, {"unknown device": 1000, "unknown attribute": 1})

    def test_takes_nothing(self) -> None:
        """A broker that does not read has a bounded queue, and is left after half a minute."""
        wire = self.up()
        wire.producer.pauseProducing()
        body = b"x" * (MOST_WAITING // 4)
        self.assertEqual([self.bus.send("/topic/out", body) for _ in range(6)].count(True), 3)
        self.assertEqual(self.state.refused["not sent: the broker is slow"], 3)
        self.assertEqual(wire.of("SEND"), [])
        wire.producer.resumeProducing()
        self.assertEqual(len(wire.of("SEND")), 3)
        self.assertTrue(self.bus.send("/topic/out", body))
        wire.producer.pauseProducing()
        for _ in range(30):
            self.assertFalse(wire.gone)
            wire.octets(b"\n")
            self.clock.advance(1)
        self.assertTrue(wire.gone)
        self.assertEqual(self.state.last_error, "the broker takes nothing of what it is sent")


class FloodTests(BrokerCase):
    """More than is handled at once."""

    def flood(self, messages: int) -> bytes:
        one = b"MESSAGE\nsubscription:s0\ndestination:" + TOPIC.encode() + b"\n\nx\0"
        return one * messages

    def test_in_slices(self) -> None:
        """What came at once is worked through in slices, and nothing is read meanwhile."""
        wire = self.up()
        wire.octets(self.flood(1000))
        self.assertEqual(len(self.got), 16)
        self.assertEqual(wire.producerState, "paused")
        seen: list[int] = []

        def look() -> None:
            """What else the reactor has to do."""
            seen.append(len(self.got))
            if len(self.got) < 1000:
                self.clock.callLater(0, look)

        self.clock.callLater(0, look)
        self.clock.advance(0)
        self.assertEqual(seen, [*range(32, 1000, 16), 1000])
        self.assertEqual(wire.producerState, "producing")

    def test_slices_end_by_time(self) -> None:
        """Messages that take long to handle share their time with all else."""
        wire = self.up()
        self.bus.subscribe(TOPIC, lambda message: Clock.advance(self.clock, 0.001))
        wire.octets(self.flood(10))
        self.assertLess(len(self.got), 5)

    def test_pace(self) -> None:
        """Of a broker that floods, so much is taken in a second and the rest waits there; none is lost."""
        wire = self.up()
        given = 0
        for _ in range(1000):  # ten seconds
            while wire.producerState == "producing" and given < 1_000_000:
                wire.octets(self.flood(500))
                given += 500
            self.clock.advance(0.01)
        self.assertLess(len(self.got), 2_000 * 12)
        self.assertGreater(len(self.got), 2_000 * 8)
        self.assertLess(given - len(self.got), 1000)
        self.assertFalse(wire.gone)

    def test_signs_of_life(self) -> None:
        """A flood of ends of lines is read no faster than messages are."""
        wire = self.up()
        given = 0
        for _ in range(1000):
            while wire.producerState == "producing":
                wire.octets(b"\n" * 65_536)
                given += 65_536
            self.clock.advance(0.01)
        self.assertLess(given, 8_000_000 * 12)
        self.assertFalse(wire.gone)
