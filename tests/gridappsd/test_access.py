"""How csipd gets to the bus: what stands in files of its own."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from csipd.config import Gridappsd, HostPort
from csipd.gridappsd.access import AccessError, read_access
from tests.support.pki import Authority

ROOT = Authority.make()


class AccessTests(SynchronousTestCase):
    """Files, and what they have to hold."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.said = Gridappsd(broker=HostPort("localhost", 61613))

    def file(self, content: bytes, mode: int = 0o600) -> Path:
        """A file of this content."""
        path = self.folder / "file"
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def assert_wrong(self, key: str, content: bytes | None, why: str) -> None:
        path = self.folder / "nothing" if content is None else self.file(content)
        with self.assertRaises(AccessError) as caught:
            read_access(evolve(self.said, **{key: path}))
        self.assertEqual(caught.exception.key, key)
        self.assertIn(why, str(caught.exception))
        self.assertEqual(len(str(caught.exception).splitlines()), 1)

    def test_no_bus(self) -> None:
        """Without a broker no file is read."""
        self.assertIsNone(read_access(Gridappsd(password_file=self.folder / "nothing")))

    def test_values(self) -> None:
        """Each file's one line takes the place of its key, blanks around it left out."""
        path = self.file(b"  _49AD-8E07 \n")
        found = read_access(
            evolve(self.said, simulation_id="1", simulation_id_file=path, feeder_id_file=path)
        )
        self.assertEqual((found.simulation_id, found.feeder_id), ("_49AD-8E07", "_49AD-8E07"))
        found = read_access(evolve(self.said, simulation_id="1", feeder_id="2"))
        self.assertEqual((found.simulation_id, found.feeder_id, found.password), ("1", "2", "manager"))

    def test_password(self) -> None:
        """The password is read as it stands, and shown nowhere."""
        found = read_access(evolve(self.said, password_file=self.file("a b:ü\n".encode())))
        self.assertEqual((found.password, found.open_to_others), ("a b:ü", {}))
        self.assertNotIn("a b", repr(found))

    def test_open_to_others(self) -> None:
        """A password that others may read is pointed out."""
        path = self.file(b"x", 0o640)
        found = read_access(evolve(self.said, password_file=path))
        self.assertEqual(found.open_to_others, {"password_file": path})

    def test_wrong_files(self) -> None:
        """What is missing, too large, or no value is one line with its key; a secret is not told."""
        for key in ("password_file", "simulation_id_file", "feeder_id_file", "tls_ca"):
            self.assert_wrong(key, None, "No such file or directory; expected a file that csipd can read")
        for key in ("simulation_id_file", "feeder_id_file"):
            for wrong in (b"", b"\n", b"a b", b"*", b"a\nb", b"x" * 101, b"/topic/x"):
                self.assert_wrong(key, wrong, "expected 1 to 100 of A-Z a-z 0-9 . _ -, first no dot alone")
        for wrong in (b"", b"hush\nhush", b"hush\0", b"h" * 201):
            self.assert_wrong("password_file", wrong, "expected a password of at most 200 characters alone")
            with self.assertRaises(AccessError) as caught:
                read_access(evolve(self.said, password_file=self.file(wrong)))
            self.assertNotIn("hush", str(caught.exception))
        self.assert_wrong("password_file", b"\xff", "expected UTF-8 text")
        self.assert_wrong("password_file", b"x" * 5000, "expected at most 4096 octets")

    def test_roots(self) -> None:
        """Roots are certificates in PEM, as many as there are."""
        pem = ROOT.cert_pem
        found = read_access(evolve(self.said, tls=True, tls_ca=self.file(pem + b"\n" + pem)))
        self.assertEqual(len(found.roots), 2)
        for wrong in (b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            self.assert_wrong("tls_ca", wrong, "expected certificates in PEM")
