"""Which names certificates may have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.pki import CertificateSpec, PKIError, aggregator, check_id, device, mica, operator, root, server
from csipd.pki.profiles import MICA


class IdTests(SynchronousTestCase):
    """Ids, which are names of files and of holders."""

    def test_good(self) -> None:
        """Letters, digits, dots, dashes and underscores make an id."""
        for id in ("dev1", "_5B3F-A", "a.b-c_d", "x" * 64, "7"):
            self.assertEqual(check_id(id), id)
            self.assertEqual((device(id).id, aggregator(id).id, operator(id).id), (id, id, id))

    def test_bad(self) -> None:
        """What could leave the folder, hide in it or break a line is no id of any kind of holder."""
        for id in (
            "",
            ".",
            "..",
            ".hidden",
            "-rf",
            "a/b",
            "../ca",
            "a b",
            "a\nb",
            "a\0",
            "ä",
            "x" * 65,
            "a:b",
        ):
            for kind in (check_id, device, aggregator, operator):
                self.assertRaises(PKIError, kind, id)

    def test_reserved(self) -> None:
        """No device takes the id of the operator, a CA or the server, in any case of letters."""
        for id in ("admin", "ca", "mca", "mica", "CA", "Admin"):
            for kind in (check_id, device, aggregator):
                self.assertRaises(PKIError, kind, id)
        self.assertRaises(PKIError, check_id, "gateway", ("gateway", "127.0.0.1"))
        self.assertRaises(PKIError, check_id, "127.0.0.1", ("gateway", "127.0.0.1"))
        self.assertEqual(operator("admin").id, "admin")

    @given(st.text(max_size=10))
    def test_any_text(self, id: str) -> None:
        """Any text is an id that stands for itself in a path, or is refused."""
        try:
            device(id)
        except PKIError as error:
            self.assertNotIn("\n", str(error))
        else:
            self.assertNotIn("/", id)
            self.assertTrue(id.isascii() and id[0] not in ".-")


class ServerTests(SynchronousTestCase):
    """Hosts and the names by which they are reached."""

    def test_names(self) -> None:
        """Names and addresses are told apart, written in one way, and held once."""
        wanted = server("gw.example", ["127.0.0.1", "0:0:0:0:0:0:0:1", "::1", "gw.example"])
        self.assertEqual(wanted.names, ("DNS:gw.example", "IP:127.0.0.1", "IP:::1"))

    def test_every_address(self) -> None:
        """The addresses that stand for all are nobody's name."""
        self.assertEqual(server("0.0.0.0", ["::", "localhost"]).names, ("DNS:localhost",))

    def test_refused(self) -> None:
        """What is neither a name nor an address is refused, before it gets into a configuration or a path."""
        for host in (
            "",
            "../x",
            "a,IP:1.2.3.4",
            "a\n[x]",
            "a b",
            "*",
            "fe80::1%eth0/..",
            "-a",
            "a..b",
            "x" * 254,
        ):
            self.assertRaises(PKIError, server, host)
            self.assertRaises(PKIError, server, "localhost", [host])

    def test_issuer(self) -> None:
        """Everything is issued by the root unless another CA is named."""
        self.assertEqual(server("localhost").issuer, root())
        self.assertEqual(server("localhost", issuer=mica()).issuer, CertificateSpec("mica", MICA, root()))
