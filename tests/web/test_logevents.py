"""Log events over HTTP, and the alarms that they raise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import alarms, logevents
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from tests.support.bodies import FULL, MINIMAL
from tests.support.client import Answer
from tests.support.walk import judge
from tests.support.ways import both_ways
from tests.support.world import AGGREGATOR, BARE, LISTED, MANAGED, NAMESPACE, NOW, OTHER, OWNER, RIVAL, World


class LogEventCase(SynchronousTestCase):
    """A world in which ten log events of each device are kept."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), log_events=10)
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers
        self.own = f"/edev/{self.numbers.owner}/lel"

    def post(
        self, number: int = 1, at: int = NOW, *, path: str = "", by: Identity = OWNER, **more: Any
    ) -> Answer:
        """What a log event is answered with."""
        body = MINIMAL["LogEvent"].replace(logEventID=number, createdDateTime=at, **more)
        return self.world.post(by, path or self.own, body)

    def made(self, answer: Answer) -> str:
        self.assertEqual((answer.status, answer.body), (201, b""), answer)
        return answer.headers["location"]

    def listed(self, who: Identity = OWNER, path: str = "", query: str = "l=255") -> list[str]:
        """The hrefs of the log events in a list."""
        document = self.world.document(who, f"{path or self.own}?{query}")
        self.assertEqual(document.get("results"), str(len(document)))
        return [member.get("href", "") for member in document]

    def alarms(self, **which: Any) -> list[tuple[str, int, int | None]]:
        found = self.world.read(lambda c: alarms.listed(c, **which)[0])
        return [(one.name, one.raised, one.cleared) for one in found]


class ListTests(LogEventCase):
    """The list of a device."""

    def test_basic_027(self) -> None:
        """Five software faults are posted and read back in the order of time, the newest first."""
        hrefs = [self.made(self.post(n, NOW + n, functionSet=0, logEventCode=2)) for n in range(5)]
        self.assertEqual(len(set(hrefs)), 5)
        answer = self.world.get(OWNER, f"{self.own}?l=255")
        judge(self.own, answer)
        self.assertEqual(self.listed(), hrefs[::-1])
        self.assertEqual(self.world.document(OWNER, self.own).get("all"), "5")

    def test_as_given(self) -> None:
        """A log event is at its Location as it was posted."""
        href = self.made(self.world.post(OWNER, self.own, FULL["LogEvent"]))
        answer = self.world.get(OWNER, href)
        judge(href, answer)
        document = self.world.document(OWNER, href)
        self.assertEqual(dict(document.attrib), {"href": href})
        self.assertEqual(document.findtext(f"{NAMESPACE}details"), FULL["LogEvent"].details)
        self.assertEqual(document.findtext(f"{NAMESPACE}extendedData"), str(FULL["LogEvent"].extendedData))

    def test_link(self) -> None:
        """The list is linked from its EndDevice for all who see it, with a count that stands."""
        managed = f"/edev/{self.numbers.managed}"
        for number in range(3):
            for who, device in (
                (OWNER, f"/edev/{self.numbers.owner}"),
                (MANAGED, managed),
                (AGGREGATOR, managed),
            ):
                link = self.world.document(who, device).find(f"{NAMESPACE}LogEventListLink")
                assert link is not None
                self.assertEqual(dict(link.attrib), {"href": f"{device}/lel", "all": str(number)})
                self.assertEqual(self.world.document(who, f"{device}/lel").get("all"), str(number))
            fleet = self.world.document(AGGREGATOR, "/edev?l=255")
            (link,) = (
                device.find(f"{NAMESPACE}LogEventListLink")
                for device in fleet
                if device.get("href") == managed
            )
            assert link is not None
            self.assertEqual(link.get("all"), str(number))
            self.post(number)
            self.post(number, path=f"{managed}/lel", by=MANAGED)

    def test_order(self) -> None:
        """The newest comes first, then the higher logEventID; a keeps what is later."""
        times = {(n, at): self.made(self.post(n, NOW + at)) for n, at in ((1, 0), (3, 5), (2, 5), (9, 1))}
        self.assertEqual(self.listed(), [times[3, 5], times[2, 5], times[9, 1], times[1, 0]])
        self.assertEqual(self.listed(query=f"l=9&a={NOW}"), [times[3, 5], times[2, 5], times[9, 1]])
        self.assertEqual(self.listed(query=f"s=1&l=1&a={NOW}"), [times[2, 5]])
        self.assertEqual(self.listed(query=f"l=9&a={NOW + 5}"), [])

    def test_poll_rate(self) -> None:
        """The list says how often it is to be polled."""
        self.assertEqual(self.world.document(OWNER, self.own).get("pollRate"), "900")

    def test_kept(self) -> None:
        """Of more than are kept the first goes, and its href with it."""
        hrefs = [self.made(self.post(n, NOW + n)) for n in range(11)]
        self.assertEqual(self.listed(), hrefs[:0:-1])
        self.assertEqual(self.world.get(OWNER, hrefs[0]).status, 404)
        self.assertEqual(self.world.document(OWNER, self.own).get("all"), "10")

    def test_twice(self) -> None:
        """The same log event posted again has the same Location and is not doubled."""
        href = self.made(self.post())
        self.assertEqual(self.made(self.post(details="again")), href)
        self.assertEqual(self.listed(), [href])
        self.assertNotEqual(self.made(self.post(2)), href)

    def test_bad(self) -> None:
        """What is no log event is 400 and leaves nothing."""
        for body in (b"", b"<a/>", r.Response(endDeviceLFDI=OWNER.lfdi, subject="1")):
            self.assertEqual(self.world.post(OWNER, self.own, body).status, 400)
        self.assertEqual(self.listed(), [])

    def test_who(self) -> None:
        """A device and its aggregator post and read; for others there is nothing."""
        path = f"/edev/{self.numbers.bare}/lel"
        href = self.made(self.post(path=path, by=AGGREGATOR))
        self.assertEqual(self.listed(AGGREGATOR, path), [href])
        self.assertEqual(self.listed(AGGREGATOR, f"/edev/{self.numbers.managed}/lel"), [])
        for who in (OWNER, MANAGED, RIVAL, LISTED):
            for method in ("GET", "POST", "DELETE"):
                self.assertEqual(self.world.send(who, method, path).status, 404)
                self.assertEqual(self.world.send(who, method, href).status, 404)
        other = self.made(self.post(path=f"/edev/{self.numbers.other}/lel", by=OTHER))
        elsewhere = f"{path}/{other.rpartition('/')[2]}"
        self.assertEqual(self.world.get(AGGREGATOR, elsewhere).status, 404)


class DeleteTests(LogEventCase):
    """What a device deletes."""

    def test_deleted(self) -> None:
        """DELETE is 204 and then 404; the list counts one less and the operator's history keeps it."""
        one, two = self.made(self.post(1)), self.made(self.post(2))
        self.assertEqual(self.world.delete(OWNER, one).status, 204)
        for method in ("GET", "DELETE"):
            self.assertEqual(self.world.send(OWNER, method, one).status, 404)
        self.assertEqual(self.listed(), [two])
        found = self.world.read(lambda c: logevents.listed(c, device=self.numbers.owner)[0])
        self.assertEqual([(f"{self.own}/{x.number}", x.hidden) for x in found], [(two, False), (one, True)])

    def test_by_the_aggregator(self) -> None:
        """An aggregator deletes what it or its device posted."""
        path = f"/edev/{self.numbers.managed}/lel"
        for by in (MANAGED, AGGREGATOR):
            href = self.made(self.post(path=path, by=by))
            self.assertEqual(self.world.delete(AGGREGATOR, href).status, 204)
        self.assertEqual(self.listed(MANAGED, path), [])

    def test_not_changed(self) -> None:
        """A log event is not written over."""
        href = self.made(self.post())
        answer = self.world.put(OWNER, href, MINIMAL["LogEvent"])
        self.assertEqual(answer.status, 405)
        self.assertEqual(set(answer.headers["allow"].split(", ")), {"GET", "HEAD", "DELETE"})


class AlarmTests(LogEventCase):
    """Alarms by log events."""

    def test_raised_and_cleared(self) -> None:
        """An alarm is open once the log event of its begin is answered, and over once that of its end is."""
        self.made(self.post(1, NOW - 9, functionSet=11, logEventCode=0))
        self.assertEqual(self.alarms(open=True), [("over current", NOW - 9, None)])
        self.made(self.post(2, NOW - 2, functionSet=11, logEventCode=1))
        self.assertEqual(self.alarms(), [("over current", NOW - 9, NOW - 2)])

    def test_for_the_fleet(self) -> None:
        """Alarms that an aggregator tells of are its devices'."""
        for device in (self.numbers.managed, self.numbers.bare):
            path = f"/edev/{device}/lel"
            self.made(self.post(1, NOW - 5, path=path, by=AGGREGATOR, functionSet=11, logEventCode=18))
        self.made(
            self.post(
                2,
                NOW,
                path=f"/edev/{self.numbers.bare}/lel",
                by=AGGREGATOR,
                functionSet=11,
                logEventCode=19,
            )
        )
        self.assertEqual(self.alarms(device=self.numbers.managed), [("low power input", NOW - 5, None)])
        self.assertEqual(self.alarms(device=self.numbers.bare), [("low power input", NOW - 5, NOW)])

    def test_stays_when_deleted(self) -> None:
        """Deleting the log event leaves its alarm."""
        href = self.made(self.post(functionSet=0, logEventCode=0))
        self.world.delete(OWNER, href)
        self.assertEqual(self.alarms(open=True), [("hardware fault", NOW, None)])

    def test_refused(self) -> None:
        """What is refused raises nothing."""
        for by in (OTHER, RIVAL, BARE):
            self.assertEqual(self.post(by=by, functionSet=11, logEventCode=0).status, 404)
        self.assertEqual(self.alarms(), [])


both_ways(globals())
