"""The story of `make demo`, told in this process on a clock that is turned by hand."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from csipd.sim import enrolment
from csipd.sim.assembly import Place, Plan, assemble
from csipd.sim.behaviour import Behaviour
from csipd.sim.demo import Screen
from csipd.sim.roster import Roster
from csipd.sim.story import LIMIT, MISBEHAVING, Story
from tests.conformance.bench import T0
from tests.sim.desk import Desk
from tests.sim.lab import Lab

#: What devices are told to poll by (s).
RATES = {
    "DeviceCapability": 900,
    "Time": 900,
    "EndDeviceList": 900,
    "FunctionSetAssignmentsList": 900,
    "DERProgramList": 200,
    "DERList": 1800,
}


class StoryTests(SynchronousTestCase):
    """From the enrolment of forty devices to the voltage that is saved."""

    def test_the_voltage_is_saved(self) -> None:
        """It rises past its limit twice, and a curtailment and a volt-var curve bring it back.

        Who does not obey and who is silent are known by name.
        """
        folder = Path(self.mktemp())
        lab = Lab(folder, rates=RATES)
        self.addCleanup(lab.close)
        desk = Desk(lab)
        self.addCleanup(desk.close)
        roster = Roster.read(folder / "fleet")
        for step in enrolment.missing(roster, "demo", 6, 34):
            step(desk.client)
        place = Place(
            "localhost",
            7443,
            folder / "certs" / "ca.crt",
            lab.plain,
            lab.receive_at,
        )
        plan = Plan(6, 34, MISBEHAVING, hour=9.1, cloudiness=0.0)
        fleet = assemble(lab.clock, lab.sim_clock, roster, plan, place, step=10.0)
        fleet.start()
        self.addCleanup(fleet.stop)
        told: list[str] = []
        shown = StringIO()
        screen = Screen(Console(file=shown, force_terminal=True, width=100, height=24))

        def ask(call: Any) -> Deferred[Any]:
            return maybeDeferred(call, desk.client)

        def say(moment: float, line: str) -> None:
            told.append(line)
            screen.say(moment, line)

        story = Story(fleet, ask, roster.feeders[1].program, say, ending=900)
        telling = Deferred.fromCoroutine(story.tell())
        while not telling.called and lab.wall() < T0 + 4 * 3600:
            lab.pass_time(60)
        outcome = self.successResultOf(telling)
        self.assertTrue(outcome.saved, outcome)
        self.assertLess(outcome.curtailed.watts, 0.75 * outcome.after.watts)
        self.assertGreaterEqual(outcome.volt_var.watts, outcome.after.watts)
        curtailment, volt_var = story.dispatched
        for control in (curtailment, volt_var):
            self.assertEqual(control.answers["asked"], 40)
            self.assertEqual(control.answers["received"], 39)
            self.assertEqual(control.answers["started"], 39)
        self.assertEqual(curtailment.answers["completed"], 39)
        (silent,), (disobedient,) = (
            [unit.name for unit in fleet.units.values() if unit.behaviour is behaviour]
            for behaviour in (Behaviour.SILENT, Behaviour.NON_COMPLIANT)
        )
        self.assertIn(f"Silent: {silent}.", told)
        self.assertIn(f"By their readings not obeyed: {disobedient}.", told)
        self.assertEqual(curtailment.verdicts[silent], "no readings")
        self.assertEqual(list(curtailment.verdicts.values()).count("obeyed"), 38)
        self.assertIn("The limit is over, and 39 have completed it.", told)
        self.assertIn("the voltage is saved", told[-1])
        self.assertGreater(max(sample.volts for sample in story.history), LIMIT)
        self.assertEqual(fleet.counts.errors, {})
        self.assertGreater(fleet.counts.notifications, 1)
        screen.begin(story, 0.0)
        screen.end()
        for part in ("house 40", "p.u.", "volt-var curve", silent, "39", told[-1][:40]):
            self.assertIn(part, shown.getvalue())
        narrow = StringIO()
        screen = Screen(Console(file=narrow, force_terminal=True, width=80, height=24, color_system=None))
        screen.begin(story, 0.0)
        screen.end()
        self.assertRegex(narrow.getvalue(), r"Voltage at the end {2}[▁-█]{60}\s", "beside it, not below")
