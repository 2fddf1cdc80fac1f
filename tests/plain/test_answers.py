"""What is answered over plain HTTP, head by head."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.config import PlainMode
from csipd.plain.answers import Signpost
from csipd.sep2.site import SERVED
from csipd.web.answers import Answer
from csipd.web.errors import METHODS
from tests.support.raw_requests import ODDITIES, plain
from tests.support.schema import NAMESPACE, validate
from tests.support.world import OWNER, World

BASE = "https://csip.example.com:7443"
DCAP = Signpost(PlainMode.DCAP, BASE, "/dcap")
REDIRECT = Signpost(PlainMode.REDIRECT, BASE, "/dcap")
MOVED = Signpost(PlainMode.DCAP, BASE, "/sep2/dcap")
EVERY = (DCAP, REDIRECT, MOVED, Signpost(PlainMode.REDIRECT, BASE, "/sep2/dcap"))

#: All that may be said to anybody beside refusals.
DOCUMENT = (
    f'<DeviceCapability xmlns="{NAMESPACE}" href="{BASE}/dcap">'
    f'<TimeLink href="{BASE}/tm"/></DeviceCapability>'
).encode()


def asked(method: str, target: str, *lines: str) -> bytes:
    """The head of a request."""
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: 192.0.2.1", *lines, "", "")).encode("latin-1")


class AnswerCase(SynchronousTestCase):
    """Asks."""

    def answered(self, signpost: Signpost, head: bytes) -> Answer:
        answer, _ = signpost.answer(head)
        self.assert_nothing_else(signpost, answer)
        return answer

    def assert_nothing_else(self, signpost: Signpost, answer: Answer) -> None:
        """An answer is the way to the server over TLS, or a refusal with an Error document."""
        there = signpost.base + signpost.path
        headers = dict(answer.headers)
        if answer.status == 200:
            self.assertEqual(answer.body, DOCUMENT.replace(f"{BASE}/dcap".encode(), there.encode()))
        elif answer.status == 301:
            self.assertEqual((answer.body, headers), (b"", {b"Location": there.encode()}))
        else:
            self.assertIn(answer.status, (400, 404, 405, 406, 414, 501, 505))
            self.assertEqual(etree.fromstring(answer.body).tag, f"{{{NAMESPACE}}}Error")
            self.assertEqual(headers.keys() - {b"Allow"}, {b"Content-Type"})

    def assert_status(self, status: int, head: bytes, *, signposts: tuple[Signpost, ...] = EVERY) -> None:
        for signpost in signposts:
            self.assertEqual(self.answered(signpost, head).status, status, (signpost, head))


class DcapTests(AnswerCase):
    """A DeviceCapability."""

    def test_document(self) -> None:
        """It has its own place and the time's over TLS, absolute, and is valid, whatever the query."""
        answer = self.answered(DCAP, asked("GET", "/dcap"))
        self.assertEqual((answer.status, answer.body), (200, DOCUMENT))
        self.assertEqual(answer.headers, ((b"Content-Type", b"application/sep+xml"),))
        validate(answer.body)
        for target in ("/dcap?s=0&l=3", "/%64cap", "http://elsewhere.example/dcap", "HTTPS://a@b:1/dcap?x"):
            self.assertEqual(self.answered(DCAP, asked("GET", target)), answer, target)

    def test_host(self) -> None:
        """Whatever a client calls the server, it is led to the configured name."""
        for host in ("evil.example", "csip.example.com:8080", "", "[::1]:80", "a&b"):
            answer = self.answered(DCAP, f"GET /dcap HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            self.assertEqual(answer.body, DOCUMENT)
        more = asked("GET", "/dcap", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example")
        self.assertEqual(self.answered(DCAP, more).body, DOCUMENT)
        self.assertEqual(self.answered(DCAP, b"GET /dcap HTTP/1.0\r\n\r\n").body, DOCUMENT)

    def test_head(self) -> None:
        """A HEAD is answered as a GET, less the body."""
        for signpost in EVERY:
            for target in ("/dcap", "/sep2/dcap", "/"):
                got, head = (signpost.answer(asked(method, target)) for method in ("GET", "HEAD"))
                self.assertEqual((head[0], got[1], head[1]), (got[0], False, True))

    def test_exi(self) -> None:
        """Who takes nothing but EXI is told that there is none."""
        self.assert_status(406, asked("GET", "/dcap", "Accept: application/sep-exi"), signposts=(DCAP,))
        self.assert_status(200, asked("GET", "/dcap", "Accept: text/html"), signposts=(DCAP,))

    def test_moved(self) -> None:
        """A DeviceCapability elsewhere is served there, and where it was leads there over TLS."""
        answer = self.answered(MOVED, asked("GET", "/sep2/dcap"))
        self.assertIn(f'href="{BASE}/sep2/dcap"'.encode(), answer.body)
        validate(answer.body)
        self.assert_status(301, asked("GET", "/dcap"), signposts=(MOVED,))


class RedirectTests(AnswerCase):
    """A redirect."""

    def test_location(self) -> None:
        """It leads to DeviceCapability over TLS, without what the client added."""
        self.assert_status(301, asked("GET", "/dcap?next=//evil.example"), signposts=(REDIRECT,))
        self.assert_status(301, asked("HEAD", "http://evil.example/dcap"), signposts=(REDIRECT,))


class RefusalTests(AnswerCase):
    """Everything else."""

    def test_paths(self) -> None:
        """No other resource is there, by whatever method; nor is anything that is near the one that is."""
        paths = [row.href((1,) * row.depth) for row in SERVED.values() if row.name != "DeviceCapability"]
        for path in (
            *paths,
            *("/", "/dcap/", "//dcap", "/dcap/.", "/./dcap", "/a/../dcap", "/DCAP", "/dcap%00", "/dcap%2f"),
            *("/dcap;x", "/admin/status", "/admin", "/metrics", "/.well-known/core", "/favicon.ico"),
            *("http://192.0.2.1/tm", "http://192.0.2.1", "http://dcap", "/http://192.0.2.1/dcap"),
        ):
            for method in (b"GET", b"HEAD", *sorted(METHODS)):
                self.assert_status(404, asked(method.decode(), path))

    def test_methods(self) -> None:
        """What HTTP knows and is not taken is 405 with Allow, what it does not know 501, wherever."""
        for method in METHODS - {b"GET", b"HEAD"}:
            for signpost in EVERY:
                for length in ((), ("Content-Length: 5",), ("Transfer-Encoding: chunked",)):
                    answer = self.answered(signpost, asked(method.decode(), signpost.path, *length))
                    self.assertEqual((answer.status, dict(answer.headers)[b"Allow"]), (405, b"GET, HEAD"))
        for method in ("FOO", "get", "PROPFIND", "M-SEARCH"):
            for path in ("/dcap", "/sep2/dcap", "/tm"):
                self.assert_status(501, asked(method, path))

    def test_malformed(self) -> None:
        """What is no request of HTTP/1 is refused as such, and not as what it may have meant."""
        for head in (
            b"\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /dcap\r\n\r\n",
            b"GET  /dcap HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /dcap HTTP/1.1 \r\nHost: a\r\n\r\n",
            b"GET http:///dcap HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET http://:80/dcap HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /dcap http/1.1\r\nHost: a\r\n\r\n",
            b"GET /dcap HTTP/1.1x\r\nHost: a\r\n\r\n",
            b"G(T /dcap HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /d\xffcap HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /dcap#x HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET dcap HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET ftp://a/dcap HTTP/1.1\r\nHost: a\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            b"CONNECT tm:80 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a/b\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost : a\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\n Host: a\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            b"GET /dcap HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
            b"GET /dcap HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ):
            self.assert_status(400, head)
        self.assert_status(505, b"PRI * HTTP/2.0\r\n\r\n")
        self.assert_status(505, b"GET /dcap HTTP/1.2\r\nHost: a\r\n\r\n")
        self.assert_status(414, asked("GET", "/dcap?" + "x" * 250))
        self.assert_status(414, asked("GET", "/" + "x" * 3000))

    def test_as_the_server(self) -> None:
        """A head that is odd is taken or refused as the server itself does over TLS."""
        world = World(Path(self.mktemp()), straight=False)
        self.addCleanup(world.close)
        for name, odd in ODDITIES.items():
            head = odd(plain("/dcap"))
            if (
                len(head) > 4096
                or head.startswith(b"\r\n")
                or b"\r\n\r\n" not in head
                or b"\n" in head.replace(b"\r\n", b"")
            ):
                continue  # see the connection's tests
            wire = world.open(OWNER)
            (over_tls,) = wire.results(wire.client.raw(head))
            self.assertEqual(self.answered(DCAP, head).status, over_tls.status, name)

    @given(
        st.sampled_from(EVERY),
        st.lists(
            st.sampled_from(
                b"GET|POST| |/dcap|/sep2/dcap|/tm|http://a|HTTP/1.1|\r\n|Host: a|Accept: |:|%64|?".split(b"|")
            )
            | st.binary(max_size=4),
            max_size=12,
        ).map(b"".join),
    )
    def test_anything(self, signpost: Signpost, head: bytes) -> None:
        """Whatever octets come, what is answered is the way to the server or a refusal."""
        self.answered(signpost, head + b"\r\n\r\n")
