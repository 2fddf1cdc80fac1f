"""The service that sends Notifications: what it asks of the store and when, with a store and receivers made
of lists, and time turned by hand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import facts
from csipd.db.notifications import Delivered, Failed, Outcome, Outgoing, Receiver, Refused, Settled
from csipd.net.peer_log import PER_ORIGIN, PeerLog
from csipd.notify.failures import Unanswered, Undelivered, Unreachable
from csipd.notify.lanes import UNSETTLED
from csipd.notify.service import ASIDE, LONGEST_SLEEP, PORTION, STOP_SECONDS, Deliverer
from csipd.notify.settling import ENOUGH, GATHERING, PAUSE
from csipd.notify.store import Look, Report
from csipd.refusals import Unavailable


def outgoing(subscription: int, receiver: int, uri: str) -> Outgoing:
    return Outgoing(
        subscription=subscription,
        receiver=receiver,
        uri=uri,
        lfdis=(),
        body=b"<Notification/>",
        last=False,
        changed=7,
        digest=b"",
        revision=0,
        look_at=None,
    )


class FakeStore:
    """Subscriptions that are pending, by receiver.

    :ivar pending: numbers of subscriptions by the number of their receiver
    :ivar owners: whose a receiver is, where that is not nobody else's
    :ivar away: receivers that are backing off
    :ivar portions: how often there is something to hand on
    :ivar settled: what was written down, in order
    :ivar broken: the store cannot be used
    """

    def __init__(self) -> None:
        self.pending: dict[int, list[int]] = {}
        self.away: set[int] = set()
        self.portions = 0
        self.settled: list[Outcome] = []
        self.reports: list[Report] = []
        self.worked: list[int] = []
        self.failed: list[tuple[int, str]] = []
        self.begun = self.looks = 0
        self.broken = False
        self.seconds: float | None = None
        self.settle_hold: list[tuple[Deferred[None], Report]] | None = None
        self.special: dict[int, Any] = {}
        self.owners: dict[int, int] = {}

    def begin(self) -> Deferred[None]:
        if self.broken:
            return fail(Unavailable("the store is broken"))
        self.begun += 1
        return succeed(None)

    def look(self, busy: Collection[int], after: int) -> Deferred[Look]:
        if self.broken:
            return fail(Unavailable("the store is broken"))
        self.looks += 1
        due = [
            Receiver(number, f"r{number}.example", 443, self.owners.get(number, number))
            for number, waiting in sorted(self.pending.items())
            if waiting and number not in busy and number not in self.away
        ]
        due.sort(key=lambda receiver: (receiver.number <= after, receiver.number))
        return succeed(Look(self.portions > 0, due, self.seconds))

    def hand_on(self) -> Deferred[bool]:
        self.portions -= 1
        return succeed(self.portions > 0)

    def due(self, receiver: int, most: int, busy: Collection[int]) -> Deferred[list[int]]:
        if self.broken:
            return fail(Unavailable("the store is broken"))
        return succeed([number for number in self.pending.get(receiver, ()) if number not in busy][:most])

    def prepare(self, subscription: int) -> Deferred[Outgoing | Settled]:
        if subscription in self.special:
            found = self.special[subscription]
            return fail(found) if isinstance(found, Exception) else succeed(found)
        receiver = next(number for number, waiting in self.pending.items() if subscription in waiting)
        uri = f"https://r{receiver}.example/{subscription}"
        return succeed(outgoing(subscription, receiver, uri))

    def settle(self, report: Report) -> Deferred[None]:
        if self.broken:
            return fail(Unavailable("the store is broken"))
        self.reports.append(report)
        if self.settle_hold is not None:
            held: Deferred[None] = Deferred()
            self.settle_hold.append((held, report))
            return held
        self.write(report)
        return succeed(None)

    def write(self, report: Report) -> None:
        for outcome in report.outcomes:
            self.settled.append(outcome)
            number = outcome.subscription if isinstance(outcome, Settled) else outcome.outgoing.subscription
            for waiting in self.pending.values():
                if number in waiting:
                    waiting.remove(number)
        for receiver, why in report.failed.items():
            self.failed.append((receiver, why))
            self.away.add(receiver)
        self.worked.extend(report.worked)


class FakeClient:
    """Receivers.

    :ivar answers: what is given at once, by host; a status, an error, or None to wait
    :ivar sent: what was sent, in order
    :ivar waiting: what is not answered yet, in order
    """

    def __init__(self) -> None:
        self.answers: dict[str, int | Exception | None] = {}
        self.sent: list[str] = []
        self.waiting: list[tuple[str, Deferred[int]]] = []
        self.most = 0
        self.closed = False

    def post(self, uri: str, lfdis: tuple[str, ...], body: bytes) -> Deferred[int]:
        self.sent.append(uri)
        answer = self.answers.get(uri.split("/")[2], 201)
        if isinstance(answer, Exception):
            return fail(answer)
        if answer is not None:
            return succeed(answer)
        waiting: Deferred[int] = Deferred()
        self.waiting.append((uri, waiting))
        self.most = max(self.most, len(self.waiting))
        return waiting

    def answer(self, status: int = 201) -> None:
        """Answer the one that has waited longest."""
        self.waiting.pop(0)[1].callback(status)

    def close(self) -> Deferred[None]:
        self.closed = True
        return succeed(None)


class ServiceCase(SynchronousTestCase):
    """A service that has begun, with nothing to do."""

    connections, per_receiver = 8, 3

    def setUp(self) -> None:
        self.clock = Clock()
        self.store = FakeStore()
        self.client = FakeClient()
        self.peer_log = PeerLog(self.clock)
        self.deliverer = Deliverer(
            self.store,
            self.client,
            self.clock,
            self.peer_log,
            speed=1,
            at_once=self.connections,
            per_receiver=self.per_receiver,
        )
        self.addCleanup(self.stop)

    def start(self, **pending: list[int]) -> None:
        """Start with what is pending, by r and the receiver's number."""
        self.store.pending = {int(name.removeprefix("r")): waiting for name, waiting in pending.items()}
        self.deliverer.startService()
        self.turns()

    def turns(self, number: int = 200) -> None:
        """Let so many turns of the reactor pass, in next to no time."""
        for _ in range(number):
            self.clock.advance(0.0002)

    def stop(self) -> None:
        if self.deliverer.running:
            stopped = self.deliverer.stopService()
            self.clock.advance(STOP_SECONDS)
            self.successResultOf(stopped)
        self.peer_log.flush()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def outcomes(self) -> list[tuple[type, int]]:
        return [
            (type(one), one.subscription if isinstance(one, Settled) else one.outgoing.subscription)
            for one in self.store.settled
        ]

    def numbers(self) -> list[int]:
        return [int(uri.rsplit("/", 1)[1]) for uri in self.client.sent]


class PassTests(ServiceCase):
    """When it looks, and what it does then."""

    def test_what_is_pending(self) -> None:
        """What was pending at the start is sent, after what was under way before was given up."""
        self.start(r1=[1, 2, 3], r2=[4])
        self.assertEqual(self.store.begun, 1)
        self.assertEqual(sorted(self.numbers()), [1, 2, 3, 4])
        self.assertEqual({outcome for outcome, _ in self.outcomes()}, {Delivered})
        self.assertEqual(self.store.pending, {1: [], 2: []})

    def test_woken(self) -> None:
        """A commit that somebody may watch wakes it at once; another one does not."""
        self.start()
        looks = self.store.looks
        self.store.pending[1] = [1]
        for fact in (facts.document("/edev/1/der/1/ders"), facts.responses(1), facts.certificate("A")):
            self.deliverer.changed([fact])
        self.assertEqual(self.store.looks, looks)
        for number, fact in enumerate(
            (facts.schedule(2), facts.device(3), facts.document("/edev/1/sub/3")), 1
        ):
            self.store.pending[1] = [number]
            self.deliverer.changed([facts.responses(1), fact])
            self.turns()
            self.assertEqual(self.numbers()[-1], number, fact)

    def test_by_time(self) -> None:
        """It looks when something will be due, and after a while though nothing is known to be."""
        self.store.seconds = 12.0
        self.start()
        looks = self.store.looks
        self.clock.advance(11.9)
        self.assertEqual(self.store.looks, looks)
        self.clock.advance(0.2)
        self.assertEqual(self.store.looks, looks + 1)
        self.store.seconds = None
        self.clock.advance(12.1)
        self.store.pending[1] = [1]
        self.clock.advance(LONGEST_SLEEP)
        self.assertEqual(self.numbers(), [1])

    def test_fast_clock(self) -> None:
        """Where devices' clock runs fast what is due comes sooner."""
        self.deliverer = Deliverer(
            self.store, self.client, self.clock, self.peer_log, speed=10, at_once=8, per_receiver=3
        )
        self.store.seconds = 100.0
        self.start()
        looks = self.store.looks
        self.clock.advance(10.1)
        self.assertEqual(self.store.looks, looks + 1)

    def test_handed_on(self) -> None:
        """What has changed is handed on portion by portion, and what is pending sent meanwhile."""
        self.store.portions = 5
        self.start(r1=[1])
        self.clock.pump([0.01] * 10)
        self.assertEqual((self.store.portions, self.numbers()), (0, [1]))

    def test_broken_store(self) -> None:
        """While the store cannot be used it is asked again, now and then; nothing is lost."""
        self.store.broken = True
        self.start(r1=[1])
        self.assertEqual(self.client.sent, [])
        self.store.broken = False
        self.clock.advance(PAUSE)
        self.assertEqual((self.store.begun, self.numbers()), (1, [1]))

    def test_no_store_to_settle(self) -> None:
        """What came of a delivery is written when the store can be used again; it is not sent twice."""
        self.client.answers["r1.example"] = None
        self.start(r1=[1])
        self.store.broken = True
        self.client.answer()
        for _ in range(3):
            self.clock.advance(PAUSE)
        self.assertEqual(self.store.settled, [])
        self.store.broken = False
        self.clock.advance(PAUSE)
        self.assertEqual((self.outcomes(), self.numbers()), ([(Delivered, 1)], [1]))

    def test_a_pass_fails(self) -> None:
        """A fault of csipd's own is logged, and does not end the service."""
        look, self.store.look = self.store.look, lambda busy, after: fail(ValueError("a bug"))  # type: ignore[method-assign]
        self.start(r1=[1])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.store.look = look  # type: ignore[method-assign]
        self.clock.advance(LONGEST_SLEEP)
        self.assertEqual(self.numbers(), [1])


class OutcomeTests(ServiceCase):
    """What comes of an answer."""

    def test_statuses(self) -> None:
        """2xx is delivered, 4xx refused, all else has failed: by subscription."""
        kinds = {
            200: Delivered,
            201: Delivered,
            204: Delivered,
            302: Failed,
            400: Refused,
            410: Refused,
            503: Failed,
        }
        for number, status in enumerate(kinds, start=1):
            self.client.answers[f"r{number}.example"] = status
            self.store.pending[number] = [number]
        self.start(**{f"r{number}": [number] for number in range(1, len(kinds) + 1)})
        self.clock.advance(1)
        self.assertEqual(
            {number: kind for kind, number in self.outcomes()}, dict(enumerate(kinds.values(), start=1))
        )
        self.assertEqual(self.store.failed, [])
        (refused,) = [one for one in self.store.settled if isinstance(one, Refused) and one.status == 410]
        self.assertEqual(refused.outgoing.subscription, 6)

    def test_own_failure(self) -> None:
        """What is one subscription's fault stops no other at its receiver."""
        self.client.answers["r1.example"] = Undelivered("another LFDI answers")
        self.start(r1=[1, 2, 3])
        self.assertEqual(self.outcomes(), [(Failed, 1), (Failed, 2), (Failed, 3)])
        self.assertEqual(self.store.failed, [])

    def test_unreachable(self) -> None:
        """A receiver that cannot be reached is backed off; its subscriptions stay as they were."""
        self.client.answers["r1.example"] = Unreachable("refused")
        self.start(r1=[1, 2, 3], r2=[4])
        self.assertEqual(self.store.failed, [(1, "refused")])
        self.assertEqual(self.outcomes(), [(Delivered, 4)])
        self.assertEqual(self.numbers().count(1) + self.numbers().count(2) + self.numbers().count(3), 1)

    def test_unanswered(self) -> None:
        """Where it may have arrived that is written down, beside the receiver's failure."""
        self.client.answers["r1.example"] = Unanswered("no answer")
        self.start(r1=[1, 2])
        self.assertEqual(self.store.failed, [(1, "no answer")])
        self.assertEqual(self.outcomes(), [(Failed, 1)])

    def test_works_again(self) -> None:
        """That a receiver answers is written down once, and again after it has failed."""
        self.start(r1=[1, 2, 3])
        self.assertEqual(self.store.worked, [1])
        self.client.answers["r1.example"] = Unreachable("refused")
        self.store.pending[1] = [4]
        self.deliverer.wake()
        self.clock.advance(1)
        self.assertEqual(self.store.failed, [(1, "refused")])
        self.client.answers["r1.example"] = 201
        self.store.away.clear()
        self.deliverer.wake()
        self.clock.advance(1)
        self.assertEqual((self.store.worked, self.store.pending[1]), ([1, 1], []))

    def test_nothing_to_send(self) -> None:
        """Where nothing is to be sent that is written down, and no receiver hears of it."""
        self.store.special[1] = Settled(1, 7)
        self.start(r1=[1])
        self.assertEqual((self.outcomes(), self.client.sent), ([(Settled, 1)], []))

    def test_a_subscription_that_fails(self) -> None:
        """One that csipd cannot handle is logged and left alone for a while; the others go on."""
        self.store.special[1] = ValueError("a bug")
        self.start(r1=[1, 2, 3])
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.numbers(), [2, 3])
        self.clock.advance(ASIDE / 2)
        self.assertEqual(self.flushLoggedErrors(ValueError), [])
        del self.store.special[1]
        self.clock.pump([LONGEST_SLEEP] * 10)
        self.assertEqual(self.numbers(), [2, 3, 1])


class FairnessTests(ServiceCase):
    """Who waits for whom."""

    def test_one_first(self) -> None:
        """A receiver gets one Notification, and several at once when it has answered that."""
        self.client.answers["r1.example"] = None
        self.start(r1=list(range(1, 10)))
        self.assertEqual(self.numbers(), [1])
        self.client.answer()
        self.turns()
        self.assertEqual(len(self.client.waiting), self.per_receiver)
        while self.client.waiting:
            self.client.answer()
            self.turns()
        self.assertEqual((self.client.most, sorted(self.numbers())), (self.per_receiver, list(range(1, 10))))

    def test_each_once_at_a_time(self) -> None:
        """While something is under way for a subscription nothing else is; what came meanwhile follows."""
        self.client.answers["r1.example"] = None
        self.start(r1=[1])
        self.deliverer.wake()
        self.clock.advance(1)
        self.assertEqual(self.numbers(), [1])
        self.store.settle_hold = []
        self.client.answer()
        self.deliverer.wake()
        self.clock.advance(1)
        self.assertEqual(self.numbers(), [1], "what came of it is not written yet")

    def test_bounded(self) -> None:
        """No more than so many are under way at once, whatever is pending."""
        for number in range(1, 30):
            self.client.answers[f"r{number}.example"] = None
        self.start(**{f"r{number}": [100 * number + more for more in range(10)] for number in range(1, 30)})
        done = 0
        while self.client.waiting:
            self.assertLessEqual(len(self.client.waiting), self.connections)
            self.client.answer()
            done += 1
            self.clock.advance(0.001)
        self.assertEqual(done, 290)
        self.assertGreater(self.client.most, self.per_receiver)

    def test_slow_receivers(self) -> None:
        """However many receivers hang, all that is for those that work is sent: by count, without time."""
        hang = range(1, 21)
        for number in hang:
            self.client.answers[f"r{number}.example"] = None
        pending = {f"r{number}": [number] for number in hang}
        self.start(**pending, **{f"r{number}": [number, 1000 + number] for number in range(21, 41)})
        # Those that hang hold as many lanes as there are for receivers of which nothing is known.
        for _ in range(len(hang)):
            if set(range(21, 41)) <= set(self.numbers()):
                break
            self.assertLessEqual(len(self.client.waiting), self.connections // 4)
            self.client.waiting.pop(0)[1].errback(Unanswered("no answer within 10 s"))
            self.clock.advance(0.001)
        hung = len(self.client.waiting)
        # By now those that work are known. However long the others hang, they wait for none of them.
        for number in range(21, 41):
            self.store.pending[number] = [2000 + number]
        self.deliverer.wake()
        self.clock.advance(1)
        self.assertEqual(len(self.client.waiting), hung)
        self.assertLessEqual({2000 + number for number in range(21, 41)}, set(self.numbers()))

    def test_one_subscriber_whose_receivers_hang(self) -> None:
        """However many of one subscriber's hang, the first Notification of another waits for none."""
        hang = range(1, 21)
        self.client.answers = {f"r{number}.example": None for number in hang}
        self.store.owners = dict.fromkeys(hang, 1)
        self.start(**{f"r{number}": [number] for number in hang}, r30=[30], r31=[31])
        self.assertEqual(len(self.client.waiting), 1)
        self.assertLessEqual({30, 31}, set(self.numbers()))
        # Those of the first have their turn all the same, as they end.
        for number in hang:
            self.assertEqual(self.client.waiting[0][0], f"https://r{number}.example/{number}")
            self.client.waiting.pop(0)[1].errback(Unanswered("no answer within 10 s"))
            self.clock.advance(0.001)
        self.assertEqual(self.client.waiting, [])

    def test_much_beside_receivers_that_hang(self) -> None:
        """A receiver that works gets all that there is for it, though others hang or wait to be tried."""
        self.start(r1=[1])
        hang = range(2, 22)
        self.client.answers = {f"r{number}.example": None for number in hang}
        self.store.pending |= {number: [number] for number in hang}
        many = list(range(1000, 1000 + 4 * PORTION))
        self.store.pending[1] = list(many)
        self.deliverer.wake()
        self.turns()
        self.assertLessEqual(set(many), set(self.numbers()))
        self.assertEqual(len(self.client.waiting), self.connections // 4)

    def test_lines(self) -> None:
        """However many places that nobody can reach somebody names, the log has a bounded number of lines."""
        receivers = range(1, 3 * PER_ORIGIN + 1)
        for number in receivers:
            self.client.answers[f"r{number}.example"] = Unreachable("no such host")
        with capturedLogs() as log:
            self.start(**{f"r{number}": [number] for number in receivers})
            self.clock.pump([0.02] * 2500)
        self.assertEqual(len(self.store.failed), len(receivers))
        # One for each of so many, and one for all others.
        self.assertEqual(len([line for line in log if "fail" in line["log_format"]]), PER_ORIGIN + 1)

    def test_in_turn(self) -> None:
        """Receivers have their turn one after the other, though each has always something new."""
        self.deliverer = Deliverer(
            self.store, self.client, self.clock, self.peer_log, speed=1, at_once=2, per_receiver=1
        )
        self.client.answers = {f"r{number}.example": None for number in range(1, 4)}
        self.start(r1=[1], r2=[2], r3=[3])
        order = []
        for turn in range(9):
            uri = self.client.waiting[0][0]
            order.append(uri.split("/")[2])
            self.store.pending[int(order[-1][1])].append(1000 + turn)
            self.client.answer()
            self.clock.advance(1)
        self.assertEqual(order[:3], ["r1.example", "r2.example", "r3.example"])
        self.assertGreaterEqual(min(map(order.count, order[:3])), 2, order)


class StopTests(ServiceCase):
    """Stopping."""

    def test_idle(self) -> None:
        """With nothing under way it stops at once."""
        self.start()
        self.successResultOf(self.deliverer.stopService())
        self.assertTrue(self.client.closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_under_way(self) -> None:
        """What is under way may end, and is written down; nothing else begins."""
        self.client.answers["r1.example"] = None
        self.start(r1=[1, 2, 3])
        stopped = self.deliverer.stopService()
        self.assertNoResult(stopped)
        self.client.answer()
        self.successResultOf(stopped)
        self.assertEqual((self.outcomes(), self.numbers()), ([(Delivered, 1)], [1]))

    def test_hangs(self) -> None:
        """What does not end is given up; it stays pending."""
        self.client.answers["r1.example"] = None
        self.start(r1=[1])
        stopped = self.deliverer.stopService()
        self.clock.advance(STOP_SECONDS)
        self.successResultOf(stopped)
        self.assertEqual((self.store.settled, self.store.pending), ([], {1: [1]}))


class BatchTests(ServiceCase):
    """What is written down together."""

    connections, per_receiver = 100, 50

    def begin(self, number: int) -> None:
        """Have so many Notifications under way to one receiver that is known to work."""
        self.start(r1=[0])
        self.client.answers["r1.example"] = None
        self.store.pending[1] = list(range(1, number + 1))
        self.deliverer.wake()
        self.clock.advance(0.01)
        self.turns()
        self.store.reports.clear()

    def written(self) -> list[int]:
        """How many outcomes each transaction has."""
        return [len(report.outcomes) for report in self.store.reports]

    def test_together(self) -> None:
        """What comes while a transaction is under way is written by the next one, all of it."""
        self.begin(40)
        self.store.settle_hold = []
        for _ in range(40):
            self.client.answer()
        held = self.store.settle_hold
        self.assertEqual(self.written(), [ENOUGH])
        self.store.settle_hold = None
        done, report = held[0]
        self.store.write(report)
        done.callback(None)
        self.assertEqual(self.written(), [ENOUGH, 40 - ENOUGH])
        self.assertEqual(self.store.pending[1], [])

    def test_few_transactions(self) -> None:
        """While more is under way a few outcomes wait for each other, and not for long; the last does not."""
        self.begin(20)
        for _ in range(3):
            self.client.answer()
        self.assertEqual(self.written(), [])
        self.clock.advance(GATHERING)
        self.assertEqual(self.written(), [3])
        for _ in range(16):
            self.client.answer()
        self.assertEqual(self.written(), [3, ENOUGH])
        self.client.answer()
        self.assertEqual(self.written(), [3, ENOUGH, 1])

    def test_next_before_it_is_written(self) -> None:
        """A receiver that has answered gets the next one though nothing is written down yet, up to a bound;
        each subscription only once at a time. What is written down is kept without what was sent."""
        self.begin(100)
        self.store.settle_hold = []
        for _ in range(100):
            if self.client.waiting:
                self.client.answer()
            self.turns()
        sent = self.numbers()[1:]
        self.assertEqual(len(sent), len(set(sent)))
        self.assertGreater(len(sent), self.per_receiver)
        self.assertLess(len(sent), self.per_receiver + UNSETTLED)
        bodies = [one.outgoing.body for report in self.store.reports for one in report.outcomes]
        self.assertEqual(set(bodies), {b""})
        held, self.store.settle_hold = self.store.settle_hold, None
        for done, report in held:
            self.store.write(report)
            done.callback(None)
        while self.client.waiting:
            self.client.answer()
            self.turns()
        self.assertEqual(sorted(self.numbers()[1:]), list(range(1, 101)))
