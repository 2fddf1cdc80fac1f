"""The names of pyOpenSSL that have no public one."""

from __future__ import annotations

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from csipd.net import openssl
from tests.support.tls_pair import Pair


class OpenSSLTests(SynchronousTestCase):
    """That they do what pyOpenSSL's own calls do (26.4)."""

    def test_read(self) -> None:
        """A record is read like with ``bio_write`` and ``recv``, and nothing where there is none."""
        pair = Pair()
        openssl.receive(pair.server, pair.sealed(b"one"))
        self.assertEqual(openssl.open_record(pair.server), b"one")
        self.assertEqual(openssl.open_record(pair.server), b"")
        pair.server.bio_write(pair.sealed(b"two"))
        self.assertEqual(pair.server.recv(100), b"two")

    def test_longest(self) -> None:
        """The longest record is read and written at once."""
        pair = Pair()
        longest = b"x" * openssl.RECORD_BYTES
        openssl.receive(pair.server, pair.sealed(longest))
        self.assertEqual(openssl.open_record(pair.server), longest)
        taken, sealed = openssl.seal(pair.server, longest)
        self.assertEqual(taken, len(longest))
        pair.client.bio_write(sealed)
        self.assertEqual(pair.client.recv(2**15), longest)
        self.assertRaises(SSL.WantReadError, pair.server.bio_read, 100)

    def test_error(self) -> None:
        """An error is told by the value, and pyOpenSSL finds out which it was."""
        pair = Pair()
        record = pair.sealed(b"one")
        openssl.receive(pair.server, record[:-1] + bytes((record[-1] ^ 1,)))
        self.assertEqual(openssl.open_record(pair.server), b"")
        with self.assertRaises(SSL.Error) as caught:
            pair.server.recv(100)
        self.assertIn("bad record mac", str(caught.exception))
        self.assertEqual(openssl.seal(pair.server, b"x"), (0, b""))
        self.assertRaises(SSL.Error, pair.server.send, b"x")
