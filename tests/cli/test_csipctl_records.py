"""`csipctl responses`, `alarms`, `audit`, `status`."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from csipd.web.admin.alarms import Alarm, AlarmPage
from csipd.web.admin.audit import AuditLine, AuditPage
from csipd.web.admin.devices import DevicePage
from csipd.web.admin.responses import Response, ResponsePage
from csipd.web.admin.status import Announced, Bus, KindCount, ServerState
from tests.cli import fake
from tests.cli.fake import LFDI, NOW, FakeAPI, answers


class RecordTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()

    def lines(self, *arguments: str) -> list[str]:
        """Standard output of a run that went well, blanks made one."""
        done = self.api.run(*arguments)
        self.assertEqual(done.exit_code, 0, done.stderr)
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    def test_responses(self) -> None:
        """A response is shown by its device and control, or by LFDI and mRID where those are not known."""
        known = Response(
            number=1,
            device=3,
            lFDI=LFDI,
            control=12,
            subject=fake.MRID,
            status=2,
            meaning="event started",
            createdDateTime=NOW,
            received=NOW + 1,
        )
        odd = Response(
            number=2, lFDI=LFDI, subject=fake.MRID, meaning="unknown", received=NOW, flagged="unknown subject"
        )
        self.api.answers("GET", "/responses", ResponsePage(items=(known, odd)))
        self.api.answers("GET", "/devices", DevicePage(items=(fake.device(3),)))
        lines = self.lines("responses", "list", "--control", "12", "--device", "dev1", "--flagged")
        self.assertEqual(
            self.api.requests[-1].query, {"control": "12", "device": "3", "flagged": "true", "limit": "50"}
        )
        self.assertEqual(
            lines[1:],
            [
                "1 3 12 2 event started 2026-07-01 07:00:00-07:00 2026-07-01 07:00:01-07:00",
                f"2 3E4F-45AB-31ED-FE5B-67E3-43E5-E456-2E31-984E-23E5 {fake.MRID} unknown"
                " 2026-07-01 07:00:00-07:00 unknown subject",
            ],
        )

    def test_no_filters(self) -> None:
        """A flag that is not given filters nothing."""
        self.api.answers("GET", "/responses", ResponsePage())
        self.api.answers("GET", "/alarms", AlarmPage())
        self.lines("responses", "list")
        self.assertEqual(self.api.requests[-1].query, {"limit": "50"})
        self.lines("alarms", "list")
        self.assertEqual(self.api.requests[-1].query, {"limit": "50"})

    def test_answers(self) -> None:
        """Answers are counted, and some of the silent named."""
        self.api.answers(
            "GET",
            "/controls/12/answers",
            answers(asked=9, received=7, silent=2).replace(silent_sample=(4, 5)),
        )
        lines = self.lines("responses", "answers", "12")
        for line in ("Asked 9", "Received 7", "Silent 2", "Silent are 4, 5", "Opted out 0"):
            self.assertIn(line, lines)

    def test_alarms(self) -> None:
        """An alarm is open, or has a time at which it was over."""
        raised = {"device": 3, "functionSet": 11, "logEventCode": 2, "raised": NOW}
        page = AlarmPage(
            items=(
                Alarm(number=2, name="DER_FAULT_OVER_VOLTAGE", details="phase A", **raised),
                Alarm(number=1, name="DER_FAULT_OVER_CURRENT", cleared=NOW + 60, **raised),
            )
        )
        self.api.answers("GET", "/alarms", page)
        lines = self.lines("alarms", "list", "--open", "--device", "3")
        self.assertEqual(self.api.requests[-1].query, {"device": "3", "open": "true", "limit": "50"})
        self.assertEqual(
            lines[1:],
            [
                "2 3 DER_FAULT_OVER_VOLTAGE 2026-07-01 07:00:00-07:00 open phase A",
                "1 3 DER_FAULT_OVER_CURRENT 2026-07-01 07:00:00-07:00 2026-07-01 07:01:00-07:00",
            ],
        )

    def test_close(self) -> None:
        """An alarm is closed by its number; the answer says by whom."""
        closed = Alarm(
            number=2,
            device=3,
            name="over voltage",
            functionSet=11,
            logEventCode=2,
            raised=NOW,
            cleared=NOW + 60,
            closed_by="admin",
        )
        self.api.answers("POST", "/alarms/2/close", closed)
        line = self.lines("alarms", "close", "2")[-1]
        self.assertTrue(line.startswith("2 3 over voltage") and line.endswith("admin"), line)

    def test_audit_names(self) -> None:
        """What was changed has its name beside its href (case B11)."""
        line = AuditLine(number=4, at=NOW, who="admin", action="move", subject="/edev/3", detail="")
        page = AuditPage(items=(line.replace(subject_name="dev3"),))
        self.api.answers("GET", "/audit", page)
        self.assertIn("dev3 (/edev/3)", " ".join(self.lines("audit", "list")))

    def test_audit(self) -> None:
        """The audit log is shown line by line, and pages by number."""
        line = AuditLine(number=4, at=NOW, who="admin", action="withdraw", subject="device 3", detail="dev1")
        self.api.answers("GET", "/audit", AuditPage(items=(line,), next=4))
        lines = self.lines("audit", "list", "--who", "admin", "--subject", "device 3")
        self.assertEqual(self.api.requests[-1].query, {"who": "admin", "subject": "device 3", "limit": "50"})
        self.assertEqual(lines[1], "4 2026-07-01 07:00:00-07:00 admin withdraw device 3 dev1")

    def test_more(self) -> None:
        """Where more follow it is said how many there are in all, or that there are more than so many."""
        line = AuditLine(number=4, at=NOW, who="admin", action="withdraw", subject="device 3", detail="dev1")
        page = AuditPage(items=(line,), next=4)
        for given, said in (
            (page, "There are more:"),
            (page.replace(total=70), "There are more (70 in all):"),
            (page.replace(more_than=10_000), "There are more (over 10000 in all):"),
        ):
            self.api.answers("GET", "/audit", given)
            self.assertIn(said, self.api.run("audit", "list").stderr)

    def test_status(self) -> None:
        """The server's state is shown, and in JSON is the document as it came."""
        state = ServerState(
            version="0.1.0",
            now=NOW,
            devices=5,
            registered=4,
            programs=3,
            controls_active=2,
            controls_scheduled=1,
            alarms_open=0,
            subscriptions=0,
            mirrors=0,
            readings=0,
            next_transition=NOW + 60,
        )
        for end, soon in ((NOW + 86_400, True), (NOW + 400 * 86_400, False)):
            self.api.answers("GET", "/status", state.replace(your_certificate_ends=end))
            (line,) = (line for line in self.lines("status") if line.startswith("Your certificate ends"))
            self.assertEqual("(soon: csipctl certs renew operator)" in line, soon, "case B8")
        self.api.answers("GET", "/status", state.replace(controls_counted=10_000))
        self.assertIn("Controls active 2 of the first 10000 to end", self.lines("status"))
        found = Announced(
            name="csipd-1._smartenergy._tcp.local.", links=("eth0 (IPv4)",), troubles=("no eth1",)
        )
        self.api.answers("GET", "/status", state.replace(discovery=found))
        lines = self.lines("status")
        self.assertIn("Discovery csipd-1._smartenergy._tcp.local. on eth0 (IPv4)", lines)
        self.assertIn("Discovery trouble no eth1", lines)
        self.api.answers("GET", "/status", state.replace(discovery=Announced(name="n")))
        self.assertIn("Discovery n on no link", self.lines("status"))
        self.api.answers("GET", "/status", state)
        lines = self.lines("status")
        self.assertFalse(any(line.startswith("Discovery") for line in lines))
        made = (KindCount(kind="controls made", count=7),)
        bus = Bus(
            broker="broker:61613", connections=1, received=30, sent=4, up_since=NOW - 60, commanded=made
        )
        self.api.answers("GET", "/status", state.replace(bus=bus))
        lines = self.lines("status")
        self.assertIn("GridAPPS-D bus broker:61613, up since 2026-07-01 06:59:00-07:00", lines)
        self.assertIn("Bus messages 30 received, 4 sent", lines)
        self.assertIn("Bus commands 7 controls made", lines)
        refused = (KindCount(kind="unknown devices", count=3), KindCount(kind="fault", count=1))
        down = bus.replace(up_since=None, last_error="it was lost", last_error_at=NOW - 30, refused=refused)
        self.api.answers("GET", "/status", state.replace(bus=down))
        lines = self.lines("status")
        self.assertIn("GridAPPS-D bus broker:61613, down; 2026-07-01 06:59:30-07:00: it was lost", lines)
        self.assertIn("Bus messages 30 received, 4 sent; refused: 3 unknown devices, 1 fault", lines)
        self.api.answers("GET", "/status", state)
        lines = self.lines("status")
        self.assertNotIn("GridAPPS-D", "".join(lines))
        self.assertIn("Registered 4", lines)
        self.assertIn("Next transition 2026-07-01 07:01:00-07:00", lines)
        done = self.api.run("--json", "status")
        self.assertEqual(json.loads(done.stdout)["next_transition"], NOW + 60)
