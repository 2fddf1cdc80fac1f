"""Plain HTTP as the daemon serves it: real sockets, beside the doors with TLS."""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from pathlib import Path

import attrs
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.plain.protocol import CONNECTIONS
from csipd.sep2.site import SERVED
from tests.support import pki
from tests.support.daemon import LAB, TIMEOUT, Daemon, Device, run, small_place, twistd
from tests.support.ports import free_port

GET = b"GET /dcap HTTP/1.1\r\nHost: evil.example\r\n\r\n"


class PlainCase(SynchronousTestCase):
    """csipd with plain HTTP."""

    def serve(self, *more: str) -> None:
        self.port = free_port()
        self.place = small_place(Path(self.mktemp()), f"http_port: {self.port}", *more)
        self.daemon = Daemon(self, self.place)
        self.daemon.start()
        self.base = f"https://127.0.0.1:{self.place.port}"

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
        self.addCleanup(connection.close)
        return connection

    def said(self, data: bytes, *, half: bool = False) -> bytes:
        """All that is answered to these octets, up to the end of the connection.

        :param half: whether the client closes its side behind them
        """
        connection = self.connect()
        connection.sendall(data)
        if half:
            connection.shutdown(socket.SHUT_WR)
        found = []
        while piece := connection.recv(65_536):
            found.append(piece)
        connection.close()
        return b"".join(found)

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
        try:
            client.request(method, path)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()


class ServedTests(PlainCase):
    """What it has, and what it has not."""

    def test_nothing_else(self) -> None:
        """One document, that leads to the doors with TLS; no other resource, nothing of the operator's."""
        self.serve("generate_admin_cert: false")
        self.daemon.process.log.wait_for(
            f"plain HTTP on 127.0.0.1:{self.port} shows the way to {self.base}/dcap"
        )
        status, body = self.ask("GET", "/dcap")
        self.assertEqual(status, 200)
        root = etree.fromstring(body)
        self.assertEqual(
            [root.get("href"), *(link.get("href") for link in root)],
            [f"{self.base}/{p}" for p in ("dcap", "tm")],
        )
        with self.daemon.device("dev1") as device:
            self.assertEqual(device.get("/dcap").status, 200)
        for row in SERVED.values():
            if row.name != "DeviceCapability":
                self.assertEqual(self.ask("GET", row.href((1,) * row.depth))[0], 404)
        for path in ("/admin/status", "/admin/openapi.json", "/"):
            self.assertEqual(self.ask("GET", path)[0], 404)
        self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(self.daemon.process.errors.all(), [])

    def test_octets(self) -> None:
        """A large body, requests behind requests and a client that has closed its side all get one answer."""
        self.serve("http_mode: redirect")
        location = f"Location: {self.base}/dcap\r\n".encode()
        for data in (
            GET,
            GET * 100,
            b"POST" + GET[3:-2] + b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000,
            GET[:-2] + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + GET,
        ):
            for half in (False, True):
                said = self.said(data, half=half)
                self.assertEqual(said.count(b"HTTP/1.1 "), 1)
                self.assertIn(b"405 " if data.startswith(b"POST") else location, said)
                self.assertNotIn(b"evil", said)

    def test_tls(self) -> None:
        """Who speaks TLS to it is told that it does not; who speaks none to the other port is cut off."""
        self.serve()
        context = ssl.create_default_context()
        with self.assertRaises(ssl.SSLError), self.connect() as plain:
            context.wrap_socket(plain, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", self.place.port), TIMEOUT) as other:
            other.sendall(GET)
            self.assertNotIn(b"HTTP", other.recv(65_536))
        self.assertEqual(self.ask("GET", "/dcap")[0], 200)

    def test_silent(self) -> None:
        """However many connect and say nothing, who asks is answered, over TLS, too."""
        self.serve("limits: {address_handshakes_per_second: 100000}")
        kept = [self.connect() for _ in range(2 * CONNECTIONS)]
        self.assertIn(b" 200 OK", self.said(GET))
        with self.daemon.device("dev1") as device:
            self.assertEqual(device.get("/tm").status, 200)
        for each in kept:
            each.close()
        self.assertEqual(self.daemon.stop(), 0)

    def test_moved(self) -> None:
        """A DeviceCapability that has moved is there, on both doors, and stays there."""
        self.serve("dcap_path: /sep2/dcap")
        for _ in range(2):
            self.assertEqual([self.ask("GET", path)[0] for path in ("/dcap", "/sep2/dcap")], [301, 200])
            with self.daemon.device("dev1") as device:
                moved = device.get("/dcap")
                self.assertEqual((moved.status, moved.headers["location"]), (301, "/sep2/dcap"))
                self.assertEqual(device.get("/sep2/dcap").status, 200)
            self.daemon.stop()
            self.daemon.start()

    def test_moved_behind_the_proxy(self) -> None:
        """Through the proxy it is where it is, too, and the proxy hands the 301 on as it is."""
        proxy = free_port()
        self.serve("dcap_path: /sep2/dcap", f"proxy_hostname: 127.0.0.1:{proxy}", "proxy: true")
        self.daemon.process.log.wait_for("proxy: taking devices' requests on")
        with (
            self.daemon.device("dev1") as direct,
            Device(self, attrs.evolve(self.place, port=proxy), "dev1") as through,
        ):
            for path in ("/dcap", "/sep2/dcap", "/sep2/dcap", "/tm/"):
                one, other = direct.get(path), through.get(path)
                self.assertEqual((one.status, one.body), (other.status, other.body))
                self.assertEqual(one.headers.get("location"), other.headers.get("location"))


#: twistd, with no port tried: one that is in use is found as if it had been taken since.
TAKEN_SINCE = """
from twisted.internet.main import installReactor
from csipd.net.reactor import Reactor
installReactor(Reactor())
from csipd.daemon import proxy_program, start
from twisted.scripts import twistd
start.try_ports = proxy_program.try_proxy_port = lambda *given, **named: None
twistd.run()
"""


class StartTests(PlainCase):
    """What it cannot start with."""

    def test_port_in_use(self) -> None:
        """A port that another program has is one line."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            place = small_place(Path(self.mktemp()), f"http_port: {port}")
            ended = run(place.folder, *twistd(place))
        self.assertEqual(ended.returncode, 1)
        self.assertIn(
            f"http_port: 127.0.0.1 port {port}: is in use by another program; expected a free port",
            ended.stderr,
        )

    def test_port_taken_since(self) -> None:
        """So is one that was taken after it had been tried, of any door, and no traceback."""
        http, proxy = free_port(), free_port()
        more = (f"http_port: {http}", f"proxy_hostname: 127.0.0.1:{proxy}", "generate_admin_cert: true")
        place = small_place(Path(self.mktemp()), *more)
        pki.write(place.tls, admin=LAB.admin(), proxy=LAB.server("127.0.0.1"))
        for key, port, program in (
            ("https_port", place.port, "csipd"),
            ("admin_port", place.admin_port, "csipd"),
            ("http_port", http, "csipd"),
            ("proxy_hostname", proxy, "csipd-proxy"),
        ):
            line = f"{key}: 127.0.0.1 port {port}: is in use by another program; expected a free port"
            flags = ("--nodaemon", "--pidfile=twistd.pid", program, "--config", str(place.config))
            with self.subTest(key), socket.create_server(("127.0.0.1", port)):
                ended = run(place.folder, sys.executable, "-c", TAKEN_SINCE, *flags)
                self.assertEqual(ended.returncode, 1)
                said = ended.stderr.splitlines()[-1:]
                self.assertTrue(said and said[0].endswith(line), ended)
                self.assertIn(line, ended.stdout)
                self.assertNotIn("Traceback", ended.stdout + ended.stderr)
                self.assertFalse((place.folder / "twistd.pid").exists())
