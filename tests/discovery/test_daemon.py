"""csipd on a link, found from other processes: zeroconf as a resolver, csipctl, and messages by hand."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.discovery.records import SERVICE
from csipd.sep2.identity import sfdi
from tests.support import pki
from tests.support.daemon import LAB, SCRIPTS, Daemon, Place, Process, run, small_place, twistd
from tests.support.link import TestLink

ROOT = Path(__file__).resolve().parents[2]
WATCH = """
import sys, threading
from zeroconf import ServiceBrowser, Zeroconf
def changed(zeroconf, service_type, name, state_change):
    print(state_change.name, name, flush=True)
with Zeroconf(interfaces=[sys.argv[1]]) as found:
    ServiceBrowser(found, sys.argv[2], handlers=[changed])
    print("looking", flush=True)
    threading.Event().wait()
"""


class DaemonTests(SynchronousTestCase):
    """A daemon and its clients, each a process."""

    def setUp(self) -> None:
        self.link = TestLink(self)
        self.place = small_place(
            Path(self.mktemp()), "mdns: true", f"mdns_interfaces: [{self.link.interface}]"
        )
        text = self.place.config.read_text()
        self.place.config.write_text(text.replace("server: 127.0.0.1", f"server: {self.link.address}"))
        credential = LAB.server(self.link.address)
        pki.write(self.place.tls, **{self.link.address: credential})
        self.label = f"csipd-{sfdi(credential.lfdi):012d}"
        self.daemon = Daemon(self, self.place)

    def start(self) -> Process:
        def command(place: Place, *flags: str) -> list[str]:
            return self.link.there(*twistd(place, *flags))

        found = self.daemon.start(command=command)
        found.log.wait_for(f"announced as {self.label}.{SERVICE} on {self.link.interface}")
        return found

    def csipctl(self, *arguments: str) -> str:
        command = (str(SCRIPTS / "csipctl"), "--config", str(self.place.config), *arguments)
        done = run(self.place.folder, *self.link.there(*command))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_found(self) -> None:
        """csipctl finds the server, and where its function sets begin."""
        self.start()
        dcap = f"https://{self.link.address}:{self.place.port}/dcap"
        for subtype, label in ((None, self.label), ("tm", self.label.replace("-", "-tm-"))):
            more = () if subtype is None else ("--subtype", subtype)
            items = json.loads(self.csipctl("--json", "discovery", "browse", "--for", "2", *more))["items"]
            (mine,) = (one for one in items if one["instance"] == f"{label}.{SERVICE}")
            self.assertEqual((mine["dcap"], mine["addresses"]), (dcap, [self.link.address]))
            self.assertEqual(mine["text"][0], "txtvers=1")
            self.assertEqual(("path=/tm" in mine["text"]), subtype == "tm")
        self.assertIn(dcap, self.csipctl("discovery", "browse", "--for", "2"))

    def test_status(self) -> None:
        """The operator sees where it is announced, and what keeps it from being so elsewhere."""
        text = self.place.config.read_text()
        listed = f"mdns_interfaces: [{self.link.interface}"
        self.place.config.write_text(text.replace(listed, f"{listed}, nowhere0"))
        self.place.add("generate_admin_cert: true")
        pki.write(self.place.tls, admin=LAB.admin())
        self.start()
        name = f"{self.label}.{SERVICE}"
        shown = self.csipctl("status")
        self.assertRegex(shown, f"Discovery +{re.escape(name)} on {self.link.interface} [(]IPv4[)]")
        self.assertRegex(shown, "Discovery trouble +nowhere0 is no interface of this machine now")

    def test_who_is_answered(self) -> None:
        """Everybody without the QU bit, the asker alone with it, a resolver in its way (COMM-001)."""
        self.start()
        names = [one.removesuffix(".") for one in (SERVICE, f"_derp._sub.{SERVICE}", f"_tm._sub.{SERVICE}")]
        asked = self.link.there(sys.executable, "-m", "tests.support.asker", self.link.address, *names)
        done = run(ROOT, *asked, env={**os.environ, "PYTHONPATH": str(ROOT)})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            json.loads(done.stdout), {name: [["everybody"], ["asker"], ["resolver"]] for name in names}
        )

    def test_comes_and_goes(self) -> None:
        """A resolver sees it come, and go when it is stopped."""
        command = (sys.executable, "-c", WATCH, self.link.address, f"_mup._sub.{SERVICE}")
        watch = Process(self, self.link.there(*command), self.place.folder)
        watch.log.wait_for("looking")
        started = self.start()
        name = f"{self.label.replace('-', '-mup-')}.{SERVICE}"
        watch.log.wait_for(f"Added {name}")
        self.assertEqual(started.stop(), 0)
        watch.log.wait_for(f"Removed {name}")
        self.assertEqual([line for line in started.log.all() if "Traceback" in line], [])

    def test_both_versions(self) -> None:
        """A server at every address is announced by both versions of IP, where the link has both."""
        text = self.place.config.read_text()
        names = f"server_names: [{self.link.address}]"
        self.place.config.write_text(text.replace(f"server: {self.link.address}", f'server: "::"\n{names}'))
        pki.write(self.place.tls, **{"::": LAB.server(self.link.address)})
        started = self.start()
        if self.link.interface == "lo":  # where IPv6 has no multicast; that of IPv4 goes on
            return
        started.log.wait_for(f"announced as {self.label}.{SERVICE} on {self.link.interface} (IPv6)")
        (mine,) = json.loads(self.csipctl("--json", "discovery", "browse", "--for", "2"))["items"]
        self.assertIn(self.link.address, mine["addresses"])
        self.assertTrue(any(one.startswith("fe80::c51") for one in mine["addresses"]), mine)

    def test_show(self) -> None:
        """csipctl says what is announced."""
        shown = json.loads(self.csipctl("--json", "discovery", "show"))
        self.assertEqual(shown["host"], f"{self.label}.local.")
        self.assertEqual(shown["interfaces"], [self.link.interface])
