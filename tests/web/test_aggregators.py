"""An aggregator acts for its DERs everywhere that the access matrix says so, and for nobody else's.

One table (CSIP IG 5.1.2.3, 6.1.5, 6.1.7): what it writes, what the device itself is then shown of it, that
it is written down whose doing it was. Who may see and write what at all is walked by test_access_walk.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import audit, devices
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from tests.support.bodies import FULL
from tests.support.client import Answer
from tests.support.metering import WATTS, meter, reading, usage_point
from tests.support.ways import both_ways
from tests.support.world import (
    AGGREGATOR,
    BARE,
    FOREIGN,
    MANAGED,
    NAMESPACE,
    NOW,
    OTHER,
    RIVAL,
    UNREGISTERED,
    World,
    encoded,
    end_device,
)

Body = Callable[[World, Identity], r.Resource]


def full(name: str, **more: Any) -> Body:
    return lambda world, who: FULL[name].replace(**more)


def information(world: World, who: Identity) -> r.Resource:
    return FULL["DeviceInformation"].replace(lFDI=who.lfdi, mfModel="told by its aggregator")


def response(world: World, who: Identity) -> r.Resource:
    (kept,) = (
        one
        for one in world.document(AGGREGATOR, f"/derp/{world.numbers.system}/derc?l=1")
        if one.tag == f"{NAMESPACE}DERControl"
    )
    return r.DERControlResponse(
        endDeviceLFDI=who.lfdi,
        status=1,
        subject=kept.findtext(f"{NAMESPACE}mRID"),
        createdDateTime=NOW + 5,
    )


@frozen
class Act:
    """Something that an aggregator does for a device.

    :param path: with the number of the device to be filled in
    :param shown: the element that the device is then shown, and its text
    :param at: where, where that is not the path; of what was made its Location
    :param who: whether the audit log has a line of it with the aggregator's LFDI
    :param strangers: what others are answered who try the same
    """

    method: str
    path: str
    body: Body
    shown: tuple[str, str]
    at: str = ""
    who: bool = True
    strangers: int = 404


ACTS = (
    Act("PUT", "/edev/{}/der/1/dercap", full("DERCapability", type=83), ("type", "83")),
    Act("PUT", "/edev/{}/der/1/derg", full("DERSettings", setGradW=77), ("setGradW", "77")),
    Act(
        "PUT",
        "/edev/{}/der/1/ders",
        full("DERStatus", readingTime=NOW + 7),
        ("readingTime", str(NOW + 7)),
        who=False,
    ),
    Act(
        "PUT",
        "/edev/{}/der/1/dera",
        full("DERAvailability", readingTime=NOW + 8),
        ("readingTime", str(NOW + 8)),
        who=False,
    ),
    Act("PUT", "/edev/{}/di", information, ("mfModel", "told by its aggregator")),
    Act(
        "PUT",
        "/edev/{}/dstat",
        full("DeviceStatus", changedTime=NOW + 9),
        ("changedTime", str(NOW + 9)),
        who=False,
    ),
    Act(
        "PUT",
        "/edev/{}/ps",
        full("PowerStatus", changedTime=NOW + 10),
        ("changedTime", str(NOW + 10)),
        who=False,
    ),
    Act(
        "PUT",
        "/edev/{}/cfg",
        full("Configuration", userDeviceName="by proxy"),
        ("userDeviceName", "by proxy"),
    ),
    Act("POST", "/edev/{}/lel", full("LogEvent", logEventID=9), ("logEventID", "9"), "location", who=False),
    Act(
        "POST",
        "/edev/{}/di/loc",
        lambda world, who: r.SupportedLocale(locale="de-DE"),
        ("locale", "de-DE"),
        "location",
    ),
    Act("PUT", "/edev/{}", lambda world, who: end_device(who, postRate=77), ("postRate", "77")),
    Act("POST", "/rsps/1/rsp", response, ("status", "1"), "location", who=False, strangers=403),
    Act(
        "POST",
        "/mup",
        lambda world, who: usage_point(who, "F7", meter("A7", WATTS, reading(5))),
        ("deviceLFDI", MANAGED.lfdi),
        "/upt/1",
        who=False,
        strangers=403,
    ),
)
#: What an aggregator reads of a device, with something that is the device's own there.
READS = (
    ("/edev/{}", "lFDI", MANAGED.lfdi),
    ("/edev/{}/rg", "pIN", "111115"),
    ("/edev/{}/fsa", "", ""),
    ("/edev/{}/fsa/{topology}/derp", "", ""),
    ("/edev/{}/der", "", ""),
    ("/edev/{}/der/1", "", ""),
    ("/edev/{}/der/1/derp", "", ""),
    ("/edev/{}/lel", "", ""),
    ("/derp/{point_1}", "", ""),
    ("/derp/{point_1}/derc", "", ""),
    ("/derp/{point_1}/derc/{active}", "", ""),
    ("/derp/{point_1}/actderc", "", ""),
    ("/derp/{point_1}/dderc", "", ""),
    ("/derp/{feeder_a}/dc", "", ""),
)


class ActTests(SynchronousTestCase):
    """The table."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers

    def act(self, who: Identity, act: Act, whom: Identity = MANAGED, device: int = 0) -> Answer:
        path = act.path.format(device or self.numbers.managed)
        return self.world.send(who, act.method, path, encoded(act.body(self.world, whom)))

    def text(self, who: Identity, path: str, name: str) -> str | None:
        return self.world.document(who, path).findtext(f".//{NAMESPACE}{name}")

    def lines(self) -> list[str]:
        """Who has changed something, the last first."""
        return [one.who for one in self.world.read(lambda connection: audit.lines(connection, limit=5)[0])]

    def test_acts(self) -> None:
        """What it writes for a device the device is shown, the audit log says whose doing it was, and
        another's aggregator and other devices may not do the same.
        """
        for act in ACTS:
            path = act.path.format(self.numbers.managed)
            for stranger in (RIVAL, OTHER, FOREIGN):
                self.assertEqual(self.act(stranger, act).status, act.strangers, f"{act} {stranger}")
            answer = self.act(AGGREGATOR, act)
            self.assertEqual(answer.status, 201 if act.method == "POST" else 204, f"{act}: {answer}")
            if act.who:
                self.assertEqual(self.lines()[0], AGGREGATOR.lfdi, act)
            at = answer.headers["location"] if act.at == "location" else act.at or path
            name, text = act.shown
            for who in (MANAGED, AGGREGATOR):
                self.assertEqual(self.text(who, at, name), text, act)
            for stranger in (RIVAL, OTHER):
                self.assertEqual(self.world.get(stranger, at).status, 404, act)

    def test_without_a_certificate(self) -> None:
        """The same for a device that has no certificate, whose LFDI is all that is known of it."""
        for act in ACTS:
            if act.path != "/mup":
                answer = self.act(AGGREGATOR, act, BARE, self.numbers.bare)
                self.assertIn(answer.status, (201, 204), f"{act}: {answer}")
                at = act.path.format(self.numbers.bare)
                at = answer.headers["location"] if act.at == "location" else at
                self.assertEqual(self.text(AGGREGATOR, at, act.shown[0]), act.shown[1], act)

    def test_reads(self) -> None:
        """What it reads of a device is what the device reads itself."""
        places = {name: getattr(self.numbers, name) for name in ("topology", "point_1", "active", "feeder_a")}
        for template, name, text in READS:
            path = template.format(self.numbers.managed, **places)
            own, theirs = (self.world.document(who, f"{path}?l=20") for who in (MANAGED, AGGREGATOR))
            hrefs = [[one.get("href") for one in each.iter() if one.get("href")] for each in (own, theirs)]
            # Of the device's own subscriptions its aggregator is not told.
            hrefs[0] = [href for href in hrefs[0] if href and not href.endswith("/sub")]
            self.assertEqual(*hrefs, path)
            if name:
                self.assertEqual(self.text(AGGREGATOR, path, name), text)
            self.assertEqual(self.world.get(RIVAL, path).status, 404, path)

    def test_log_event(self) -> None:
        """It may delete a log event that it or the device has posted."""
        place = f"/edev/{self.numbers.managed}/lel"
        for number, who in enumerate((AGGREGATOR, MANAGED)):
            body = FULL["LogEvent"].replace(logEventID=number)
            made = self.world.post(who, place, body).headers["location"]
            self.assertEqual(self.world.delete(RIVAL, made).status, 404)
            self.assertEqual(self.world.delete(AGGREGATOR, made).status, 204)
            self.assertEqual(self.world.get(MANAGED, made).status, 404)

    def test_registration(self) -> None:
        """It registers a device of its fleet in band, sees its PIN, takes it out and registers it anew."""
        self.assertEqual(self.world.post(RIVAL, "/edev", end_device(UNREGISTERED)).status, 403)
        made = self.world.post(AGGREGATOR, "/edev", end_device(UNREGISTERED))
        self.assertEqual(made.status, 201)
        place = made.headers["location"]
        self.assertEqual(self.text(AGGREGATOR, f"{place}/rg", "pIN"), "111115")
        self.assertEqual(self.world.post(AGGREGATOR, "/edev", end_device(UNREGISTERED)).status, 409)
        self.assertEqual(self.text(AGGREGATOR, "/edev?l=1", "lFDI"), UNREGISTERED.lfdi)
        self.assertEqual(self.world.put(AGGREGATOR, f"{place}/der/1/ders", FULL["DERStatus"]).status, 204)
        # Not by the device, nor by another's aggregator; its own EndDevice is not its to take out.
        for who in (UNREGISTERED, RIVAL):
            self.assertIn(self.world.delete(who, place).status, (404, 405))
        self.assertEqual(self.world.delete(AGGREGATOR, f"/edev/{self.numbers.aggregator}").status, 405)
        self.assertEqual(self.world.delete(AGGREGATOR, place).status, 204)
        self.assertEqual(self.lines()[0], AGGREGATOR.lfdi)
        self.assertEqual(self.world.get(AGGREGATOR, place).status, 404)
        again = self.world.post(AGGREGATOR, "/edev", end_device(UNREGISTERED))
        self.assertEqual((again.status, again.headers["location"]), (201, place))

    def test_left(self) -> None:
        """A device that leaves the fleet is no longer its aggregator's: nothing of it is there for that."""
        before = [self.act(AGGREGATOR, act) for act in ACTS]
        made = [one.headers["location"] for one in before if one.status == 201]
        managed, rival = self.numbers.managed, self.numbers.rival
        self.world.write(lambda transaction: devices.update(transaction, managed, manager=rival))
        for act in ACTS:
            self.assertEqual(self.act(AGGREGATOR, act).status, act.strangers, act)
        for path in (*made, f"/edev/{self.numbers.managed}", f"/edev/{self.numbers.managed}/rg"):
            self.assertEqual(self.world.get(AGGREGATOR, path).status, 404, path)
        hrefs = [one.get("href") for one in self.world.document(AGGREGATOR, "/edev?l=50")]
        self.assertNotIn(f"/edev/{self.numbers.managed}", hrefs)
        # The new one has what the old one had.
        for path in made:
            if not path.startswith("/mup"):
                self.assertEqual(self.world.get(RIVAL, path).status, 200, path)
        self.assertEqual(self.text(RIVAL, f"/edev/{self.numbers.managed}/rg", "pIN"), "111115")


both_ways(globals())
