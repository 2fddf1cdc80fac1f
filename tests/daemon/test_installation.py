"""The installation as docs/operating.md has it, below a folder that stands for the root of a machine."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd import config
from tests.support.daemon import SCRIPTS, Process, run
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


class InstallationTests(SynchronousTestCase):
    """What the documents say is done, and the daemon started from some other folder."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()
        self.port, self.admin_port = free_port(), free_port()
        for folder in ("etc", "var/lib/csipd", "elsewhere"):
            (self.root / folder).mkdir(parents=True)

    def install(self) -> Path:
        """Run the `install` lines of the chapter, as whoever runs the test; the configuration."""
        text = (ROOT / "docs" / "operating.md").read_text()
        chapter = text.split("## Installing", 1)[1].split("\n## ", 1)[0]
        lines = [line.strip() for line in chapter.splitlines() if line.startswith("install ")]
        self.assertEqual(len(lines), 2, lines)
        for line in lines:
            words = shlex.split(
                line.replace(" -g csipd", "").replace("/etc/", f"{self.root}/etc/"), comments=True
            )
            subprocess.run(words, cwd=ROOT, check=True)
        return self.placed(self.root / "etc" / "csipd" / "config.yml")

    def placed(self, file: Path) -> Path:
        """The absolute paths of a configuration moved below the folder, its ports to free ones."""
        text = re.sub(r"(?<= )/(?=(etc|var)/)", f"{self.root}/", file.read_text())
        text = text.replace("https_port: 7443", f"https_port: {self.port}\nadmin_port: {self.admin_port}")
        file.write_text(text)
        return file

    def serve(self, file: Path, folder: str) -> Process:
        command = [str(SCRIPTS / "twistd"), "--nodaemon", "--pidfile=", "csipd", "--config", str(file)]
        daemon = Process(self, command, self.root / folder)
        daemon.log.wait_for("serving the operator's API")
        return daemon

    def status(self, file: Path) -> None:
        """`csipctl --config FILE status` works from a folder that has nothing to do with it (case C7)."""
        done = run(Path("/"), str(SCRIPTS / "csipctl"), "--config", str(file), "--json", "status")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("version", json.loads(done.stdout))

    def test_as_documented(self) -> None:
        """As documented it starts from any folder, and csipctl finds it (case C3)."""
        file = self.install()
        check = run(self.root, str(SCRIPTS / "twistd"), "csipd", "--config", str(file), "--check")
        self.assertEqual((check.returncode, check.stderr), (0, f"{file}: csipd would start\n"))
        self.serve(file, "elsewhere")
        state = self.root / "var" / "lib" / "csipd"
        self.assertTrue((state / "tls" / "certs" / "admin.crt").exists())
        self.assertTrue((state / "var" / "csipd.sqlite").exists())
        self.assertEqual(list((self.root / "elsewhere").iterdir()), [])
        self.status(file)
        again = run(self.root, str(SCRIPTS / "twistd"), "csipd", "--config", str(file), "--check")
        self.assertEqual(
            (again.returncode, again.stderr), (0, f"{file}: csipd runs with this store\n"), "case C5"
        )

    def test_with_relative_names(self) -> None:
        """What is read is found beside the file, what is written lies where it is started (case C3)."""
        folder = self.root / "etc" / "csipd"
        folder.mkdir()
        for name in ("etc/config.yml", "openssl.cnf"):
            (folder / Path(name).name).write_bytes((ROOT / name).read_bytes())
        file = self.placed(folder / "config.yml")
        self.serve(file, "var/lib/csipd")
        self.assertTrue((self.root / "var" / "lib" / "csipd" / "tls" / "certs" / "ca.crt").exists())
        self.assertEqual({path.name for path in folder.iterdir()}, {"config.yml", "openssl.cnf"})

    def test_tls_folder_beside_the_file(self) -> None:
        """csipctl finds a relative tls_repository beside the configuration (case C7)."""
        folder = self.root / "etc" / "csipd"
        folder.mkdir()
        (folder / "openssl.cnf").write_bytes((ROOT / "openssl.cnf").read_bytes())
        file = folder / "config.yml"
        file.write_text((ROOT / "etc" / "config.yml").read_text())
        self.serve(self.placed(file), "etc/csipd")
        self.status(file)


class InstalledSampleTests(SynchronousTestCase):
    """etc/csipd/config.yml."""

    def test_paths(self) -> None:
        """Every path in it is absolute, and nothing about it is to be warned of (case C3)."""
        found = config.load(ROOT / "etc" / "csipd" / "config.yml")
        self.assertEqual(found.warnings, ())
        for key in ("tls_repository", "openssl_cnf", "storage_path"):
            self.assertTrue(found.origins[key].text.startswith("/"), key)
