"""The straight path and the way through Twisted's parser and Klein are one server, to the octet.

The same script (tests/support/scripts.py) is played to servers that differ in nothing but how they may
answer. What comes back, whether and when a connection closes, what the store holds afterwards, what the log
says and what is noted of callers must not differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.access import Policy
from csipd.net.limits import ConnectionLimits
from csipd.net.quotas import Quotas
from csipd.sep2 import codec
from tests.support import raw_requests
from tests.support.actions import ACTIONS, NEW
from tests.support.bodies import MINIMAL
from tests.support.examples import fewer
from tests.support.scripts import (
    Do,
    Drain,
    Fail,
    HangUp,
    Hold,
    Line,
    Pass,
    Read,
    Record,
    Send,
    Shift,
    Step,
    play,
)
from tests.support.world import (
    AGGREGATOR,
    BOUNDLESS,
    EVERYBODY,
    IN_BAND,
    MANAGED,
    NOW,
    OUT_OF_BAND,
    OWNER,
    World,
)

#: The ways in which a request may be answered.
WAYS: Mapping[str, Mapping[str, Any]] = {
    "as shipped": {},
    "straight, nothing kept": {"answers": 0},
    "by Klein": {"straight": False},
}
#: A caller whose certificate ends soon.
ENDING = evolve(OWNER, not_after=NOW + 7.5)
#: Bounds small enough to be met.
TIGHT = ConnectionLimits(body_bytes=700, pipelined_bytes=600, pipelined_requests=4, connections=2)
FEW = Quotas(
    requests_per_second=0.5, request_burst=6.0, connections=2, handshakes_per_second=0.5, handshake_burst=4
)
#: What devices ask for again and again.
USUAL = (
    "/dcap",
    "/tm",
    "/edev",
    "/edev/1",
    "/edev/5",
    "/edev?s=0&l=5",
    "/edev/1/der/1/ders",
    "/edev/5/der/1/ders",
    "/edev/1/fsa",
    "/edev/1/fsa/1/derp",
    "/derp",
    "/derp/4/derc?l=10",
    "/derp/1/dderc",
    "/edev/1/rg",
    "/sdev",
    "/rsps/1/rsp",
    "/edev/7",
)

callers = st.sampled_from(
    [OWNER] * 20 + [AGGREGATOR, MANAGED] * 8 + [ENDING] * 3 + [NEW, *EVERYBODY.values()]
)
lines = st.builds(
    Line, callers, st.sampled_from([False, False, True]), st.sampled_from([None] * 4 + [1000, 100])
)
_numbers = st.integers(0, 2)


_sending = raw_requests.burst(USUAL).flatmap(raw_requests.reads)
_happenings = st.sampled_from(
    ["send"] * 30 + ["pass"] * 5 + ["do"] * 4 + ["shift", "hold", "go", "go", "still", "read", "gone", "end"]
)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """One step of a script: requests as a rule."""
    match draw(_happenings):
        case "send":
            return Send(draw(_numbers), draw(_sending))
        case "pass":
            return Pass(draw(st.sampled_from([0.25, 1.0, 1.0, 2.0, 8.0, 31.0, 61.0, 301.0])))
        case "shift":
            return Shift(draw(st.sampled_from([-3600.0, -1.0, 5.0, 3600.0])))
        case "do":
            return Do(draw(st.sampled_from(sorted(ACTIONS))), draw(st.integers(0, 39)))
        case "hold" | "go" as what:
            return Hold(what == "hold")
        case "still" | "read" as what:
            return Read(draw(_numbers), what == "read")
        case "gone":
            return HangUp(draw(_numbers))
        case _:
            return Drain()


OWN = "/edev/1/der/1/ders"
GET = raw_requests.plain(OWN)
PUT = raw_requests.written("PUT", OWN, codec.encode(MINIMAL["DERStatus"]))
BACK = raw_requests.written("PUT", OWN, raw_requests.BODIES["DERStatus"])
WRONG = raw_requests.written("PUT", OWN, b"<nothing/>")
NOT_THERE = raw_requests.plain("/edev/99")
HEAD = raw_requests.plain(OWN, "HEAD")
POST = raw_requests.written("POST", "/edev/1/lel", raw_requests.BODIES["LogEvent"])
#: Requests that an ordinary device makes, and some that it should not.
REQUESTS: Mapping[str, bytes] = {
    "GET": GET,
    "GET of time": raw_requests.plain("/tm"),
    "GET of a page": raw_requests.plain("/edev/1/fsa/1/derp?s=0&l=2"),
    "GET with a wrong query": raw_requests.plain("/derp?l=x"),
    "GET of nothing": NOT_THERE,
    "HEAD": HEAD,
    "HEAD of nothing": raw_requests.plain("/edev/99", "HEAD"),
    "PUT": PUT,
    "PUT of what was there before": BACK,
    "PUT of something else": WRONG,
    "PUT where none belongs": raw_requests.written("PUT", "/tm", raw_requests.BODIES["DERStatus"]),
    "POST": POST,
    "DELETE": raw_requests.plain("/edev/1/lel/1", "DELETE"),
    "GET as of a proxy": GET[:-2] + b"Client-Cert: :AAAA:\r\n\r\n",
    "PUT as of a proxy": PUT.replace(b"\r\n", b"\r\nclient-cert: :AAAA:\r\n", 1),
    "OPTIONS": raw_requests.plain("/dcap", "OPTIONS"),
    "FOO": raw_requests.plain("/dcap", "FOO"),
}
OWNERS = (Line(OWNER),)


def whole(*data: bytes) -> Send:
    """Octets that come in one read."""
    return Send(0, ((b"".join(data),),))


class BothCase(SynchronousTestCase):
    """The same script, by every way there is."""

    def played(
        self,
        connections: Sequence[Line],
        script: Sequence[Step],
        ways: Mapping[str, Mapping[str, Any]] = WAYS,
        **how: Any,
    ) -> Record:
        """What came of a script, which is the same by all ways."""
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        found = {}
        for number, (name, way) in enumerate(WAYS.items()):
            place = folder / str(number)
            world = World(place.with_suffix(".sqlite"), **how, **way)
            self.addCleanup(world.close)
            found[name] = play(world, connections, script, place)
        if any(isinstance(step, Hold) for step in script):
            # An answer that is kept waits for no database, so it comes sooner than others.
            del found["as shipped"]
        self.assertSame(found)
        self.assertEqual(self.flushLoggedErrors(), [])
        return found["by Klein"]

    def assertSame(self, found: Mapping[str, Record]) -> None:
        """All of these servers did the same."""
        *others, last = found
        for name in others:
            for part in ("seen", "log", "remarks", "noted", "store"):
                one, two = getattr(found[name], part), getattr(found[last], part)
                self.assertEqual(one, two, f"{part}: {name} | {last}")


class RandomTests(BothCase):
    """Anything that anybody may send."""

    @fewer(2)
    @given(
        st.tuples(lines, lines, lines),
        st.lists(steps(), min_size=8, max_size=20),
        st.sampled_from([IN_BAND, IN_BAND, OUT_OF_BAND, Policy(empty_list=True)]),
        st.sampled_from([ConnectionLimits()] * 3 + [TIGHT]),
        st.sampled_from([BOUNDLESS] * 3 + [FEW]),
    )
    def test_anything(
        self,
        connections: tuple[Line, ...],
        script: list[Step],
        policy: Policy,
        limits: ConnectionLimits,
        quotas: Quotas,
    ) -> None:
        """Whatever is sent, however it is cut, whoever sends it, whatever happens meanwhile."""
        self.played(connections, script, policy=policy, limits=limits, quotas=quotas)


class DirectedTests(BothCase):
    """What is known to be hard."""

    def answers(self, record: Record) -> list[int]:
        """The statuses of what came back."""
        received = b"".join(seen.received for seen in record.seen)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]

    def test_whole(self) -> None:
        """Each request in one read: asked twice, and again after a write of what it shows."""
        script = [(whole(data), whole(data), whole(PUT), Pass(1), whole(data)) for data in REQUESTS.values()]
        self.played(OWNERS, [step for steps in script for step in steps])

    def test_callers(self) -> None:
        """Each request from everybody."""
        for name, who in (EVERYBODY | {"new": NEW, "ending": ENDING}).items():
            with self.subTest(name):
                script = [step for data in REQUESTS.values() for step in (whole(data), whole(data))]
                self.played([Line(who)], script)

    def test_each_split(self) -> None:
        """Requests cut in two at each octet."""
        for name in ("GET", "PUT", "HEAD", "GET of nothing"):
            data = REQUESTS[name]
            with self.subTest(name):
                cuts = range(1, len(data), 1 if len(data) < 150 else 5)
                self.played(OWNERS, [Send(0, ((data[:at],), (data[at:],))) for at in cuts])

    def test_drops(self) -> None:
        """Each request octet by octet."""
        drops = [tuple((data[at : at + 1],) for at in range(len(data))) for data in REQUESTS.values()]
        self.played(OWNERS, [Send(0, each) for each in drops])

    def test_pipelined(self) -> None:
        """Each request behind each other one: in one read, in two, and in records of one read."""
        for name, first in REQUESTS.items():
            with self.subTest(name):
                script: list[Step] = []
                for second in (GET, BACK, PUT, WRONG, HEAD, REQUESTS["FOO"]):
                    script += [whole(first, second), Send(0, ((first,), (second,)))]
                    script += [Send(1, ((first, second),)), Pass(61)]
                self.played([Line(OWNER), Line(OWNER, secure=True)], script)

    def test_garbage_behind(self) -> None:
        """Each request with something behind it that is none."""
        garbage = (*raw_requests.GARBAGE, b"\r\n" + GET, b"\r\n\r\n" + GET, b"GET /dcap HTTP/1.1\r\n")
        for name, data in REQUESTS.items():
            with self.subTest(name):
                script: list[Step] = []
                for behind in garbage:
                    script += [whole(GET), whole(data + behind), whole(GET), Pass(31), Pass(31)]
                self.played(OWNERS, script)

    def test_smuggled(self) -> None:
        """What looks like a request inside of a body, or behind two lengths, is none."""
        script: list[Step] = []
        for head in (
            b"GET %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n",
            b"PUT %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nContent-Type: application/sep+xml\r\n",
            b"GET %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n",
            b"GET %b HTTP/1.1\r\nHost: a\r\ncontent-length:\t%d \r\n",
            b"GET %b HTTP/1.1\r\nHost: a\r\nContent-Length : %d\r\n",
            b"GET %b HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: %d\r\n",
            b"GET %b HTTP/1.1\r\nHost: a\r\nX: y\rContent-Length: %d\r\n",
            b"GET %b HTTP/1.0\r\nHost: a\r\nX: HTTP/1.1\r\nContent-Length: %d\r\n",
            b"PUT %b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: %d\r\n",
            b"PUT %b HTTP/1.1\r\nHost: a\r\nContent-Length: 0, %d\r\n",
            b"PUT %b HTTP/1.1\r\nHost: a\r\nContent-Length: +%d\r\n",
        ):
            data = head % (OWN.encode(), len(GET)) + b"\r\n"
            script += [whole(GET), whole(data + GET), whole(GET)]
            script += [whole(GET), Send(0, ((data,), (GET,))), whole(GET), Pass(61)]
        self.played(OWNERS, script)

    def test_certificate_ends(self) -> None:
        """A certificate that ends while its connection is open: 403 from then on, and closed."""
        for data in (GET, HEAD, PUT, raw_requests.plain("/tm")):
            script = [
                whole(GET),
                whole(data),
                Pass(7),
                whole(GET),
                whole(data),
                Pass(1),
                whole(data),
                whole(GET),
            ]
            record = self.played([Line(ENDING)], script)
            self.assertEqual(self.answers(record)[-2:], [403, 403])
            self.assertTrue(record.seen[-1].closed)
            self.assertIn([200, 204][data is PUT], self.answers(record))

    def test_certificate_ends_under_way(self) -> None:
        """An answer that was under way when the certificate ended is given, and the next one is not."""
        self.played([Line(ENDING)], [Hold(True), whole(GET), whole(GET), Pass(8), Hold(False), whole(GET)])

    def test_hung_up_before_the_answer(self) -> None:
        """A client that hangs up between commit and answer: what it wrote is there, and nobody complains."""
        for who in (OWNER, AGGREGATOR, EVERYBODY["unknown"], EVERYBODY["withdrawn"]):
            script: list[Step] = []
            for data in REQUESTS.values():
                script += [Hold(True), whole(data), HangUp(0), Hold(False), Pass(61)]
            record = self.played([Line(who)], script)
            # One answer needs no database.
            self.assertEqual(self.answers(record), [501])
            self.assertFalse([line for line in record.log if line.startswith(("error", "critical"))])
        written = self.played(OWNERS, [whole(PUT)]).store["documents"]
        hung_up = self.played(OWNERS, [whole(GET), Hold(True), whole(PUT), HangUp(0), Hold(False)]).store[
            "documents"
        ]
        self.assertEqual(written, hung_up)
        self.assertNotEqual(written, self.played(OWNERS, []).store["documents"])

    def test_hung_up_behind_a_row(self) -> None:
        """A client that hangs up with requests in a row behind the one that is under way."""
        self.played(OWNERS, [Hold(True), whole(PUT, GET, POST), HangUp(0), Hold(False), Pass(1)])

    def test_withdrawn_under_way(self) -> None:
        """An answer that was under way when its caller was shut out is not given."""
        for data in (GET, HEAD, PUT):
            script = [Hold(True), whole(data), whole(data), Do("withdraw"), Hold(False), whole(GET)]
            record = self.played(OWNERS, script)
            self.assertEqual(self.answers(record)[-1], 404)

    def test_quota(self) -> None:
        """Answers beyond the quota are 503 by every way, and cost as much as others."""
        for data in REQUESTS.values():
            script = [whole(GET)] + [whole(data)] * 5 + [Pass(2), whole(data), whole(GET), whole(GET)]
            record = self.played(OWNERS, script, quotas=FEW)
            self.assertIn(503, self.answers(record))

    def test_row_too_long(self) -> None:
        """Behind the last of a long row the connection closes."""
        limits = ConnectionLimits(pipelined_requests=3)
        for data in REQUESTS.values():
            self.played(OWNERS, [whole(data * 5), whole(data), whole(data)], limits=limits)
            self.played(OWNERS, [Send(0, ((data,) * 5,)), whole(data)], limits=limits)
            self.played([Line(OWNER, secure=True)], [Send(0, ((data,) * 5,)), whole(data)], limits=limits)

    def test_deadlines(self) -> None:
        """Idle, in the middle of a request, in the middle of an answer: cut at the same moment."""
        for data in (GET, PUT, HEAD):
            script: list[Step] = []
            for before in (299, 301):
                script += [whole(data), Pass(before), whole(data), Pass(before), Pass(2), Pass(2)]
            for before in (29, 31):
                script += [whole(data, data[:-3]), Pass(before), whole(data[-3:]), Pass(2)]
            self.played(OWNERS, script)
            script = []
            for before in (59, 61):
                script += [Hold(True), whole(data), Pass(before), Pass(2), Hold(False), whole(data)]
            self.played(OWNERS, script)

    def test_drained(self) -> None:
        """A server that ends: idle connections close, others behind their answer."""
        for data in (GET, PUT, HEAD):
            self.played(OWNERS, [whole(data), Drain(), whole(data), Pass(2)])
            self.played(OWNERS, [Hold(True), whole(data, data), Drain(), Hold(False), whole(data), Pass(31)])
            self.played(OWNERS, [whole(data[:-2]), Drain(), whole(data[-2:], data), Pass(31)])

    def test_not_read(self) -> None:
        """A client that does not read is not read from, and cut in time."""
        large = raw_requests.plain("/derp/4/derc?l=255")
        for data in (large, GET, PUT, large * 30):
            script = [Read(0, False)] + [whole(data)] * 40 + [Pass(1), Read(0, True), whole(data)]
            self.played(OWNERS, script)
            self.played(OWNERS, [Read(0, False)] + [whole(data)] * 40 + [Pass(31), Pass(2)])

    def test_clock_set(self) -> None:
        """The wall clock goes back, and what is dated and what is over go with it."""
        for path in ("/tm", "/derp/4/derc?l=10", "/derp/4/actderc", "/edev/1"):
            data = raw_requests.plain(path)
            script: list[Step] = []
            for seconds in (0, 5, -5, -3600, 3600, 3600, 600, 1, -1):
                script += [Shift(float(seconds)), whole(data), whole(data)]
            self.played(OWNERS, script)

    def test_dated(self) -> None:
        """An answer has the same Date by every way, also one that took long."""
        for data in (GET, PUT, HEAD, NOT_THERE):
            self.played(OWNERS, [Hold(True), whole(data, GET), Pass(5), Hold(False), Pass(1), whole(data)])

    def test_sender_not_looked_up(self) -> None:
        """Who cannot be looked up when it sends its first body is told so, though the store works again."""
        for data in (
            PUT,
            POST,
            PUT[:-1],
            PUT + GET,
            PUT.replace(b"Accept", b"Expect: 100-continue\r\nAccept"),
        ):
            record = self.played(OWNERS, [Hold(True), whole(data), Fail(), whole(GET), whole(data)])
            self.assertEqual(self.answers(record)[0], 503)
            self.assertIn(b"Connection: close", record.seen[1].received)
        # What it may not send, or to where, comes first.
        wrong = REQUESTS["PUT where none belongs"]
        record = self.played(OWNERS, [Hold(True), whole(wrong), Fail(), Pass(1)])
        self.assertEqual(self.answers(record), [405])
        record = self.played([Line(EVERYBODY["unknown"])], [Hold(True), whole(PUT), Fail(), Pass(1)])
        self.assertEqual(self.answers(record), [404])

    def test_listed_meanwhile(self) -> None:
        """Who was shut out and is let in again has its body read; who is shut out has not."""
        script = [whole(PUT), Do("withdraw"), whole(PUT), whole(PUT), Do("readmit"), whole(BACK), whole(GET)]
        record = self.played(OWNERS, [step for step in script for step in (step, Pass(61))])
        self.assertEqual(self.answers(record), [204, 404, 404, 204, 200])

    def test_store_in_trouble(self) -> None:
        """A store that cannot be used is 503 by every way, and the connection stays."""
        for data in REQUESTS.values():
            record = self.played(OWNERS, [whole(GET), Hold(True), whole(data), Fail(), whole(GET)])
            self.assertFalse(record.seen[-1].closed)
