"""`csipctl` against csipd as it is run: a process, real TLS, and what its configuration says."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPSConnection
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.csipctl import csipctl
from tests.support import pki
from tests.support.client import CCM8
from tests.support.daemon import LAB, TIMEOUT, Daemon, Place, small_place


class DaemonTests(SynchronousTestCase):
    """The daemon as a process, real TLS, and csipctl as its configuration says."""

    def setUp(self) -> None:
        self.place: Place = small_place(Path(self.mktemp()), "generate_admin_cert: true")
        pki.write(self.place.tls, admin=LAB.admin())
        self.daemon = Daemon(self, self.place)
        self.daemon.start()

    def ctl(self, *arguments: str, code: int = 0) -> Result:
        words = ("--config", str(self.place.config), "--timeout", str(TIMEOUT), *arguments)
        done = CliRunner().invoke(csipctl, words, catch_exceptions=False, prog_name="csipctl")
        self.assertEqual(done.exit_code, code, f"{arguments}: {done.output}")
        return done

    def test_new_device(self) -> None:
        """A device that is added with a key made for it connects with that key, and finds itself."""
        out = Path(self.mktemp()).absolute()
        self.ctl("devices", "add", "new1", "--make-key", "--out", str(out))
        shown = json.loads(self.ctl("--json", "devices", "show", "new1").stdout)
        reported = json.loads(self.ctl("--json", "lfdi", str(out / "new1.crt")).stdout)["items"][0]
        self.assertEqual(shown["lFDI"], reported["lFDI"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers(f"{CCM8}:@SECLEVEL=0")
        context.load_verify_locations(self.place.tls / "certs" / "ca.crt")
        context.load_cert_chain(out / "new1.crt", out / "new1.pem")
        connection = HTTPSConnection("127.0.0.1", self.place.port, timeout=TIMEOUT, context=context)
        self.addCleanup(connection.close)
        connection.request("GET", shown["href"])
        self.assertEqual(connection.getresponse().status, 200)

    def test_trust(self) -> None:
        """A device's certificate is refused here, another CA's is not let in, and another port is said."""
        tls = self.place.tls
        device = ("--cert", str(tls / "certs" / "dev1.crt"), "--key", str(tls / "private" / "dev1.pem"))
        self.assertIn("(403)", self.ctl(*device, "status", code=1).stderr)
        stranger = pki.Authority.make("stranger").admin()
        pki.write(tls, stranger=stranger)
        other = (
            "--cert",
            str(tls / "certs" / "stranger.crt"),
            "--key",
            str(tls / "private" / "stranger.pem"),
        )
        self.assertEqual(len(self.ctl(*other, "status", code=3).stderr.splitlines()), 1)
        devices = ("--server", f"https://127.0.0.1:{self.place.port}")
        self.assertIn("admin_port", self.ctl(*devices, "status", code=1).stderr)

    def test_renewal(self) -> None:
        """The server's new certificate is shown after SIGHUP, the operator's is known after a restart."""
        self.ctl("status")
        self.ctl("certs", "renew", "server")
        self.daemon.process.send(1)
        for listener in ("IEEE 2030.5", "the operator's API"):
            self.daemon.process.log.wait_for(f"TLS of {listener}: key, certificate and trust roots reloaded")
        self.ctl("status")
        self.ctl("certs", "renew", "operator")
        self.assertIn("(403)", self.ctl("status", code=1).stderr)
        self.daemon.stop()
        self.assertIn("nothing listens there", self.ctl("status", code=3).stderr)
        self.daemon.start()
        self.ctl("status")
