"""Discovery as the daemon builds it: what is announced, what it needs, that off it costs nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from csipd.config import loads
from csipd.daemon import discovery
from csipd.daemon.discovery import advertisement, build_discovery, check_discovery
from csipd.daemon.failures import StartError
from csipd.discovery.records import Advertisement
from csipd.net.peer_log import PeerLog
from csipd.sep2.identity import sfdi
from tests.config.support import LFDI
from tests.support.daemon import run, small_place, twistd

ON = "server: 127.0.0.1\nserver_names: [localhost]\nhttps_port: 7443\nmdns: true\nmdns_interfaces: [lo]\n"


class BuildingTests(SynchronousTestCase):
    """From settings to a service."""

    def test_advertisement(self) -> None:
        """Name, ports and path are the configuration's, the SFDI that of the server's LFDI."""
        self.assertEqual(
            advertisement(loads(ON), LFDI), Advertisement("csipd", sfdi(LFDI), 7443, "/dcap", None)
        )
        more = loads(ON + "mdns_name: feeder-7\nhttp_port: 8080\ndcap_path: /sep2/dcap\n")
        self.assertEqual(
            advertisement(more, LFDI), Advertisement("feeder-7", sfdi(LFDI), 7443, "/sep2/dcap", 8080)
        )
        self.assertEqual(advertisement(more, LFDI, "other").name, "other")
        self.assertEqual(advertisement(loads("server: a\nhttps_port: 1\n"), LFDI).name, "csipd")

    def test_service(self) -> None:
        """There is one where it is wanted, and it opens nothing before it is started."""
        reactor = MemoryReactorClock()
        found = build_discovery(loads(ON), LFDI, reactor, PeerLog(reactor))
        assert found is not None
        self.assertEqual(found.current, advertisement(loads(ON), LFDI))
        self.assertEqual((reactor.getReaders(), reactor.getDelayedCalls()), ([], []))
        off = loads("server: 127.0.0.1\nhttps_port: 7443\n")
        self.assertIsNone(build_discovery(off, LFDI, reactor, PeerLog(reactor)))

    def test_not_installed(self) -> None:
        """Where it is wanted and cannot be the start ends with one line that says what to do."""
        with patch.object(discovery, "find_spec", lambda name: None):
            check_discovery(loads("server: 127.0.0.1\nhttps_port: 7443\n"))
            error = self.assertRaises(StartError, check_discovery, loads(ON))
        self.assertEqual(
            str(error),
            "config.yml:4: mdns: needs the package zeroconf, which is not installed: pip install"
            " 'csipd[mdns]'",
        )
        check_discovery(loads(ON))

    def test_off_loads_nothing(self) -> None:
        """The daemon without it has none of its modules but what a status is written with, and no package."""
        code = (
            "import sys, csipd.daemon.services\n"
            "needed = ('zeroconf', 'ifaddr', 'csipd.discovery.')\n"
            "print([name for name in sys.modules if name.startswith(needed)])"
        )
        done = run(Path.cwd(), sys.executable, "-c", code, env={"PYTHONPATH": ":".join(sys.path)})
        self.assertEqual((done.stdout.strip(), done.stderr), ("['csipd.discovery.state']", ""))

    def test_check(self) -> None:
        """`--check` of a configuration with an interface that is not there yet finds nothing wrong."""
        place = small_place(Path(self.mktemp()), "mdns: true", "mdns_interfaces: [nowhere0]")
        done = run(place.folder, *twistd(place, "--check"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
