"""A daemon that knows proxies: whose word it takes, and for how long."""

from __future__ import annotations

import signal
import ssl
from hashlib import sha256
from http.client import HTTPResponse
from pathlib import Path

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.hop import HandedOn, header_lines
from tests.support import pki
from tests.support.daemon import LAB, Daemon, Device, Place, small_place
from tests.support.pki import Authority, Credential

OTHER = LAB.server("a proxy elsewhere")


class Through:
    """A connection of a proxy, on which it asks for devices."""

    def __init__(self, case: SynchronousTestCase, place: Place, id: str = "proxy") -> None:
        self._socket: ssl.SSLSocket = Device(case, place, id)._connection.sock

    def get(self, path: str, device: Credential | None) -> tuple[int, bytes]:
        """Status and body of what a device is answered; None: the proxy does not say whose it is."""
        lines = b"" if device is None else header_lines(HandedOn(device.der, device.above[:-1]))
        request = b"GET %b HTTP/1.1\r\n%bHost: localhost\r\n\r\n" % (path.encode(), lines)
        self._socket.sendall(request)
        answer = HTTPResponse(self._socket)
        answer.begin()
        return answer.status, answer.read()


class HopsTests(SynchronousTestCase):
    """By TLS, from the handshake to the answer."""

    def setUp(self) -> None:
        fingerprint = sha256(OTHER.der).hexdigest()
        self.place = small_place(
            Path(self.mktemp()), "proxy_hostname: 127.0.0.1:0", f"proxies: ['{fingerprint}']"
        )
        own = LAB.server("127.0.0.1", "localhost")
        pki.write(self.place.tls, proxy=LAB.server("proxy"), other=OTHER, stranger=own)
        self.daemon = Daemon(self, self.place)

    def own(self, answer: tuple[int, bytes]) -> str | None:
        """The LFDI of the one EndDevice in a list; None: it is none, or empty."""
        status, body = answer
        found = etree.fromstring(body).findtext(".//{*}lFDI") if status == 200 else None
        return None if found is None else found.upper()

    def test_whose_word(self) -> None:
        """The proxy's certificate made here and those of the file are believed, and nobody else's."""
        self.daemon.start()
        device = LAB.device("dev1")
        for id in ("proxy", "other"):
            through = Through(self, self.place, id)
            for _ in range(2):
                self.assertEqual(self.own(through.get("/edev", device)), device.lfdi)
            self.assertEqual(through.get("/edev", None)[0], 403)
            self.assertEqual(through.get("/edev", Authority.make("stranger").device("dev1"))[0], 403)
            self.assertEqual(self.own(through.get("/edev", device)), device.lfdi)
        for id in ("stranger", "dev1"):
            with Device(self, self.place, id) as direct:
                lfdi = self.own((200, direct.get("/edev").body)) if id == "dev1" else None
            self.assertEqual(self.own(Through(self, self.place, id).get("/edev", device)), lfdi)
        self.daemon.stop()
        said = "\n".join(self.daemon.process.log.all())
        self.assertIn("request of the proxy at 127.0.0.1 refused: no Client-Cert", said)
        self.assertIn("unable to get issuer cert locally", said)
        self.assertIn("Client-Cert from somebody who is no proxy, ignored", said)

    def test_other_roots(self) -> None:
        """After SIGHUP devices are judged by the roots that are there then, on connections that stay."""
        process = self.daemon.start()
        device = LAB.device("dev1")
        through = Through(self, self.place)
        self.assertEqual(self.own(through.get("/edev", device)), device.lfdi)
        root = self.place.tls / "certs" / "ca.crt"
        before, other = root.read_bytes(), Authority.make("second")
        root.write_bytes(other.cert_pem)
        process.send(signal.SIGHUP)
        process.log.wait_for("TLS of IEEE 2030.5: key, certificate and trust roots reloaded")
        self.assertEqual(through.get("/edev", device)[0], 403)
        self.assertEqual(through.get("/tm", other.device("dev1"))[0], 200)
        root.write_bytes(before)
        process.send(signal.SIGHUP)
        process.log.wait_for("TLS of IEEE 2030.5: key, certificate and trust roots reloaded", 2)
        self.assertEqual(self.own(through.get("/edev", device)), device.lfdi)

    def test_other_key(self) -> None:
        """A proxy's certificate of another key takes the place of the one before, whose connection ends."""
        process = self.daemon.start()
        device = LAB.device("dev1")
        through = Through(self, self.place)
        self.assertEqual(self.own(through.get("/edev", device)), device.lfdi)
        pki.write(self.place.tls, proxy=LAB.server("a newer proxy"))
        process.send(signal.SIGHUP)
        process.log.wait_for("proxies: a new certificate of the proxy is known")
        self.assertRaises(OSError, through.get, "/edev", device)
        self.assertEqual(self.own(Through(self, self.place).get("/edev", device)), device.lfdi)
