"""What devices write: who wrote what is in the audit log, and no list grows without a bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import alarms, audit, documents, responses, segments
from csipd.db.audit import AuditEntry
from csipd.db.chapters import CHAPTERS
from csipd.db.tables import metadata
from csipd.db.tables import series as series_table
from csipd.db.tree import write as writing
from csipd.der.metering import Metering
from csipd.sep2 import resources as r
from csipd.sep2 import site
from csipd.sep2.site import TABLE, Party
from tests.support.bodies import MINIMAL
from tests.support.metering import WATTS, meter, meters, reading, reading_set, usage_point
from tests.support.subscribing import subscription
from tests.support.ways import both_ways
from tests.support.world import AGGREGATOR, MANAGED, NOW, OWNER, World, end_device


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.here = f"/edev/{self.world.numbers.owner}"
        self.before = len(self.lines())

    def lines(self) -> list[AuditEntry]:
        return self.world.read(lambda connection: audit.lines(connection, limit=10_000)[0])[::-1]

    def log(self) -> list[AuditEntry]:
        """The lines that came since the test began."""
        return self.lines()[self.before :]

    def rows(self) -> int:
        return self.world.read(
            lambda connection: (
                sum(
                    connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                    for table in metadata.sorted_tables
                )
                # Series that the next sweep takes.
                - len(connection.scalars(sa.select(series_table.c.id).where(series_table.c.doomed)).all())
            )
        )


def settings(watts: int) -> r.DERSettings:
    return r.DERSettings(updatedTime=1, setGradW=100, setMaxW=r.ActivePower(multiplier=0, value=watts))


class DoubtTests(_Case):
    """Ratings and settings that contradict each other are kept as they come, and reported."""

    def reported(self) -> list[str]:
        found = [each.line.format(**{"peer": each.peer, **each.values}) for each in self.world.remarks]
        self.world.remarks.clear()
        return found

    def test_told_once(self) -> None:
        """Settings beyond the ratings are a line in the log when they come, and when what is wrong changes;
        not each time that they are put."""
        unit = f"{self.here}/der/1"
        self.world.put(OWNER, f"{unit}/dercap", MINIMAL["DERCapability"])
        self.world.remarks.clear()
        beyond = f"{OWNER.lfdi} put {unit}/derg, which is doubtful: "
        beyond += "/setMaxW: is %d, expected at most rtgMaxW, 5000"
        for watts, lines in ((5000, []), (6000, [beyond % 6000]), (6000, []), (7000, [beyond % 7000])):
            self.assertEqual(self.world.put(OWNER, f"{unit}/derg", settings(watts)).status, 204)
            self.assertEqual(self.reported(), lines)
        less = MINIMAL["DERCapability"].replace(rtgMaxW=r.ActivePower(multiplier=0, value=4000))
        self.world.put(OWNER, f"{unit}/dercap", less)
        (line,) = self.reported()
        self.assertIn(
            f"put {unit}/dercap, which is doubtful: /setMaxW: is 7000, expected at most rtgMaxW, 4000", line
        )


class AuditTests(_Case):
    """Who changed what, from what to what (case B9)."""

    def test_from_what_to_what(self) -> None:
        """A PUT has a line with who, what, and each value that changed (case B9)."""
        place = f"{self.here}/der/1/derg"
        self.world.put(OWNER, place, settings(5000))
        self.world.put(OWNER, place, settings(6000))
        line = self.log()[-1]
        self.assertEqual((line.who, line.action, line.subject), (OWNER.lfdi, "put", place))
        self.assertEqual(line.detail, "setMaxW/value 5000 -> 6000")
        self.assertEqual(line.at, int(self.world.now))

    def test_the_same_again(self) -> None:
        """A PUT of what is there already writes no line and no row, and drops no answer (case F7)."""
        place = f"{self.here}/der/1/derg"
        self.world.put(OWNER, place, settings(5000))
        before, lines = self.rows(), self.log()
        self.world.changed.clear()
        for _ in range(20):
            self.assertEqual(self.world.put(OWNER, place, settings(5000)).status, 204)
        self.assertEqual((self.rows(), self.log(), self.world.changed), (before, lines, []))

    def test_measured_values(self) -> None:
        """Of values that are measured the first has a line; the others are in the document itself."""
        place = f"{self.here}/der/1/ders"
        there = site.locate(place)
        assert there is not None
        self.world.write(lambda transaction: documents.delete(transaction, there))
        for moment in range(1, 6):
            self.world.put(OWNER, place, r.DERStatus(readingTime=moment))
        (line,) = self.log()
        self.assertEqual((line.action, line.subject, line.detail), ("put", place, "readingTime 1"))

    def test_an_end_device(self) -> None:
        """A PUT of an EndDevice says what changed of it; the same again changes nothing."""
        found = self.world.document(OWNER, self.here)
        sfdi = int(found.findtext("{*}sFDI") or 0)
        for _ in range(3):
            self.world.now += 10
            self.world.put(
                OWNER, self.here, r.EndDevice(sFDI=sfdi, deviceCategory=4, postRate=77, changedTime=1)
            )
        (line,) = self.log()
        self.assertIn("postRate", line.detail)
        self.assertIn("-> 77", line.detail)

    def test_who_wrote(self) -> None:
        """What an aggregator writes for a device of its fleet is the aggregator's."""
        place = f"/edev/{self.world.numbers.managed}/der/1/derg"
        self.assertEqual(self.world.put(AGGREGATOR, place, settings(1234)).status, 204)
        self.assertEqual(self.log()[-1].who, AGGREGATOR.lfdi)

    def test_lists(self) -> None:
        """A POST and a DELETE have lines, too."""
        made = self.world.post(OWNER, f"{self.here}/di/loc", r.SupportedLocale(locale="fr-CA"))
        href = made.headers["location"]
        self.world.delete(OWNER, href)
        found = [(line.action, line.subject, line.detail) for line in self.log()]
        self.assertEqual(found, [("post", href, "locale fr-CA"), ("delete", href, "locale fr-CA")])

    def test_bounded(self) -> None:
        """One device that changes something again and again has so many lines, and costs nobody else one."""
        others = [line for line in self.lines() if line.who != OWNER.lfdi]
        self.patch(audit, "LINES_OF_DEVICE", 10)
        for watts in range(50):
            self.world.put(OWNER, f"{self.here}/der/1/derg", settings(watts))
        found = self.lines()
        self.assertEqual(len([line for line in found if line.who == OWNER.lfdi]), 10)
        self.assertEqual([line for line in found if line.who != OWNER.lfdi], others)
        self.assertEqual(found[-1].detail, "setMaxW/value 48 -> 49")


class ListTests(_Case):
    """Lists that devices write (case F6)."""

    def locales(self) -> str:
        return f"{self.here}/di/loc"

    def members(self) -> int:
        return int(self.world.document(OWNER, self.locales()).get("all") or 0)

    def post(self, locale: str, **more: object) -> object:
        return self.world.post(OWNER, self.locales(), r.SupportedLocale(locale=locale, **more))

    def test_every_list_has_a_bound(self) -> None:
        """Each list that a caller may post to says how many members it holds, or its chapter has a rule."""
        ruled = {*writing._RULES, *(place for chapter in CHAPTERS for place in chapter.writes)}
        for row in TABLE:
            if row.on and row.is_list and row.post is not Party(0):
                self.assertTrue(row.most or (row.name, "POST") in ruled, row.name)

    def test_bounded(self) -> None:
        """Beyond the bound a POST is 413, and a place that is free again is filled (case F6)."""
        most = next(row.most for row in TABLE if row.name == "SupportedLocaleList")
        answers = [
            self.world.post(OWNER, self.locales(), r.SupportedLocale(locale=f"x{n:03}"))
            for n in range(most + 20)
        ]
        made = [answer for answer in answers if answer.status == 201]
        self.assertEqual({answer.status for answer in answers}, {201, 413})
        self.assertEqual(self.members(), most)
        before = self.rows()
        for number in range(10):
            answer = self.world.post(OWNER, self.locales(), r.SupportedLocale(locale=f"y{number:03}"))
            self.assertEqual(answer.status, 413)
            self.assertIn(b"<reasonCode>2</reasonCode>", answer.body)
        self.assertEqual(self.rows(), before)
        self.world.delete(OWNER, made[0].headers["location"])
        self.assertEqual(self.world.post(OWNER, self.locales(), r.SupportedLocale(locale="zz")).status, 201)

    def test_duplicates(self) -> None:
        """The same locale again is the one that there is: same Location, not doubled (case F6)."""
        extension = '<note xmlns="urn:x">{}</note>'
        first = self.world.post(OWNER, self.locales(), r.SupportedLocale(locale="fr-CA"))
        before, members = self.rows(), self.members()
        for number in range(5):
            body = r.SupportedLocale(locale="fr-CA", extensions=(extension.format(number),))
            again = self.world.post(OWNER, self.locales(), body)
            self.assertEqual((again.status, again.headers["location"]), (201, first.headers["location"]))
        self.assertEqual(self.members(), members)
        # A line of the audit log for each change, which has a bound of its own.
        self.assertEqual(self.rows(), before + 5)
        self.assertIn(b"4</note>", self.world.fresh(OWNER, first.headers["location"]).body)

    def test_a_prefix_is_no_duplicate(self) -> None:
        """A locale that another begins with is another one."""
        one, other = (
            self.world.post(OWNER, self.locales(), r.SupportedLocale(locale=locale))
            for locale in ("fr", "fr-CA")
        )
        self.assertNotEqual(one.headers["location"], other.headers["location"])

    def test_put_of_a_duplicate(self) -> None:
        """A PUT that would make a member equal to another is 409, with the other's Location."""
        one, other = (
            self.world.post(OWNER, self.locales(), r.SupportedLocale(locale=locale)).headers["location"]
            for locale in ("fr-CA", "es-MX")
        )
        answer = self.world.put(OWNER, other, r.SupportedLocale(locale="fr-CA"))
        self.assertEqual((answer.status, answer.headers["location"]), (409, one))
        self.assertEqual(self.world.put(OWNER, other, r.SupportedLocale(locale="es-MX")).status, 204)


class RepetitionTests(_Case):
    """Whatever a peer writes again and again, each time something else, comes to an end (case F7)."""

    ROUNDS = 40

    def setUp(self) -> None:
        super().setUp()
        self.world.close()
        # As for a server that keeps little, so that the bounds are soon reached.
        self.world = World(Path(self.mktemp()), log_events=5, metering=Metering(reading_sets=5))
        self.addCleanup(self.world.close)
        self.patch(audit, "LINES_OF_DEVICE", 5)
        self.patch(responses, "MOST_UNADDRESSED", 5)
        self.patch(alarms, "MOST_OVER", 5)
        self.patch(segments, "MOST_ENDED", 5)

    def put(self, path: str, body: r.Resource) -> None:
        self.world.put(OWNER, f"{self.here}{path}", body)

    def post(self, path: str, body: r.Resource) -> str:
        return str(self.world.post(OWNER, path, body).headers.get("location", ""))

    def end_device(self, n: int) -> None:
        self.world.now += 1
        self.put("", end_device(OWNER, postRate=n + 1, deviceCategory=2 ** (n % 20)))

    def fleet(self, n: int) -> None:
        """An aggregator takes a device out of its fleet and registers it again."""
        self.world.delete(AGGREGATOR, f"/edev/{self.world.numbers.managed}")
        self.world.post(AGGREGATOR, "/edev", end_device(MANAGED))

    def information(self, n: int) -> None:
        self.put("/di", MINIMAL["DeviceInformation"].replace(lFDI=OWNER.lfdi, mfModel=str(n)))

    def locale(self, n: int) -> None:
        href = self.post(f"{self.here}/di/loc", r.SupportedLocale(locale=f"x{n}"))
        if href and n % 2:
            self.world.put(OWNER, href, r.SupportedLocale(locale=f"y{n}"))
            self.world.delete(OWNER, href)

    def log_event(self, n: int) -> None:
        """Alarms that come and go, of every kind, half of them deleted by the device."""
        body = MINIMAL["LogEvent"].replace(
            createdDateTime=NOW + n, logEventID=n, functionSet=11, logEventCode=n % 40
        )
        href = self.post(f"{self.here}/lel", body)
        if n % 2:
            self.world.delete(OWNER, href)

    def subscription(self, n: int) -> None:
        """Subscriptions that come and go; as many as may be are there after a while."""
        href = self.post(f"{self.here}/sub", subscription("/derp", f"https://receiver.example/{n}"))
        if href and n % 2:
            self.world.delete(OWNER, href)

    def renewal(self, n: int) -> None:
        self.put("/sub/1", subscription("/derp", "https://receiver.example/0", n % 9))

    def mirror(self, n: int) -> None:
        """Mirrors that come and go; as many as may be are there after a while."""
        href = self.post("/mup", usage_point(OWNER, f"{n:X}", meter("A1")))
        if href and n % 2:
            self.world.delete(OWNER, href)

    def readings(self, n: int) -> None:
        """Readings and sets of the same times, with other values each time."""
        sets = [reading_set(f"{n % 50:X}", [n, n + 1], NOW - 60 * (n % 10))]
        body = meter(f"{n % 3:X}", WATTS, reading(n, NOW - n % 10), *sets, description=f"{n}")
        self.post("/mup", usage_point(OWNER, "F0"))
        self.post("/mup/1", meters(body))

    def response(self, n: int) -> None:
        body = r.DERControlResponse(
            endDeviceLFDI=OWNER.lfdi, subject=f"{n:032X}", status=1, createdDateTime=NOW + n
        )
        self.post("/rsps/1/rsp", body)

    def capability(self, n: int) -> None:
        self.put("/der/1/dercap", MINIMAL["DERCapability"].replace(modesSupported=n))

    def single(self, path: str, name: str, element: str) -> Callable[[int], None]:
        def step(n: int) -> None:
            self.put(path, MINIMAL[name].replace(**{element: str(n) if element == "userDeviceName" else n}))

        return step

    def test_everything(self) -> None:
        """Whatever resource a peer writes to, the store is as large after twice as many rounds (case F7)."""
        steps: dict[str, Callable[[int], None]] = {
            "EndDevice": self.end_device,
            "EndDeviceList": self.fleet,
            "DeviceInformation": self.information,
            "SupportedLocaleList": self.locale,
            "SupportedLocale": lambda n: self.put("/di/loc/1", r.SupportedLocale(locale=f"z{n}")),
            "LogEventList": self.log_event,
            "LogEvent": lambda n: self.log_event(20_000 + n),
            "ResponseList": self.response,
            "SubscriptionList": self.subscription,
            "Subscription": self.renewal,
            "MirrorUsagePoint": self.readings,
            "MirrorUsagePointList": self.mirror,
            "DERCapability": self.capability,
            "DeviceStatus": self.single("/dstat", "DeviceStatus", "changedTime"),
            "PowerStatus": self.single("/ps", "PowerStatus", "changedTime"),
            "Configuration": self.single("/cfg", "Configuration", "userDeviceName"),
            "DERSettings": self.single("/der/1/derg", "DERSettings", "updatedTime"),
            "DERStatus": self.single("/der/1/ders", "DERStatus", "readingTime"),
            "DERAvailability": self.single("/der/1/dera", "DERAvailability", "readingTime"),
        }
        written = {row.name for row in TABLE if row.on and row.put | row.post | row.delete}
        self.assertEqual(set(steps), written, "each resource that is written to is tried")
        for name, step in steps.items():
            sizes = []
            self.world.changed.clear()
            for turn in range(3):
                for n in range(turn * self.ROUNDS, (turn + 1) * self.ROUNDS):
                    step(n)
                sizes.append(self.rows())
            self.assertEqual(sizes[1], sizes[2], name)
            self.assertGreater(len(self.world.changed), self.ROUNDS // 10, f"{name}: something was written")


both_ways(globals())
