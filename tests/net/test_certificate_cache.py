"""What is kept of certificates, and how much."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.net.certificate_cache import CertificateCache


class KeptTests(SynchronousTestCase):
    """A bounded table."""

    def test_bound(self) -> None:
        """It never holds more than its bound, and a fleet that is larger still finds most of it."""
        kept: CertificateCache[int] = CertificateCache(10)
        for _ in range(3):
            found = 0
            for number in range(15):
                digest = b"%d" % number
                if kept.find(digest) is None:
                    kept.keep(digest, number)
                else:
                    found += 1
                self.assertLessEqual(len(kept), 10)
        self.assertGreaterEqual(found, 9)

    def test_values(self) -> None:
        """What was kept is found under its own hash, and replaced there."""
        kept: CertificateCache[str] = CertificateCache(2)
        kept.keep(b"a", "one")
        kept.keep(b"b", "two")
        kept.keep(b"b", "three")
        self.assertEqual([kept.find(each) for each in (b"a", b"b", b"c")], ["one", "three", None])
