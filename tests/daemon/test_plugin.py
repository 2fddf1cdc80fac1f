"""Which reactor the daemon runs on, and that nothing else of Twisted's is made to run on it (decision 53)."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

#: Has twistd read such arguments, and says which reactor there is then, by its module.
_PARSE = """
import sys
from contextlib import redirect_stdout, suppress
from twisted.scripts.twistd import ServerOptions
arguments = sys.argv[1:]
with redirect_stdout(sys.stderr), suppress(SystemExit):
    ServerOptions().parseOptions(arguments)
reactor = sys.modules.get("twisted.internet.reactor")
print(type(reactor).__module__, "csipd.daemon.tap" in sys.modules, "klein" in sys.modules)
"""


def run(source: str, *arguments: str) -> str:
    """What a Python of its own prints."""
    command = [sys.executable, "-c", source, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class PluginTests(SynchronousTestCase):
    """twisted/plugins/csipd_plugin.py."""

    def test_csipd(self) -> None:
        """``twistd csipd`` runs on csipd's reactor, which is there before the daemon, and Klein, come in."""
        self.assertEqual(run(_PARSE, "csipd", "--help"), "csipd.net.reactor True True")

    def test_chosen(self) -> None:
        """One that the command line names stays."""
        for name, module in (("poll", "pollreactor"), ("epoll", "epollreactor")):
            found = run(_PARSE, f"--reactor={name}", "csipd", "--help")
            self.assertEqual(found, f"twisted.internet.{module} True True")

    def test_others(self) -> None:
        """Other commands, which load the plugin too, and trial are left alone."""
        for arguments in (("--help",), ("web", "--help")):
            with self.subTest(arguments=arguments):
                self.assertNotIn("csipd", run(_PARSE, *arguments))
        loaded = (
            "import sys; from twisted.plugin import getPlugins; from twisted.trial.itrial import IReporter;"
            "list(getPlugins(IReporter)); from twisted.plugins import csipd_plugin;"
            "print('twisted.internet.reactor' in sys.modules, 'csipd.daemon' in sys.modules)"
        )
        self.assertEqual(run(loaded), "False False")

    def test_exists(self) -> None:
        """One that is there already stays."""
        source = (
            "from twisted.internet import reactor; from twisted.plugins import csipd_plugin;"
            "csipd_plugin.csipd.options; from twisted.internet import reactor as now; print(now is reactor)"
        )
        self.assertEqual(run(source), "True")

    def test_without_epoll(self) -> None:
        """Where there is no epoll Twisted's own choice is taken."""
        source = (
            "import select; del select.epoll; from twisted.plugins import csipd_plugin;"
            "csipd_plugin.csipd.options; from twisted.internet import reactor;"
            "print(type(reactor).__module__)"
        )
        self.assertEqual(run(source), "twisted.internet.pollreactor")

    def test_clock(self) -> None:
        """Whatever the reactor, its clock is monotonic (decision 22)."""
        source = (
            "import sys, time; from twisted.application import reactors;"
            "sys.argv[1:] and reactors.installReactor(sys.argv[1]); from twisted.plugins import csipd_plugin;"
            "from unittest.mock import patch; options = csipd_plugin.csipd.options;"
            "from csipd.daemon import tap;"
            "built = patch.object(tap, 'build').start();"
            "csipd_plugin.csipd.makeService(type('O', (), {'ready': None})());"
            "print(built.call_args[0][1].seconds is time.monotonic)"
        )
        for chosen in ((), ("poll",)):
            self.assertEqual(run(source, *chosen), "True")
