"""`csipctl export`: into a pipe, into a file, and what is left of one that was cut."""

from __future__ import annotations

import json
import os
from pathlib import Path

from click.testing import Result
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl import exports
from csipd.cli.ctl.client import JSON, Answer
from csipd.cli.ctl.errors import Code, Unreachable
from csipd.web.admin.alarms import LogEventPage
from csipd.web.admin.devices import DevicePage
from tests.cli import fake
from tests.cli.fake import NOW, FakeAPI

CSV = b"number,details\r\n1,overvoltage\r\n2,\r\n"


class ExportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()
        for what in ("responses", "alarms", "logevents"):
            self.api.answers("GET", f"/exports/{what}", Answer(200, "text/csv", CSV))
        self.api.answers("GET", "/devices", DevicePage(items=(fake.device(3),)))
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def run_well(self, *arguments: str) -> Result:
        done = self.api.run(*arguments)
        self.assertEqual(done.exit_code, 0, done.stderr)
        return done

    def test_asked(self) -> None:
        """Each asks for its period, and for CSV; with --json for JSON, which comes as it came."""
        self.assertEqual(self.run_well("export", "alarms", "--since", "-1h").stdout_bytes, CSV)
        since = str(NOW - 3600)
        self.assertEqual(self.api.requests[-1].query, {"since": since, "format": "csv"})
        self.run_well("export", "responses", "--control", "12", "--device", "dev1", "--until", "now")
        self.assertEqual(
            self.api.requests[-1].query,
            {"control": "12", "device": "3", "until": str(NOW), "format": "csv"},
        )
        self.api.answers("GET", "/exports/logevents", Answer(200, JSON, b"[]\n"))
        done = self.run_well("--json", "export", "log", "--device", "3")
        self.assertEqual((self.api.requests[-1].query["format"], json.loads(done.stdout)), ("json", []))

    def test_file(self) -> None:
        """A file has its name once it is whole, and what is said of it is on standard error."""
        path = self.folder / "july.csv"
        done = self.run_well("export", "alarms", "--output", str(path))
        self.assertEqual((path.read_bytes(), done.stdout), (CSV, ""))
        self.assertIn(f"Wrote {path}, {len(CSV)} octets", done.stderr)
        self.assertEqual([one.name for one in self.folder.iterdir()], ["july.csv"])

    def test_never_overwritten(self) -> None:
        """What is there is left alone, and the server is not even asked."""
        path = self.folder / "july.csv"
        path.write_bytes(b"precious")
        done = self.api.run("export", "alarms", "--output", str(path))
        self.assertEqual((done.exit_code, path.read_bytes()), (Code.USAGE, b"precious"))
        self.assertIn("exists, and is not overwritten", done.stderr)
        self.assertEqual(self.api.requests, [])
        done = self.api.run("export", "alarms", "--output", str(self.folder / "none" / "x.csv"))
        self.assertEqual(done.exit_code, Code.USAGE)

    def test_came_meanwhile(self) -> None:
        """What has come by that name in the meantime is left alone."""
        path = self.folder / "july.csv"
        self.patch(exports.Download, "_write", lambda download, data: path.write_bytes(b"precious"))
        done = self.api.run("export", "alarms", "--output", str(path))
        self.assertEqual((done.exit_code, path.read_bytes()), (Code.REFUSED, b"precious"))
        self.assertEqual([one.name for one in self.folder.iterdir()], ["july.csv"])

    def test_without_links(self) -> None:
        """A file system that has no links will do."""

        def refuse(*paths: Path) -> None:
            raise PermissionError

        self.patch(os, "link", refuse)
        path = self.folder / "july.csv"
        self.run_well("export", "alarms", "--output", str(path))
        self.assertEqual(path.read_bytes(), CSV)

    def test_cut(self) -> None:
        """Of an export that was cut no file is left, and it ends with an error."""
        self.api.cut = Unreachable("the connection was lost")
        path = self.folder / "july.csv"
        done = self.api.run("export", "alarms", "--output", str(path))
        self.assertEqual(done.exit_code, Code.UNREACHABLE)
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(self.api.run("export", "alarms").exit_code, Code.UNREACHABLE)

    def test_refused(self) -> None:
        """A refusal is told as elsewhere, and leaves no file."""
        self.api.refuses("GET", "/exports/alarms", 400, "no such device")
        done = self.api.run("export", "alarms", "--output", str(self.folder / "x"))
        self.assertEqual(done.exit_code, Code.REFUSED)
        self.assertIn("no such device", done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_log_period(self) -> None:
        """The log of a device is asked for by a period, too."""
        self.api.answers("GET", "/devices/3/logevents", LogEventPage())
        self.run_well("devices", "log", "dev1", "--since", "-1h", "--until", "now")
        self.assertEqual(
            self.api.requests[-1].query, {"since": str(NOW - 3600), "until": str(NOW), "limit": "50"}
        )
