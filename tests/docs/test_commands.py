"""The documents' commands do what they say: each document is run from top to bottom (case C11).

Each has csipd's sample configuration served for it, as `make run` does, in a folder of its own, on ports of
its own and over real TLS, and one shell, in which its `sh` blocks are run one after the other. Questions are
answered with yes, and what would go on until Ctrl-C is ended after a moment. Blocks marked `host` change the
machine (an account, a service, a package) and are left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.commands import blocks, indented, script
from tests.support.daemon import OPENSSL_CNF, SCRIPTS, Process
from tests.support.ports import free_port

ROOT = OPENSSL_CNF.parent
DOCUMENTS = (
    "README.md",
    "docs/csipctl.md",
    "docs/api.md",
    "docs/operating.md",
    "docs/aggregators.md",
    "docs/from-gridappsd.md",
    "docs/gridappsd.md",
    "docs/discovery.md",
    "docs/proxy.md",
)

#: What an installed csipd has elsewhere than one of `make run`.
INSTALLED = {"/opt/csipd": "/opt/csipd", "/etc/csipd": "/etc", "/backup/": "/backup/"}

#: A part of the commands that is left out at most.
EXCLUDED = 0.1
#: Seconds for one document, on a machine that has much else to do.
TIMEOUT = 1200

# A command that fails ends the script; its line is that of the document.
PRELUDE = (
    "set -E -o pipefail; "
    "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT; "
    "trap 'echo $LINENO > line' DEBUG; "
    "trap 'code=$?; echo \"FAILED $LINENO $code $BASH_COMMAND\" >&2; exit $code' ERR; "
    'csipctl() { case " $* " in '
    '*" watch "*) timeout --signal=INT 3 csipctl "$@" || [ $? = 124 ];; '
    '*) command csipctl "$@";; esac; }; '
)


class Shell:
    """A folder as a reader has it after `make run`, and a shell in it.

    :param sample: the configuration of `etc` that csipd serves
    :param replaced: what else is otherwise there than in the sample
    """

    def __init__(
        self,
        case: SynchronousTestCase,
        folder: Path,
        sample: str = "config.yml",
        replaced: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.folder = folder.absolute()
        for place in ("etc", "backup", "opt/csipd"):
            (self.folder / place).mkdir(parents=True)
        shutil.copy(OPENSSL_CNF, self.folder)
        port, admin_port = free_port(), free_port()
        receiver_port = free_port()
        self.replaced = {
            "127.0.0.1:7445": f"127.0.0.1:{receiver_port}",
            "127.0.0.1:7443": f"127.0.0.1:{port}",
            "127.0.0.1:7444": f"127.0.0.1:{admin_port}",
            ".venv/bin/": f"{SCRIPTS}/",
            "/opt/csipd/bin/": f"{SCRIPTS}/",
            **{old: f"{self.folder}{new}" for old, new in INSTALLED.items()},
        }
        ports = f"https_port: {port}\nadmin_port: {admin_port}\n"
        text = (ROOT / "etc" / sample).read_text()
        for old, new in (("https_port: 7443\n", ports), *replaced):
            text = text.replace(old, new)
        (self.folder / "etc" / sample).write_text(text)
        command = [str(SCRIPTS / "twistd"), "--nodaemon", "--pidfile=", "csipd", "--config", f"etc/{sample}"]
        self.daemon = Process(case, command, self.folder)
        self.daemon.log.wait_for("serving the operator's API")
        self.environment = {
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
            "CSIPCTL_SERVER": f"https://127.0.0.1:{admin_port}",
        }

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a script; what it says on standard error is in its output, as on a terminal."""
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        file = self.folder / "script.sh"
        first, _, rest = text.partition("\n")
        file.write_text(f"{PRELUDE}{first}\n{rest}")
        with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
            try:
                return subprocess.run(
                    ["bash", str(file)],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=yes.stdout,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=TIMEOUT,
                    check=False,
                )
            finally:
                yes.kill()


class DocumentTests(SynchronousTestCase):
    """Each document in turn."""

    def run_document(self, name: str, shell: Shell | None = None) -> None:
        shell = shell or Shell(self, Path(self.mktemp()))
        try:
            done = shell.run(script(ROOT / name))
        except subprocess.TimeoutExpired:
            self.fail(f"{name}:{(shell.folder / 'line').read_text().strip()}: does not end")
        if done.returncode == 0:
            return
        said = done.stdout.splitlines()
        failed = next((line for line in reversed(said) if line.startswith("FAILED ")), None)
        _, line, code, command = (failed or f"FAILED ? {done.returncode} ?").split(" ", 3)
        output = "\n".join(line for line in said if not line.startswith("FAILED "))
        self.fail(f"{name}:{line}: exit code {code} of\n    {command}\nwhich came after\n{output[-4000:]}")

    def test_readme(self) -> None:
        """README.md."""
        self.run_document("README.md")

    def test_csipctl(self) -> None:
        """docs/csipctl.md."""
        self.run_document("docs/csipctl.md")

    def test_api(self) -> None:
        """docs/api.md."""
        self.run_document("docs/api.md")

    def test_operating(self) -> None:
        """docs/operating.md."""
        self.run_document("docs/operating.md")

    def test_aggregators(self) -> None:
        """docs/aggregators.md."""
        self.run_document("docs/aggregators.md")

    def test_from_gridappsd(self) -> None:
        """docs/from-gridappsd.md."""
        self.run_document("docs/from-gridappsd.md")

    def test_discovery(self) -> None:
        """docs/discovery.md."""
        self.run_document("docs/discovery.md")

    def test_proxy(self) -> None:
        """docs/proxy.md, on a port of its own."""
        port = free_port()
        shell = Shell(self, Path(self.mktemp()), replaced=(("0.0.0.0:8443", f"127.0.0.1:{port}"),))
        shell.replaced["127.0.0.1:8443"] = f"127.0.0.1:{port}"
        self.run_document("docs/proxy.md", shell)

    def test_gridappsd(self) -> None:
        """docs/gridappsd.md, with what stands in for the platform, and an application that commands there."""
        command = [sys.executable, "-m", "tests.support.platform", "--broker", "--port", "0"]
        platform = Process(self, command, ROOT)
        platform.log.wait_for("platform: simulation")
        port = platform.log()[0].rpartition(":")[2]
        ports = (("port: 61613\n", f"port: {port}\n"),)
        shell = Shell(self, Path(self.mktemp()), "gridappsd.yml", ports)
        shell.daemon.log.wait_for("devices of the platform's model were added")
        self.run_document("docs/gridappsd.md", shell)
        said = platform.log()
        self.assertIn("application: DERControl.DERControlBase.opModMaxLimW is 4000", said)
        self.assertTrue(any("kW, 20 differences taken over, 0 strange" in line for line in said), said)

    def test_few_are_excluded(self) -> None:
        """At most a tenth of the commands is left out, and none escapes as text that is only indented."""
        ran = excluded = 0
        for name in DOCUMENTS:
            text = (ROOT / name).read_text()
            self.assertEqual(indented(text), [], f"{name}: code is fenced, as sh, host, json, yaml or text")
            for block in blocks(text):
                ran += block.commands * (block.language == "sh")
                excluded += block.commands * (block.language == "host")
        print(f"\ncommands of the documents: {ran} run, {excluded} excluded", file=sys.__stdout__)
        self.assertLessEqual(excluded, EXCLUDED * (ran + excluded))
