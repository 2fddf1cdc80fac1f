"""`csipctl subscriptions`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.web.admin.status import ServerState
from csipd.web.admin.subscriptions import Failure, SubscriptionPage, SubscriptionShown
from tests.cli.fake import NOW, FakeAPI

TOLD = SubscriptionShown(
    number=12,
    device=3,
    device_name="agg1",
    state="told",
    resource="/edev",
    notificationURI="https://a.example/n",
    limit=10,
    created=NOW,
    expires=NOW + 129_600,
    told=NOW + 60,
    pending=False,
)
FAILING = TOLD.replace(
    state="failing",
    pending=True,
    next_attempt=NOW + 70,
    failing=Failure(attempts=1, since=NOW, reason="answered with status 503"),
    receiver_failing=Failure(attempts=3, since=NOW, reason="no answer within 10 s"),
)


class SubscriptionsTests(SynchronousTestCase):
    """What an operator sees, and does."""

    def setUp(self) -> None:
        self.api = FakeAPI()

    def lines(self, *arguments: str) -> list[str]:
        done = self.api.run(*arguments)
        self.assertEqual(done.exit_code, 0, done.stderr)
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    def test_list(self) -> None:
        """A line each, with the reason of what fails; filters are handed on."""
        self.api.answers("GET", "/subscriptions", SubscriptionPage(items=(FAILING, TOLD)))
        lines = self.lines("subscriptions", "list", "--state", "failing", "--device", "3")
        self.assertEqual(self.api.requests[-1].query, {"device": "3", "state": "failing", "limit": "50"})
        self.assertTrue(lines[1].startswith("12 agg1 (3) /edev https://a.example/n failing"), lines[1])
        self.assertTrue(lines[1].endswith("answered with status 503"), lines[1])
        self.assertIn(" told ", lines[2])

    def test_show(self) -> None:
        """How it stands, in words."""
        for one, said in (
            (TOLD, "State its subscriber knows all"),
            (TOLD.replace(state="pending", next_attempt=NOW), "State something may have to be sent, from"),
            (FAILING, "State the last attempt failed; the next one is at 2026-07-01 07:01:10-07:00"),
            (FAILING.replace(next_attempt=None), "State the last attempt failed"),
            (
                TOLD.replace(state="ended", ended=NOW),
                "State ended at 2026-07-01 07:00:00-07:00; its subscriber",
            ),
            (FAILING, "Fails once since 2026-07-01 07:00:00-07:00: answered with status 503"),
            (
                FAILING,
                "Receiver fails 3 times in a row since 2026-07-01 07:00:00-07:00: no answer within 10 s",
            ),
            (TOLD.replace(told=None), "Told never"),
        ):
            self.api.answers("GET", "/subscriptions/12", one)
            lines = self.lines("subscriptions", "show", "12")
            self.assertTrue(any(line.startswith(said) for line in lines), (said, lines))

    def test_send(self) -> None:
        """A notification is sent now."""
        self.api.answers("POST", "/subscriptions/12/send", TOLD.replace(state="pending", next_attempt=NOW))
        self.assertIn("something may have to be sent", " ".join(self.lines("subscriptions", "send", "12")))

    def test_end(self) -> None:
        """It is asked before; a no ends nothing, and --quietly tells nobody."""
        self.api.answers("GET", "/subscriptions/12", TOLD)
        self.api.answers("POST", "/subscriptions/12/end", TOLD.replace(state="ended", ended=NOW))
        self.api.answers("DELETE", "/subscriptions/12", None)
        done = self.api.run("subscriptions", "end", "12", input="n\n")
        self.assertEqual(done.exit_code, 5)
        self.assertEqual([request.method for request in self.api.requests], ["GET"])
        self.lines("subscriptions", "end", "12", "--yes")
        self.assertEqual(self.api.requests[-1].method, "POST")
        self.lines("subscriptions", "end", "12", "--quietly", "--yes")
        self.assertEqual(self.api.requests[-1].method, "DELETE")

    def test_status(self) -> None:
        """The server's state has a line about them."""
        state = ServerState(
            version="1",
            now=NOW,
            devices=1,
            registered=1,
            programs=1,
            controls_active=0,
            controls_scheduled=0,
            alarms_open=0,
            notifications_pending=3,
            notifications_failing=1,
            receivers_failing=0,
            subscriptions=5,
            mirrors=7,
            readings=1200,
            rolled_up_to=NOW - 3600,
        )
        self.api.answers("GET", "/status", state)
        said = self.lines("status")
        for line in ("Subscriptions 5", "Notifications 3 pending, 1 failing", "Mirrors 7"):
            self.assertIn(line, said)
        (line,) = (line for line in said if line.startswith("Readings 1200, rolled up to 2026-07-01 06:00"))
        self.assertNotIn("behind", line)
        self.api.answers("GET", "/status", state.replace(rolled_up_to=NOW - 86_400))
        self.assertIn("(behind)", " ".join(self.lines("status")))
        self.api.answers("GET", "/status", state.replace(receivers_failing=2, notifications_pending=None))
        (line,) = (line for line in self.lines("status") if line.startswith("Notifications"))
        self.assertTrue(line.startswith("Notifications many pending, 1 failing, 2 receivers cannot be"), line)
