"""Resources over HTTP, as the conformance tests and real clients ask for them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from attrs import evolve
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import devices
from csipd.net.identity import Identity
from csipd.net.limits import ConnectionLimits
from csipd.refusals import Unavailable
from csipd.sep2 import resources as r
from tests.support.bodies import FULL, MINIMAL
from tests.support.client import Answer
from tests.support.schema import validate
from tests.support.walk import judge
from tests.support.ways import both_ways
from tests.support.world import (
    AGGREGATOR,
    BARE,
    LAB,
    LISTED,
    MANAGED,
    NAMESPACE,
    NOW,
    OTHER,
    OWNER,
    PIN,
    REGISTERED,
    UNKNOWN,
    World,
    caller,
    encoded,
    end_device,
)

XMLNS = 'xmlns="urn:ieee:std:2030.5:ns"'
FOREIGN = 'xmlns:x="urn:example:extension"'


def text(element: etree._Element, path: str) -> str | None:
    """The text of a descendant, named by a path of element names."""
    return element.findtext("/".join(NAMESPACE + name for name in path.split("/")))


def children(element: etree._Element) -> list[str]:
    return [child.tag.removeprefix(NAMESPACE) for child in element]


def content(document: bytes) -> str:
    """What a document holds, its own attributes aside."""
    root = etree.fromstring(document, etree.XMLParser(remove_blank_text=True))
    return "".join(etree.tostring(child, method="c14n").decode() for child in root)


class AppCase(SynchronousTestCase):
    """A world."""

    def setUp(self) -> None:
        self.world = self.make()
        self.numbers = self.world.numbers
        self.own = f"/edev/{self.numbers.owner}"
        self.managed = f"/edev/{self.numbers.managed}"

    def make(self, **how: Any) -> World:
        world = World(Path(self.mktemp()), **how)
        self.addCleanup(world.close)
        return world

    def assertError(self, answer: Answer, status: int, reason: int) -> None:
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["content-type"], "application/sep+xml")
        validate(answer.body)
        root = etree.fromstring(answer.body)
        self.assertEqual((root.tag, text(root, "reasonCode")), (f"{NAMESPACE}Error", str(reason)))

    def hrefs(self, who: Identity, path: str) -> list[str | None]:
        return [member.get("href") for member in self.world.document(who, path)]


class StatusTests(AppCase):
    """CORE-001 and CORE-002: methods and status codes, over TLS with a certificate."""

    def setUp(self) -> None:
        super().setUp()
        self.credential = LAB.device("dev1")
        lfdi = self.credential.lfdi

        def make_end_device(transaction: Any) -> int:
            device = devices.add(transaction, lfdi, now=NOW, pin=PIN)
            devices.make_end_device(transaction, device, NOW)
            return device.id

        self.device = self.world.write(make_end_device)
        self.wire = self.world.secure(Path(self.mktemp()), self.credential)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Answer:
        return self.wire.result(self.wire.client.request(method, path, body, headers or None))  # type: ignore[arg-type]  # a header given as None is left out

    def test_methods(self) -> None:
        """Each resource takes what it takes; what it does not is 405 with what it does, FOO is 501."""
        path = f"/edev/{self.device}/der/1/derg"
        self.assertEqual(self.ask("PUT", path, encoded(FULL["DERSettings"])).status, 204)
        get = self.ask("GET", path)
        judge(path, get)
        head = self.ask("HEAD", path)
        self.assertEqual((head.status, head.body, head.headers), (200, b"", get.headers))
        for method in ("POST", "DELETE", "OPTIONS", "PATCH"):
            answer = self.ask(method, path)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD, PUT"))
        self.assertError(self.ask("FOO", path), 501, 0)
        self.assertError(self.ask("FOO", "/nowhere"), 501, 0)

    def test_codes(self) -> None:
        """200, 201 with Location, 204, 404, 405 with Allow, 501, as the procedure has them."""
        self.assertEqual(self.ask("GET", "/dcap").status, 200)
        refused = self.ask("POST", "/dcap", b"<DeviceCapability/>")
        self.assertEqual((refused.status, refused.headers["allow"]), (405, "GET, HEAD"))
        self.assertError(self.ask("GET", "/wrong"), 404, 1)
        made = self.ask("POST", f"/edev/{self.device}/di/loc", encoded(MINIMAL["SupportedLocale"]))
        self.assertEqual((made.status, made.body), (201, b""))
        self.assertEqual(made.headers["location"], f"/edev/{self.device}/di/loc/1")
        self.assertEqual(self.ask("GET", made.headers["location"]).status, 200)
        put = self.ask("PUT", f"/edev/{self.device}/dstat", encoded(MINIMAL["DeviceStatus"]))
        self.assertEqual((put.status, put.body), (204, b""))

    def test_no_host(self) -> None:
        """A request without Host is 400."""
        (answer,) = self.wire.results(self.wire.client.raw(b"GET /dcap HTTP/1.1\r\n\r\n"))
        self.assertError(answer, 400, 0)

    def test_who(self) -> None:
        """The caller is the one whose certificate was presented."""
        (device,) = etree.fromstring(self.ask("GET", "/edev").body)
        self.assertEqual(text(device, "lFDI"), self.credential.lfdi)
        self.assertEqual(text(device, "sFDI"), str(self.credential.sfdi))
        self.assertEqual(self.ask("GET", self.own).status, 404)


class AnswerTests(AppCase):
    """What answers look like to clients that are easily confused."""

    def test_headers(self) -> None:
        """An answer has type, length and date, and says nothing of who made it."""
        answer = self.world.get(OWNER, "/dcap")
        self.assertEqual(
            answer.headers,
            {
                "date": "Thu, 01 Jan 2026 00:00:00 GMT",
                "content-type": "application/sep+xml",
                "content-length": str(len(answer.body)),
            },
        )

    def test_date(self) -> None:
        """The date is the server's clock, the one of Time."""
        self.world.now += 5
        answer = self.world.get(OWNER, "/tm")
        self.assertEqual(answer.headers["date"], "Thu, 01 Jan 2026 00:00:05 GMT")
        self.assertEqual(text(etree.fromstring(answer.body), "currentTime"), str(NOW + 5))

    def test_query_of_what_is_no_list(self) -> None:
        """Parameters mean nothing to a resource that is no list, and are no part of its href."""
        answer = self.world.get(OWNER, f"{self.own}?s=9&l=0&a=x")
        judge(self.own, answer)

    def test_pipelined(self) -> None:
        """Requests sent before the last is answered are answered in order."""
        wire = self.world.wire(OWNER)
        asked = [wire.client.get(path) for path in ("/dcap", "/edev", "/nowhere", "/tm", "/dcap", "/derp")]
        answers = wire.results(asked)
        self.assertEqual([answer.status for answer in answers], [200, 200, 404, 200, 200, 200])
        self.assertIn(b"<EndDeviceList", answers[1].body)
        self.assertEqual(answers[0], answers[4])

    def test_blanks_behind_a_length(self) -> None:
        """A length may be followed by blanks, and a body come with its level."""
        body = encoded(MINIMAL["DERStatus"])
        head = (
            f"PUT {self.own}/der/1/ders HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}   \r\n"
            "Content-Type: application/sep+xml; level=-S1\r\nAccept: application/sep+xml; level=-S1\r\n\r\n"
        )
        self.assertEqual(self.world.raw(OWNER, head.encode() + body).status, 204)

    def test_ten_connections(self) -> None:
        """A client may hold many connections at once, each of which knows it."""
        first = self.world.wire(OWNER)
        wires = [first]
        for _ in range(9):
            del self.world._wires[OWNER]
            wires.append(self.world.wire(OWNER))
        for wire in wires:
            self.assertEqual(wire.result(wire.client.get(self.own)).status, 200)
        for wire in wires:
            wire.hang_up()

    def test_error_documents(self) -> None:
        """An Error is no resource: it has no href, and nothing of what went wrong but the code."""
        answer = self.world.get(OWNER, "/edev/999")
        self.assertEqual(answer.body, f"<Error {XMLNS}><reasonCode>1</reasonCode></Error>".encode())


class PollRateTests(AppCase):
    """CORE-003: how often each resource is to be asked for."""

    def test_rates(self) -> None:
        """Each resource has the rate that is configured for it, 900 seconds where none is."""
        rates = {
            "DeviceCapability": 60,
            "EndDeviceList": 300,
            "FunctionSetAssignmentsList": 3600,
            "Time": 120,
        }
        world = self.make(poll_rates=rates)
        for path, rate in (
            ("/dcap", "60"),
            ("/edev", "300"),
            ("/tm", "120"),
            (f"{self.own}/fsa", "3600"),
            (f"{self.own}/rg", "900"),
            (f"{self.own}/der", "900"),
            ("/derp", "900"),
            (self.own, None),
            (f"/derp/{self.numbers.system}/derc", None),
        ):
            self.assertEqual(world.document(OWNER, path).get("pollRate"), rate, path)


class EndDeviceListTests(AppCase):
    """CORE-004 and the order of devices: an aggregator with three EndDevices."""

    def setUp(self) -> None:
        super().setUp()
        numbers = self.numbers
        # The newest changedTime first: that of the aggregator is the oldest.
        self.order = [f"/edev/{number}" for number in (numbers.bare, numbers.managed, numbers.aggregator)]

    def test_core_004(self) -> None:
        """Every query of the procedure gives what it says."""
        now, day = NOW, 86_400
        first, second, third = self.order
        expected: dict[str, list[str]] = {
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
            "?b=2": [first],
            "?l=2&s=1": [second, third],
            "?l=255": [first, second, third],
        }
        for query, hrefs in expected.items():
            document = self.world.document(AGGREGATOR, f"/edev{query}")
            self.assertEqual([member.get("href") for member in document], hrefs, query)
            self.assertEqual(document.get("results"), str(len(hrefs)), query)
            self.assertEqual(document.get("all"), "0" if "a=" in query else "3", query)

    def test_after(self) -> None:
        """a keeps the devices that were changed later, and s and l count among them."""
        registered = REGISTERED
        for after, left in ((registered - 3, 3), (registered - 2, 2), (registered - 1, 1), (registered, 0)):
            document = self.world.document(AGGREGATOR, f"/edev?a={after}&l=255")
            self.assertEqual(
                ([member.get("href") for member in document], document.get("all")),
                (self.order[:left], str(left)),
            )
        self.assertEqual(self.hrefs(AGGREGATOR, f"/edev?a={registered - 3}&s=1&l=1"), self.order[1:2])

    def test_changed_comes_first(self) -> None:
        """CORE-010: the device whose changedTime is oldest is last; a change brings it to the front."""
        self.world.now += 10
        path = self.order[2]
        body = end_device(AGGREGATOR).replace(postRate=77)
        self.assertEqual(self.world.put(AGGREGATOR, path, body).status, 204)
        self.assertEqual(self.hrefs(AGGREGATOR, "/edev?l=9"), [path, *self.order[:2]])

    def test_alike(self) -> None:
        """Devices changed in the same second are ordered by SFDI."""
        fleet = [caller(f"fleet {number}") for number in range(12)]

        def make_end_device(transaction: Any) -> None:
            for who in fleet:
                device = devices.add(transaction, who.lfdi, now=NOW, manager=self.numbers.aggregator)
                devices.make_end_device(transaction, device, NOW)

        self.world.write(make_end_device)
        document = self.world.document(AGGREGATOR, "/edev?l=255")
        shown = [int(text(device, "sFDI") or 0) for device in document][:12]
        self.assertEqual(shown, sorted(who.sfdi for who in fleet))

    def test_identification(self) -> None:
        """BASIC-001: a device finds itself by LFDI and SFDI, an aggregator each of its own, with PINs."""
        for who, whom in ((OWNER, [OWNER]), (AGGREGATOR, [BARE, MANAGED, AGGREGATOR])):
            found = list(self.world.document(who, "/edev?l=255"))
            self.assertEqual([text(device, "lFDI") for device in found], [each.lfdi for each in whom])
            self.assertEqual([text(device, "sFDI") for device in found], [str(each.sfdi) for each in whom])
            for device in found:
                (link,) = device.findall(f"{NAMESPACE}RegistrationLink")
                registration = self.world.document(who, link.get("href"))
                self.assertEqual(text(registration, "pIN"), str(PIN))
                self.assertEqual(text(device, "enabled"), "true")

    def test_page_maximum(self) -> None:
        """A page holds no more than the server's maximum; what is left is had by asking on."""
        world = self.make(page_maximum=2)
        document = world.document(AGGREGATOR, "/edev?l=1000")
        self.assertEqual((document.get("results"), document.get("all")), ("2", "3"))
        self.assertEqual(world.document(AGGREGATOR, "/edev?s=2&l=1000").get("results"), "1")


class TimeTests(AppCase):
    """CORE-005."""

    def time(self, **how: Any) -> etree._Element:
        world = self.make(**how)
        (link,) = world.document(UNKNOWN, "/dcap").findall(f"{NAMESPACE}TimeLink")
        return world.document(UNKNOWN, link.get("href"))

    def at(self, year: int, month: int, day: int, hour: int) -> str:
        return str(int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()))

    def test_default(self) -> None:
        """Out of the box the time is UTC without daylight saving, intentionally uncoordinated."""
        time = self.time()
        self.assertEqual(
            [(child.tag.removeprefix(NAMESPACE), child.text) for child in time],
            [
                ("currentTime", str(NOW)),
                ("dstEndTime", "0"),
                ("dstOffset", "0"),
                ("dstStartTime", "0"),
                ("localTime", str(NOW)),
                ("quality", "7"),
                ("tzOffset", "0"),
            ],
        )

    def test_zones(self) -> None:
        """The zone is the configured one, north or south of the equator or without daylight saving."""
        for zone, standard, saving, start, end, local in (
            ("America/Los_Angeles", -28800, 3600, (2026, 3, 8, 10), (2026, 11, 1, 9), NOW - 28800),
            ("Australia/Sydney", 36000, 3600, (2025, 10, 4, 16), (2026, 4, 4, 16), NOW + 39600),
            ("Asia/Tokyo", 32400, 0, (1970, 1, 1, 0), (1970, 1, 1, 0), NOW + 32400),
        ):
            time = self.time(zone=ZoneInfo(zone))
            self.assertEqual(text(time, "currentTime"), str(NOW))
            self.assertEqual(text(time, "tzOffset"), str(standard))
            self.assertEqual(text(time, "dstOffset"), str(saving))
            self.assertEqual(text(time, "dstStartTime"), self.at(*start))
            self.assertEqual(text(time, "dstEndTime"), self.at(*end))
            self.assertEqual(text(time, "localTime"), str(local))

    def test_quality(self) -> None:
        """The quality is the configured one."""
        self.assertEqual(text(self.time(time_quality=3), "quality"), "3")

    def test_linked_from_fsa(self) -> None:
        """Every FSA links to the time that its events follow."""
        for fsa in self.world.document(OWNER, f"{self.own}/fsa?l=15"):
            (link,) = fsa.findall(f"{NAMESPACE}TimeLink")
            self.assertEqual(link.get("href"), "/tm")


class ReportTests(AppCase):
    """CORE-009, CORE-014, BASIC-028, UTIL-002: what a device PUTs comes back as it was."""

    #: As clients send them, with what is theirs to say.
    SENT = {
        "dercap": f"""<DERCapability {XMLNS}><modesSupported>01D00028</modesSupported>
            <rtgMaxVA><multiplier>0</multiplier><value>6000</value></rtgMaxVA>
            <rtgMaxW><multiplier>1</multiplier><value>600</value></rtgMaxW>
            <rtgMinPFOverExcited><displacement>850</displacement><multiplier>-3</multiplier>
            </rtgMinPFOverExcited><type>4</type></DERCapability>""",
        "derg": f"""<DERSettings {XMLNS}><modesEnabled>00100000</modesEnabled><setGradW>10000</setGradW>
            <setMaxW><multiplier>0</multiplier><value>5000</value></setMaxW>
            <updatedTime>1767225000</updatedTime></DERSettings>""",
        "ders": f"""<DERStatus {XMLNS}><alarmStatus>00000002</alarmStatus>
            <genConnectStatus><dateTime>1767225000</dateTime><value>07</value></genConnectStatus>
            <readingTime>1767225000</readingTime></DERStatus>""",
        "dera": f"""<DERAvailability {XMLNS}><availabilityDuration>3600</availabilityDuration>
            <readingTime>1767225000</readingTime><reservePercent>1000</reservePercent>
            <statWAvail><multiplier>0</multiplier><value>-500</value></statWAvail></DERAvailability>""",
    }

    def test_echo(self) -> None:
        """PUT is 204 without a body, and GET then gives the same content at its own href."""
        for who, device in ((OWNER, self.own), (AGGREGATOR, self.managed), (MANAGED, self.managed)):
            for name, sent in self.SENT.items():
                path = f"{device}/der/1/{name}"
                put = self.world.put(who, path, sent.encode())
                self.assertEqual((put.status, put.body), (204, b""), put)
                self.assertNotIn("content-type", put.headers)
                got = self.world.get(who, path)
                judge(path, got)
                self.assertEqual(content(got.body), content(sent.encode()))

    def test_seen_by_both(self) -> None:
        """What an aggregator reports the device sees, and the other way round."""
        path = f"{self.managed}/der/1/ders"
        for writer, reader in ((AGGREGATOR, MANAGED), (MANAGED, AGGREGATOR)):
            self.world.now += 60
            status = MINIMAL["DERStatus"].replace(readingTime=int(self.world.now))
            self.world.put(writer, path, status)
            shown = text(self.world.document(reader, path), "readingTime")
            self.assertEqual(shown, str(status.readingTime))

    def test_whole(self) -> None:
        """A PUT replaces the whole: what it leaves out is gone."""
        for name, path in (("DERStatus", "der/1/ders"), ("DeviceStatus", "dstat"), ("PowerStatus", "ps")):
            for body in (FULL[name], MINIMAL[name]):
                self.world.put(OWNER, f"{self.own}/{path}", body)
                got = self.world.get(OWNER, f"{self.own}/{path}")
                self.assertEqual(content(got.body), content(encoded(body)))

    def test_not_the_clients_to_say(self) -> None:
        """href, pollRate and subscribable in a body are the server's, as are links to what it has not."""
        world = self.make(poll_rates={"DeviceStatus": 60})
        sent = f"""<DeviceStatus {XMLNS} href="/elsewhere" pollRate="1"><changedTime>5</changedTime>
            <TimeLink href="/nowhere"/></DeviceStatus>"""
        self.assertEqual(world.put(OWNER, f"{self.own}/dstat", sent.encode()).status, 204)
        document = world.document(OWNER, f"{self.own}/dstat")
        self.assertEqual((document.get("href"), document.get("pollRate")), (f"{self.own}/dstat", "60"))
        self.assertEqual(children(document), ["changedTime"])
        sent = f'<DERStatus {XMLNS} href="x" subscribable="3"><readingTime>5</readingTime></DERStatus>'
        world.put(OWNER, f"{self.own}/der/1/ders", sent.encode())
        document = world.document(OWNER, f"{self.own}/der/1/ders")
        self.assertEqual(dict(document.attrib), {"href": f"{self.own}/der/1/ders"})

    def test_forms(self) -> None:
        """A declaration, comments, another prefix, schemaVer, short and lower-case hex are read as meant."""
        path = f"{self.own}/der/1/ders"
        for sent in (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<DERStatus {XMLNS}><alarmStatus>2a</alarmStatus>'
            "<readingTime> 7 </readingTime></DERStatus>\n",
            f'<!-- a --><DERStatus {XMLNS} schemaVer="2.2"><!-- b --><alarmStatus>0000002A</alarmStatus>'
            "<readingTime>+7</readingTime></DERStatus>",
            '<s:DERStatus xmlns:s="urn:ieee:std:2030.5:ns"><s:alarmStatus>02a</s:alarmStatus>'
            "<s:readingTime>007</s:readingTime></s:DERStatus>",
        ):
            self.assertEqual(self.world.put(OWNER, path, sent.encode()).status, 204, sent)
            document = self.world.document(OWNER, path)
            # It comes back in the octets in which it was put, an odd digit with a zero before it (A2, A19).
            digits = "0000002A" if "0000002A" in sent else "002A" if "02a" in sent else "2A"
            self.assertEqual(text(document, "alarmStatus"), digits)
            self.assertEqual(text(document, "readingTime"), "7")

    def test_not_to_be_written(self) -> None:
        """FSAs and programs are not the device's to write (CORE-014)."""
        for path in (f"{self.own}/fsa", f"{self.own}/rg", "/derp", f"/derp/{self.numbers.point_1}/dderc"):
            answer = self.world.put(OWNER, path, b"<x/>")
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"), path)

    def test_device_information(self) -> None:
        """A DeviceInformation that speaks of another device is refused."""
        path = f"{self.own}/di"
        mine = FULL["DeviceInformation"].replace(lFDI=OWNER.lfdi)
        self.assertEqual(self.world.put(OWNER, path, mine).status, 204)
        for who, place, lfdi in (
            (OWNER, path, OTHER.lfdi),
            (AGGREGATOR, f"{self.managed}/di", AGGREGATOR.lfdi),
            (AGGREGATOR, f"{self.managed}/di", BARE.lfdi),
        ):
            answer = self.world.put(who, place, mine.replace(lFDI=lfdi))
            self.assertError(answer, 400, 1)
        self.assertEqual(
            self.world.put(AGGREGATOR, f"{self.managed}/di", mine.replace(lFDI=MANAGED.lfdi)).status, 204
        )

    def test_survives_restart(self) -> None:
        """What was acknowledged is there after a restart."""
        path = Path(self.mktemp())
        first = World(path)
        put = first.put(OWNER, f"{self.own}/dstat", FULL["DeviceStatus"].replace(onCount=77))
        first.close()
        self.assertEqual(put.status, 204)
        second = World(path)
        self.addCleanup(second.close)
        self.assertEqual(text(second.document(OWNER, f"{self.own}/dstat"), "onCount"), "77")


class ExtensionTests(AppCase):
    """What a device adds to the base schema (decision 11)."""

    SENT = f"""<DERSettings {XMLNS} {FOREIGN} x:note="1"><setGradW>1</setGradW>
        <setMaxW><multiplier>0</multiplier><value>5</value></setMaxW><updatedTime>7</updatedTime>
        <x:doeModesEnabled><x:bits>01</x:bits></x:doeModesEnabled></DERSettings>"""

    def extended(self, who: Identity, path: str, accept: str | None = "application/sep+xml") -> bool:
        answer = self.world.get(who, path, {"Accept": accept})
        judge(path, answer)
        return b"doeModesEnabled" in answer.body

    def test_given_back(self) -> None:
        """An extension comes back to its own device, in full, and only if it does not say level=-S1."""
        path = f"{self.own}/der/1/derg"
        self.assertEqual(self.world.put(OWNER, path, self.SENT.encode()).status, 204)
        body = self.world.get(OWNER, path).body
        (extension,) = etree.fromstring(body).findall("{urn:example:extension}doeModesEnabled")
        self.assertEqual(extension.findtext("{urn:example:extension}bits"), "01")
        # Twice round, so that no answer is mistaken for the other when it is kept.
        for _ in range(2):
            self.assertTrue(self.extended(OWNER, path))
            self.assertTrue(self.extended(OWNER, path, None))
            self.assertTrue(self.extended(OWNER, path, "application/sep+xml;level=+S1"))
            self.assertFalse(self.extended(OWNER, path, "application/sep+xml; level=-S1"))
            self.assertFalse(self.extended(OWNER, path, "*/*, application/sep+xml; level=-S1"))

    def test_not_to_the_aggregator(self) -> None:
        """An aggregator is shown none, whoever sent them; the device that they speak of is."""
        path = f"{self.managed}/der/1/derg"
        for writer in (MANAGED, AGGREGATOR):
            self.assertEqual(self.world.put(writer, path, self.SENT.encode()).status, 204)
            self.assertTrue(self.extended(MANAGED, path))
            self.assertFalse(self.extended(AGGREGATOR, path))

    def test_of_a_later_edition(self) -> None:
        """What the 2023 edition added is taken, and given back to its device alone."""
        sent = f"""<DERStatus {XMLNS} schemaVer="2.2"><readingTime>7</readingTime>
            <connectStatus><dateTime>7</dateTime><value>01</value></connectStatus></DERStatus>"""
        path = f"{self.managed}/der/1/ders"
        self.assertEqual(self.world.put(MANAGED, path, sent.encode()).status, 204)
        for who, accept, shown in (
            (MANAGED, "application/sep+xml", True),
            (MANAGED, "application/sep+xml;level=-S1", False),
            (AGGREGATOR, "application/sep+xml", False),
        ):
            body = self.world.get(who, path, {"Accept": accept}).body
            self.assertEqual(b"connectStatus" in body, shown, (who, accept))
            self.assertNotIn(b"schemaVer", body)

    def test_gone_with_the_next(self) -> None:
        """A PUT without it takes an extension away."""
        path = f"{self.own}/der/1/derg"
        self.world.put(OWNER, path, self.SENT.encode())
        self.assertTrue(self.extended(OWNER, path))
        self.world.put(OWNER, path, MINIMAL["DERSettings"])
        self.assertFalse(self.extended(OWNER, path))

    def test_in_a_list(self) -> None:
        """The members of a device's list show its own extensions too."""
        sent = f"<SupportedLocale {XMLNS} {FOREIGN}><locale>de</locale><x:doeModesEnabled/></SupportedLocale>"
        path = f"{self.managed}/di/loc"
        self.assertEqual(self.world.post(MANAGED, path, sent.encode()).status, 201)
        self.assertIn(b"doeModesEnabled", self.world.get(MANAGED, f"{path}?l=9").body)
        self.assertNotIn(b"doeModesEnabled", self.world.get(AGGREGATOR, f"{path}?l=9").body)
        level = {"Accept": "application/sep+xml;level=-S1"}
        self.assertNotIn(b"doeModesEnabled", self.world.get(MANAGED, f"{path}?l=9", level).body)


class EndDeviceTests(AppCase):
    """PUT of an EndDevice: of all that it says, only deviceCategory and postRate are the device's."""

    def test_change(self) -> None:
        """The two are kept, changedTime is the server's, everything else stays as it was."""
        self.world.now += 100
        sent = f"""<EndDevice {XMLNS} href="/edev/999" subscribable="1">
            <DERListLink href="/elsewhere" all="9"/><deviceCategory>00040000</deviceCategory>
            <lFDI>{OWNER.lfdi.lower()}</lFDI><sFDI>{OWNER.sfdi}</sFDI><changedTime>1</changedTime>
            <enabled>false</enabled><postRate>120</postRate></EndDevice>"""
        before = self.world.document(OWNER, self.own)
        self.assertEqual(self.world.put(OWNER, self.own, sent.encode()).status, 204)
        after = self.world.document(OWNER, self.own)
        self.assertEqual(int(text(after, "deviceCategory") or "0", 16), 0x40000)
        self.assertEqual(text(after, "postRate"), "120")
        self.assertEqual(text(after, "changedTime"), str(NOW + 100))
        for name in ("lFDI", "sFDI", "enabled"):
            self.assertEqual(text(after, name), text(before, name))
        self.assertEqual(after.get("href"), self.own)
        self.assertEqual(
            after.find(f"{NAMESPACE}DERListLink").attrib, before.find(f"{NAMESPACE}DERListLink").attrib
        )

    def test_by_the_aggregator(self) -> None:
        """An aggregator does so for its fleet."""
        self.assertEqual(
            self.world.put(AGGREGATOR, self.managed, end_device(MANAGED, postRate=60)).status, 204
        )
        self.assertEqual(text(self.world.document(MANAGED, self.managed), "postRate"), "60")

    def test_of_another(self) -> None:
        """An EndDevice does not become another one."""
        for body in (
            end_device(OTHER),
            end_device(OWNER).replace(lFDI=OTHER.lfdi),
            end_device(OWNER).replace(sFDI=OTHER.sfdi),
        ):
            self.assertError(self.world.put(OWNER, self.own, body), 400, 1)
        self.assertError(self.world.put(AGGREGATOR, self.managed, end_device(AGGREGATOR)), 400, 1)

    def test_changed_time(self) -> None:
        """changedTime rises with changes of the EndDevice itself, not of what lies below it."""
        self.world.now += 100
        self.world.put(OWNER, f"{self.own}/dstat", FULL["DeviceStatus"])
        self.world.post(OWNER, f"{self.own}/di/loc", FULL["SupportedLocale"])
        self.assertEqual(text(self.world.document(OWNER, self.own), "changedTime"), str(REGISTERED - 3))


class LocaleTests(AppCase):
    """SupportedLocaleList: a list that a device keeps itself."""

    def setUp(self) -> None:
        super().setUp()
        self.path = f"{self.own}/di/loc"

    def locales(self, query: str = "?l=255") -> list[str | None]:
        return [text(member, "locale") for member in self.world.document(OWNER, self.path + query)]

    def post(self, locale: str) -> str:
        answer = self.world.post(OWNER, self.path, r.SupportedLocale(locale=locale))
        self.assertEqual(answer.status, 201)
        return answer.headers["location"]

    def test_post(self) -> None:
        """A POST is 201 with the place of the new member, which is there at once and counted."""
        location = self.post("de-DE")
        self.assertEqual(location, f"{self.path}/2")
        judge(location, self.world.get(OWNER, location))
        self.assertEqual(self.world.document(OWNER, self.path).get("all"), "2")
        (link,) = self.world.document(OWNER, f"{self.own}/di").findall(f"{NAMESPACE}SupportedLocaleListLink")
        self.assertEqual(link.get("all"), "2")

    def test_order(self) -> None:
        """Members are ordered by locale, whatever order they came in, and the order holds between pages."""
        for locale in ("sv", "de-DE", "fr", "de", "zh-Hant", "en"):
            self.post(locale)
        expected = ["de", "de-DE", "en", "en-US", "fr", "sv", "zh-Hant"]
        self.assertEqual(self.locales(), expected)
        self.assertEqual(self.locales("?s=2&l=3"), expected[2:5])
        self.assertEqual([self.locales(f"?s={i}")[0] for i in range(7)], expected)

    def test_put(self) -> None:
        """A member that is PUT has a new place in the order and its old place in the tree."""
        location = self.post("aa")
        self.assertEqual(self.locales(), ["aa", "en-US"])
        self.assertEqual(self.world.put(OWNER, location, r.SupportedLocale(locale="zz")).status, 204)
        self.assertEqual(self.locales(), ["en-US", "zz"])
        self.assertEqual(text(self.world.document(OWNER, location), "locale"), "zz")

    def test_put_to_nothing(self) -> None:
        """A PUT makes no member."""
        answer = self.world.put(OWNER, f"{self.path}/7", r.SupportedLocale(locale="de"))
        self.assertError(answer, 404, 1)
        self.assertEqual(self.locales(), ["en-US"])

    def test_delete(self) -> None:
        """A DELETE is 204, once; the number is never given again."""
        location = self.post("de")
        self.assertEqual(self.world.delete(OWNER, location).status, 204)
        self.assertEqual(self.world.get(OWNER, location).status, 404)
        self.assertError(self.world.delete(OWNER, location), 404, 1)
        self.assertEqual(self.locales(), ["en-US"])
        self.assertNotEqual(self.post("de"), location)

    def test_after(self) -> None:
        """a means nothing to a list that is not ordered by a time."""
        self.assertEqual(self.locales(f"?a={NOW + 1}&l=9"), ["en-US"])

    def test_same_twice(self) -> None:
        """Two alike are one (case F6)."""
        self.assertEqual(self.post("de"), self.post("de"))
        self.assertEqual(self.locales(), ["de", "en-US"])


class RefusalTests(AppCase):
    """What is wrong with a request, and what it is answered with."""

    def setUp(self) -> None:
        super().setUp()
        self.path = f"{self.own}/der/1/ders"
        self.good = encoded(MINIMAL["DERStatus"])

    def test_not_acceptable(self) -> None:
        """Who takes EXI alone gets 406, for GET and HEAD alike; what one may not see is 404 all the same."""
        for accept in ("application/sep-exi", "application/sep-exi, application/sep+xml;q=0"):
            for method in ("GET", "HEAD"):
                answer = self.world.send(OWNER, method, "/dcap", headers={"Accept": accept})
                self.assertEqual(answer.status, 406, accept)
            self.assertEqual(self.world.get(OWNER, "/nowhere", {"Accept": accept}).status, 404)
            self.assertEqual(self.world.get(OWNER, self.managed, {"Accept": accept}).status, 404)
        self.assertError(self.world.get(OWNER, "/dcap", {"Accept": "application/sep-exi"}), 406, 0)

    def test_accepted(self) -> None:
        """No Accept, a wildcard, several lines of them: XML."""
        for accept in (
            None,
            "*/*",
            "application/*",
            "application/xml",
            "application/sep-exi, application/sep+xml",
            "application/json",
            "text/html",
        ):
            answer = self.world.get(OWNER, "/dcap", {"Accept": accept})
            self.assertEqual(answer.status, 200, accept)
            self.assertEqual(answer.headers["content-type"], "application/sep+xml")
        head = b"GET /dcap HTTP/1.1\r\nHost: x\r\nAccept: %b\r\nAccept: %b\r\n\r\n"
        for one, other in ((b"application/sep+xml", b"application/sep-exi"), (b"image/png", b"*/*")):
            self.assertEqual(self.world.raw(OWNER, head % (one, other)).status, 200)
            self.assertEqual(self.world.raw(OWNER, head % (other, one)).status, 200)

    def test_media_type(self) -> None:
        """A body in another encoding, or in none that is said, is 415."""
        for media in (
            None,
            "application/sep-exi",
            "application/json",
            "text/plain",
            "application/sep+xml;charset=latin-1",
        ):
            answer = self.world.put(OWNER, self.path, self.good, headers={"Content-Type": media})
            self.assertError(answer, 415, 0)
            answer = self.world.post(OWNER, f"{self.own}/di/loc", self.good, headers={"Content-Type": media})
            self.assertError(answer, 415, 0)

    def test_format(self) -> None:
        """A body that is empty, not XML or not by the schema is 400 with reason 0."""
        time, entity = "<readingTime>1</readingTime>", "<!DOCTYPE a [<!ENTITY b 'c'>]>"
        for body in (
            "",
            "no XML",
            "<DERStatus",
            f"<DERStatus>{time}</DERStatus>",
            f"<DERStatus {XMLNS}/>",
            f"<DERStatus {XMLNS}><readingTime>noon</readingTime></DERStatus>",
            f"<DERStatus {XMLNS}>{time}{time}</DERStatus>",
            f"<DERStatus {XMLNS}>{time}<alarmStatus>00</alarmStatus></DERStatus>",
            f"<DERStatus {XMLNS}>{time}<nonsense/></DERStatus>",
            f"<DERStatus {XMLNS} nonsense='1'>{time}</DERStatus>",
            f"<DERSettings {XMLNS}><setGradW>1</setGradW></DERSettings>",
            f"<DERAvailability {XMLNS}>{time}</DERAvailability>",
            f"{entity}<DERStatus {XMLNS}>{time}</DERStatus>",
        ):
            self.assertError(self.world.put(OWNER, self.path, body.encode()), 400, 0)
        utf_16 = f"<DERStatus {XMLNS}>{time}</DERStatus>".encode("utf-16")
        self.assertError(self.world.put(OWNER, self.path, utf_16), 400, 0)
        self.assertEqual(self.world.get(OWNER, self.path).status, 200)

    def test_values(self) -> None:
        """A body that is well formed and says what cannot be is 400 with reason 1."""
        for path, body in (
            (f"{self.own}/der/1/dera", MINIMAL["DERAvailability"].replace(reservePercent=10_001)),
            (
                f"{self.own}/der/1/ders",
                MINIMAL["DERStatus"].replace(
                    stateOfChargeStatus=r.StateOfChargeStatusType(dateTime=1, value=20_000)
                ),
            ),
            (
                f"{self.own}/der/1/derg",
                MINIMAL["DERSettings"].replace(setMaxW=r.ActivePower(multiplier=10, value=1)),
            ),
            (self.own, end_device(OWNER).replace(sFDI=OWNER.sfdi + 1)),
        ):
            self.assertError(self.world.put(OWNER, path, body), 400, 1)

    def test_nothing_changed(self) -> None:
        """A refused PUT leaves what was there."""
        before = self.world.get(OWNER, self.path).body
        self.world.put(OWNER, self.path, b"<DERStatus")
        self.world.put(OWNER, self.path, self.good, headers={"Content-Type": "text/plain"})
        self.assertEqual(self.world.fresh(OWNER, self.path).body, before)

    def test_too_large(self) -> None:
        """A body beyond the limit is 413 with reason 2, announced or in pieces, and the connection ends."""
        world = self.make(limits=ConnectionLimits(body_bytes=1000))
        answer = world.put(OWNER, self.path, b"x" * 1001)
        self.assertError(answer, 413, 2)
        self.assertEqual(answer.headers["connection"], "close")
        chunks = b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"
        head = f"PUT {self.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        self.assertError(world.raw(OWNER, head + chunks), 413, 2)
        self.assertEqual(world.put(OWNER, self.path, self.good).status, 204)

    def test_chunked(self) -> None:
        """A body in chunks is taken."""
        head = (
            f"PUT {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sep+xml\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        )
        pieces = [self.good[i : i + 10] for i in range(0, len(self.good), 10)] + [b""]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        self.assertEqual(self.world.raw(OWNER, head.encode() + chunks).status, 204)

    def test_too_long(self) -> None:
        """A URI of more than 255 octets is 414, one of 255 is looked for."""
        self.assertEqual(self.world.get(OWNER, "/" + "x" * 254).status, 404)
        self.assertError(self.world.get(OWNER, "/" + "x" * 255), 414, 0)
        self.assertEqual(self.world.get(OWNER, "/edev?" + "b" * 249).status, 200)
        self.assertError(self.world.get(OWNER, "/edev?" + "b" * 250), 414, 0)

    def test_spelling(self) -> None:
        """A path has one spelling, but for escapes that need not be (case A18: RFC 3986 6.2.2.2)."""
        number = self.numbers.owner
        for path in (
            "/dcap/",
            "//dcap",
            "/DCAP",
            "/%2Fdcap",
            "/dcap%2F",
            "/%2564cap",
            "/%44cap",
            "/dcap/%2e",
            f"/edev/0{number}",
            f"/edev/+{number}",
            "/edev/1%2Frg",
            f"/edev/{number}/",
            f"/edev//{number}",
            f"/./edev/{number}",
            "/edev/%C3%BF",
            "/%ff%fe",
            "/edev/1e0",
        ):
            self.assertError(self.world.get(OWNER, path), 404, 1)
        for path, same in (
            ("/%64cap", "/dcap"),
            ("/%64%63%61%70", "/dcap"),
            (f"/%65dev/%3{number}", self.own),
        ):
            answer = self.world.get(OWNER, path)
            self.assertEqual((answer.status, answer.body), (200, self.world.get(OWNER, same).body))

    def test_huge_numbers(self) -> None:
        """Numbers that no store holds are 404, not an error of the server."""
        for number in (2**31, 2**63 - 1, 2**63, 2**64, 10**40):
            for path in (f"/edev/{number}", f"{self.own}/der/{number}/ders", f"/derp/{number}/derc/{number}"):
                for method in ("GET", "PUT", "DELETE"):
                    answer = self.world.send(OWNER, method, path, self.good if method == "PUT" else None)
                    self.assertEqual(answer.status, 404, path)


class TroubleTests(AppCase):
    """What goes wrong behind the scenes."""

    def test_unavailable(self) -> None:
        """A database that cannot be used is 503, and says when to come back."""
        for who, method, path in (
            (OWNER, "GET", "/edev"),
            (OWNER, "PUT", f"{self.own}/dstat"),
            (UNKNOWN, "GET", "/dcap"),
        ):
            self.world.back.hold()
            wire = self.world.wire(who)
            body = encoded(MINIMAL["DeviceStatus"]) if method == "PUT" else None
            asked = wire.client.request(method, path, body)
            wire.pump()
            self.world.back.release(Unavailable("the disk is full"))
            answer = wire.result(asked)
            self.assertError(answer, 503, 2)
            self.assertEqual(text(etree.fromstring(answer.body), "maxRetryDuration"), "60")
        self.assertEqual(self.world.get(OWNER, "/edev").status, 200)

    def test_broken(self) -> None:
        """An error of the server's own is 500, says nothing of itself, and is in the log."""
        wire = self.world.wire(OWNER)
        self.world.back.hold()
        asked = wire.client.get("/edev")
        wire.pump()
        self.world.back.release(ZeroDivisionError("a secret"))
        answer = wire.result(asked)
        self.assertError(answer, 500, 2)
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.world.get(OWNER, "/edev").status, 200)

    def test_hung_up(self) -> None:
        """A client that is gone before its answer leaves nothing behind but what it had written."""
        for method, path in (("GET", "/edev"), ("PUT", f"{self.own}/dstat")):
            wire = self.world.wire(OWNER)
            # Of a caller that is not known yet nothing is written before it is.
            wire.result(wire.client.get("/tm"))
            self.world.back.hold()
            asked = wire.client.request(method, path, encoded(FULL["DeviceStatus"].replace(onCount=9)))
            wire.pump()
            wire.hang_up()
            self.failureResultOf(asked)
            self.world.back.release()
        self.assertEqual(text(self.world.document(OWNER, f"{self.own}/dstat"), "onCount"), "9")
        self.assertEqual(self.flushLoggedErrors(), [])


class ConnectionTests(AppCase):
    """What may change while a connection is open."""

    def test_expired(self) -> None:
        """A certificate that ends is of no more use on an open connection, which is closed."""
        who = evolve(OWNER, not_after=float(NOW + 100))
        wire = self.world.wire(who)
        for moment in (NOW, NOW + 100):
            self.world.now = moment
            self.assertEqual(wire.result(wire.client.get("/dcap")).status, 200)
        self.world.now = NOW + 101
        for method in ("GET", "PUT"):
            wire = self.world.wire(who)
            answer = wire.result(
                wire.client.request(method, f"{self.own}/dstat", b"" if method == "PUT" else None)
            )
            self.assertError(answer, 403, 1)
            self.assertEqual(answer.headers["connection"], "close")
            self.assertTrue(wire.closed)

    def test_no_end(self) -> None:
        """A certificate without an early end is good for ever."""
        who = evolve(OWNER, not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
        self.world.now = datetime(2300, 1, 1, tzinfo=UTC).timestamp()
        self.assertEqual(self.world.get(who, "/dcap").status, 200)

    def test_withdrawn(self) -> None:
        """Who is shut out is so on an open connection from the next request on; let in again, it is in."""
        wire = self.world.wire(OWNER)
        paths = ("/edev", self.own, f"{self.own}/der/1/ders", "/derp", "/sdev")
        for path in paths:
            self.assertEqual(wire.result(wire.client.get(path)).status, 200)
        self.world.withdraw(OWNER)
        for path in paths:
            self.assertEqual(wire.result(wire.client.get(path)).status, 404)
            self.assertEqual(wire.result(wire.client.put(path, b"")).status, 404)
        self.assertEqual(wire.result(wire.client.post("/edev", encoded(end_device(OWNER)))).status, 403)
        # Nobody who is on no list sends a body twice on a connection.
        self.assertTrue(wire.closed)
        wire = self.world.wire(OWNER)
        self.assertEqual(wire.result(wire.client.get("/dcap")).status, 200)
        self.world.write(lambda transaction: devices.readmit(transaction, OWNER.lfdi, "operator", NOW))
        for path in paths:
            self.assertEqual(wire.result(wire.client.get(path)).status, 200)

    def test_registered_meanwhile(self) -> None:
        """Who registers sees what is its own on the same connection."""
        wire = self.world.wire(LISTED)
        self.assertEqual(wire.result(wire.client.get("/derp")).status, 404)
        made = wire.result(wire.client.post("/edev", encoded(end_device(LISTED))))
        self.assertEqual(made.status, 201)
        self.assertEqual(wire.result(wire.client.get(made.headers["location"])).status, 200)
        self.assertEqual(wire.result(wire.client.get("/derp")).status, 200)


both_ways(globals())
