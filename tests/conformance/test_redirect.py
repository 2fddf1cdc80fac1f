"""ERR-001 and the legs of CORE-001 and 002 without TLS (CSIP Conformance Test Procedures v1.3)."""

from __future__ import annotations

from csipd.config import PlainMode
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.site import SERVED
from tests.conformance.bench import LAB
from tests.conformance.case import ConformanceCase
from tests.support.client import Answer
from tests.support.schema import validate
from tests.support.ways import both_ways

THERE = "/sep2/dcap"
#: Written requests, for which a device would have a body.
METHODS = ("PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE")


class MovedTests(ConformanceCase):
    """DeviceCapability at another path."""

    def setUp(self) -> None:
        self.bench = self.make(dcap=THERE)
        self.bench.ladder("SY")

    def test_err_001(self) -> None:
        """dcap is answered 301 over TLS; a client follows to where it is, and finds the rest."""
        device = self.bench.direct("dev1", "SY")
        moved = device.request("GET", "/dcap")
        self.assertEqual((moved.status, moved.headers["location"], moved.body), (301, THERE, b""))
        device.walk()
        assert device.capability is not None and device.capability.EndDeviceListLink is not None
        self.assertEqual(device.capability.href, THERE)
        self.assertEqual(device.capability.EndDeviceListLink.href, "/edev")
        (program,) = device.der.programs
        self.assertEqual(program.description, "SY")
        self.bench.command("SY", start=1, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=3)
        self.assertStory(device.der, "opModMaxLimW", (1, 6000, "SY"), (2, None, None))

    def test_methods(self) -> None:
        """Where it is it takes what it took before; where it was, too, but for who may ask for it."""
        device = self.bench.direct("dev1", "SY")
        for path in ("/dcap", THERE):
            head, get = (device.request(method, path) for method in ("HEAD", "GET"))
            self.assertEqual((head.status, head.headers, head.body), (get.status, get.headers, b""))
            again = device.request("GET", path)
            self.assertEqual((again.status, again.body), (get.status, get.body))
            refused = device.request("POST", path, b"")
            self.assertEqual((refused.status, refused.headers["allow"]), (405, "GET, HEAD"))
            self.assertEqual(device.request("FOO", path).status, 501)
        self.assertEqual(device.request("GET", f"{THERE}/").status, 404)
        self.assertEqual(device.request("GET", "/sep2").status, 404)

    def test_subscribing(self) -> None:
        """Where it is now it is a resource that cannot be subscribed to, and not one that there is not."""
        device = self.bench.direct("dev1", "SY")
        device.walk()
        for path, status in ((THERE, 400), ("/dcap", 400), (f"{THERE}/x", 404), ("/sep2", 404)):
            wanted = r.Subscription(
                subscribedResource=path, encoding=0, level="+S1", limit=1, notificationURI="https://h/n"
            )
            answer = device.request("POST", "/edev/1/sub", codec.encode(wanted))
            self.assertEqual(answer.status, status, path)

    def test_strangers(self) -> None:
        """A stranger with a good certificate is told as much as anybody at either path."""
        stranger = self.bench.station(LAB.device("stranger"))
        self.assertEqual(stranger.request("GET", "/dcap").status, 301)
        found = stranger.get(THERE, r.DeviceCapability)
        self.assertIsNotNone(found.TimeLink)
        self.assertIsNone(found.SelfDeviceLink)

    def test_plain(self) -> None:
        """Over plain HTTP either path leads to where it is, or it is served there."""
        for mode in PlainMode:
            moved = self.bench.plain(mode, b"GET /dcap HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual((moved.status, moved.headers["location"]), (301, f"https://localhost{THERE}"))
        served = self.bench.plain(PlainMode.DCAP, b"GET /sep2/dcap HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIn(f'href="https://localhost{THERE}"'.encode(), served.body)


class PlainTests(ConformanceCase):
    """Plain HTTP."""

    def ask(self, mode: PlainMode, method: str, path: str, *lines: str) -> Answer:
        text = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""))
        answer = self.bench.plain(mode, text.encode(), bodiless=method == "HEAD")
        if answer.body:
            self.assertEqual(answer.headers["content-type"], "application/sep+xml")
            self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
            validate(answer.body)
        return answer

    def test_core_001_http(self) -> None:
        """dcap takes GET and HEAD; every other method is 405 with Allow, FOO 501, a malformed header 400; no
        other resource of the tree is there, whatever the method."""
        mode = PlainMode.DCAP
        get, head = (self.ask(mode, method, "/dcap") for method in ("GET", "HEAD"))
        self.assertEqual((get.status, head.status, head.headers), (200, 200, get.headers))
        found = codec.decode(get.body, r.DeviceCapability)
        assert isinstance(found, r.DeviceCapability) and found.TimeLink is not None
        self.assertEqual(
            (found.href, found.TimeLink.href), ("https://localhost/dcap", "https://localhost/tm")
        )
        self.assertEqual(found, r.DeviceCapability(href=found.href, TimeLink=found.TimeLink))
        for wrong in ("no colon", "Two words: 1", ": no name", "Host: elsewhere"):
            self.assertEqual(self.ask(mode, "GET", "/dcap", wrong).status, 400, wrong)
        for row in SERVED.values():
            path = row.href((1,) * row.depth)
            self.assertEqual(self.ask(mode, "FOO", path).status, 501, path)
            self.bench.clock.advance(1)  # connections of an address have a rate
            for method in METHODS:
                answer = self.ask(mode, method, path)
                if path == "/dcap":
                    self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD"), method)
                else:
                    self.assertEqual(answer.status, 404, f"{method} {path}")
            if path != "/dcap":
                self.assertEqual(self.ask(mode, "GET", path).status, 404, path)

    def test_core_002_http(self) -> None:
        """dcap is 301 to the same over TLS, where a client gets it; no Host 400, a wrong URI 404."""
        mode = PlainMode.REDIRECT
        moved = self.ask(mode, "GET", "/dcap")
        self.assertEqual((moved.status, moved.body), (301, b""))
        self.bench.ladder("SY")
        device = self.bench.direct("dev1", "SY")
        base, path = "https://localhost", moved.headers["location"].removeprefix("https://localhost")
        self.assertEqual(moved.headers["location"], base + path)
        self.assertEqual(device.get(path, r.DeviceCapability).href, "/dcap")
        self.assertEqual(self.bench.plain(mode, b"GET /dcap HTTP/1.1\r\n\r\n").status, 400)
        self.assertEqual(self.ask(mode, "GET", "/wrong").status, 404)
        refused = self.ask(mode, "POST", "/dcap", "Content-Length: 0")
        self.assertEqual((refused.status, refused.headers["allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.ask(mode, "FOO", "/dcap").status, 501)


both_ways(globals())
