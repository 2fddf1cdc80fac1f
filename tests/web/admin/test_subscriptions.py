"""Subscriptions: what operators see of them, and do with them."""

from __future__ import annotations

from csipd.db import notifications
from csipd.db.database import Transaction
from csipd.db.notifications import APART, BACK_OFF, Delivered, Failed, Outgoing
from tests.support.world import NOW
from tests.web.admin.case import Case


class SubscriptionTests(Case):
    """One subscription of an aggregator, from the beginning."""

    def setUp(self) -> None:
        super().setUp()
        self.path = f"/subscriptions/{self.office.subscription}"

    def prepared(self) -> Outgoing:
        """What is to be sent now; as often as it has to be looked at anew, that is written down."""
        for _ in range(5):
            found = self.world.read(
                lambda connection: notifications.prepare(
                    connection, self.world.server, self.office.subscription, self.world.now
                )
            )
            if isinstance(found, Outgoing):
                return found
            self.world.write(lambda t, found=found: notifications.settle(t, [found], self.world.now))
        raise AssertionError(found)

    def states(self) -> dict[str, int]:
        """How many subscriptions are listed in each state."""
        return {
            state: len(self.office.get(f"/subscriptions?state={state}")["items"])
            for state in ("told", "pending", "failing", "ended")
        }

    def counts(self) -> tuple[int, int, int]:
        status = self.office.get("/status")
        return (
            status["notifications_pending"],
            status["notifications_failing"],
            status["receivers_failing"],
        )

    def test_shown(self) -> None:
        """Who subscribed to what and where, and that there is nothing to tell."""
        shown = self.office.get(self.path)
        self.assertEqual(
            shown,
            {
                "number": self.office.subscription,
                "device": self.numbers.aggregator,
                "device_name": shown["device_name"],
                "state": "told",
                "resource": "/edev",
                "notificationURI": "https://a.example/notify",
                "limit": 10,
                "created": NOW,
                "expires": NOW + 86_400,
                "pending": False,
            },
        )
        page = self.office.get(f"/subscriptions?device={self.numbers.aggregator}")
        self.assertEqual((page["items"], page["total"]), ([shown], 1))
        self.assertEqual(self.office.get(f"/subscriptions?device={self.numbers.owner}")["items"], [])
        self.assertEqual(
            (self.states(), self.counts()), ({"told": 1, "pending": 0, "failing": 0, "ended": 0}, (0, 0, 0))
        )
        self.office.refused("GET", "/subscriptions/99", expect=404)
        self.office.refused("GET", "/subscriptions?state=odd", expect=400)

    def test_send(self) -> None:
        """It is due at once, is sent though nothing has changed, and not again within 30 s."""
        shown = self.office.post(f"{self.path}/send", expect=200)
        self.assertEqual((shown["state"], shown["next_attempt"]), ("pending", NOW))
        self.assertEqual((self.states()["pending"], self.counts()), (1, (1, 0, 0)))
        outgoing = self.prepared()
        self.world.write(lambda t: notifications.settle(t, [Delivered(outgoing)], self.world.now))
        shown = self.office.get(self.path)
        self.assertEqual((shown["state"], shown["told"]), ("told", NOW))
        again = self.office.post(f"{self.path}/send", expect=200)
        self.assertEqual(again["next_attempt"], NOW + APART)
        self.assertEqual([line.action for line in self.office.log()][-2:], ["notify", "notify"])

    def test_failing(self) -> None:
        """What failed, since when, why and when it is tried again; sent by hand that does not wait."""
        self.office.post(f"{self.path}/send", expect=200)
        for attempt in (1, 2):
            outgoing = self.prepared()
            failed = Failed(outgoing, "answered with status 503")
            self.world.write(lambda t, failed=failed: notifications.settle(t, [failed], self.world.now))
            shown = self.office.get(self.path)
            self.assertEqual(
                (shown["state"], shown["failing"], shown["next_attempt"]),
                (
                    "failing",
                    {"attempts": attempt, "since": NOW, "reason": "answered with status 503"},
                    NOW + BACK_OFF[attempt - 1],
                ),
            )
        self.assertEqual((self.states()["failing"], self.counts()), (1, (1, 1, 0)))
        self.assertEqual(self.office.post(f"{self.path}/send", expect=200)["next_attempt"], NOW)

    def test_receiver_fails(self) -> None:
        """A receiver that cannot be talked to is why its subscriptions fail, where something is pending."""

        def fail(transaction: Transaction) -> None:
            notifications.receiver_failed(transaction, 1, "192.0.2.1 port 443: Connection refused", NOW)

        self.world.write(fail)
        self.assertEqual(self.states()["failing"], 0)
        self.office.post(f"{self.path}/send", expect=200)
        self.world.write(fail)
        shown = self.office.get(self.path)
        self.assertEqual(shown["state"], "failing")
        self.assertEqual(shown["receiver_failing"]["reason"], "192.0.2.1 port 443: Connection refused")
        self.assertEqual(shown["next_attempt"], NOW + BACK_OFF[1])
        self.assertEqual((self.states()["failing"], self.counts()), (1, (1, 0, 1)))
        self.assertEqual(self.office.post(f"{self.path}/send", expect=200)["next_attempt"], NOW)

    def test_ended(self) -> None:
        """Its subscriber is told of the end (status 1), and then it is gone."""
        shown = self.office.post(f"{self.path}/end", expect=200)
        self.assertEqual((shown["state"], shown["ended"], shown["pending"]), ("ended", NOW, True))
        self.assertEqual(self.states()["ended"], 1)
        outgoing = self.prepared()
        self.assertTrue(outgoing.last)
        self.assertIn(b"<status>1</status>", outgoing.body)
        self.world.write(lambda t: notifications.settle(t, [Delivered(outgoing)], self.world.now))
        self.office.refused("GET", self.path, expect=404)

    def test_dropped(self) -> None:
        """Dropped, it is gone at once, and so is its receiver."""
        self.office.delete(self.path)
        self.office.refused("GET", self.path, expect=404)
        for method, more in (("POST", "/send"), ("POST", "/end"), ("DELETE", "")):
            self.office.refused(method, self.path + more, expect=404)
        self.assertEqual(self.office.log()[-1].action, "drop subscription")
