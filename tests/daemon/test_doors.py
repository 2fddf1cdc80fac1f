"""What is off costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import site
from csipd.sep2.layout import Layout
from tests.support.daemon import small_place

_BUILT = """\
import sys
from csipd import config
from csipd.daemon import services, start
ready = start.prepare(config.load(sys.argv[1]), start.StartOptions(resolve=False))
from twisted.internet import reactor
services.build(ready, reactor)
print(*[name for name in sys.modules if name.startswith(tuple(sys.argv[2:]))])
"""
#: What only the doors need: the proxy, plain HTTP, discovery, the bus.
_OF_DOORS = (
    *("csipd.proxy", "csipd.web.hop", "csipd.daemon.proxying"),
    *("csipd.plain", "csipd.daemon.plain"),
    *("csipd.discovery.", "zeroconf", "ifaddr"),
    *("csipd.gridappsd.", "csipd.stomp", "csipd.daemon.bus"),
)
#: How a status is written where there is none.
_STATES = {"csipd.discovery.state", "csipd.gridappsd.state"}


class OffTests(SynchronousTestCase):
    """A daemon without any of them."""

    def loaded(self, *lines: str) -> set[str]:
        """What a daemon of a configuration has loaded of the doors once it is built."""
        place = small_place(Path(self.mktemp()), *lines)
        command = (sys.executable, "-c", _BUILT, str(place.config), *_OF_DOORS)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return set(done.stdout.split()) - _STATES

    def test_modules(self) -> None:
        """Nothing of a door is loaded where the configuration does not want it, nor what it needs."""
        self.assertEqual(self.loaded("gridappsd: {model_name: x}"), set())

    def test_one(self) -> None:
        """One that is wanted brings nothing of the others."""
        found = self.loaded("http_port: 0")
        self.assertEqual({name.partition(".plain")[0] for name in found}, {"csipd", "csipd.daemon"})

    def test_table(self) -> None:
        """Where DeviceCapability has not moved a request is located by the table alone."""
        self.assertIs(Layout().locate, site.locate)
