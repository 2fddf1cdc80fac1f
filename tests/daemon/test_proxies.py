"""Which proxies are believed: the certificate made here, renewals, and what must not take its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd import config
from csipd import pki as real_pki
from csipd.daemon import start
from csipd.daemon.failures import StartError
from csipd.daemon.proxies import ProxyDirectory, known_proxies, proxy_ending
from csipd.daemon.start import StartOptions
from csipd.pki import PKIError, Repository
from csipd.sep2.certificates import describe
from tests.support import pki
from tests.support.daemon import LAB, Place, certificate_of, small_place

DAY = 86_400
OTHER = "AB" * 32


def fingerprint(place: Place) -> str:
    """That of the certificate that lies there."""
    return sha256(certificate_of(place, "proxy")).hexdigest().upper()


class ProxiesTests(SynchronousTestCase):
    """On a folder of keys and certificates."""

    def setUp(self) -> None:
        self.place = small_place(Path(self.mktemp()), "proxy_hostname: 127.0.0.1:0", f"proxies: [{OTHER}]")
        pki.write(self.place.tls, LAB, proxy=LAB.server("127.0.0.1"))
        self.repository = Repository(self.place.tls, None)
        self.settings = config.load(self.place.config)
        self.now = datetime.now(UTC).timestamp()

    def directory(self) -> ProxyDirectory:
        """The directory of a daemon that starts now."""
        known = known_proxies(self.settings, self.repository)
        return ProxyDirectory(self.settings, self.repository, known, lambda: self.now)

    def test_known(self) -> None:
        """The certificate made here and those of the file are known; with device_keys the latter alone."""
        known = known_proxies(self.settings, self.repository)
        self.assertEqual(known.fingerprints, {OTHER, fingerprint(self.place)})
        with self.place.config.open("a") as file:
            file.write("proxy_mode: device_keys\n")
        known = known_proxies(config.load(self.place.config), self.repository)
        self.assertEqual(known.fingerprints, {OTHER})

    def test_of_a_device(self) -> None:
        """A device's certificate of that name would speak for all others: nothing starts with it."""
        pki.write(self.place.tls, proxy=LAB.device("proxy"))
        error = self.assertRaises(PKIError, known_proxies, self.settings, self.repository)
        self.assertIn("proxy.crt is a device's certificate", str(error))
        for begin in (start.check, start.prepare):
            refused = self.assertRaises(StartError, begin, self.settings, StartOptions(resolve=False))
            self.assertIn("proxy.crt is a device's certificate", str(refused))

    def test_renewed(self) -> None:
        """A renewed one is known beside the one before; one of another key is known in its place."""
        directory = self.directory()
        known, first = directory.fingerprints, fingerprint(self.place)
        spec = real_pki.proxy(["127.0.0.1"])
        real_pki.run_now(self.repository.renew(spec))
        second = fingerprint(self.place)
        self.assertNotEqual(first, second)
        directory.reload()
        self.assertEqual(known, {OTHER, first, second})
        self.repository.certificate("proxy").write_bytes(b"garbage\n")
        directory.reload()
        self.assertEqual(known, {OTHER, first, second})
        self.assertEqual(len(self.flushLoggedErrors()), 0)
        pki.write(self.place.tls, proxy=LAB.server("another"))
        directory.reload()
        self.assertEqual(known, {OTHER, fingerprint(self.place)})

    def test_ending(self) -> None:
        """One that ends is warned of, with the command that makes another."""
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
        pki.write(self.place.tls, proxy=LAB.issue("a proxy that ends", (), subject="proxy", end=end))
        (line,) = proxy_ending(self.settings, self.repository, self.now)
        self.assertIn("csipctl certs renew proxy", line)
        self.assertEqual(proxy_ending(self.settings, self.repository, self.now - 100 * DAY), [])

    def test_made(self) -> None:
        """It holds the names by which devices reach it, and none that stands for every address."""
        wanted = real_pki.proxy(["0.0.0.0", "localhost", "gateway.example"], policies=False)
        other = Repository(Path(self.mktemp()), None)
        real_pki.run_now(other.ensure([real_pki.root(), wanted], make=True))
        facts = describe(real_pki.pem.der_of(real_pki.pem.read_certificates(other.certificate("proxy"))[0]))
        self.assertEqual(facts.common_name, "proxy")
        self.assertEqual(set(facts.names), {"localhost", "gateway.example"})
        self.assertEqual(facts.policies, ())
        self.assertEqual(other.key("proxy").stat().st_mode & 0o777, 0o600)
