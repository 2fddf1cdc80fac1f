"""Subscriptions as devices make, renew, change, list and end them (IEEE 2030.5-2018 8.7.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import audit, subscriptions
from csipd.der.receivers import ReceiverPolicy
from csipd.der.subscribing import SubscriptionLimits
from csipd.net.identity import Identity
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, locate
from tests.support.client import Answer
from tests.support.courier import Courier, subscription
from tests.support.schema import validate
from tests.support.walk import walk
from tests.support.ways import both_ways
from tests.support.world import AGGREGATOR, EVERYBODY, LISTED, MANAGED, OTHER, OWNER, World

URI = "https://receiver.example/notified"


class SubscriptionCase(SynchronousTestCase):
    """A world, and subscriptions in it."""

    def make(self, **more: Any) -> World:
        self.world = World(Path(self.mktemp()), **more)
        self.addCleanup(self.world.close)
        return self.world

    def setUp(self) -> None:
        self.make()

    def subs(self, who: Identity = AGGREGATOR) -> str:
        """The list of a caller's subscriptions."""
        name = next(name for name, other in EVERYBODY.items() if other is who)
        return f"/edev/{getattr(self.world.numbers, name)}/sub"

    def subscribe(self, resource: str, who: Identity = AGGREGATOR, **more: Any) -> Answer:
        return self.world.post(who, self.subs(who), subscription(resource, **more))

    def subscribed(self, resource: str, who: Identity = AGGREGATOR, **more: Any) -> str:
        """Where the subscription is that was made."""
        answer = self.subscribe(resource, who, **more)
        self.assertEqual(answer.status, 201, answer)
        return answer.headers["location"]

    def assertRefused(self, answer: Answer, status: int, reason: int) -> None:
        self.assertEqual(answer.status, status, answer)
        validate(answer.body)
        self.assertEqual(codec.decode(answer.body, r.Error), r.Error(reasonCode=reason))

    def assertNone(self, who: Identity = AGGREGATOR) -> None:
        """The caller has no subscription."""
        self.assertEqual(self.world.document(who, self.subs(who)).get("all"), "0")


class MakeTests(SubscriptionCase):
    """POST."""

    def test_made(self) -> None:
        """A subscription is at its Location and in the list as it was given, and the list is linked to."""
        numbers = self.world.numbers
        for resource in ("/edev", f"/edev/{numbers.bare}/fsa"):
            where = self.subscribed(resource, limit=3)
            kept = self.world.document(AGGREGATOR, where)
            self.assertEqual([one.text for one in kept], [resource, "0", "-S1", "3", URI])
            validate(etree.tostring(kept))
        listed = self.world.document(AGGREGATOR, f"{self.subs()}?l=10")
        validate(etree.tostring(listed))
        self.assertEqual([listed.get("all"), listed.get("results")], ["2", "2"])
        self.assertEqual([one[0].text for one in listed], ["/edev", f"/edev/{numbers.bare}/fsa"])
        (link,) = self.world.document(AGGREGATOR, f"/edev/{numbers.aggregator}").findall(
            "{*}SubscriptionListLink"
        )
        self.assertEqual(dict(link.attrib), {"href": self.subs(), "all": "2"})

    def test_absolute(self) -> None:
        """A resource may be named by its absolute URI, which is what the subscription goes on to say."""
        self.make(base_uris=("https://utility.example:8443", "https://192.0.2.1:8443"))
        resource = "HTTPS://utility.example:8443/edev?l=5"
        where = self.subscribed(resource)
        self.assertEqual(self.world.document(AGGREGATOR, where)[0].text, resource)
        self.assertEqual(self.subscribe("https://192.0.2.1:8443/edev?l=6").status, 201)
        self.assertRefused(self.subscribe("https://elsewhere.example/edev"), 404, 1)

    def test_everything_subscribable(self) -> None:
        """Whatever shows that it can be subscribed to can be, and nothing else."""
        for who, most in ((AGGREGATOR, 1000), (OWNER, 20)):
            shown = 0
            for path, answer in walk(self.world, who).items():
                place = locate(path.partition("?")[0])
                if answer.status != 200 or place is None or "?" in path:
                    continue
                root = etree.fromstring(answer.body)
                subscribable = root.get("subscribable") == "1"
                self.assertEqual(subscribable, place.row.subscribable, path)
                for member in root.iter():
                    href = member.get("href")
                    inner = None if href is None or str(member.tag).endswith("Link") else locate(href)
                    if inner is not None:
                        self.assertEqual(member.get("subscribable") == "1", inner.row.subscribable, href)
                if shown < most - 1 or not subscribable:
                    made = self.subscribe(path, who)
                    self.assertEqual(made.status, 201 if subscribable else 400, (path, made))
                    shown += subscribable
            self.assertGreater(shown, 10)
        rows = {name for name, row in ROWS.items() if row.subscribable}
        self.assertEqual(
            rows,
            {
                *("EndDeviceList", "EndDevice", "FunctionSetAssignmentsList", "FSADERProgramList"),
                *("AssociatedDERProgramList", "DERProgramList", "DERProgram"),
                *("DERControlList", "DERControl", "DefaultDERControl"),
            },
        )

    def test_refused(self) -> None:
        """What cannot be subscribed to, or not so, is refused with the reason, and leaves nothing."""
        numbers = self.world.numbers
        for resource, status in (
            ("/nowhere", 404),
            ("/edev/999999/fsa", 404),
            (f"/edev/{numbers.owner}", 404),  # another's
            (f"/edev/{numbers.rival}/sub", 404),
            (f"/derp/{numbers.campaign}", 404),
            (f"/derp/{numbers.point_1}/derc/999", 404),
            (f"/derp/{numbers.feeder_b}/dderc", 404),
            ("edev", 404),
            ("/tm", 400),
            (f"/derp/{numbers.point_1}/actderc", 400),
            (f"/derp/{numbers.feeder_a}/dc", 400),
            (f"/edev/{numbers.bare}/der/1/ders", 400),
            (self.subs(), 400),  # itself
        ):
            self.assertRefused(self.subscribe(resource), status, 1)
        given = subscription("/edev")
        for wrong, reason in (
            (given.replace(encoding=1), 1),
            (given.replace(encoding=7), 1),
            (given.replace(notificationURI="/here"), 1),
            (given.replace(notificationURI="ftp://receiver.example/"), 1),
            (given.replace(notificationURI="http://receiver.example/"), 1),
            (given.replace(notificationURI="https://127.0.0.1/"), 1),
            (given.replace(notificationURI="https://10.0.0.7/"), 1),
            (given.replace(notificationURI="https://user@receiver.example/"), 1),
            (
                given.replace(
                    Condition=r.Condition(attributeIdentifier=0, lowerThreshold=1, upperThreshold=2)
                ),
                3,
            ),
        ):
            self.assertRefused(self.world.post(AGGREGATOR, self.subs(), wrong), 400, reason)
        self.assertNone()

    def test_itself(self) -> None:
        """A subscription cannot be subscribed to, nor one's own list of them."""
        where = self.subscribed("/edev")
        for resource in (where, self.subs()):
            self.assertRefused(self.subscribe(resource), 400, 1)

    def test_owner_alone(self) -> None:
        """Nobody subscribes on another's account, its aggregator neither; nor does who is not registered."""
        bodies = subscription("/edev")
        for who in (AGGREGATOR, OTHER, OWNER, LISTED):
            self.assertEqual(self.world.post(who, self.subs(MANAGED), bodies).status, 404)
        where = self.subscribed("/edev", MANAGED)
        for method in ("GET", "PUT", "DELETE"):
            body = codec.encode(bodies) if method == "PUT" else None
            self.assertEqual(self.world.send(AGGREGATOR, method, where, body).status, 404)
        self.assertEqual(self.world.get(MANAGED, where).status, 200)
        # The same number below another's device is not there.
        other = where.replace(f"/edev/{self.world.numbers.managed}/", f"/edev/{self.world.numbers.other}/")
        for method in ("GET", "DELETE"):
            self.assertEqual(self.world.send(OTHER, method, other).status, 404)

    def test_thousand_times(self) -> None:
        """A direct device has so many at most: the next is 413, and one that it ends makes room."""
        self.make(subscriptions=SubscriptionLimits(per_device=5))
        made = [self.subscribed("/edev", OWNER, uri=f"{URI}/{n}") for n in range(5)]
        for n in range(20):
            self.assertRefused(self.subscribe("/edev", OWNER, uri=f"{URI}/more/{n}"), 413, 2)
        # What is there already goes on.
        self.assertEqual(self.subscribed("/edev", OWNER, uri=f"{URI}/3"), made[3])
        self.assertEqual(self.world.delete(OWNER, made[0]).status, 204)
        self.subscribed("/edev", OWNER, uri=f"{URI}/more")
        self.assertEqual(self.world.document(OWNER, self.subs(OWNER)).get("all"), "5")

    def test_room_of_aggregator(self) -> None:
        """An aggregator's room grows with its fleet."""
        self.make(subscriptions=SubscriptionLimits(per_aggregator=1, per_managed_device=1))
        for n in range(3):
            self.subscribed("/edev", uri=f"{URI}/{n}")  # it manages two
        self.assertRefused(self.subscribe("/edev", uri=f"{URI}/3"), 413, 2)

    def test_direct_devices_not(self) -> None:
        """Where direct devices may not subscribe they see neither the list nor that anything can be."""
        self.make(subscriptions=SubscriptionLimits(direct=False))
        numbers = self.world.numbers
        self.assertEqual(self.subscribe("/edev", OWNER).status, 404)
        self.assertEqual(self.world.get(OWNER, self.subs(OWNER)).status, 404)
        device = self.world.document(OWNER, f"/edev/{numbers.owner}")
        self.assertIsNone(device.find("{*}SubscriptionListLink"))
        # What is shared shows each its own.
        for path in (f"/derp/{numbers.point_1}", f"/derp/{numbers.point_1}/derc", "/derp?l=9"):
            for who, shown in ((AGGREGATOR, "1"), (MANAGED, None), (AGGREGATOR, "1")):
                document = self.world.document(who, path)
                self.assertEqual(
                    {one.get("subscribable") for one in (document, *document.findall("{*}DERProgram"))},
                    {shown},
                )
        self.subscribed("/edev")


class RenewTests(SubscriptionCase):
    """The same again, and PUT."""

    def test_again(self) -> None:
        """A POST of the same resource and URI is the same subscription, which ends later; nothing is sent."""
        courier = Courier(self.world)
        first = self.subscribed("/edev")
        self.world.now += 86_400
        self.assertEqual(self.subscribed("/edev"), first)
        self.assertEqual(courier.deliver(), [])
        self.world.now += 100_000  # beyond the first one's end
        courier.fan_out()
        self.assertEqual(self.world.fresh(AGGREGATOR, first).status, 200)
        other = self.subscribed("/edev", uri=URI + "/2")
        self.assertNotEqual(other, first)
        self.assertNotEqual(self.subscribed("/derp"), first)

    def test_again_otherwise(self) -> None:
        """A renewal with another limit is what counts then."""
        where = self.subscribed("/edev", limit=2)
        self.assertEqual(self.subscribed("/edev", limit=7), where)
        self.assertEqual(self.world.document(AGGREGATOR, where).findtext("{*}limit"), "7")

    def test_put(self) -> None:
        """A PUT changes where Notifications go and of what; what is wrong with it is as for a POST."""
        where = self.subscribed("/edev")
        changed = subscription("/derp", URI + "/2", 4)
        self.assertEqual(self.world.put(AGGREGATOR, where, changed).status, 204)
        self.assertEqual(self.world.document(AGGREGATOR, where)[0].text, "/derp")
        self.assertRefused(self.world.put(AGGREGATOR, where, subscription("/nowhere")), 404, 1)
        self.assertRefused(self.world.put(AGGREGATOR, where, subscription("/tm")), 400, 1)
        self.assertEqual(self.world.put(AGGREGATOR, where + "9", changed).status, 404)
        other = self.subscribed("/edev")
        answer = self.world.put(AGGREGATOR, other, changed)
        self.assertEqual((answer.status, answer.headers["location"]), (409, where))

    def test_delete(self) -> None:
        """What its subscriber ends is gone: 204, then 404; numbers are not given out again."""
        where = self.subscribed("/edev")
        self.assertEqual(self.world.delete(AGGREGATOR, where).status, 204)
        for method in ("GET", "DELETE"):
            self.assertEqual(self.world.send(AGGREGATOR, method, where).status, 404)
        self.assertNone()
        self.assertNotEqual(self.subscribed("/edev"), where)

    def test_expiry(self) -> None:
        """One that is not renewed for 36 hours ends."""
        courier = Courier(self.world)
        where = self.subscribed("/edev")
        self.world.now += 129_599
        courier.fan_out()
        self.assertEqual(self.world.fresh(AGGREGATOR, where).status, 200)
        self.world.now += 1
        courier.fan_out()
        self.assertEqual(self.world.fresh(AGGREGATOR, where).status, 404)
        self.assertNone()
        # Made again before its subscriber has heard: a new one, and no word of the old.
        self.assertNotEqual(self.subscribed("/edev"), where)
        self.assertEqual(courier.deliver(), [])

    def test_written_down(self) -> None:
        """The audit log says who subscribed to what, changed it and ended it."""
        where = self.subscribed("/edev")
        self.subscribed("/edev")
        self.world.put(AGGREGATOR, where, subscription("/derp", limit=4))
        self.world.delete(AGGREGATOR, where)
        entries = self.world.read(lambda connection: audit.lines(connection, subject=where)[0])
        self.assertEqual([entry.action for entry in entries], ["delete", "put", "post"])
        self.assertEqual({entry.who for entry in entries}, {AGGREGATOR.lfdi})
        self.assertIn(f"/derp to {URI}, limit 4", entries[1].detail)

    def test_receivers(self) -> None:
        """Of each host and port there is one receiver, for as long as there is a subscription."""
        first = self.subscribed("/edev", uri="https://one.example/a")
        self.subscribed("/derp", uri="https://ONE.example:443/b")
        self.subscribed("/edev", uri="https://one.example:8443/")

        def known() -> list[tuple[str, int]]:
            table = subscriptions.receivers
            return self.world.read(
                lambda connection: [(row.host, row.port) for row in connection.execute(table.select())]
            )

        self.assertEqual(known(), [("one.example", 443), ("one.example", 8443)])
        self.world.delete(AGGREGATOR, first)
        self.assertEqual(len(known()), 2)
        self.world.put(
            AGGREGATOR, self.subscribed("/derp", uri="https://one.example/b"), subscription("/derp")
        )
        self.assertEqual(
            sorted(host for host, _ in known()), ["one.example", "one.example", "receiver.example"]
        )

    def test_allowed_receivers(self) -> None:
        """Where Notifications may go is what the configuration says."""
        self.make(receivers=ReceiverPolicy(names=frozenset(["mine.example"])))
        self.assertRefused(self.subscribe("/edev"), 400, 1)
        self.subscribed("/edev", uri="https://mine.example/")


both_ways(globals())
