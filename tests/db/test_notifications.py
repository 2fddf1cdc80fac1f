"""What subscribers are told, when, and what comes of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon.scheduler import tick
from csipd.db import (
    controls,
    devices,
    groups,
    notifications,
    programs,
    replacement,
    subscriptions,
)
from csipd.db.controls import RETENTION
from csipd.db.notifications import Delivered, Failed, Outgoing, Refused, Settled
from csipd.db.tables import receivers as receiver_rows
from csipd.der.receivers import ReceiverPolicy
from csipd.der.subscribing import SubscriptionLimits
from csipd.net.identity import Identity
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.support.bodies import FULL, MINIMAL
from tests.support.courier import Courier, Notified, read, subscription
from tests.support.walk import walk
from tests.support.world import (
    AGGREGATOR,
    BARE,
    EVERYBODY,
    ISSUER,
    MANAGED,
    NOW,
    OWNER,
    UNREGISTERED,
    World,
    caller,
    end_device,
)

BASE = "https://utility.example:8443"


class NotificationCase(SynchronousTestCase):
    """A world, a courier, and subscriptions."""

    def make(self, **more: Any) -> World:
        self.world = World(Path(self.mktemp()), base_uris=(BASE,), **more)
        self.addCleanup(self.world.close)
        self.courier = Courier(self.world)
        self.numbers = self.world.numbers
        return self.world

    def setUp(self) -> None:
        self.make()

    def subscribe(self, resource: str, who: Identity = AGGREGATOR, **more: Any) -> str:
        """Subscribe, and give where that is."""
        name = next(name for name, other in EVERYBODY.items() if other is who)
        place = f"/edev/{getattr(self.numbers, name)}/sub"
        answer = self.world.post(who, place, subscription(resource, **more))
        self.assertEqual(answer.status, 201, answer)
        return answer.headers["location"]

    def number(self, where: str) -> int:
        return int(where.rpartition("/")[2])

    def later(self, seconds: int = 30) -> None:
        """Let time pass, and the scheduler tick."""
        self.world.now += seconds
        now = int(self.world.now)
        self.world.write(lambda transaction: tick(transaction, now))

    def told(self) -> list[str]:
        """What is told now: the resources, in any order."""
        return sorted(one.subscribed for one in self.courier.deliver())

    def cancel(self, number: int) -> None:
        now = int(self.world.now)
        self.world.write(lambda transaction: controls.cancel(transaction, number, False, None, now))

    def assertSame(self, notified: Notified, who: Identity, path: str) -> None:
        """A Notification's resource says what a GET of it says."""
        resource = notified.resource
        assert resource is not None
        got = self.world.document(who, path)
        self.assertEqual(etree.QName(got).localname, notified.kind)
        attributes = {k: v for k, v in resource.attrib.items() if not k.startswith("{")}
        self.assertEqual(attributes, dict(got.attrib))
        self.assertEqual([canonical(one) for one in resource], [canonical(one) for one in got])


def canonical(element: etree._Element) -> object:
    """An element as it can be compared, whatever namespaces are declared around it."""
    return element.tag, sorted(element.attrib.items()), element.text, [canonical(one) for one in element]


class DocumentTests(NotificationCase):
    """What a Notification says."""

    def test_form(self) -> None:
        """Elements stand in their order, the resource by its type, the URIs absolute."""
        where = self.subscribe(f"/derp/{self.numbers.point_1}/derc", limit=2)
        self.world.control(self.numbers.point_1, start=100)
        (notified,) = self.courier.deliver()
        root = etree.fromstring(notified.outgoing.body)
        names = [etree.QName(one).localname for one in root]
        self.assertEqual(names, ["subscribedResource", "Resource", "status", "subscriptionURI"])
        self.assertEqual(notified.subscribed, f"/derp/{self.numbers.point_1}/derc")
        self.assertEqual(notified.subscription, BASE + where)
        self.assertEqual((notified.status, notified.kind), (0, "DERControlList"))
        decoded = codec.decode(notified.outgoing.body, r.Notification)
        assert isinstance(decoded.Resource, r.DERControlList)
        self.assertEqual((decoded.Resource.all, decoded.Resource.results), (3, 2))
        self.assertFalse(notified.outgoing.last)
        self.assertEqual(notified.outgoing.lfdis, (AGGREGATOR.lfdi,))

    def test_as_a_get(self) -> None:
        """Whatever can be subscribed to is told as its subscriber would GET it."""
        for who in (AGGREGATOR, OWNER):
            self.make(subscriptions=SubscriptionLimits(per_device=1000))
            paths = {}
            for path, answer in walk(self.world, who).items():
                if (
                    answer.status == 200
                    and "?" not in path
                    and etree.fromstring(answer.body).get("subscribable") == "1"
                ):
                    paths[path] = path + "?l=3" if answer.body.find(b"results=") > 0 else path
            for path in paths:
                self.subscribe(path, who, limit=3)
            self.world.write(lambda transaction: subscriptions.mark_all(transaction.connection))
            told = self.courier.deliver()
            self.assertEqual({one.subscribed for one in told}, set(paths))
            for one in told:
                self.assertSame(one, who, paths[one.subscribed])

    def test_limits(self) -> None:
        """With a limit of 0 a list comes without members, and anything else not at all."""
        program = self.numbers.point_1
        self.subscribe(f"/derp/{program}/derc", limit=0)
        self.subscribe(f"/derp/{program}/derc/{self.numbers.scheduled}", limit=0)
        self.cancel(self.numbers.scheduled)
        self.later(1)
        one, other = sorted(self.courier.deliver(), key=lambda one: one.subscribed)
        assert one.resource is not None
        self.assertEqual((one.resource.get("results"), len(one.resource)), ("0", 0))
        self.assertIsNone(other.resource)

    def test_page_maximum(self) -> None:
        """No Notification holds more members of a list than an answer to a GET may."""
        self.world.server = evolve(self.world.server, page_maximum=2)
        self.subscribe(f"/derp/{self.numbers.point_1}/derc", limit=1000)
        self.world.control(self.numbers.point_1, start=100)
        (told,) = self.courier.deliver()
        assert told.resource is not None
        self.assertEqual((told.resource.get("all"), told.resource.get("results")), ("3", "2"))

    def test_spelled_as_subscribed(self) -> None:
        """The resource is called what its subscriber called it."""
        resource = f"{BASE}/edev?s=0&l=3"
        self.subscribe(resource)
        self.world.post(AGGREGATOR, "/edev", end_device(UNREGISTERED))
        self.assertEqual(self.told(), [resource])

    def test_beyond_the_limit(self) -> None:
        """A change of a member that the limit leaves out is told."""
        self.subscribe(f"/derp/{self.numbers.point_1}/derc", limit=1)
        self.cancel(self.numbers.scheduled)
        self.later(1)
        self.assertEqual(len(self.told()), 1)

    def test_host(self) -> None:
        """What the server calls itself follows from its configuration, not from what a client wrote."""
        place = f"/edev/{self.numbers.aggregator}/sub"
        body = codec.encode(subscription(f"/derp/{self.numbers.system}"))
        self.world.send(AGGREGATOR, "POST", place, body, {"Host": "evil.example"})
        self.rename(self.numbers.system)
        (notified,) = self.courier.deliver()
        self.assertTrue(notified.subscription.startswith(BASE), notified)

    def rename(self, program: int) -> None:
        """Change what a program says."""
        self.world.write(lambda transaction: programs.change(transaction, program, group=1, primacy=11))


class LevelTests(NotificationCase):
    """Which change is told to whom (decision 63)."""

    def setUp(self) -> None:
        self.make()
        n = self.numbers
        for path in (
            "/edev",
            f"/edev/{n.managed}",
            f"/edev/{n.managed}/fsa",
            f"/edev/{n.managed}/fsa/{n.topology}/derp",
            f"/edev/{n.managed}/der/1/derp",
            "/derp",
            f"/derp/{n.point_1}",
            f"/derp/{n.point_1}/derc",
            f"/derp/{n.point_1}/derc/{n.active}",
            f"/derp/{n.point_1}/derc/{n.scheduled}",
            f"/derp/{n.point_1}/dderc",
            f"/derp/{n.system}",
            f"/derp/{n.system}/derc",
        ):
            self.subscribe(path)
        self.assertEqual(self.courier.deliver(), [])

    def test_control_made(self) -> None:
        """A new control is told to its list alone."""
        self.world.control(self.numbers.point_1, start=10_000)
        self.assertEqual(self.told(), [f"/derp/{self.numbers.point_1}/derc"])
        self.later()
        self.assertEqual(self.told(), [])

    def test_control_cancelled(self) -> None:
        """A control that is cancelled is told to itself and its list."""
        n = self.numbers
        self.cancel(n.scheduled)
        self.later(1)
        self.assertEqual(self.told(), [f"/derp/{n.point_1}/derc", f"/derp/{n.point_1}/derc/{n.scheduled}"])

    def test_clock(self) -> None:
        """An event that begins or ends by the clock is told like any other change."""
        n = self.numbers
        self.later(601)  # the active one is over
        self.assertEqual(self.told(), [f"/derp/{n.point_1}/derc"])
        self.later(1200)  # that of System has begun
        self.assertEqual(self.told(), [f"/derp/{n.system}/derc"])
        self.later(1800)  # the scheduled one has begun, that of System is over
        scheduled = f"/derp/{n.point_1}/derc/{n.scheduled}"
        lists = [f"/derp/{n.point_1}/derc", f"/derp/{n.system}/derc"]
        self.assertEqual(self.told(), sorted([scheduled, *lists]))

    def test_default(self) -> None:
        """A default that is changed is told to itself alone."""
        n = self.numbers

        def change(transaction: Any) -> None:
            made = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(opModConnect=False))
            programs.set_default(transaction, ISSUER, n.point_1, made, int(self.world.now))

        self.world.write(change)
        self.assertEqual(self.told(), [f"/derp/{n.point_1}/dderc"])

    def test_program(self) -> None:
        """What a program says of itself is told to it and the lists that it is a member of."""
        n = self.numbers
        group = self.world.read(lambda connection: programs.group_of(connection, n.point_1))
        self.world.write(lambda transaction: programs.change(transaction, n.point_1, group=group, primacy=5))
        self.assertEqual(
            self.told(),
            sorted(
                [
                    "/derp",
                    f"/derp/{n.point_1}",
                    f"/edev/{n.managed}/der/1/derp",
                    f"/edev/{n.managed}/fsa/{n.topology}/derp",
                ]
            ),
        )

    def test_device(self) -> None:
        """What an EndDevice says of itself is told to it and the list of devices."""
        body = end_device(MANAGED, deviceCategory=1)
        self.world.now += 1
        self.assertEqual(self.world.put(AGGREGATOR, f"/edev/{self.numbers.managed}", body).status, 204)
        self.assertEqual(self.told(), ["/edev", f"/edev/{self.numbers.managed}"])

    def test_reports(self) -> None:
        """What devices report tells nobody, and is not even written down."""
        for name, path in (("DERStatus", "ders"), ("DERAvailability", "dera"), ("DERSettings", "derg")):
            for body in (FULL[name], MINIMAL[name]):
                self.world.put(MANAGED, f"/edev/{self.numbers.managed}/der/1/{path}", body)
        self.world.post(MANAGED, f"/edev/{self.numbers.managed}/lel", FULL["LogEvent"])
        looked = self.courier.looked
        self.assertEqual(self.told(), [])
        self.assertEqual(self.courier.looked, looked)

    def test_moved(self) -> None:
        """A device in another group has other programs: its lists are told, and it itself is not."""
        n = self.numbers

        def move(transaction: Any) -> None:
            (group,) = groups.set_of(transaction.connection, n.managed)
            (other,) = groups.set_of(transaction.connection, n.bare)
            devices.leave(transaction, n.managed, group, NOW)
            devices.join(transaction, n.managed, other, NOW)

        self.world.write(move)
        told = {one.subscribed: one.status for one in self.courier.deliver()}
        self.assertEqual(
            told,
            {
                # What its aggregator no longer reaches through it is gone for the aggregator.
                "/derp": 0,
                f"/edev/{n.managed}/der/1/derp": 0,
                f"/edev/{n.managed}/fsa/{n.topology}/derp": 0,
                **dict.fromkeys(
                    (
                        f"/derp/{n.point_1}",
                        f"/derp/{n.point_1}/derc",
                        f"/derp/{n.point_1}/derc/{n.active}",
                        f"/derp/{n.point_1}/derc/{n.scheduled}",
                        f"/derp/{n.point_1}/dderc",
                    ),
                    4,
                ),
            },
        )

    def test_pin(self) -> None:
        """What is in the Registration alone tells nobody."""
        self.world.write(lambda transaction: devices.update(transaction, self.numbers.managed, pin=123455))
        self.assertEqual(self.told(), [])

    def test_poll_rate(self) -> None:
        """A list that is to be polled at another rate is told."""
        self.world.server = evolve(self.world.server, poll_rates={"DERProgramList": 17})
        self.world.write(lambda transaction: transaction.invalidate("everything"))
        n = self.numbers
        lists = [f"/edev/{n.managed}/der/1/derp", f"/edev/{n.managed}/fsa/{n.topology}/derp"]
        self.assertEqual(self.told(), ["/derp", *lists])


class RightsTests(NotificationCase):
    """Who may no longer know is told no more."""

    def test_removed(self) -> None:
        """A device that is taken off the fleet: the list is told, what was its own is gone (MAINT-001)."""
        n = self.numbers
        for path in ("/edev", f"/edev/{n.bare}", f"/edev/{n.bare}/fsa", f"/edev/{n.managed}"):
            self.subscribe(path)
        self.world.now += 1
        self.assertEqual(self.world.delete(AGGREGATOR, f"/edev/{n.bare}").status, 204)
        told = {one.subscribed: one for one in self.courier.deliver()}
        self.assertEqual(
            {path: one.status for path, one in told.items()},
            {"/edev": 0, f"/edev/{n.bare}": 4, f"/edev/{n.bare}/fsa": 4},
        )
        gone = told[f"/edev/{n.bare}"]
        self.assertIsNone(gone.resource)
        self.assertTrue(gone.outgoing.last)
        self.assertNotIn(BARE.lfdi.encode(), gone.outgoing.body)
        # Their subscriptions are gone with that.
        self.assertEqual(self.world.document(AGGREGATOR, f"/edev/{n.aggregator}/sub").get("all"), "2")

    def test_back_in_time(self) -> None:
        """What was out of reach and is back before its subscriber was told is told as it is."""
        n = self.numbers
        self.subscribe(f"/edev/{n.managed}")
        self.world.withdraw(MANAGED)
        self.courier.fan_out()
        (number,) = self.courier.due()
        prepared = self.courier.prepare(number)
        assert not isinstance(prepared, Settled)
        self.courier.settle(Failed(prepared, "it did not answer"))
        self.world.write(lambda transaction: devices.readmit(transaction, MANAGED.lfdi, "operator", NOW))
        self.later(10)
        (told,) = self.courier.deliver()
        self.assertEqual((told.status, told.kind), (0, "EndDevice"))

    def test_withdrawn_subscriber(self) -> None:
        """A subscriber that is shut out is told nothing, not even that; its subscriptions are deleted."""
        self.subscribe("/edev")
        self.subscribe(f"/edev/{self.numbers.managed}/fsa")
        self.world.control(self.numbers.point_1)
        self.world.withdraw(AGGREGATOR)
        self.assertEqual(self.courier.deliver(), [])
        self.world.write(lambda transaction: devices.readmit(transaction, AGGREGATOR.lfdi, "operator", NOW))
        self.assertEqual(
            self.world.document(AGGREGATOR, f"/edev/{self.numbers.aggregator}/sub").get("all"), "0"
        )
        self.assertEqual(self.world.read(lambda c: c.execute(receiver_rows.select()).all()), [])

    def test_withdrawn_and_ended(self) -> None:
        """Who is shut out does not hear either that its subscription has expired or was cancelled."""
        numbers = [self.number(self.subscribe(path)) for path in ("/edev", "/derp")]
        self.world.write(lambda transaction: subscriptions.cancel(transaction, numbers[0], NOW))
        self.world.withdraw(AGGREGATOR)
        self.later(130_000)
        self.assertEqual(self.courier.deliver(), [])
        self.assertEqual(self.world.read(lambda c: c.execute(receiver_rows.select()).all()), [])

    def test_between_change_and_delivery(self) -> None:
        """A change of what is out of reach by the time of its delivery is not told."""
        n = self.numbers
        self.subscribe(f"/derp/{n.point_1}/derc", MANAGED)
        self.world.control(n.point_1, start=50)
        self.courier.fan_out()

        def move(transaction: Any) -> None:
            for group in groups.set_of(transaction.connection, n.managed):
                devices.leave(transaction, n.managed, group, NOW)

        self.world.write(move)
        (told,) = self.courier.deliver()
        self.assertEqual((told.status, told.resource), (4, None))

    def test_access_matrix(self) -> None:
        """Nobody is told of what it could not GET, whatever changes and whoever subscribed."""
        n = self.numbers
        for name, who in EVERYBODY.items():
            device = getattr(n, name, None)
            if device is None:
                continue
            for path, answer in walk(self.world, who).items():
                if answer.status == 200 and "?" not in path:
                    self.world.post(who, f"/edev/{device}/sub", subscription(path))
        subscribers = {getattr(n, name): who for name, who in EVERYBODY.items() if hasattr(n, name)}

        def move(device: int, to: int) -> None:
            def write(transaction: Any) -> None:
                for group in groups.set_of(transaction.connection, device):
                    devices.leave(transaction, device, group, int(self.world.now))
                for group in groups.set_of(transaction.connection, to):
                    devices.join(transaction, device, group, int(self.world.now))

            self.world.write(write)

        steps = [
            lambda: self.world.control(n.feeder_b, start=10),
            lambda: move(n.managed, n.other),
            lambda: self.world.control(n.point_1, start=10),
            lambda: self.world.control(programs.own_program(n.managed), start=10),
            lambda: self.world.write(
                lambda t: devices.update(t, n.bare, manager=n.rival, changed_time=int(self.world.now))
            ),
            lambda: self.world.withdraw(OWNER),
            lambda: self.world.write(lambda t: programs.retire(t, n.system, int(self.world.now))),
        ]
        seen = []

        def answer(outgoing: Outgoing) -> Delivered:
            one = read(outgoing)
            who = subscribers[int(one.subscription.split("/")[4])]
            seen.append(one.status)
            if one.status == 0:
                assert one.resource is not None
                path = one.subscribed + ("?l=10" if one.resource.get("results") else "")
                self.assertSame(one, who, path)
            else:
                self.assertEqual((one.status, one.resource), (4, None))
                self.assertEqual(self.world.get(who, one.subscribed).status, 404)
            return Delivered(outgoing)

        self.courier.answers = answer
        for step in steps:
            step()
            self.later(31)
            self.courier.deliver()
        self.assertGreater(seen.count(0), 20)
        self.assertGreater(seen.count(4), 10)

    def test_replaced_certificate(self) -> None:
        """Who has another certificate goes on being told; who has the old one may answer while it works."""
        self.subscribe("/edev")
        new = caller("another certificate of the aggregator")

        def replace(transaction: Any) -> None:
            replacement.replace(transaction, self.numbers.aggregator, new.lfdi, "operator", NOW + 1)

        self.world.write(replace)
        (told,) = self.courier.deliver()
        self.assertEqual(told.status, 0)
        self.assertEqual(told.outgoing.lfdis, (new.lfdi, AGGREGATOR.lfdi))
        # To notify is not the new one's first request.
        self.assertEqual(self.world.get(AGGREGATOR, "/edev").status, 200)
        self.assertEqual(self.world.get(new, "/edev").status, 200)
        self.later()
        self.world.post(new, "/edev", end_device(UNREGISTERED))
        (told,) = self.courier.deliver()
        self.assertEqual(told.outgoing.lfdis, (new.lfdi,))

    def test_listed_answerers(self) -> None:
        """The configuration lists who may answer besides; without the check anybody may."""
        for policy, lfdis in (
            (ReceiverPolicy(lfdis={AGGREGATOR.lfdi: (BARE.lfdi,)}), (AGGREGATOR.lfdi, BARE.lfdi)),
            (ReceiverPolicy(check_lfdi=False), ()),
        ):
            self.make(receivers=policy)
            self.subscribe(f"/derp/{self.numbers.point_1}/derc")
            self.world.control(self.numbers.point_1, start=50)
            (told,) = self.courier.deliver()
            self.assertEqual(told.outgoing.lfdis, lfdis)

    def test_own_program(self) -> None:
        """A device's own program is in its lists from its first use on; its default follows the others'."""
        n = self.numbers
        own = programs.own_program(n.managed)
        self.subscribe(f"/edev/{n.managed}/fsa/{n.topology}/derp", MANAGED)
        self.world.control(own, start=50)
        self.assertEqual(len(self.told()), 1)
        self.subscribe(f"/derp/{own}/dderc", MANAGED)
        self.subscribe(f"/derp/{own}/derc", MANAGED)

        def change(transaction: Any) -> None:
            made = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(opModConnect=False))
            programs.set_default(transaction, ISSUER, n.point_1, made, int(self.world.now))

        self.world.write(change)
        (told,) = self.courier.deliver()
        self.assertEqual(told.subscribed, f"/derp/{own}/dderc")
        self.assertSame(told, MANAGED, f"/derp/{own}/dderc")

    def test_over(self) -> None:
        """A control that is too long over to be shown is gone for who subscribed to it."""
        n = self.numbers
        self.subscribe(f"/derp/{n.point_1}/derc/{n.active}")
        self.later(600 + RETENTION + 1)
        self.assertEqual([one.status for one in self.courier.deliver()][-1:], [4])


class DeliveryTests(NotificationCase):
    """When something is sent, and what comes of it."""

    def setUp(self) -> None:
        self.make()
        self.path = f"/derp/{self.numbers.point_1}/derc"
        self.where = self.subscribe(self.path)

    def control(self) -> None:
        self.world.control(self.numbers.point_1, start=100_000)

    def next(self) -> int | None:
        now = int(self.world.now)
        found = self.world.read(lambda connection: notifications.next_moment(connection, now))
        return None if found is None else found - now

    def test_apart(self) -> None:
        """The first goes at once, those within 30 s of it are one that follows."""
        self.control()
        self.assertEqual(len(self.told()), 1)
        for _ in range(3):
            self.later(5)
            self.control()
            self.assertEqual(self.told(), [])
        self.assertEqual(self.next(), 15)
        self.later(14)
        self.assertEqual(self.told(), [])
        self.later(1)
        (told,) = self.courier.deliver()
        assert told.resource is not None
        self.assertEqual(told.resource.get("all"), "6")
        self.later(100)
        self.assertEqual(self.told(), [])

    def test_each_for_itself(self) -> None:
        """One subscription's pause is not another's."""
        self.subscribe(self.path, uri="https://receiver.example/other")
        self.subscribe(f"/derp/{self.numbers.system}/derc")
        self.control()
        self.assertEqual(len(self.told()), 2)
        self.world.control(self.numbers.system, start=100_000)
        self.assertEqual(len(self.told()), 1)

    def test_back_off(self) -> None:
        """What fails is tried after 10 s, 100 s, 5 min, 30 min and then each hour, with what is true then."""
        self.courier.answers = lambda outgoing: Failed(outgoing, "503")
        self.control()
        self.assertEqual(len(self.courier.deliver()), 1)
        for pause in (10, 100, 300, 1800, 3600, 3600):
            self.later(pause - 1)
            self.assertEqual(self.courier.deliver(), [])
            self.later(1)
            self.assertEqual(len(self.courier.deliver()), 1)
        self.courier.answers = Delivered
        self.control()
        self.later(3600)
        (told,) = self.courier.deliver()
        self.assertSame(told, AGGREGATOR, f"{self.path}?l=10")
        self.later(130_000)
        self.assertEqual(self.courier.deliver()[0].status, 1)  # not renewed

    def test_renewal_tries(self) -> None:
        """A renewal has what failed tried at once, also where its receiver could not be reached."""
        self.courier.answers = lambda outgoing: Failed(outgoing, "503")
        self.control()
        self.courier.deliver()
        (receiver,) = self.world.read(lambda c: c.execute(receiver_rows.select()).all())
        self.world.write(
            lambda transaction: notifications.receiver_failed(transaction, receiver.id, "refused", NOW)
        )
        self.assertEqual(self.subscribe(self.path), self.where)
        self.courier.answers = Delivered
        self.assertEqual(len(self.told()), 1)

    def test_receivers_back_off(self) -> None:
        """A receiver that cannot be reached holds up all that is for it, and nothing else."""
        self.subscribe(self.path, uri="https://receiver.example/other")
        self.subscribe(self.path, uri="https://works.example/")
        self.control()
        self.courier.fan_out()

        def due() -> list[str]:
            now = int(self.world.now)
            found = self.world.read(lambda c: notifications.due_receivers(c, now, 10))
            return [receiver.host for receiver in found]

        self.assertEqual(due(), ["receiver.example", "works.example"])
        (first, _) = self.world.read(lambda c: notifications.due_receivers(c, NOW, 10))
        for pause in (10, 100):
            now = int(self.world.now)
            self.world.write(
                lambda transaction, now=now: notifications.receiver_failed(
                    transaction, first.number, "no", now
                )  # type: ignore[misc]
            )
            self.assertEqual(due(), ["works.example"])
            self.later(pause)
            self.assertEqual(due(), ["receiver.example", "works.example"])
        self.world.write(lambda transaction: notifications.receiver_worked(transaction, first.number))
        self.assertEqual(len(self.told()), 3)

    def test_beside_one_that_takes_its_time(self) -> None:
        """When more can be sent is not hidden by what could be sent already, and is not for its receiver."""
        self.control()
        self.assertEqual(len(self.told()), 1)
        self.later(5)
        self.subscribe(self.path, uri="https://hangs.example/")
        self.control()
        self.courier.fan_out()
        self.assertEqual(self.next(), 25)

    def test_turns_of_subscribers(self) -> None:
        """The first receiver of a subscriber comes before the second of another, wherever turns are."""
        for number in range(5):
            self.subscribe(self.path, uri=f"https://r{number}.example/")
        self.subscribe(self.path, MANAGED, uri="https://theirs.example/")
        self.control()
        self.courier.fan_out()
        for after in range(8):
            found = self.world.read(lambda c: notifications.due_receivers(c, NOW, 10, after=after))  # noqa: B023
            self.assertEqual(len(found), 7)
            self.assertIn("theirs.example", [receiver.host for receiver in found[:2]])

    def test_turns(self) -> None:
        """Receivers are given in turn, without those that are busy."""
        for name in "abc":
            self.subscribe(self.path, uri=f"https://{name}.example/")
        self.control()
        self.courier.fan_out()

        def due(**how: Any) -> list[int]:
            return [
                found.number
                for found in self.world.read(lambda c: notifications.due_receivers(c, NOW, 2, **how))
            ]

        one, two, three, four = sorted(due() + due(after=due()[-1]))
        self.assertEqual(due(), [one, two])
        self.assertEqual(due(after=two), [three, four])
        self.assertEqual(due(after=three), [four, one])
        self.assertEqual(due(busy={one, three}), [two, four])
        self.assertEqual(
            self.world.read(lambda c: notifications.due(c, one, NOW, 5)), [self.number(self.where)]
        )
        self.assertEqual(
            self.world.read(lambda c: notifications.due(c, one, NOW, 5, busy={self.number(self.where)})), []
        )

    def test_refused(self) -> None:
        """A receiver that answers 4xx does not want it: the subscription is deleted silently (ERR-002)."""
        self.courier.answers = lambda outgoing: Refused(outgoing, 400)
        self.control()
        self.assertEqual(len(self.courier.deliver()), 1)
        self.assertEqual(self.world.get(AGGREGATOR, self.where).status, 404)
        self.later(100)
        self.control()
        self.assertEqual(self.courier.deliver(), [])
        self.assertIsNone(self.next())

    def test_cancelled_by_operator(self) -> None:
        """One that the operator ends is told so, with status 1; to everybody else it is gone at once."""
        number, now = self.number(self.where), int(self.world.now)
        self.assertTrue(self.world.write(lambda transaction: subscriptions.cancel(transaction, number, now)))
        self.assertFalse(self.world.write(lambda transaction: subscriptions.cancel(transaction, number, now)))
        self.assertEqual(self.world.get(AGGREGATOR, self.where).status, 404)
        (told,) = self.courier.deliver()
        self.assertEqual((told.status, told.resource, told.outgoing.last), (1, None, True))
        self.assertIsNone(self.next())

    def test_expires_in_time(self) -> None:
        """One that is not renewed ends in the second in which it expires, and no sooner."""
        expiry = self.world.server.subscriptions.expiry
        self.later(expiry - 1)
        self.assertEqual([one.status for one in self.courier.deliver() if one.outgoing.last], [])
        self.assertEqual(self.next(), 1)
        self.later(1)
        self.assertEqual([one.status for one in self.courier.deliver() if one.outgoing.last], [1])
        self.assertIsNone(self.next())

    def test_farewell_ends(self) -> None:
        """Who cannot be told that it ended is given up after an hour."""
        self.courier.answers = lambda outgoing: Failed(outgoing, "no")
        self.later(200_000)
        self.assertEqual([one.status for one in self.courier.deliver()], [1])
        self.later(3600)
        self.courier.fan_out()
        self.assertEqual(self.courier.due(), [])
        self.assertIsNone(self.next())

    def test_undone_in_time(self) -> None:
        """What is again as its subscriber was told last is not told, unless that is not certain."""
        n = self.numbers
        path = f"/edev/{n.bare}/fsa"
        self.subscribe(path)
        group = self.world.read(lambda connection: groups.set_of(connection, n.bare)[0])

        def leave() -> None:
            self.world.write(lambda transaction: devices.leave(transaction, n.bare, group, NOW))

        def join() -> None:
            self.world.write(lambda transaction: devices.join(transaction, n.bare, group, NOW))

        leave()
        join()
        self.assertNotIn(path, self.told())
        leave()
        self.courier.fan_out()
        for number in self.courier.due():
            prepared = self.courier.prepare(number)
            while isinstance(prepared, Settled) and prepared.look is not None:
                self.courier.settle(prepared)
                prepared = self.courier.prepare(number)
            if not isinstance(prepared, Settled):
                self.courier.settle(Failed(prepared, "the answer was lost"))
        join()
        self.later(10)
        self.assertIn(path, self.told())

    def test_crash_after_sending(self) -> None:
        """What was under way when the server stopped is sent anew, though all is as it was before that."""
        n = self.numbers
        path = f"/edev/{n.bare}/fsa"
        self.subscribe(path)
        group = self.world.read(lambda connection: groups.set_of(connection, n.bare)[0])
        self.world.write(lambda transaction: devices.leave(transaction, n.bare, group, NOW))
        self.courier.fan_out()
        under_way = [self.courier.prepare(number) for number in self.courier.due()]
        self.assertEqual([read(one).subscribed for one in under_way if isinstance(one, Outgoing)], [path])
        # Then the server stops. Its subscriber has heard of it, and nobody has written that down.
        self.world.write(lambda transaction: devices.join(transaction, n.bare, group, NOW))
        self.world.write(lambda transaction: notifications.resume(transaction, self.world.server))
        self.assertIn(path, self.told())

    def test_clock_set_back(self) -> None:
        """A wall clock that is set back holds up nobody for longer than 30 s."""
        self.courier.answers = lambda outgoing: Failed(outgoing, "no")
        self.control()
        for pause in (0, 10, 100, 300, 1800):
            self.later(pause)
            self.courier.deliver()
        (receiver,) = self.world.read(lambda c: c.execute(receiver_rows.select()).all())
        now = int(self.world.now)
        fail = partial(notifications.receiver_failed, receiver=receiver.id, reason="no", now=now)
        self.world.write(fail)
        self.courier.answers = Delivered
        self.later(-2000)
        self.later(30)
        self.assertEqual(self.told(), [self.path])

    def test_other_configuration(self) -> None:
        """After a start with other rates whoever they concern is told; after one with the same nobody is."""
        self.subscribe("/derp")

        def start() -> list[str]:
            self.world.write(lambda transaction: notifications.resume(transaction, self.world.server))
            return self.told()

        self.assertEqual(start(), [])
        self.assertEqual(start(), [])
        self.world.server = evolve(self.world.server, poll_rates={"DERProgramList": 17})
        self.assertEqual(start(), ["/derp"])
        self.assertEqual(start(), [])

    def test_no_more_direct(self) -> None:
        """Where direct devices may subscribe no more, theirs end at the start, with status 1."""
        where = self.subscribe("/edev", OWNER)
        for direct in (True, False):
            limits = SubscriptionLimits(direct=direct)
            self.world.server = evolve(self.world.server, subscriptions=limits)
            self.world.write(lambda transaction: notifications.resume(transaction, self.world.server))
        (told,) = self.courier.deliver()
        self.assertEqual((told.status, told.subscription), (1, BASE + where))

    def test_what_it_hangs_on_changes(self) -> None:
        """A change of what a resource hangs on only since the last change is told, also between two steps."""
        n = self.numbers
        path = f"/edev/{n.bare}/fsa/{n.topology}/derp"
        number = self.number(self.subscribe(path))
        (of,) = self.world.read(lambda connection: groups.set_of(connection, n.bare))
        self.made: list[int] = []
        self.world.write(
            lambda transaction: self.made.append(programs.add(transaction, ISSUER, of, "New", 3))
        )
        self.courier.fan_out()
        looked = self.courier.prepare(number)
        # It hangs on the new program from now on, which is not watched yet; and that changes.
        assert isinstance(looked, Settled) and looked.look is not None
        self.assertIn(f"program {self.made[0]}", looked.look.facts)
        change = partial(programs.change, number=self.made[0], group=of, primacy=2)
        self.world.write(change)
        self.courier.settle(looked)
        (told,) = self.courier.deliver()
        self.assertSame(told, AGGREGATOR, f"{path}?l=10")
        self.later()
        self.assertEqual(self.told(), [])
        # From now on it is watched.
        self.world.write(partial(change, primacy=1))
        self.assertEqual(self.told(), [path])

    def test_changed_meanwhile(self) -> None:
        """A change that is made while a Notification is under way is told after it."""
        self.control()
        self.courier.fan_out()
        prepared = self.courier.prepare(self.number(self.where))
        assert not isinstance(prepared, Settled)
        self.control()
        self.courier.fan_out()
        self.courier.settle(Delivered(prepared))
        self.later(29)
        self.assertEqual(self.told(), [])
        self.later(1)
        (told,) = self.courier.deliver()
        assert told.resource is not None
        self.assertEqual(told.resource.get("all"), "4")

    def test_ended_meanwhile(self) -> None:
        """What its subscriber deletes while a Notification is under way stays deleted."""
        self.control()
        self.courier.fan_out()
        prepared = self.courier.prepare(self.number(self.where))
        assert not isinstance(prepared, Settled)
        self.world.delete(AGGREGATOR, self.where)
        for outcome in (Delivered(prepared), Failed(prepared, "no"), Refused(prepared, 400)):
            self.courier.settle(outcome)
        self.assertEqual(self.courier.deliver(), [])

    def test_sent_elsewhere_meanwhile(self) -> None:
        """One that is changed while a Notification is under way is told anew, where it goes now."""
        self.control()
        self.courier.fan_out()
        prepared = self.courier.prepare(self.number(self.where))
        assert not isinstance(prepared, Settled)
        self.world.put(AGGREGATOR, self.where, subscription(self.path, "https://new.example/"))
        self.courier.settle(Delivered(prepared))
        (told,) = self.courier.deliver()
        self.assertEqual(told.outgoing.uri, "https://new.example/")

    def test_refused_where_it_went_before(self) -> None:
        """What the place that it went to before answers does not end one that goes elsewhere now."""
        self.control()
        self.courier.fan_out()
        prepared = self.courier.prepare(self.number(self.where))
        assert not isinstance(prepared, Settled)
        self.world.put(AGGREGATOR, self.where, subscription(self.path, "https://new.example/"))
        self.courier.settle(Refused(prepared, 410), Failed(prepared, "no"))
        (told,) = self.courier.deliver()
        self.assertEqual(told.outgoing.uri, "https://new.example/")

    def test_limit_meanwhile(self) -> None:
        """One whose limit is changed while a Notification is under way is told anew 30 s after that one."""
        self.control()
        self.courier.fan_out()
        prepared = self.courier.prepare(self.number(self.where))
        assert not isinstance(prepared, Settled)
        self.world.put(AGGREGATOR, self.where, subscription(self.path, prepared.uri, limit=1))
        self.courier.settle(Delivered(prepared))
        self.later(29)
        self.assertEqual(self.told(), [])
        self.later(1)
        (told,) = self.courier.deliver()
        assert told.resource is not None
        self.assertEqual(told.resource.get("results"), "1")

    def test_after_restore(self) -> None:
        """After a restore everybody is told what is true now, whatever the store knows of what they know."""
        self.subscribe("/edev")
        self.control()
        self.world.write(lambda transaction: subscriptions.mark_all(transaction.connection))
        self.assertEqual(self.told(), sorted([self.path, "/edev"]))
        self.later()
        self.assertEqual(self.told(), [])
