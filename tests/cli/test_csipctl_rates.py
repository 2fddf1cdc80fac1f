"""``csipctl rates``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.web.admin.rates import InForce, Rates, Set, SetOf, SetPage
from csipd.web.admin.summary import Consequences
from tests.cli.fake import FakeAPI

KIND = "DERProgramList"


def rate(resource: str = KIND, source: str = "general", **more: object) -> InForce:
    attribute = "postRate" if resource == "EndDevice" else "pollRate"
    return InForce(resource=resource, attribute=attribute, source=source, **more)


class RateTests(SynchronousTestCase):
    """What is shown and sent."""

    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("GET", "/groups", {"items": [{"number": 5, "name": "feeder-1"}]})

    def lines(self, *arguments: str, input: str = "", code: int = 0) -> list[str]:
        done = self.api.run("rates", *arguments, input=input)
        self.assertEqual(done.exit_code, code, done.output)
        return [" ".join(line.split()) for line in done.output.splitlines()]

    def test_list(self) -> None:
        """The rates in force, whose word each is, and who has another."""
        general = Rates(
            items=(
                rate(seconds=300, groups=2, devices=True),
                rate("EndDevice", "standard", groups=0, devices=False),
                rate("Time", "configuration", seconds=900, groups=1),
            ),
            warnings=("near",),
        )
        self.api.answers("GET", "/rates", general)
        self.assertEqual(
            self.lines("list"),
            [
                "Resource Rate Is Whose word Besides",
                "DERProgramList pollRate 5m operator, in general 2 groups and devices",
                "EndDevice postRate",
                "Time pollRate 15m configuration 1 group",
                "warning: near",
            ],
        )
        group = rate(source="group", seconds=60, group=5, group_name="feeder-1")
        self.api.answers("GET", "/groups/5/rates", Rates(items=(group,)))
        expected = "DERProgramList pollRate 1m operator, for group feeder-1 (5)"
        self.assertEqual(self.lines("list", "--group", "feeder-1")[1], expected)
        self.api.answers("GET", "/devices/7/rates", Rates(items=(rate(source="device", seconds=60),)))
        expected = "DERProgramList pollRate 1m operator, for this device"
        self.assertEqual(self.lines("list", "--device", "7")[1], expected)
        self.assertIn(
            "Give --group or --device", " ".join(self.lines("list", "--group", "5", "--device", "7", code=2))
        )

    def test_own(self) -> None:
        """Groups and devices with rates of their own."""
        items = (SetOf(number=5, name="feeder-1", rates=(Set(resource=KIND, seconds=60),)),)
        for what, head in (("groups", "Group Rates"), ("devices", "Device Rates")):
            self.api.answers("GET", f"/rates/{what}", SetPage(items=items))
            self.assertEqual(self.lines(what), [head, "feeder-1 (5) DERProgramList 1m"])

    def test_set(self) -> None:
        """What it will mean is said, and asked; a resource's name may be written in small letters."""
        self.api.answers("POST", "/groups/5/rates/preview", Consequences(summary=("12 devices.",)))
        self.api.answers(
            "PATCH", "/groups/5/rates", Rates(items=(rate(seconds=300), rate("Time", seconds=1)))
        )
        lines = self.lines("set", "derprogramlist", "5m", "--group", "feeder-1", input="y\n")
        self.assertIn("12 devices.", lines)
        self.assertEqual(lines[-1], "DERProgramList pollRate 5m operator, in general")
        self.assertNotIn("Time", " ".join(lines))
        sent = {"rates": [{"resource": KIND, "seconds": 300}]}
        self.assertEqual([one.content for one in self.api.requests[-2:]], [sent, sent])
        before = len(self.api.requests)
        self.lines("set", KIND, "5m", "--group", "5", input="n\n", code=5)
        self.assertEqual(self.api.asked()[before:], ["POST /groups/5/rates/preview"])

    def test_unset(self) -> None:
        """Nothing is previewed where nobody is to be asked."""
        self.api.answers("PATCH", "/rates", Rates(items=(rate(source="configuration", seconds=600),)))
        self.lines("unset", KIND, "--yes")
        self.assertEqual(self.api.asked(), ["PATCH /rates"])
        self.assertEqual(self.api.requests[-1].content, {"rates": [{"resource": KIND, "seconds": 0}]})

    def test_wrong(self) -> None:
        """A rate of nothing, and resources without one."""
        for words in (
            ("set", KIND, "0"),
            ("set", KIND, "soon"),
            ("set", "DERControl", "5m"),
            ("unset", "dcap"),
        ):
            self.lines(*words, code=2)
        for name, hint in (
            ("DERControlList", "goes with DERProgramList"),
            ("x", "are Configuration, DERList"),
        ):
            done = self.api.run("rates", "set", name, "60s")
            self.assertIn(hint, " ".join(done.stderr.split()))
        self.assertEqual(self.api.requests, [])
