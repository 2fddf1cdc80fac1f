"""A simulated aggregator against the real server: what it subscribes to, and what notifications do."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sim import receiver
from csipd.sim.aggregator import RENEWAL, SELDOM, Aggregator
from tests.conformance.bench import LAB, PIN, RATES, T0
from tests.sim.lab import Lab, credential_of, step
from tests.support import pki

HOUR = 3600


class AggregatorCase(SynchronousTestCase):
    """An aggregator with two devices in one program."""

    def setUp(self) -> None:
        self.lab = Lab(Path(self.mktemp()))
        self.addCleanup(self.lab.close)
        self.lab.ladder("SY")
        self.lab.default("SY", opModMaxLimW=9000)
        self.credential = LAB.aggregator("agg")
        credential = credential_of(self.credential)
        number = self.lab.make_end_device(credential.lfdi, "agg", aggregator=True)
        units = []
        for name in ("der1", "der2"):
            lfdi = LAB.device(name).lfdi
            self.lab.make_end_device(lfdi, name, "SY", manager=number)
            units.append(self.lab.unit(name, lfdi, PIN))
        self.units = units
        self.aggregator = self.made()

    def made(self) -> Aggregator:
        """One for the units that has not begun."""
        credential = credential_of(self.credential)
        aggregator = Aggregator(
            self.lab.client(credential),
            self.lab.sim_clock,
            credential.lfdi,
            self.units,
            self.lab.counts,
            chance=Random(1),
        )
        self.lab.add(aggregator)
        return aggregator

    def begin(self, query: str = "") -> None:
        """Let it walk and subscribe."""
        pki.write(self.lab.folder, None, agg=self.credential)
        factory = receiver.receiver_factory(
            self.aggregator.receive,
            self.lab.folder / "certs" / "agg.crt",
            self.lab.folder / "private" / "agg.pem",
            self.lab.folder / "certs" / "ca.crt",
            self.lab.clock,
        )
        self.aggregator.listen_at(f"https://{self.lab.receive_at(factory)}{receiver.PATH}{query}")
        self.aggregator.start()
        self.lab.pass_time(5)

    def subscriptions(self) -> list[str]:
        """What the server has of it, by what was subscribed to."""
        answer: list[r.SubscriptionList] = []

        async def read() -> None:
            own = self.aggregator.own
            assert own is not None and own.SubscriptionListLink is not None
            answer.append(
                await self.aggregator.get(f"{own.SubscriptionListLink.href}?l=99", r.SubscriptionList)
            )

        self.lab.do(read())
        return sorted(one.subscribedResource for one in answer[0].Subscription)

    def notify(self, what: str, status: int = 0) -> bool:
        return self.aggregator.receive(
            r.Notification(subscribedResource=what, status=status, subscriptionURI="/sub/1")
        )


class SubscriptionTests(AggregatorCase):
    """What it subscribes to."""

    def test_everything_once(self) -> None:
        """The EndDeviceList, each device's FSAList and program lists, the program's controls and default."""
        self.begin()
        found = self.subscriptions()
        self.assertEqual(len(found), len(set(found)))
        self.assertIn("/edev", found)
        self.assertIn("/derp/1/derc", found)
        self.assertIn("/derp/1/dderc", found)
        self.assertEqual(sum(href.endswith("/fsa") for href in found), 2)
        self.assertEqual(sum(href.endswith("/derp") for href in found), 2)
        self.assertEqual(self.lab.counts.errors, {})

    def test_they_are_renewed(self) -> None:
        """Twice a day each is posted again, which makes no second one."""
        self.begin()
        before = self.subscriptions()
        self.lab.pass_time(RENEWAL + HOUR)
        self.assertEqual(self.subscriptions(), before)
        self.assertEqual(self.lab.counts.errors, {})

    def test_those_of_a_run_before_are_deleted(self) -> None:
        """A receiver that is gone is not notified for a day and a half of what a new run is told, too."""
        self.begin()
        before = self.subscriptions()
        self.aggregator.stop()
        self.aggregator = self.made()
        self.begin("?run=2")
        self.assertEqual(self.subscriptions(), before, "one of each")
        self.assertEqual(self.lab.counts.errors, {})

    def test_without_a_receiver(self) -> None:
        """It polls, and subscribes to nothing."""
        self.aggregator.start()
        self.lab.pass_time(HOUR)
        self.assertEqual(self.subscriptions(), [])
        self.assertEqual([len(unit.programs) for unit in self.units], [1, 1])


class NotificationTests(AggregatorCase):
    """What a notification does."""

    def test_it_polls_seldom(self) -> None:
        """Who is told of changes asks for programs a tenth as often."""
        self.begin()
        self.assertTrue(self.aggregator.is_told)
        self.lab.pass_time(RATES["DERProgramList"] * 2)
        before = self.lab.counts.polls
        self.lab.pass_time(HOUR)
        # A reading of the programs: two lists, controls where there are any, one default.
        polls = HOUR / RATES["DERProgramList"] * 3
        self.assertLess(self.lab.counts.polls - before, polls / 2)
        self.assertGreater(SELDOM, 2)

    def test_it_reads_what_changed(self) -> None:
        """It has an event a moment after it was told of it over TLS, and answers for each of its devices."""
        self.begin()
        self.lab.pass_time(RATES["DERProgramList"] * 2)
        self.lab.command("SY", start=60, lasts=5, opModMaxLimW=2000)
        self.lab.pass_time(1)
        self.assertEqual([[status for _, status in unit.answered] for unit in self.units], [[1], [1]])
        self.assertEqual(self.lab.counts.notifications, 1)

    def test_it_falls_back_to_polling(self) -> None:
        """A change that it finds, and was not told of, has it poll by pollRate; a notification ends that."""
        self.begin()
        self.lab.pass_time(RATES["DERProgramList"] * 2)
        self.lab.cut_off()
        self.lab.command("SY", start=600, lasts=5, opModMaxLimW=2000)
        self.lab.pass_time(RATES["DERProgramList"] * SELDOM)
        self.assertFalse(self.aggregator.is_told)
        self.lab.command("SY", start=660, lasts=5, opModMaxLimW=2000)
        self.lab.pass_time(RATES["DERProgramList"] * 2)
        self.assertEqual([len(unit.answered) for unit in self.units], [2, 2])
        self.notify("/derp/1/derc")
        self.assertTrue(self.aggregator.is_told)

    def test_a_cancelled_subscription(self) -> None:
        """What the server has ended is subscribed to anew, and read."""
        self.begin()
        self.lab.pass_time(RATES["DERProgramList"] * 2)
        self.assertTrue(self.notify("/derp/1/derc", status=1))
        self.lab.pass_time(1)
        self.assertIn("/derp/1/derc", self.subscriptions())

    def test_what_nobody_wanted(self) -> None:
        """A notification of something else is not welcome."""
        self.begin()
        self.assertFalse(self.notify("/derp/99/derc"))

    def test_reports_for_each(self) -> None:
        """It reports and mirrors for each of its devices."""
        for unit in self.units:
            step(unit, T0, 1.0)
        self.begin()
        self.assertEqual(self.lab.counts.puts, 8)
        self.assertEqual(self.lab.counts.readings, 8)
        mirrors = {unit.mirror for unit in self.units}
        self.assertEqual(len(mirrors), 2)
        self.assertEqual(self.lab.counts.errors, {})


class ReceiverTests(SynchronousTestCase):
    """The receiver, below TLS."""

    def setUp(self) -> None:
        self.received: list[r.Notification] = []

    def ask(self, octets: bytes, welcome: bool = True) -> bytes:
        """What a connection is answered."""

        def receive(notification: r.Notification) -> bool:
            self.received.append(notification)
            return welcome

        channel: Any = receiver.site(receive, Clock()).buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(octets)
        return transport.value()

    def post(self, body: bytes, path: str = receiver.PATH, **how: bool) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        return self.ask(head.encode() + body, **how)[9:12]

    def test_notifications(self) -> None:
        """What is welcome is answered 201; what is not, or is no Notification, 400."""
        body = codec.encode(r.Notification(subscribedResource="/edev", status=0, subscriptionURI="/sub/1"))
        self.assertEqual(self.post(body), b"201")
        self.assertEqual([one.subscribedResource for one in self.received], ["/edev"])
        self.assertEqual(self.post(body, welcome=False), b"400")
        self.assertEqual(self.post(b"<nonsense"), b"400")
        self.assertEqual(self.post(body, path="/other"), b"404")

    def test_what_is_too_long(self) -> None:
        """A body beyond the bound, or without a length, is not taken in."""
        for length in (f"Content-Length: {receiver.BODY_LIMIT + 1}", "Transfer-Encoding: chunked"):
            head = f"POST {receiver.PATH} HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n"
            self.assertNotIn(b"201", self.ask(head.encode() + b"x" * 1000))
        self.assertEqual(self.received, [])
