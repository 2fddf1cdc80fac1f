"""Command lines: what they take, what they say of themselves, and that they start the same csipd."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.cli import proxy
from csipd.cli.server import arguments
from tests.support.daemon import SCRIPTS, Daemon, Place, run, seed_place, small_place, snapshot

#: The flags of the server that csipd replaces.
FLAGS = ("--no-validate", "--no-create-certs", "--debug")


def server(place: Place, *flags: str) -> list[str]:
    """The seed's command, in the folder of the configuration."""
    return [str(SCRIPTS / "2030_5_server"), *flags, "config.yml"]


class ArgumentsTests(SynchronousTestCase):
    """`2030_5_server` spelled for twistd."""

    def test_spelled(self) -> None:
        """It stays in the foreground, writes no pid file, and passes its file and flags on."""
        start = ["--nodaemon", "--pidfile=", "csipd", "--config", "some.yml"]
        self.assertEqual(arguments(["some.yml"]), start)
        for flag in FLAGS:
            self.assertEqual(arguments([flag, "some.yml"]), [*start, flag])
            self.assertEqual(arguments(["some.yml", flag]), [*start, flag])
        self.assertEqual(arguments([*FLAGS, "some.yml"]), [*start, *FLAGS])

    def test_refused(self) -> None:
        """What it does not take ends it with a line about its use and exit code 2."""
        for given in ([], ["--no-such-flag", "some.yml"], ["some.yml", "another.yml"]):
            said = io.StringIO()
            self.patch(sys, "stderr", said)
            ended = self.assertRaises(SystemExit, arguments, given)
            self.assertEqual(ended.code, 2)
            self.assertIn("usage: 2030_5_server", said.getvalue())

    def test_help(self) -> None:
        """-h and --help name the file and every flag."""
        for flag in ("-h", "--help"):
            said = io.StringIO()
            self.patch(sys, "stdout", said)
            self.assertEqual(self.assertRaises(SystemExit, arguments, [flag]).code, 0)
            for part in ("usage: 2030_5_server", "config", *FLAGS):
                self.assertIn(part, said.getvalue())


class ProxyArgumentsTests(SynchronousTestCase):
    """`2030_5_proxy` spelled for twistd."""

    def test_spelled(self) -> None:
        """It stays in the foreground, writes no pid file, and passes its file and --debug on."""
        start = ["--nodaemon", "--pidfile=", "csipd-proxy", "--config", "some.yml"]
        self.assertEqual(proxy.arguments(["some.yml"]), start)
        for given in (["--debug", "some.yml"], ["some.yml", "--debug"]):
            self.assertEqual(proxy.arguments(given), [*start, "--debug"])

    def test_refused(self) -> None:
        """What it does not take ends it with a line about its use and exit code 2."""
        for given in ([], ["--no-validate", "some.yml"], ["some.yml", "another.yml"]):
            said = io.StringIO()
            self.patch(sys, "stderr", said)
            self.assertEqual(self.assertRaises(SystemExit, proxy.arguments, given).code, 2)
            self.assertIn("usage: 2030_5_proxy", said.getvalue())


class CommandTests(SynchronousTestCase):
    """The installed commands."""

    def test_the_seeds_command(self) -> None:
        """`2030_5_server --no-validate config.yml` serves the seed's configuration until it is stopped."""
        place = seed_place(Path(self.mktemp()))
        daemon = Daemon(self, place)
        daemon.start("--no-validate", command=server)
        with daemon.device("dev1") as device:
            self.assertEqual(device.get("/dcap").status, 200)
            self.assertEqual(device.get("/edev/1/rg").status, 200)
        self.assertEqual(daemon.stop(), 0)
        said = daemon.process.errors.all()
        self.assertEqual([line for line in said if not line.startswith("warning: config.yml:")], [])
        self.assertEqual(list(place.folder.glob("*.pid")), [])

    def test_the_same_start(self) -> None:
        """What is wrong is one line and exit code 1 here too, and nothing is made."""
        place = small_place(Path(self.mktemp()), certificates=False)
        before = snapshot(place.folder)
        for command, parts in (
            (["--no-create-certs", "config.yml"], [str(place.tls), "missing"]),
            (["--no-validate", "nowhere.yml"], ["nowhere.yml", "No such file"]),
        ):
            ended = run(place.folder, str(SCRIPTS / "2030_5_server"), *command)
            self.assertEqual((ended.returncode, ended.stdout), (1, ""))
            (line,) = ended.stderr.splitlines()
            for part in parts:
                self.assertIn(part, line)
        self.assertEqual(snapshot(place.folder), before)

    def test_help_of_the_daemon(self) -> None:
        """`twistd csipd --help` names every option."""
        folder = Path(self.mktemp())
        folder.mkdir()
        ended = run(folder, str(SCRIPTS / "twistd"), "csipd", "--help")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        for part in ("--config=", "--check", *FLAGS, "IEEE 2030.5"):
            self.assertIn(part, ended.stdout)
