"""Responses over HTTP: devices and aggregators answer events, and read what they answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls, response_counts, response_history, responses
from csipd.db import schedules as stored
from csipd.db.response_counts import ResponseCounts
from csipd.der.responses import ResponseKind
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from csipd.sep2.site import locate
from tests.support.client import Answer
from tests.support.walk import judge
from tests.support.ways import both_ways
from tests.support.world import (
    AGGREGATOR,
    BARE,
    FOREIGN,
    LISTED,
    MANAGED,
    NAMESPACE,
    NOW,
    OTHER,
    OWNER,
    RIVAL,
    UNKNOWN,
    UNREGISTERED,
    WITHDRAWN,
    World,
)

XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
LIST = "/rsps/1/rsp"
POLL = 900


class ResponseCase(SynchronousTestCase):
    """A world, an event of Point 1 that is to begin, and short ways to answer it."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers
        self.mrid = self.event(self.world.control(self.numbers.point_1, start=60))
        self.world.changed.clear()

    def event(self, href: str) -> str:
        """The mRID of the event at an href, which is the one that is looked at from now on."""
        place = locate(href)
        assert place is not None
        self.control = place.ids[1]
        return self.world.read(self.kept).event.mrid

    def kept(self, connection: Any) -> stored.StoredControl:
        """The event that is looked at."""
        found = controls.find(connection, self.control, int(self.world.now))
        assert found is not None
        return found

    def say(
        self, who: Identity, status: int = 1, *, by: Identity | None = None, subject: str = "", **more: Any
    ) -> Answer:
        """What a DERControlResponse is answered with."""
        given = {"createdDateTime": int(self.world.now), **more}
        body = r.DERControlResponse(
            endDeviceLFDI=who.lfdi, status=status, subject=subject or self.mrid, **given
        )
        return self.world.post(by or who, LIST, body)

    def made(self, answer: Answer) -> str:
        """The Location of what was made."""
        self.assertEqual((answer.status, answer.body), (201, b""), answer)
        return answer.headers["location"]

    def listed(self, who: Identity, query: str = "l=255") -> list[str]:
        """The hrefs of the responses that a caller sees."""
        document = self.world.document(who, f"{LIST}?{query}")
        self.assertEqual(document.get("results"), str(len(document)))
        return [member.get("href", "") for member in document]

    def answers(self) -> ResponseCounts:
        now = int(self.world.now)
        (found,) = self.world.read(lambda c: response_counts.answers(c, [self.kept(c)], POLL, now))
        return found


class PostTests(ResponseCase):
    """Answering."""

    def test_made(self) -> None:
        """A response is 201 with its Location, where it is as it was sent."""
        href = self.made(self.say(OWNER, 2))
        answer = self.world.get(OWNER, href)
        judge(href, answer)
        document = etree.fromstring(answer.body)
        self.assertEqual(document.tag, f"{NAMESPACE}DERControlResponse")
        self.assertEqual(
            {child.tag.removeprefix(NAMESPACE): child.text for child in document},
            {
                "createdDateTime": str(NOW),
                "endDeviceLFDI": OWNER.lfdi,
                "status": "2",
                "subject": self.mrid,
            },
        )
        self.assertEqual(dict(document.attrib), {"href": href})

    def test_through_the_event(self) -> None:
        """A client goes where the event's replyTo says and needs nothing else."""
        href = self.world.control(
            self.numbers.point_1, start=600, replyTo=responses.REPLY_TO, responseRequired=7
        )
        event = self.world.document(OWNER, href)
        body = r.DERControlResponse(
            endDeviceLFDI=OWNER.lfdi, status=1, subject=event.findtext(f"{NAMESPACE}mRID")
        )
        self.made(self.world.post(OWNER, event.get("replyTo", ""), body))

    def test_every_kind(self) -> None:
        """All kinds of response are taken, listed with their type and given back as what they are."""
        for number, kind in enumerate(
            (
                r.Response,
                r.DERControlResponse,
                r.DrResponse,
                r.PriceResponse,
                r.TextResponse,
                r.FlowReservationResponseResponse,
            )
        ):
            body = kind(createdDateTime=NOW + number, endDeviceLFDI=OWNER.lfdi, status=1, subject=f"{number}")
            href = self.made(self.world.post(OWNER, LIST, body))
            self.assertEqual(self.world.document(OWNER, href).tag, f"{NAMESPACE}{kind.__name__}")
            newest = self.world.document(OWNER, LIST)[0]
            self.assertEqual(newest.tag, f"{NAMESPACE}Response")
            self.assertEqual(newest.get(XSI_TYPE), kind.__name__)
        judge(f"{LIST}?l=255", self.world.get(OWNER, f"{LIST}?l=255"))

    def test_case_and_time(self) -> None:
        """LFDI and mRID may be in lower case, and the time may be left out."""
        body = f"""<DERControlResponse xmlns="{NAMESPACE.strip("{}")}">
            <endDeviceLFDI>{OWNER.lfdi.lower()}</endDeviceLFDI>
            <status>1</status><subject>{self.mrid.lower()}</subject></DERControlResponse>"""
        href = self.made(self.world.post(OWNER, LIST, body.encode()))
        document = self.world.document(OWNER, href)
        self.assertEqual(document.findtext(f"{NAMESPACE}endDeviceLFDI"), OWNER.lfdi)
        self.assertIsNone(document.find(f"{NAMESPACE}createdDateTime"))
        self.assertEqual(self.answers().said[ResponseKind.RECEIVED], 1)

    def test_for_others(self) -> None:
        """A response for a device that is not the caller's is 403, and leaves nothing."""
        for who, by in (
            (OTHER, OWNER),
            (AGGREGATOR, MANAGED),
            (BARE, MANAGED),
            (OWNER, AGGREGATOR),
            (FOREIGN, AGGREGATOR),
            (BARE, RIVAL),
            (UNREGISTERED, AGGREGATOR),
            (WITHDRAWN, AGGREGATOR),
            (UNKNOWN, OWNER),
        ):
            answer = self.say(who, by=by)
            self.assertEqual(answer.status, 403, answer)
            self.assertIn(b"<reasonCode>1</reasonCode>", answer.body)
        self.assertEqual(self.world.changed, [])

    def test_unregistered(self) -> None:
        """Who is not registered finds nothing there."""
        for who in (UNKNOWN, LISTED, WITHDRAWN):
            for path in ("/rsps", "/rsps/1", LIST, f"{LIST}/1"):
                self.assertEqual(self.world.get(who, path).status, 404)
            self.assertEqual(self.say(who).status, 404)

    def test_twice(self) -> None:
        """The same response posted again has the same Location and is not doubled."""
        href = self.made(self.say(OWNER))
        self.world.now += 5
        self.assertEqual(self.made(self.say(OWNER, createdDateTime=NOW)), href)
        self.assertEqual(self.listed(OWNER), [href])
        other = self.made(self.say(OWNER, 2))
        self.assertNotEqual(other, href)

    def test_in_and_out(self) -> None:
        """Who opts out, in, out and in again has five responses, and stands as the last says (case A3)."""
        for status in (1, 4, 5, 4, 5):
            self.made(self.say(OWNER, status))
            self.world.now += 1
        self.assertEqual(len(self.listed(OWNER)), 5)
        self.assertEqual(self.answers().said[ResponseKind.OPTED_OUT], 0)

    def test_status(self) -> None:
        """A status that means nothing is 400 reasonCode 1; those of the table and 251 are taken (case A4)."""
        for status in (0, 15, 16, 200, 250, 255):
            answer = self.say(OWNER, status)
            self.assertEqual(answer.status, 400, status)
            self.assertIn(b"<reasonCode>1</reasonCode>", answer.body)
        for status in (*range(1, 15), 251, 252, 253, 254):
            self.made(self.say(OWNER, status))
        self.assertEqual(len(self.listed(OWNER)), 18)

    def test_strange(self) -> None:
        """An event that is not known, or was for others, is kept, listed, and flagged for the operator."""
        hrefs = {
            self.made(self.say(OWNER, subject="F" * 32)),
            self.made(self.say(OTHER)),
        }
        self.assertEqual({*self.listed(OWNER), *self.listed(OTHER)}, hrefs)
        flagged = self.world.read(lambda c: response_history.listed(c, flagged=True)[0])
        self.assertEqual({f"{LIST}/{one.number}" for one in flagged}, hrefs)

    def test_full(self) -> None:
        """Who keeps answering what does not exist is told 413 at last, and still answers its events
        (case A5)."""
        for n in range(responses.MOST_UNADDRESSED):
            self.made(self.say(OWNER, 251, subject=f"{n + 1:032X}"))
        answer = self.say(OWNER, subject="F" * 32)
        self.assertEqual(answer.status, 413)
        self.assertIn(b"<reasonCode>2</reasonCode>", answer.body)
        self.made(self.say(OWNER))

    def test_bad(self) -> None:
        """What is no response, or lacks what one needs, is 400; other places take none."""
        for body in (
            b"",
            b"<a/>",
            r.LogEvent(
                createdDateTime=1, functionSet=0, logEventCode=0, logEventID=0, logEventPEN=0, profileID=0
            ),
            f'<Response xmlns="{NAMESPACE.strip("{}")}"><subject>1</subject></Response>'.encode(),
        ):
            self.assertEqual(self.world.post(OWNER, LIST, body).status, 400)
        body = r.Response(endDeviceLFDI=OWNER.lfdi, subject="1")
        for path in ("/rsps/2/rsp", "/rsps/1/rsp/1", "/rsps/0/rsp"):
            self.assertEqual(self.world.post(OWNER, path, body).status, 404, path)
        for path in ("/rsps", "/rsps/1"):
            answer = self.world.post(OWNER, path, body)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))

    def test_not_deleted(self) -> None:
        """What was said cannot be taken back or changed."""
        href = self.made(self.say(OWNER))
        for method in ("DELETE", "PUT"):
            answer = self.world.send(OWNER, method, href, b"")
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.listed(OWNER), [href])


class ReadTests(ResponseCase):
    """Reading what was answered."""

    def test_links(self) -> None:
        """The set is linked from the entry point and from every FSA, with counts that stand."""
        self.say(OWNER)
        self.say(OWNER, 2)
        self.say(MANAGED)
        for who, number in ((OWNER, 2), (MANAGED, 1), (AGGREGATOR, 1), (OTHER, 0)):
            link = self.world.document(who, "/dcap").find(f"{NAMESPACE}ResponseSetListLink")
            assert link is not None
            self.assertEqual(dict(link.attrib), {"href": "/rsps", "all": "1"})
            sets = self.world.document(who, "/rsps")
            self.assertEqual((sets.get("all"), sets.get("results"), sets.get("pollRate")), ("1", "1", "900"))
            self.assertEqual(sets[0].get("href"), "/rsps/1")
            one = self.world.document(who, "/rsps/1")
            listed = one.find(f"{NAMESPACE}ResponseListLink")
            assert listed is not None
            self.assertEqual(dict(listed.attrib), {"href": LIST, "all": str(number)})
            self.assertEqual(self.world.document(who, LIST).get("all"), str(number))
        for query in ("l=0", "s=1&l=5"):
            self.assertEqual(len(self.world.document(OWNER, f"/rsps?{query}")), 0)
        for device in (self.numbers.owner, self.numbers.managed):
            who = OWNER if device == self.numbers.owner else AGGREGATOR
            for fsa in self.world.document(who, f"/edev/{device}/fsa?l=9"):
                link = fsa.find(f"{NAMESPACE}ResponseSetListLink")
                assert link is not None
                self.assertEqual(dict(link.attrib), {"href": "/rsps", "all": "1"})
        link = self.world.document(LISTED, "/dcap").find(f"{NAMESPACE}ResponseSetListLink")
        self.assertIsNone(link)

    def test_mrid(self) -> None:
        """The set has an mRID of its own, the same for everybody."""
        mrids = {self.world.document(who, "/rsps/1").findtext(f"{NAMESPACE}mRID") for who in (OWNER, OTHER)}
        self.assertEqual(len(mrids), 1)

    def test_own(self) -> None:
        """A device sees its own responses, an aggregator those of its fleet, nobody another's."""
        hrefs = {
            OWNER: self.made(self.say(OWNER)),
            MANAGED: self.made(self.say(MANAGED)),
            BARE: self.made(self.say(BARE, by=AGGREGATOR)),
            AGGREGATOR: self.made(self.say(AGGREGATOR)),
            FOREIGN: self.made(self.say(FOREIGN, by=RIVAL)),
        }
        for who, own in (
            (OWNER, {OWNER}),
            (MANAGED, {MANAGED}),
            (AGGREGATOR, {AGGREGATOR, MANAGED, BARE}),
            (RIVAL, {FOREIGN}),
            (OTHER, set()),
        ):
            self.assertEqual(set(self.listed(who)), {hrefs[one] for one in own})
            for one, href in hrefs.items():
                self.assertEqual(self.world.get(who, href).status, 200 if one in own else 404)

    def test_order(self) -> None:
        """The newest come first, then the lower LFDI; those without a time are last."""
        undated = self.made(self.say(MANAGED, 9, createdDateTime=None))
        early = self.made(self.say(BARE, by=AGGREGATOR, createdDateTime=NOW - 9))
        two = [
            (who.lfdi, self.made(self.say(who, 2, by=AGGREGATOR, createdDateTime=NOW)))
            for who in (MANAGED, BARE)
        ]
        self.assertEqual(self.listed(AGGREGATOR), [*(href for _, href in sorted(two)), early, undated])
        self.assertEqual(self.listed(AGGREGATOR, f"l=9&a={NOW - 9}"), [href for _, href in sorted(two)])
        self.assertEqual(self.listed(AGGREGATOR, f"l=9&a={NOW}"), [])
        self.assertEqual(self.listed(AGGREGATOR, f"s=1&l=1&a={NOW - 9}"), [sorted(two)[1][1]])

    def test_extensions(self) -> None:
        """What the 2023 edition adds is taken and not shown where the base schema is."""
        body = f"""<DERControlResponse xmlns="{NAMESPACE.strip("{}")}">
            <endDeviceLFDI>{OWNER.lfdi}</endDeviceLFDI><status>1</status><subject>{self.mrid}</subject>
            <modesResponded>00000080</modesResponded></DERControlResponse>"""
        href = self.made(self.world.post(OWNER, LIST, body.encode()))
        judge(href, self.world.get(OWNER, href))
        judge(LIST, self.world.get(OWNER, LIST))


class SequenceTests(ResponseCase):
    """What is said to an event in its life, as the conformance tests have it."""

    def test_core_022(self) -> None:
        """One is cancelled before its start and answered 1, 6; the others 1, 2, 3, each when it is so."""
        n = self.numbers
        hrefs = [
            self.world.control(n.point_1, start=start, duration=60, responseRequired=7, replyTo=LIST)
            for start in (120, 240, 360)
        ]
        for href in hrefs:
            self.made(self.say(OWNER, 1, subject=self.event(href)))
        self.world.now += 60
        self.event(hrefs[0])
        self.world.write(lambda t: controls.cancel(t, self.control, False, None, int(self.world.now)))
        shown = self.world.document(OWNER, hrefs[0]).find(f".//{NAMESPACE}currentStatus")
        assert shown is not None
        self.assertEqual(shown.text, "2")
        self.made(self.say(OWNER, 6, subject=self.event(hrefs[0])))
        for href, start in zip(hrefs[1:], (240, 360), strict=True):
            for status, moment in ((2, start), (3, start + 60)):
                self.world.now = NOW + moment
                self.made(self.say(OWNER, status, subject=self.event(href)))
        expected = ({ResponseKind.RECEIVED, ResponseKind.CANCELLED},) + (
            {ResponseKind.RECEIVED, ResponseKind.STARTED, ResponseKind.COMPLETED},
        ) * 2
        for href, buckets in zip(hrefs, expected, strict=True):
            self.event(href)
            said = self.answers().said
            self.assertEqual({kind for kind, number in said.items() if number == 1}, buckets)
            self.assertEqual(sum(said.values()), len(buckets))

    def test_util_004(self) -> None:
        """An aggregator answers for each device under the node, and those who did not are silent."""
        href = self.world.control(self.numbers.system, start=60, responseRequired=3, replyTo=LIST)
        mrid = self.event(href)
        for who in (MANAGED, BARE):
            for status in (1, 2, 3):
                self.made(self.say(who, status, by=AGGREGATOR, subject=mrid))
        self.world.now = NOW + 60 + 600 + 2 * POLL + 1
        found = self.answers()
        self.assertEqual((found.asked, found.said[ResponseKind.COMPLETED]), (5, 2))
        n = self.numbers
        self.assertEqual(set(found.sample), {n.owner, n.other, n.foreign})


both_ways(globals())
