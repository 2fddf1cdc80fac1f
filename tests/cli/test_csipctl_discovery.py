"""`csipctl discovery`: what needs a configuration and a certificate, and no link."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.discovery import browsing
from csipd.discovery.browsing import Found
from csipd.sep2.identity import pretty_sfdi
from tests.cli.fake import FakeAPI
from tests.support import pki
from tests.support.pki import Authority

LAB = Authority.make()


class DiscoveryTests(SynchronousTestCase):
    """With a configuration and the server's certificate beside it."""

    def setUp(self) -> None:
        self.api = FakeAPI()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "config.yml"
        self.configure("mdns: true\nmdns_interfaces: [eth0]\nmdns_name: utility\n")
        server = LAB.server("127.0.0.1")
        pki.write(self.folder / "tls", **{"127.0.0.1": server})
        self.sfdi = pretty_sfdi(server.sfdi)

    def configure(self, more: str) -> None:
        self.file.write_text(
            f"server: 127.0.0.1\nhttps_port: 7443\ntls_repository: {self.folder}/tls\n{more}"
        )

    def run_here(self, *arguments: str) -> str:
        done = self.api.run("--config", str(self.file), *arguments)
        self.assertEqual(done.exit_code, 0, done.stderr)
        return done.stdout

    def test_show(self) -> None:
        """The server as such, then each function set, as the configuration says."""
        shown = self.run_here("discovery", "show").splitlines()
        self.assertIn(f"utility-{self.sfdi}", shown[1])
        self.assertIn("txtvers=1 dcap=/dcap https=7443 level=-S1", shown[1])
        self.assertEqual(len(shown), 9)
        self.configure("dcap_path: /sep2/dcap\nhttp_port: 8080\nserver_names: [localhost]\n")
        document = json.loads(self.run_here("--json", "discovery", "show", "--name", "other"))
        self.assertEqual(document["host"], f"other-{self.sfdi}.local.")
        self.assertEqual((document["interfaces"], document["instances"][0]["port"]), ([], 8080))
        self.assertIn("dcap=/sep2/dcap", document["instances"][0]["text"])

    def test_off(self) -> None:
        """Where csipd itself announces nothing that is said."""
        self.configure("")
        done = self.api.run("--config", str(self.file), "discovery", "show")
        self.assertIn("mdns is not true", done.stderr)
        self.assertIn(f"csipd-{self.sfdi}", done.stdout)

    def test_avahi(self) -> None:
        """The file is XML and nothing else."""
        group = etree.fromstring(self.run_here("discovery", "avahi").encode())
        self.assertEqual(group.findtext("name"), f"utility-{self.sfdi}")

    def test_without_configuration(self) -> None:
        """What is missing is said: the configuration, the certificate, a name that can be one."""
        done = self.api.run("discovery", "avahi")
        self.assertEqual(done.exit_code, 2)
        self.assertIn("--config", done.stderr)
        (self.folder / "tls" / "certs" / "127.0.0.1.crt").unlink()
        done = self.api.run("--config", str(self.file), "discovery", "show")
        self.assertEqual(done.exit_code, 1)
        self.assertIn("its first start makes it", done.stderr)
        done = self.api.run("--config", str(self.file), "discovery", "show", "--name", "a.b")
        self.assertEqual(done.exit_code, 2)
        self.assertIn("'a.b' is not 1 to 40 letters", done.stderr)

    def test_no_such_interface(self) -> None:
        """An interface that is not there is said with those that are."""
        done = self.api.run("discovery", "browse", "--interface", "nowhere0")
        self.assertEqual(done.exit_code, 1)
        self.assertRegex(done.stderr, "nowhere0 is no interface of this machine.* it has .*lo")

    def browse(self, found: list[Found], *options: str) -> tuple[int, str, str]:
        """What comes of it where these were found."""
        with patch.object(browsing, "browse", lambda *arguments: found):
            done = self.api.run(*options, "discovery", "browse", "--interface", "lo")
        return done.exit_code, done.stdout, done.stderr

    def test_browse(self) -> None:
        """Who was found, and where each begins; that nobody was."""
        name = "csipd-1._smartenergy._tcp.local."
        text = ("txtvers=1", "dcap=/dcap", "https=7443", "level=-S1")
        found = Found(name, "csipd-1.local.", 7443, ("192.0.2.1",), text)
        code, shown, _ = self.browse([found])
        self.assertEqual(code, 0)
        self.assertIn("https://192.0.2.1:7443/dcap", shown)
        (item,) = json.loads(self.browse([found], "--json")[1])["items"]
        self.assertEqual((item["instance"], item["text"]), (name, list(text)))
        self.assertIn("Nobody answered", self.browse([])[2])

    def test_broken(self) -> None:
        """A link that cannot be spoken on is one line."""

        def broken(*arguments: object) -> list[Found]:
            raise OSError(98, "Address already in use")

        with patch.object(browsing, "browse", broken):
            done = self.api.run("discovery", "browse", "--interface", "lo")
        self.assertEqual(done.exit_code, 1)
        self.assertIn("multicast DNS cannot be spoken there: Address already in use", done.stderr)

    def test_where_it_begins(self) -> None:
        """https has the port of the TXT record, 443 where it names none; without https it is http."""
        for text, address, uri in (
            (("dcap=/d", "https=1"), "192.0.2.1", "https://192.0.2.1:1/d"),
            (("dcap=/d", "https="), "fe80::1%2", "https://[fe80::1%2]:443/d"),
            (("dcap=/d", "https"), "192.0.2.1", "https://192.0.2.1:443/d"),
            (("dcap=/d",), "192.0.2.1", "http://192.0.2.1:80/d"),
            (("https=1",), "192.0.2.1", None),
        ):
            self.assertEqual(Found("n", "h", 80, (address,), text).dcap, uri)
        self.assertIsNone(Found("n", "h", 80, (), ("dcap=/d",)).dcap)
