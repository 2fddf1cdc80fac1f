"""etc/init.d/csipd as it is, with the real twistd, in a folder of its own: a few seconds of real time.

The settings come from a file as on a machine, by way of CSIPD_DEFAULTS; only the paths in it are other ones.
"""

from __future__ import annotations

import os
import pwd
import resource
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "etc" / "init.d" / "csipd"
TWISTD = Path(sysconfig.get_path("scripts")) / "twistd"
NOBODY = "nobody"


def answers(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def kill(pid: int) -> None:
    """Kills a process that is not a child of this one, and waits for its end."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [], 10)
    except ProcessLookupError:
        return
    finally:
        os.close(process)


def state(pid: int, name: str) -> list[str]:
    """The words of one line of /proc/PID/status."""
    lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
    return next(line.split()[1:] for line in lines if line.startswith(name))


def may_enter(path: Path) -> bool:
    """Whether everyone on this machine may reach into a folder."""
    return all(folder.stat().st_mode & 0o001 for folder in [path, *path.parents])


class InitScriptTests(SynchronousTestCase):
    """Start, stop and what is between them."""

    if not sys.platform.startswith("linux"):
        skip = "the init script reads /proc"

    def setUp(self) -> None:
        self.set_up_in(Path(self.mktemp()).absolute())

    def set_up_in(self, folder: Path) -> None:
        """Writes a configuration and the settings of the service; nothing else needs to exist."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port, admin_port = free_port(), free_port()
        self.config = folder / "config.yml"
        self.config.write_text(
            f"server: 127.0.0.1\n"
            f"https_port: {self.port}\n"
            f"admin_port: {admin_port}\n"
            f"tls_repository: ./tls\n"
            f"storage_path: ./var\n"
            f"openssl_cnf: {ROOT / 'openssl.cnf'}\n"
        )
        self.pid_file = folder / "run" / "csipd.pid"
        self.work = folder / "lib"
        self.log = folder / "log" / "csipd.log"
        self.settings = {
            "CONFIG": str(self.config),
            "TWISTD": str(TWISTD),
            "PIDFILE": str(self.pid_file),
            "WORKDIR": str(self.work),
            "LOGFILE": str(self.log),
            "RUN_USER": "",
        }
        self.started: set[int] = set()
        self.addCleanup(self.kill_all)

    def script(self, action: str, **settings: str) -> tuple[int, str, str]:
        """Runs the script: its exit code, what it said and what it complained of."""
        defaults = self.folder / "defaults"
        lines = [f"{name}={value}\n" for name, value in {**self.settings, **settings}.items()]
        defaults.write_text("".join(lines))
        done = subprocess.run(
            ["/bin/sh", SCRIPT, action],
            env={"CSIPD_DEFAULTS": str(defaults)},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def start(self, **settings: str) -> int:
        """Starts csipd, which must succeed without a word of complaint; its process id."""
        result = self.script("start", **settings)
        pid = self.note_pid()
        self.assertEqual(result, (0, "csipd started\n", ""))
        return pid

    def note_pid(self) -> int:
        """The pid file's number, of a process that must not outlive the test; 0 without a file."""
        pid = int(self.pid_file.read_text()) if self.pid_file.exists() else 0
        self.started.add(pid)
        return pid

    def kill_all(self) -> None:
        """Whatever a failed test left running ends."""
        for pid in self.started - {0}:
            kill(pid)

    def test_open_files(self) -> None:
        """The daemon may open a file for each configured connection, as far as the machine lets it (F8)."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        hard = before[1] if before[1] != resource.RLIM_INFINITY else 1_048_576
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), before[1]))
        for settings, wanted in (({}, 65_536), ({"OPEN_FILES": "2048"}, 20_300)):
            pid = self.start(**settings)
            lines = (Path("/proc") / str(pid) / "limits").read_text().splitlines()
            (line,) = (line for line in lines if line.startswith("Max open files"))
            self.assertGreaterEqual(int(line.split()[3]), min(wanted, hard))
            self.assertEqual(self.script("stop", **settings)[0], 0)

    def test_from_start_to_stop(self) -> None:
        """csipd starts once, is seen to run, lives on after a reload, and ends leaving no pid file."""
        self.assertEqual(self.script("status"), (3, "csipd does not run\n", ""))
        pid = self.start()
        self.assertTrue(answers(self.port))
        self.assertTrue((self.work / "tls").is_dir(), "relative paths lie below WORKDIR")
        self.assertEqual(self.script("status"), (0, f"csipd runs (pid {pid})\n", ""))
        self.assertEqual(self.script("start"), (0, f"csipd runs already (pid {pid})\n", ""))
        for reload in ("reload", "force-reload"):
            self.assertEqual(
                self.script(reload), (0, "csipd reads its certificates and trust roots anew\n", "")
            )
        self.assertTrue(answers(self.port))
        self.assertEqual(self.script("status"), (0, f"csipd runs (pid {pid})\n", ""))
        self.assertEqual(self.script("stop"), (0, "csipd stopped\n", ""))
        self.assertFalse(answers(self.port))
        self.assertFalse(self.pid_file.exists())
        self.assertEqual(self.script("status")[0], 3)
        self.assertEqual(self.script("stop"), (0, "csipd does not run\n", ""))
        self.assertGreater(self.log.stat().st_size, 0)

    def test_restart_and_a_csipd_that_was_killed(self) -> None:
        """A restart is another process; after a kill -9 status says so, and the next start clears it up."""
        first = self.start()
        self.assertEqual(self.script("restart"), (0, "csipd stopped\ncsipd started\n", ""))
        second = self.note_pid()
        self.assertNotEqual(first, second)
        kill(second)
        self.assertEqual(self.script("status")[0], 1)
        self.assertEqual(self.script("try-restart"), (0, "", ""))
        code, said, complaint = self.script("start")
        self.note_pid()
        self.assertEqual((code, said), (0, "csipd started\n"))
        self.assertIn("ended without notice", complaint)
        self.assertTrue(answers(self.port))
        self.assertEqual(self.script("stop"), (0, "csipd stopped\n", ""))

    def test_one_that_does_not_end(self) -> None:
        """A csipd that does not end when it is told to is killed after STOP_TIMEOUT."""
        pid = self.start()
        os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 10
        while state(pid, "State:") != ["T", "(stopped)"] and time.monotonic() < deadline:
            os.sched_yield()
        code, said, complaint = self.script("stop", STOP_TIMEOUT="1")
        self.assertEqual((code, said), (0, "csipd stopped\n"))
        self.assertIn("did not end within 1 s", complaint)
        self.assertFalse(answers(self.port))

    def test_wrong_configuration(self) -> None:
        """A configuration with a mistake fails the start in one line that names the file and the key."""
        self.config.write_text(self.config.read_text() + "no_such_key: 1\n")
        code, said, complaint = self.script("start")
        self.assertEqual((code, said), (1, ""), complaint)
        self.assertEqual(len(complaint.splitlines()), 1, complaint)
        self.assertIn(str(self.config), complaint)
        self.assertIn("no_such_key", complaint)
        self.assertEqual(self.script("status")[0], 3)

    def test_port_in_use(self) -> None:
        """A port that another program has fails the start too."""
        with socket.create_server(("127.0.0.1", self.port)):
            code, said, complaint = self.script("start")
        self.assertEqual((code, said), (1, ""), complaint)
        self.assertIn(str(self.port), complaint)
        self.assertEqual(self.script("status")[0], 3)

    def test_pid_of_another(self) -> None:
        """A pid file with the number of some other process is no csipd: that process is left alone."""
        self.pid_file.parent.mkdir()
        for content in (str(os.getpid()), "1", "", "twelve", "-1"):
            self.pid_file.write_text(content)
            self.assertEqual(self.script("status")[0], 1, content)
            self.assertEqual(self.script("reload")[0], 7, content)
            self.assertEqual(self.script("stop"), (0, "csipd does not run\n", ""), content)
            self.assertFalse(self.pid_file.exists())

    def test_what_is_missing(self) -> None:
        """Each thing that is not there has its exit code and one line that names it."""
        for action, settings, code, named in [
            ("start", {"TWISTD": "/no/twistd"}, 5, "/no/twistd"),
            ("start", {"CONFIG": "/no/config.yml"}, 6, "/no/config.yml"),
            ("reload", {}, 7, "does not run"),
            ("destroy", {}, 2, "usage"),
        ]:
            got, said, complaint = self.script(action, **settings)
            self.assertEqual((got, said), (code, ""), action)
            self.assertEqual(len(complaint.splitlines()), 1, complaint)
            self.assertIn(named, complaint)

    def test_log_that_is_a_link(self) -> None:
        """A log file that points elsewhere is not opened."""
        self.log.parent.mkdir()
        self.log.symlink_to(self.folder / "elsewhere")
        self.assertEqual(self.script("start"), (1, "", f"csipd: {self.log} is a link\n"))
        self.assertFalse((self.folder / "elsewhere").exists())

    def test_privileges_are_given_up(self) -> None:
        """Started by root, csipd goes on as RUN_USER, and so do the files that it writes from then on."""
        if os.getuid() != 0:
            raise SkipTest("only root can give up privileges")
        if not all(may_enter(Path(path)) for path in {sys.prefix, sys.base_prefix, ROOT}):
            raise SkipTest(f"{NOBODY} cannot reach this Python or this checkout")
        # The folder of the tests may lie where nobody else may go.
        place = tempfile.TemporaryDirectory(prefix="csipd-init-")
        self.addCleanup(place.cleanup)
        Path(place.name).chmod(0o755)
        self.set_up_in(Path(place.name))
        user = pwd.getpwnam(NOBODY)
        as_nobody = {"RUN_USER": NOBODY, "RUN_GROUP": str(user.pw_gid)}
        pid = self.start(**as_nobody)
        self.assertEqual(state(pid, "Uid:"), [str(user.pw_uid)] * 4)
        self.assertEqual(state(pid, "Gid:"), [str(user.pw_gid)] * 4)
        self.assertEqual({self.work.stat().st_uid, self.log.stat().st_uid}, {user.pw_uid})
        self.assertEqual(self.script("reload", **as_nobody)[0], 0)
        self.assertEqual(self.script("stop", **as_nobody), (0, "csipd stopped\n", ""))
        self.assertFalse(self.pid_file.exists())
