"""What `make run` shows: a quiet log, and what to try."""

from __future__ import annotations

import io
import shlex
import shutil
import subprocess
from pathlib import Path

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from csipd import config
from csipd.daemon.console import console, hints
from tests.support.daemon import SCRIPTS, TIMEOUT, Process
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [
    str(SCRIPTS / "twistd"),
    *("--nodaemon", "--pidfile=", "--logger", "csipd.daemon.console.console"),
    *("csipd", "--config", "config.yml", "--hints"),
]


class ConsoleTests(SynchronousTestCase):
    """The log as a person reads it."""

    def said(self, namespace: str, level: LogLevel, text: str = "said {what}") -> str:
        file = io.StringIO()
        log = Logger(namespace, observer=console(file))
        log.emit(level, text, what="so")
        return file.getvalue()

    def test_whose_lines(self) -> None:
        """csipd's lines are shown; of Twisted, and of what a start has done, only warnings and worse."""
        notices = "csipd.daemon.running.Notices"
        for namespace, least in (
            ("csipd.net", LogLevel.info),
            ("twisted.x", LogLevel.warn),
            (notices, LogLevel.warn),
        ):
            for level in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.critical):
                self.assertEqual(bool(self.said(namespace, level)), level >= least, (namespace, level))

    def test_form(self) -> None:
        """A line has the time of day, the level where it is worse than usual, and the text."""
        self.assertRegex(self.said("csipd.x", LogLevel.info), r"^\d\d:\d\d:\d\d said so\n$")
        self.assertRegex(self.said("csipd.x", LogLevel.warn), r"^\d\d:\d\d:\d\d warn: said so\n$")

    def test_failure(self) -> None:
        """A defect comes with its traceback."""
        file = io.StringIO()
        Logger("csipd.x", observer=console(file)).failure("broken", failure=Failure(ValueError("why")))
        self.assertIn("critical: broken", file.getvalue())
        self.assertIn("ValueError: why", file.getvalue())


class HintsTests(SynchronousTestCase):
    """What to try once the daemon serves."""

    def hints(self, *lines: str) -> str:
        text = "\n".join(["server: 0.0.0.0", "https_port: 7443", *lines])
        settings = config.loads(text, "etc/some.yml", Path("/srv"))
        return "\n".join(hints(settings, Path(".venv/bin/twistd"), Path("/srv")))

    def test_operator_and_device(self) -> None:
        """csipctl lies beside twistd, and is reported the configuration where it would not find its way."""
        said = self.hints("generate_admin_cert: true", "devices:", "- id: dev7")
        self.assertIn("  .venv/bin/csipctl devices list", said)
        self.assertIn(
            "--cert tls/certs/dev7.crt --key tls/private/dev7.pem https://127.0.0.1:7443/dcap", said
        )
        said = self.hints("generate_admin_cert: true", "tls_repository: /etc/keys")
        self.assertIn("  .venv/bin/csipctl --config etc/some.yml devices list", said)
        self.assertIn("For /etc/keys/certs/admin.crt", said)

    def test_neither(self) -> None:
        """Where no key is here, nothing is suggested that needs one."""
        said = self.hints("devices:", "- id: dev7", f"  lfdi: {'3E' * 20}")
        self.assertNotIn("csipctl", said)
        self.assertNotIn("curl", said)


class MakeRunTests(SynchronousTestCase):
    """`make run` on a fresh clone, in a folder of its own and on other ports."""

    def test_quiet_and_true(self) -> None:
        """The first start has no warnings and no lines of Twisted; what it suggests works (cases C8, C9)."""
        self.assertIn(" ".join(COMMAND[1:-3]), (ROOT / "Makefile").read_text())
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        ports = f"https_port: {free_port()}\nadmin_port: {free_port()}\n"
        sample = (ROOT / "etc" / "config.yml").read_text().replace("https_port: 7443\n", ports)
        (folder / "config.yml").write_text(sample)
        shutil.copy(ROOT / "openssl.cnf", folder)
        process = Process(self, COMMAND, folder)
        process.log.wait_for("Ctrl-C ends it.")
        said = process.log()
        self.assertEqual(process.errors(), [])
        self.assertLess(len(said), 15, said)
        serving = [line.split()[-1] for line in said if " serving " in line]
        self.assertEqual([url.rpartition("/")[2] for url in serving], ["dcap", "status"])
        script = "\n".join(line for line in said if line.startswith("  "))
        for command in script.replace("\\\n", " ").splitlines():
            answer = self.run_here(folder, *shlex.split(command, comments=True))
            self.assertIn("Usage" if "--help" in command else "/edev" if "curl" in command else "", answer)
        own = ("--cert", "tls/certs/admin.crt", "--key", "tls/private/admin.pem")
        description = next(word.rstrip(",") for word in " ".join(said).split() if "openapi" in word)
        for url in (serving[1], description):
            self.run_here(folder, "curl", "-sS", "--fail", "--cacert", "tls/certs/ca.crt", *own, url)
        process.stop()

    def run_here(self, folder: Path, *command: str) -> str:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout
