"""CORE: HTTP, lists, time, walking, programs, responses (CSIP Conformance Test Procedures v1.3)."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from lxml import etree

from csipd.db import responses
from csipd.der.responses import ResponseKind
from csipd.sep2 import resources as r
from csipd.sep2.site import SERVED, Row, locate, member
from tests.conformance.bench import LADDER, MINUTE, PIN, RATES, REGISTERED, T0, Command
from tests.conformance.case import RECEIVED, SUPERSEDED, WHOLE, ConformanceCase
from tests.conformance.devices import Station, requests
from tests.conformance.test_basic import drawn, power_factor
from tests.support.bodies import FULL
from tests.support.metering import VARS, WATTS, meter, reading, reading_set, usage_point
from tests.support.subscribing import subscription
from tests.support.walk import is_list, links
from tests.support.ways import both_ways


class HTTPTests(ConformanceCase):
    """Methods, codes and queries."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder("SY")
        self.bench.default("SY", opModVoltVar=self.bench.curve("SY", "opModVoltVar", ((0, 0), (1, 1))))
        self.bench.command("SY", start=0, lasts=60, opModMaxLimW=6000)
        self.device = self.bench.direct("dev1", "SY")

    def everything(self) -> list[str]:
        """The paths of all that the device is led to, once it has sent all that it can."""
        self.device.walk()
        der = self.device.der
        self.device.report(der)
        end_device = der.device
        for name in ("DeviceInformation", "DeviceStatus", "PowerStatus", "Configuration"):
            body = FULL[name]
            if name == "DeviceInformation":
                body = body.replace(lFDI=end_device.lFDI)
            self.device.put(getattr(end_device, f"{name}Link").href, body)
        self.device.post(f"{end_device.href}/lel", FULL["LogEvent"])
        self.device.post(f"{end_device.href}/di/loc", FULL["SupportedLocale"])
        self.device.post(f"{end_device.href}/sub", subscription("/edev"))
        metered = meter("A1", WATTS, reading(5), reading_set("B1", [1, 2]))
        self.device.post("/mup", usage_point(self.device.credential, "F0", metered))
        found: list[str] = []
        ahead = ["/dcap"]
        while ahead:
            path = ahead.pop()
            if path in found:
                continue
            found.append(path)
            answer = self.device.request("GET", path)
            self.assertEqual(answer.status, 200, path)
            if is_list(answer.body):
                answer = self.device.request("GET", f"{path}?l=255")
            ahead += [link.href for link in links(path, answer.body)]
        return found

    def test_core_001(self) -> None:
        """On every resource, what the standard asks for works; what it forbids is 405 with Allow, with and
        without a body; a method that HTTP does not know is 501, and a malformed header 400."""
        seen = set()
        # With a mirror goes what is made of it: its turn is the last.
        for path in sorted(self.everything(), key=lambda path: path.startswith("/mup/")):
            self.bench.clock.advance(1)  # each malformed head costs a connection, and these have a rate
            place = locate(path)
            assert place is not None, path
            seen.add(place.row.name)
            get, head = (self.device.request(method, path) for method in ("GET", "HEAD"))
            self.assertEqual((get.status, head.status, head.body), (200, 200, b""), path)
            self.assertEqual(get.headers, head.headers, path)
            self.assertEqual(self.device.request("FOO", path).status, 501, path)
            for wrong in (b"no colon", b"Two words: 1", b": no name", b"Host: elsewhere"):
                head = b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n\r\n" % (path.encode(), wrong)
                self.assertEqual(self.device.raw(head).status, 400, (path, wrong))
            for method, mark in zip(("PUT", "POST", "DELETE"), place.row.marks[2:], strict=True):
                if mark in "ED":
                    # Neither an empty body nor the very document that stands there makes a difference.
                    for body in (b"", get.body) if method != "DELETE" else (None,):
                        answer = self.device.request(method, path, body)
                        self.assertEqual(answer.status, 405, f"{method} {path}")
                        allow = answer.headers["allow"].split(", ")
                        self.assertLessEqual({"GET", "HEAD"}, set(allow))
                        self.assertNotIn(method, allow)
                elif mark == "M":
                    self.use(method, path, place.row)
        self.assertEqual({row.name for row in SERVED.values()} - seen, set())

    def use(self, method: str, path: str, row: Row) -> None:
        """A writing method that the standard asks for does what it should."""
        if method == "PUT":
            body = self.device.get(path, row.resource_type)
            self.device.put(path, body)
        elif method == "POST":
            name = (
                "DERControlResponse"
                if row.name == "ResponseList"
                else (row.accepts or (member(row).name,))[0]
            )
            body = self.body(name)
            made = self.device.post(path, body)
            self.assertEqual(self.device.request("GET", made).status, 200)
        else:
            self.assertEqual(self.device.request("DELETE", path).status, 204)
            self.assertEqual(self.device.request("GET", path).status, 404)

    def body(self, name: str) -> r.Resource:
        """What is POSTed of a type."""
        who = self.device.credential
        match name:
            case "DERControlResponse":
                body: r.Resource = FULL[name].replace(endDeviceLFDI=who.lfdi)
            case "Subscription":
                body = subscription("/edev/1")
            case "MirrorUsagePoint":
                body = usage_point(who, "F1")
            case "MirrorMeterReading":
                body = meter("A2", VARS)
            case _:
                body = FULL[name]
        return body

    def test_core_002(self) -> None:
        """POST is 201, PUT 204, no Host 400, a wrong URI 404, POST on dcap 405 with Allow, FOO 501."""
        self.device.walk()
        here = self.device.der.device.href
        posted = self.device.request("POST", f"{here}/lel", FULL["LogEvent"])
        self.assertEqual((posted.status, posted.headers["location"]), (201, f"{here}/lel/1"))
        put = self.device.request("PUT", f"{here}/der/1/ders", FULL["DERStatus"])
        self.assertEqual((put.status, put.body), (204, b""))
        self.assertEqual(self.device.raw(b"GET /dcap HTTP/1.1\r\n\r\n").status, 400)
        self.assertEqual(self.device.request("GET", "/wrong").status, 404)
        refused = self.device.request("POST", "/dcap", b"")
        self.assertEqual((refused.status, refused.headers["allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.device.request("FOO", "/dcap").status, 501)

    def test_core_004(self) -> None:
        """Every query of the procedure, on the list of three EndDevices, gives what it says."""
        station = self.bench.aggregator("agg", {"eda1": "SY", "eda2": "SY"})
        first, second, third = (d.href for d in station.get("/edev?l=255", r.EndDeviceList).EndDevice)
        now, day = T0, 86_400
        for query, hrefs in {
            "": [first],
            "?s=0": [first],
            f"?a={now}": [],
            "?l=0": [],
            "?l=1000": [first, second, third],
            f"?s=3&a={now}": [],
            "?s=1&l=1&s=2": [second],
            "?l=0&l=2": [],
            f"?s=1&a={now}&a={now + day}": [],
            "?l=1&b=2": [first],
            "?s=2": [third],
            "?s=3": [],
        }.items():
            page = station.get(f"/edev{query}", r.EndDeviceList)
            self.assertEqual([device.href for device in page.EndDevice], hrefs, query)
            self.assertEqual(page.results, len(hrefs), query)


class WalkTests(ConformanceCase):
    """What a client finds, and when it looks again."""

    def test_core_003(self) -> None:
        """Every list and resource says how often to poll, and the client polls it then."""
        self.bench.ladder("SY")
        device = self.bench.direct("dev1", "SY")
        device.walk()
        self.assertEqual(device.der.pin, PIN)
        self.bench.run(until=31)
        der = device.der.device
        assert der.FunctionSetAssignmentsListLink is not None and der.DERListLink is not None
        (fsa,) = device.der.fsas
        assert fsa.DERProgramListLink is not None
        for name, start, kind in (
            ("DeviceCapability", "/dcap", r.DeviceCapability),
            ("Time", "/tm", r.Time),
            ("EndDeviceList", "/edev?", r.EndDeviceList),
            ("FunctionSetAssignmentsList", f"{der.FunctionSetAssignmentsListLink.href}?", None),
            ("DERProgramList", f"{fsa.DERProgramListLink.href}?", None),
            ("DERList", f"{der.DERListLink.href}?", None),
        ):
            kind = kind or getattr(r, name)
            self.assertEqual(device.get(start.rstrip("?"), kind).pollRate, RATES[name], name)
            times = [exchange.at for exchange in requests(device, "GET", start)][:-1]
            self.assertEqual({later - earlier for earlier, later in pairwise(times)}, {RATES[name]}, name)

    def test_core_005(self) -> None:
        """dcap leads to the time, whose quality is 7 (uncoordinated); a client whose clock is an hour off
        follows it, and so runs a control on time."""
        self.bench.ladder("SY")
        device = self.bench.direct("dev1", "SY", skew=3600)
        device.walk()
        self.assertEqual((device.skew, device.now), (0, T0))
        time = device.get("/tm", r.Time)
        self.assertEqual((time.currentTime, time.quality, time.tzOffset), (T0, 7, 0))
        self.bench.command("SY", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=4)
        self.assertStory(device.der, "opModMaxLimW", (2, 6000, "SY"), (3, None, None))

    def test_core_009(self) -> None:
        """A client's EndDevice has its LFDI, SFDI and PIN; what it PUTs of its DER is given back."""
        self.bench.ladder("SY")
        device = self.bench.direct("dev1", "SY")
        device.walk()
        der = device.der
        self.assertEqual((der.device.lFDI, der.device.sFDI), (device.credential.lfdi, device.credential.sfdi))
        self.assertEqual((der.device.enabled, der.pin), (True, PIN))
        device.report(der)

    def test_core_010(self) -> None:
        """The client's EndDevice is the last of three, being the oldest; each DER's FSA leads to its seven
        programs and to the time. A direct client sees its own EndDevice only."""
        self.bench.ladder()
        aggregator = self.bench.aggregator("agg", {"eda1": "SP", "eda2": "SP"}, at=REGISTERED - MINUTE)
        direct = self.bench.direct("dev1", "SP")
        everyone = aggregator.get("/edev?l=255", r.EndDeviceList).EndDevice
        self.assertEqual(len(everyone), 3)
        self.assertEqual(everyone[-1].lFDI, aggregator.credential.lfdi)
        for station in (aggregator, direct):
            station.walk()
            for der in station.ders:
                (fsa,) = der.fsas
                assert fsa.DERProgramListLink is not None and fsa.TimeLink is not None
                station.get(fsa.TimeLink.href, r.Time)
                # Exactly these, each once, by rank; the link that leads to them counts them.
                nearest_first = [(name, primacy) for name, (_, primacy) in reversed(LADDER.items())]
                found = [(program.description, program.primacy) for program in der.programs]
                self.assertEqual(found, nearest_first)
                self.assertEqual(shown_programs(station, fsa.DERProgramListLink.href), nearest_first)
                self.assertEqual(fsa.DERProgramListLink.all, len(LADDER))
        self.assertEqual(direct.get("/edev?l=255", r.EndDeviceList).all, 1)

    def test_core_011(self) -> None:
        """A client reads fifteen FSAs, at once and by pages."""
        names = [f"G{number}" for number in range(1, 16)]
        for name in names:
            self.bench.program(name, 10)
        device = self.bench.direct("dev1", *names)
        device.walk()
        self.assertEqual({fsa.description for fsa in device.der.fsas}, set(names))
        link = device.der.device.FunctionSetAssignmentsListLink
        assert link is not None
        self.assertEqual(link.all, 15)
        _, paged = device.members(link.href, r.FunctionSetAssignmentsList, step=4)
        self.assertEqual([fsa.href for fsa in paged], [fsa.href for fsa in device.der.fsas])
        self.assertEqual(sorted(program.description or "" for program in device.der.programs), sorted(names))

    def test_core_014(self) -> None:
        """DERCapability and DERSettings are PUT and given back, no setting beyond its rating; an FSA
        cannot be PUT."""
        self.bench.ladder("SY")
        device = self.bench.direct("dev1", "SY")
        device.walk()
        (unit,) = device.der.ders
        assert unit.DERCapabilityLink is not None and unit.DERSettingsLink is not None
        # All control modes of CSIP, and those of the base standard that the procedures add.
        device.put(unit.DERCapabilityLink.href, FULL["DERCapability"].replace(modesSupported=0x01DFFFBC))
        device.put(unit.DERSettingsLink.href, FULL["DERSettings"].replace(modesEnabled=0x01DFFFBC))
        ratings, settings = (
            etree.fromstring(device.request("GET", link.href).body)
            for link in (unit.DERCapabilityLink, unit.DERSettingsLink)
        )
        self.assertEqual(ratings.findtext("{*}modesSupported"), "01DFFFBC")
        self.assertEqual(settings.findtext("{*}modesEnabled"), "01DFFFBC")
        for name in ("MaxChargeRateW", "MaxDischargeRateW", "MaxVA", "MaxVar", "MaxW", "MaxWh"):
            self.assertTrue(0 <= amount(settings, f"set{name}") <= amount(ratings, f"rtg{name}"), name)
        for name in ("MaxVarNeg", "MinPFOverExcited", "MinPFUnderExcited"):
            self.assertGreaterEqual(amount(settings, f"set{name}"), amount(ratings, f"rtg{name}"), name)
        assert device.der.device.FunctionSetAssignmentsListLink is not None
        for fsa in (device.der.device.FunctionSetAssignmentsListLink.href, device.der.fsas[0].href):
            assert fsa is not None
            refused = device.request("PUT", fsa, b"")
            self.assertEqual((refused.status, refused.headers["allow"]), (405, "GET, HEAD"))


def amount(document: etree._Element, name: str) -> Decimal:
    """A quantity of a document, in its unit."""
    quantity = document.find(f"{{*}}{name}")
    assert quantity is not None, name
    number = quantity.findtext("{*}value") or quantity.findtext("{*}displacement")
    return Decimal(number or "").scaleb(int(quantity.findtext("{*}multiplier") or ""))


def shown_programs(station: Station, href: str) -> list[tuple[str | None, int]]:
    """Name and primacy of each program of a list, by lxml alone."""
    document = etree.fromstring(station.request("GET", f"{href}?l=255").body)
    programs = document.findall("{*}DERProgram")
    assert document.get("all") == document.get("results") == str(len(programs)), document.attrib
    return [(one.findtext("{*}description"), int(one.findtext("{*}primacy") or "")) for one in programs]


class ProgramTests(ConformanceCase):
    """What clients do with controls, and how they answer."""

    def test_core_012(self) -> None:
        """A default, a curve of ten points and a control that has an immediate mode and the curve in one: all
        are read, and the control is carried out whole."""
        self.bench.ladder("SY", "SP")
        points = tuple((9000 + 100 * i, 4000 - 400 * i) for i in range(10))
        before = ((9200, 3000), (9670, 0), (10300, 0), (10700, -3000))
        self.bench.default(
            "SP", opModMaxLimW=5000, opModVoltVar=self.bench.curve("SP", "opModVoltVar", before)
        )
        curve = self.bench.curve("SP", "opModVoltVar", points)
        self.begin("SP")
        self.bench.command("SP", start=3, lasts=2, opModMaxLimW=6000, opModVoltVar=curve)
        self.bench.run(until=6)
        self.assertTranscript(f"""
            0:00  SP is scheduled: 3:00 to 5:00, opModMaxLimW 6000, {drawn({"opModVoltVar": points})}
            0:00  SP default: opModMaxLimW 5000, {drawn({"opModVoltVar": before})}
            0:00  dev2 answers SP: 1 (received)
            0:37  dev1 answers SP: 1 (received)
            3:00  SP is active since 3:00
            3:00  dev1, dev2 answer SP: 2 (started)
            5:00  SP is gone
            5:00  dev1, dev2 answer SP: 3 (completed)
        """)
        for mode, default, value in (("opModMaxLimW", 5000, 6000), ("opModVoltVar", before, points)):
            self.assertStory(
                self.device.der,
                mode,
                (0, default, "SP default"),
                (3, value, "SP"),
                (5, default, "SP default"),
            )
        self.assertForced("SP default", "SP", "SP default")

    def ten_programs(self) -> list[str]:
        """Ten programs, of primacy 1 to 10, and the clients in all of them."""
        names = [f"P{number}" for number in range(1, 11)]
        for number, name in enumerate(names, 1):
            self.bench.program(name, number, fsa="Programs")
        self.begin(*names)
        return names

    def test_core_013(self) -> None:
        """The control of each program half a minute long and a minute after that of the one above it in rank;
        then one of each that all start together: only that of the lowest primacy runs."""
        names = self.ten_programs()
        for number, name in enumerate(names, 1):
            value = power_factor(900 + number)
            self.bench.command(name, start=number, lasts=0.5, opModFixedPFInjectW=value)
        for number, name in enumerate(names, 1):
            value = power_factor(800 + number)
            self.bench.command(name, start=12, lasts=1, label=f"{name} again", opModFixedPFInjectW=value)
        self.bench.run(until=14)
        lines = [line for line in self.device.der.story("opModFixedPFInjectW") if line[2] is not None]
        self.assertEqual(
            lines,
            [
                *((n, power_factor(900 + n), name) for n, name in enumerate(names, 1)),
                (12, power_factor(801), "P1 again"),
            ],
        )
        never = {f"{name} again": [RECEIVED, SUPERSEDED] for name in names[1:]}
        self.assertAnswered(**dict.fromkeys([*names, "P1 again"], WHOLE), **never)
        self.assertForced(*names, "P1 again")
        for number, name in enumerate(names, 1):
            self.assertSaid(
                f"{number}:00  {name} is active since {number}:00", f"{number}:30  {name} is gone"
            )
            # Every program's own list calls its control active: EventStatus knows no other program.
            self.assertSaid(f"12:00  {name} again in {name} is active since 12:00")

    def test_core_013_ladder(self) -> None:
        """Controls that meet across all ten: each starts half a minute after that of the next lower rank and
        lasts until after the best one's start. All are known beforehand, so only the best runs."""
        names = self.ten_programs()
        for number, name in enumerate(names, 1):
            start = 2 + (10 - number) / 2
            self.bench.command(
                name, start=start, lasts=8 - start, opModFixedPFInjectW=power_factor(900 + number)
            )
        self.bench.run(until=9)
        self.assertAnswered(P1=WHOLE, **{name: [RECEIVED, SUPERSEDED] for name in names[1:]})
        self.assertStory(
            self.device.der, "opModFixedPFInjectW", (6.5, power_factor(901), "P1"), (8, None, None)
        )
        self.assertForced("P1")

    def test_core_021(self) -> None:
        """Start and duration of controls that are curves are randomised within their bounds. The server
        calls an event active as soon as a device may start it, and lists it until the last may have ended."""
        self.bench.ladder("SP")
        self.bench.observe("SP")
        stations = [
            self.bench.direct(f"dev{n}", "SP", draw=lambda bound, n=n: bound * n // 2) for n in range(3)
        ]
        for station in stations:
            station.walk()
        other = self.bench.independent("other", "SP")
        curve = self.bench.curve("SP", "opModVoltVar", ((9200, 3000), (9670, 0), (10300, 0), (10700, -3000)))
        for label, start, lasts, bound in (("sharp", 3, 2, 0), ("late", 6, 1, 30), ("early", 9, 3, -30)):
            self.bench.command(
                "SP",
                start=start,
                lasts=lasts,
                label=label,
                randomize_start=bound,
                randomize_duration=bound,
                opModVoltVar=curve,
            )
        self.bench.run(until=13)
        shape = "opModVoltVar (9200,3000) (9670,0) (10300,0) (10700,-3000)"
        documents = [line for line in self.bench.transcript() if " answer" not in line]
        self.assertEqual(
            documents,
            [
                f"0:00  sharp in SP is scheduled: 3:00 to 5:00, {shape}",
                f"0:00  late in SP is scheduled: 6:00 to 7:00, {shape}",
                f"0:00  early in SP is scheduled: 9:00 to 12:00, {shape}",
                "3:00  sharp in SP is active since 3:00",
                "5:00  sharp is gone",
                "6:00  late in SP is active since 6:00",
                "8:00  late is gone",
                "8:30  early in SP is active since 8:30",
                "12:00  early is gone",
            ],
        )
        for n, station in enumerate(stations):
            half = 0.25 * n
            ran = [minutes for minutes, _, label in station.der.story("opModVoltVar")]
            self.assertEqual(ran, [3, 5, 6 + half, 7 + 2 * half, 9 - half, 12 - 2 * half])
        self.assertAnswered(
            "dev0", "dev1", "dev2", "other", **dict.fromkeys(("sharp", "late", "early"), WHOLE)
        )
        forced = {whose: at for at, whose in reversed(other.acted)}
        self.assertEqual(forced["sharp"], 3)
        self.assertTrue(6 <= forced["late"] <= 6.51 and 8.49 <= forced["early"] <= 9, forced)

    def test_core_022(self) -> None:
        """Three programs, a curve among their controls, the first cancelled after its start: the lists follow
        the clock, and each change is answered where replyTo says and shown to the operator."""
        self.bench.ladder("SY", "TF", "SP")
        self.begin("SP")
        curve = self.bench.curve("TF", "opModVoltVar", ((9200, 3000), (10700, -3000)))
        first = self.bench.command("SP", start=3, lasts=2, opModMaxLimW=6000)
        second = self.bench.command("TF", start=6, lasts=1, opModVoltVar=curve)
        third = self.bench.command("SY", start=9, lasts=1, opModMaxLimW=7000)
        self.bench.run(until=3.75)
        shown = self.device.get(first.href, r.DERControl)
        self.assertEqual((shown.replyTo, shown.responseRequired), (responses.REPLY_TO, 7))
        self.bench.cancel(first)
        self.bench.run(until=11)
        self.assertTranscript("""
            0:00  SP is scheduled: 3:00 to 5:00, opModMaxLimW 6000
            0:00  TF is scheduled: 6:00 to 7:00, opModVoltVar (9200,3000) (10700,-3000)
            0:00  SY is scheduled: 9:00 to 10:00, opModMaxLimW 7000
            0:00  dev2 answers SP: 1 (received)
            0:00  dev2 answers SY: 1 (received)
            0:00  dev2 answers TF: 1 (received)
            0:37  dev1 answers SP: 1 (received)
            0:37  dev1 answers SY: 1 (received)
            0:37  dev1 answers TF: 1 (received)
            3:00  SP is active since 3:00
            3:00  dev1, dev2 answer SP: 2 (started)
            3:45  SP is cancelled since 3:45
            4:19  dev1, dev2 answer SP: 6 (cancelled)
            5:00  SP is gone
            6:00  TF is active since 6:00
            6:00  dev1, dev2 answer TF: 2 (started)
            7:00  TF is gone
            7:00  dev1, dev2 answer TF: 3 (completed)
            9:00  SY is active since 9:00
            9:00  dev1, dev2 answer SY: 2 (started)
            10:00  SY is gone
            10:00  dev1, dev2 answer SY: 3 (completed)
        """)
        self.assertEqual(self.device.der.known(), [])
        posted = self.device.get(f"{responses.REPLY_TO}?l=255", r.ResponseList).Response
        self.assertEqual(len(posted), 9)
        self.assertEqual(
            self.counted(first), {ResponseKind.RECEIVED, ResponseKind.STARTED, ResponseKind.CANCELLED}
        )
        whole = {ResponseKind.RECEIVED, ResponseKind.STARTED, ResponseKind.COMPLETED}
        for command in (second, third):
            self.assertEqual(self.counted(command), whole, command.label)
        self.assertForced("SP", "TF", "SY")

    def counted(self, command: Command) -> set[ResponseKind]:
        """What the devices that an event was for have said to it, as the operator is told."""
        found = self.bench.counts(command)
        # The observer is a third device that the event was for; it answers nothing.
        self.assertEqual(found.asked, 3)
        return {kind for kind, devices in found.said.items() if devices}

    def test_core_023(self) -> None:
        """Of three controls with the same start and the same two modes, a curve among them, that of the
        nearest group runs; the others never do."""
        self.bench.ladder("SY", "TF", "SP")
        self.begin("SP")
        for name, value in (("SP", 6000), ("SY", 7000), ("TF", 8000)):
            curve = self.bench.curve(name, "opModVoltVar", ((9000, value // 2), (11000, -value // 2)))
            self.bench.command(name, start=2, lasts=1, opModMaxLimW=value, opModVoltVar=curve)
        self.bench.run(until=4)
        self.assertTranscript("""
            0:00  SP is scheduled: 2:00 to 3:00, opModMaxLimW 6000, opModVoltVar (9000,3000) (11000,-3000)
            0:00  TF is scheduled: 2:00 to 3:00, opModMaxLimW 8000, opModVoltVar (9000,4000) (11000,-4000)
            0:00  SY is scheduled: 2:00 to 3:00, opModMaxLimW 7000, opModVoltVar (9000,3500) (11000,-3500)
            0:00  dev2 answers SP: 1 (received)
            0:00  dev2 answers SY: 1 (received)
            0:00  dev2 answers TF: 1 (received)
            0:00  dev2 answers SY: 7 (superseded)
            0:00  dev2 answers TF: 7 (superseded)
            0:37  dev1 answers SP: 1 (received)
            0:37  dev1 answers SY: 1 (received)
            0:37  dev1 answers TF: 1 (received)
            0:37  dev1 answers SY: 7 (superseded)
            0:37  dev1 answers TF: 7 (superseded)
            2:00  SP is active since 2:00
            2:00  TF is active since 2:00
            2:00  SY is active since 2:00
            2:00  dev1, dev2 answer SP: 2 (started)
            3:00  SP is gone
            3:00  TF is gone
            3:00  SY is gone
            3:00  dev1, dev2 answer SP: 3 (completed)
        """)
        self.assertStory(self.device.der, "opModMaxLimW", (2, 6000, "SP"), (3, None, None))
        points = ((9000, 3000), (11000, -3000))
        self.assertStory(self.device.der, "opModVoltVar", (2, points, "SP"), (3, None, None))
        self.assertForced("SP")


both_ways(globals())
