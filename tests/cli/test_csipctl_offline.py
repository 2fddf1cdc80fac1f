"""`csipctl lfdi`, `check-config` and `certs`: what needs no server."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd import pki as real_pki
from csipd.sep2.certificates import CertificateFacts, describe
from csipd.sep2.identity import pretty_lfdi, pretty_sfdi
from tests.cli.fake import NOW, FakeAPI
from tests.support import pki
from tests.support.pki import Authority

LAB = Authority.make()
OPENSSL_CNF = Path(__file__).resolve().parent.parent.parent / "openssl.cnf"


class LFDITests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()
        self.folder = Path(self.mktemp())
        self.device = LAB.mica().device("dev1")
        pki.write(self.folder, dev1=self.device)
        self.file = self.folder / "certs" / "dev1.crt"

    def tearDown(self) -> None:
        self.assertEqual(self.api.connections, [])

    def test_pem_and_der(self) -> None:
        """LFDI in groups, SFDI in full and fingerprint are those of the first certificate, in PEM or DER."""
        der = self.folder / "dev1.der"
        der.write_bytes(self.device.der)
        for file in (self.file, der, self.folder / "combined" / "dev1-combined.pem"):
            done = self.api.run("lfdi", str(file))
            self.assertEqual(done.exit_code, 0, done.stderr)
            self.assertEqual(
                [" ".join(line.split()) for line in done.stdout.splitlines()],
                [
                    f"File {file}",
                    f"LFDI {pretty_lfdi(self.device.lfdi)}",
                    f"SFDI {pretty_sfdi(self.device.sfdi)}",
                    f"Fingerprint {sha256(self.device.der).hexdigest().upper()}",
                ],
            )

    def test_pin(self) -> None:
        """A PIN with its check digit gives the registration code; 0 is a PIN as well."""
        for pin, shown in (("111115", "111115"), ("0", "000000")):
            done = self.api.run("lfdi", str(self.file), "--pin", pin)
            self.assertEqual(done.exit_code, 0, done.stderr)
            self.assertIn(f"{shown} (its check digit is right)", done.stdout)
            self.assertIn(f"{pretty_sfdi(self.device.sfdi)}-{shown}", done.stdout)

    def test_wrong_pin(self) -> None:
        """A PIN with another last digit is reported with the right one, and is exit code 1."""
        done = self.api.run("lfdi", str(self.file), "--pin", "012345")
        self.assertEqual(done.exit_code, 1)
        self.assertIn("WRONG check digit", done.stdout)
        self.assertIn("012340 would be right", done.stderr)

    def test_json(self) -> None:
        """In JSON the names are the API's."""
        done = self.api.run("--json", "lfdi", str(self.file), str(self.file), "--pin", "111115")
        items = json.loads(done.stdout)["items"]
        self.assertEqual(len(items), 2)
        self.assertEqual((items[0]["lFDI"], items[0]["sFDI"]), (self.device.lfdi, self.device.sfdi))
        self.assertEqual((items[0]["pIN"], items[0]["pin_is_valid"]), (111115, True))

    def test_no_certificate(self) -> None:
        """A file that is not there or holds no certificate is exit code 1, with its name."""
        for name, content in (
            ("nothing", None),
            ("empty", b""),
            ("key", self.device.key_pem),
            ("x", b"\x30\x80"),
        ):
            file = self.folder / name
            if content is not None:
                file.write_bytes(content)
            done = self.api.run("lfdi", str(file))
            self.assertEqual((done.exit_code, done.stdout), (1, ""))
            self.assertIn(str(file), done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)


class ConfigTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()
        self.file = Path(self.mktemp())

    def test_good(self) -> None:
        """A configuration that can be used is exit code 0, with its warnings."""
        self.file.write_text("server: 127.0.0.1\nhttps_port: 7443\nui_port: 5000\n")
        done = self.api.run("check-config", str(self.file))
        self.assertEqual(done.exit_code, 0)
        self.assertIn(f"warning: {self.file}:3: ui_port: ignored", done.stdout)
        self.assertIn("can be used", done.stdout)

    def test_bad(self) -> None:
        """Each error is a line with file and line number, and the exit code is 1."""
        self.file.write_text("server: 127.0.0.1\nhttps_port: 70000\nnonsense: 1\n")
        done = self.api.run("check-config", str(self.file))
        self.assertEqual(done.exit_code, 1)
        first, second = done.stdout.splitlines()
        self.assertTrue(first.startswith(f"error: {self.file}:2: https_port: "), first)
        self.assertTrue(second.startswith(f"error: {self.file}:3: nonsense: "), second)

    def test_not_there(self) -> None:
        """A file that is not there is an error of the configuration."""
        done = self.api.run("check-config", "nowhere.yml")
        self.assertEqual(done.exit_code, 1)
        self.assertIn("nowhere.yml", done.stdout)

    def test_json(self) -> None:
        """In JSON errors and warnings are lists of lines."""
        self.file.write_text("server: 127.0.0.1\nui_port: 5000\n")
        done = self.api.run("--json", "check-config", str(self.file))
        self.assertEqual(done.exit_code, 1)
        document = json.loads(done.stdout)
        self.assertEqual((len(document["errors"]), document["warnings"]), (1, []))


class CertificateListTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()
        self.folder = Path(self.mktemp())
        soon = datetime.fromtimestamp(NOW + 30 * 86_400, UTC)
        late = datetime.fromtimestamp(NOW + 300 * 86_400, UTC)
        self.credentials = {
            "admin": LAB.issue("admin", (), subject="admin", end=soon),
            "ca": LAB.credential,
            "dev1": LAB.device("dev1"),
            "server": LAB.issue("server", (), subject="server", end=late),
        }
        pki.write(self.folder, **self.credentials)

    def test_list(self) -> None:
        """Each certificate is a line with its end, near ends marked, and its LFDI."""
        done = self.api.run("--tls", str(self.folder), "--zone", "UTC", "certs", "list")
        self.assertEqual(done.exit_code, 0, done.stderr)
        lines = [" ".join(line.split()) for line in done.stdout.splitlines()][1:]
        lfdis = {name: pretty_lfdi(one.lfdi) for name, one in self.credentials.items()}
        self.assertEqual(
            lines,
            [
                f"admin CN=admin 2026-07-31 14:00:00+00:00 (soon) {lfdis['admin']} CN=root",
                f"ca CN=root never {lfdis['ca']} CN=root",
                f"dev1 never {lfdis['dev1']} CN=root",
                f"server CN=server 2027-04-27 14:00:00+00:00 {lfdis['server']} CN=root",
            ],
        )

    def test_json(self) -> None:
        """In JSON ends are seconds since 1970, and absent where there is none."""
        items = json.loads(self.api.run("--json", "--tls", str(self.folder), "certs", "list").stdout)["items"]
        self.assertEqual([item["id"] for item in items], ["admin", "ca", "dev1", "server"])
        self.assertEqual(items[0]["ends"], NOW + 30 * 86_400)
        self.assertNotIn("ends", items[1])
        self.assertEqual([item["ends_soon"] for item in items], [True, False, False, False])

    def test_no_folder(self) -> None:
        """A folder that is not there is exit code 1, with the way to name another."""
        done = self.api.run("--tls", "nowhere", "certs", "list")
        self.assertEqual(done.exit_code, 1)
        self.assertIn("--tls", done.stderr)


class RenewalTests(SynchronousTestCase):
    """With the real openssl."""

    def setUp(self) -> None:
        self.api = FakeAPI()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.tls = self.folder / "tls"
        self.config = self.folder / "config.yml"
        self.config.write_text(
            f"server: 127.0.0.1\nhttps_port: 7443\ntls_repository: {self.tls}\nopenssl_cnf: {OPENSSL_CNF}\n"
        )
        lab = {"admin": LAB.admin(), "127.0.0.1": LAB.server("127.0.0.1")}
        pki.write(self.tls, LAB, **lab)

    def facts(self, id: str) -> CertificateFacts:
        """What the certificate of an id says."""
        pem = (self.tls / "certs" / f"{id}.crt").read_text()
        return describe(ssl.PEM_cert_to_DER_cert(pem))

    def test_server(self) -> None:
        """The server gets another certificate for its key, with the names of the configuration."""
        key = self.tls / "private" / "127.0.0.1.pem"
        before, secret = self.facts("127.0.0.1"), key.read_bytes()
        done = self.api.run("--config", str(self.config), "certs", "renew", "server")
        self.assertEqual(done.exit_code, 0, done.stderr)
        after = self.facts("127.0.0.1")
        self.assertNotEqual(after.lfdi, before.lfdi)
        self.assertEqual(set(after.names), {"127.0.0.1", "localhost"})
        self.assertEqual(key.read_bytes(), secret)
        self.assertIn("ends: never", done.stdout)
        self.assertIn("kill -HUP", done.stderr)

    def test_proxy(self) -> None:
        """The proxy's is renewed likewise, where there is one; which is the same to no device."""
        done = self.api.run("--config", str(self.config), "certs", "renew", "proxy")
        self.assertEqual(done.exit_code, 1)
        self.assertIn("without proxy_hostname the proxy has no certificate", done.stderr)
        with self.config.open("a") as file:
            file.write("proxy_hostname: 127.0.0.1:8443\nserver_names: [gateway.example]\n")
        pki.write(self.tls, proxy=LAB.server("127.0.0.1"))
        before = self.facts("proxy")
        done = self.api.run("--config", str(self.config), "certs", "renew", "proxy")
        self.assertEqual(done.exit_code, 0, done.stderr)
        after = self.facts("proxy")
        self.assertNotEqual(after.lfdi, before.lfdi)
        self.assertEqual(set(after.names), {"127.0.0.1", "localhost", "gateway.example"})
        self.assertIn("until its next start", done.stderr)
        listed = self.api.run("--json", "--tls", str(self.tls), "certs", "list")
        self.assertIn("proxy", [item["id"] for item in json.loads(listed.stdout)["items"]])
        self.assertEqual(self.api.run("--tls", str(self.tls), "certs", "renew", "proxy").exit_code, 2)

    def test_operator(self) -> None:
        """The operator's is renewed without a configuration; it is said that the server must be told."""
        before = self.facts("admin")
        done = self.api.run(
            "--json", "--tls", str(self.tls), "certs", "renew", "operator", "--openssl-cnf", str(OPENSSL_CNF)
        )
        self.assertEqual(done.exit_code, 0, done.stderr)
        after = self.facts("admin")
        self.assertNotEqual(after.lfdi, before.lfdi)
        self.assertEqual(json.loads(done.stdout)["lFDI"], after.lfdi)
        self.assertIn("fingerprint", done.stderr)
        self.assertEqual(real_pki.Repository(self.tls, None).missing([real_pki.operator()]), [])

    def test_refused(self) -> None:
        """Without a configuration the server's is not renewed, and without a key nobody's is."""
        self.assertEqual(self.api.run("--tls", str(self.tls), "certs", "renew", "server").exit_code, 2)
        self.assertEqual(self.api.run("--tls", str(self.tls), "certs", "renew", "dev1").exit_code, 2)
        (self.tls / "private" / "admin.pem").unlink()
        done = self.api.run("--tls", str(self.tls), "certs", "renew", "operator")
        self.assertEqual(done.exit_code, 1)
        self.assertIn("admin.pem is missing", done.stderr)
