"""Who hears of a change."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon.changes import ChangeNotifier


class HubTests(SynchronousTestCase):
    """Passing changes on."""

    def setUp(self) -> None:
        self.notifier = ChangeNotifier()
        self.heard: list[tuple[str, tuple[str, ...]]] = []

    def listener(self, name: str) -> None:
        self.notifier.subscribe(lambda hrefs: self.heard.append((name, tuple(hrefs))))

    def test_everyone(self) -> None:
        """Every subscriber hears of every change, in the order of subscription, within the call."""
        self.listener("first")
        self.listener("second")
        self.notifier.publish(["/edev/1", "/derp"])
        self.assertEqual(self.heard, [("first", ("/edev/1", "/derp")), ("second", ("/edev/1", "/derp"))])

    def test_from_then_on(self) -> None:
        """A subscriber hears nothing of what was before it."""
        self.notifier.publish(["/edev/1"])
        self.listener("late")
        self.notifier.publish(["/edev/2"])
        self.assertEqual(self.heard, [("late", ("/edev/2",))])

    def test_failing(self) -> None:
        """One that fails is logged and keeps nobody else from hearing, nor itself the next time."""
        calls: list[Sequence[str]] = []

        def failing(hrefs: Sequence[str]) -> None:
            calls.append(hrefs)
            raise ValueError("broken")

        self.notifier.subscribe(failing)
        self.listener("after")
        self.notifier.publish(["/edev/1"])
        self.notifier.publish(["/edev/2"])
        self.assertEqual(len(calls), 2)
        self.assertEqual(self.heard, [("after", ("/edev/1",)), ("after", ("/edev/2",))])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_nobody(self) -> None:
        """A change that nobody wants to hear of is no error."""
        self.notifier.publish(["/edev/1"])
        self.assertEqual(self.heard, [])
