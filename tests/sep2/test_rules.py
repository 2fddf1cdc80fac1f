"""The standard's rules: what they let be, and where their flaws point.

That each door refuses what they refuse is in tests/test_wrong_values.py.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec, rules
from csipd.sep2 import resources as r
from csipd.sep2.rules import Flaw
from csipd.sep2.schema import Element, fields
from csipd.sep2.types import MODE, Alarm, CurveType, DeviceCategory, UnitRef
from tests.conformance.test_basic import FREQUENCY_TRIPS, VOLT_VAR, VOLT_WATT, VOLTAGE_TRIPS
from tests.support.bodies import FULL
from tests.support.examples import fewer
from tests.support.instances import instances

NOW = 1_767_225_600


def curve(kind: int, *points: tuple[int, int], excitation: bool | None = None, **more: Any) -> r.DERCurve:
    """A curve of a type, hundredths on both axes unless told otherwise."""
    data = tuple(r.CurveData(excitation=excitation, xvalue=x, yvalue=y) for x, y in points)
    given = {"xMultiplier": -2, "yMultiplier": -2, "yRefType": int(rules.Y_REFERENCES[CurveType(kind)][0])}
    return r.DERCurve(mRID="0", creationTime=0, CurveData=data, curveType=kind, **{**given, **more})


class FlawTests(SynchronousTestCase):
    """How a flaw is worded."""

    def test_told(self) -> None:
        """A flaw has a pointer, a message and a line; below something else it points there."""
        flaw = Flaw(("CurveData", 0, "yvalue"), "is 5", "4")
        self.assertEqual(flaw.pointer, "/CurveData/0/yvalue")
        self.assertEqual(flaw.message, "is 5, expected 4")
        self.assertEqual(str(flaw.under("curves", 2)), "/curves/2/CurveData/0/yvalue: is 5, expected 4")
        self.assertEqual(str(Flaw((), "is 5", "4")), "is 5, expected 4")

    def test_doubts_apart(self) -> None:
        """What is doubtful is no error, and the other way round."""
        wrong, doubtful = Flaw(("a",), "is 1", "2"), Flaw(("b",), "is 3", "4", doubtful=True)
        self.assertEqual(rules.errors([wrong, doubtful]), [("/a", "is 1, expected 2")])
        self.assertEqual(rules.warnings([wrong, doubtful]), ["/b: is 3, expected 4"])


class CurveTests(SynchronousTestCase):
    """DERCurve."""

    def test_of_the_procedures(self) -> None:
        """The curves of the CSIP test procedures are as they should be."""
        for name, points in {**VOLTAGE_TRIPS, **FREQUENCY_TRIPS}.items():
            kind = MODE[name].curve
            assert kind is not None
            self.assertEqual(rules.curve_flaws(curve(kind, *points)), [], name)
        self.assertEqual(rules.curve_flaws(curve(CurveType.VOLT_VAR, *VOLT_VAR)), [])
        self.assertEqual(rules.curve_flaws(curve(CurveType.VOLT_WATT, *VOLT_WATT)), [])

    def test_edges(self) -> None:
        """The ends of each range are in it, whatever the multiplier."""
        for good in (
            curve(11, (0, -10_000), (13_500, 10_000), vRef=10_000),
            curve(11, (0, -1), (1, 1), xMultiplier=2, yMultiplier=2),
            curve(11, (0, 0), autonomousVRefEnable=True, autonomousVRefTimeConstant=0),
            curve(11, (0, 0), autonomousVRefEnable=False),
            curve(12, (0, 0), (0, 10_000)),
            curve(13, (0, 1), (10_000, 100), excitation=False),
            curve(13, (0, 10**9), excitation=True, yMultiplier=-9),
            curve(14, (0, -10_000), (10_000, 10_000)),
            curve(5, (0, 12_000), (0, 11_000), (2**31 - 1, 0)),
            curve(0, (5900, 20_000), (6200, -20_000)),
        ):
            self.assertEqual(rules.curve_flaws(good), [], good)

    def test_references(self) -> None:
        """The usual reference of each type is right; an odd one is wrong where the standard lists them."""
        for kind in CurveType:
            side = True if kind is CurveType.WATT_PF else None
            for reference in range(9):
                found = rules.curve_flaws(curve(kind, (1, 1), excitation=side, yRefType=reference))
                if reference in rules.Y_REFERENCES[kind]:
                    self.assertEqual(found, [], (kind, reference))
                    continue
                (flaw,) = found
                listed = kind in (CurveType.VOLT_VAR, CurveType.VOLT_WATT, CurveType.WATT_VAR)
                self.assertIs(flaw.doubtful, not listed and reference in list(UnitRef))

    def test_falling(self) -> None:
        """x may lead back where points have hysteresis, which is doubtful, and nowhere else."""
        for kind in CurveType:
            side = True if kind is CurveType.WATT_PF else None
            (flaw,) = rules.curve_flaws(curve(kind, (2, 1), (1, 1), (1, 1), excitation=side))
            self.assertEqual(flaw.path, ("CurveData", 1, "xvalue"))
            self.assertIs(flaw.doubtful, kind is CurveType.FREQ_WATT or kind >= CurveType.VOLT_VAR)

    @fewer(1)
    @given(instances(r.DERCurve, likely=0.8))
    def test_any(self, value: r.DERCurve) -> None:
        """Whatever curve the codec takes is judged, and each flaw points into it."""
        codec.check(value)
        for flaw in rules.curve_flaws(value):
            self.assertTrue(_leads(value, flaw), (value, flaw))


class ControlTests(SynchronousTestCase):
    """DERControlBase, DERControl and DefaultDERControl."""

    def control(self, **more: Any) -> r.DERControl:
        given = {
            "interval": r.DateTimeInterval(duration=60, start=NOW),
            "DERControlBase": r.DERControlBase(opModConnect=False),
            **more,
        }
        status = r.EventStatus(currentStatus=0, dateTime=NOW, potentiallySuperseded=False)
        return r.DERControl(mRID="0", creationTime=NOW, EventStatus=status, **given)

    def test_good(self) -> None:
        """Power factors up to 1, vars of what there is, all bits that there are."""
        factors = [(1, 0), (950, -3), (0, 5), (65_535, -5)]
        for displacement, multiplier in factors:
            factor = r.PowerFactorWithExcitation(
                displacement=displacement, excitation=True, multiplier=multiplier
            )
            base = r.DERControlBase(opModFixedPFAbsorbW=factor, opModFixedPFInjectW=factor)
            self.assertEqual(rules.base_flaws(base), [])
        for reference in (1, 2, 3):
            fixed = r.FixedVar(refType=reference, value=-10_000)
            self.assertEqual(rules.base_flaws(r.DERControlBase(opModFixedVar=fixed)), [])
        every = self.control(deviceCategory=sum(DeviceCategory), responseRequired=7, replyTo="/rsps/1/rsp")
        self.assertEqual(rules.control_flaws(every, now=NOW), [])

    def test_timing(self) -> None:
        """An event lasts a second to ten years, and something is left of it whatever a device draws."""
        for start, duration, randomize in (
            (NOW, 1, None),
            (NOW, 1, 0),
            (NOW, 60, -59),
            (NOW, 3601, -3600),
            (NOW, 1, 3600),
            (0, rules.LONGEST, None),
            (rules.LATEST - 1, 1, None),
        ):
            self.assertEqual(rules.timing_flaws(start, duration, randomize), [], (start, duration, randomize))
        self.assertEqual(rules.timing_flaws(NOW - 59, 60, now=NOW), [])
        (over,) = rules.timing_flaws(NOW - 60, 60, now=NOW)
        self.assertEqual(over.pointer, "/interval/start")

    def test_links(self) -> None:
        """Each curve mode points to a curve of its own type, of those that it may point to."""
        modes = {"opModVoltVar": 11, "opModWattPF": 13}
        base = r.DERControlBase(**{mode: r.DERCurveLink(href=mode) for mode in modes})
        self.assertEqual(rules.link_flaws(base, modes.get, "here"), [])
        wrong = rules.link_flaws(base, {"opModVoltVar": 12}.get, "here")
        self.assertEqual([flaw.pointer for flaw in wrong], ["/opModVoltVar", "/opModWattPF"])

    def test_default(self) -> None:
        """A default may set ramp rates alone; bounds of enter service with nothing between are doubtful."""
        default = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(), setGradW=0)
        self.assertEqual(rules.default_flaws(default), [])
        self.assertEqual(rules.default_flaws(default.replace(setESLowFreq=5900, setESHighFreq=5900)), [])
        for low, high in (("setESLowFreq", "setESHighFreq"), ("setESLowVolt", "setESHighVolt")):
            (flaw,) = rules.default_flaws(default.replace(**{low: 2, high: 1}))
            self.assertEqual((flaw.pointer, flaw.doubtful), (f"/{low}", True))

    @fewer(1)
    @given(st.one_of(instances(r.DERControl), instances(r.DefaultDERControl)))
    def test_any(self, value: r.DERControl | r.DefaultDERControl) -> None:
        """Whatever control or default the codec takes is judged, and each flaw points into it."""
        judge = rules.control_flaws if isinstance(value, r.DERControl) else rules.default_flaws
        for flaw in judge(value):  # type: ignore[operator]  # each of its own
            self.assertTrue(_leads(value, flaw), (value, flaw))


class RatingTests(SynchronousTestCase):
    """What a DER says of itself (modes of CTP CORE-014): kept as it comes, and reported."""

    capability, settings = FULL["DERCapability"], FULL["DERSettings"]

    def doubts(self, capability: dict[str, Any], settings: dict[str, Any]) -> list[str]:
        found = rules.rating_doubts(self.capability.replace(**capability), self.settings.replace(**settings))
        self.assertEqual(rules.errors(found), [])
        return rules.warnings(found)

    def test_each(self) -> None:
        """Each thing that a rating or a setting should not be is reported with its element."""
        watts, absorbed = r.ActivePower(multiplier=1, value=501), r.ReactivePower(multiplier=0, value=-2641)
        factor = r.PowerFactor(displacement=849, multiplier=-3)
        self.assertEqual(self.doubts({}, {}), [])
        self.assertEqual(rules.rating_doubts(None, self.settings), [])
        self.assertEqual(rules.rating_doubts(None, None), [])
        for capability, settings, reported in (
            ({}, {"setMaxW": watts}, "/setMaxW: is 5010, expected at most rtgMaxW, 5000"),
            (
                {},
                {"setMaxVarNeg": absorbed},
                "/setMaxVarNeg: is -2641, expected at least rtgMaxVarNeg, -2640",
            ),
            (
                {},
                {"setMinPFOverExcited": factor},
                "/setMinPFOverExcited: is 0.849, expected at least rtgMinPFOverExcited, 0.85",
            ),
            (
                {},
                {"modesEnabled": 0x300000},
                "/modesEnabled: is 00300000, expected modes of modesSupported (00100000)",
            ),
            (
                {"rtgOverExcitedPF": r.PowerFactor(displacement=15, multiplier=-1)},
                {},
                "/rtgOverExcitedPF: is 1.5, expected a power factor of at most 1",
            ),
            (
                {"rtgUnderExcitedW": watts},
                {},
                "/rtgUnderExcitedW: is given without rtgUnderExcitedPF, expected both, or neither",
            ),
            (
                {"rtgMaxVarNeg": absorbed.replace(value=5)},
                {"setMaxVarNeg": None},
                "/rtgMaxVarNeg: is 5 var, expected 0 or less, as vars are absorbed",
            ),
            (
                {"type": 83, "rtgMaxDischargeRateW": None},
                {},
                "/rtgMaxDischargeRateW: is missing, expected one where type is 83",
            ),
        ):
            self.assertEqual(self.doubts(capability, settings), [reported])

    @fewer(1)
    @given(st.none() | instances(r.DERCapability), st.none() | instances(r.DERSettings))
    def test_any(self, capability: r.DERCapability | None, settings: r.DERSettings | None) -> None:
        """Whatever ratings and settings the codec takes are judged, and none is refused."""
        self.assertEqual(rules.errors(rules.rating_doubts(capability, settings)), [])


class BitTests(SynchronousTestCase):
    """Bit maps of what devices report."""

    def test_each_bit(self) -> None:
        """Every bit that has a name is taken, and every other one is reserved (case A21)."""
        for bit in range(32):
            device = r.EndDevice(sFDI=0, changedTime=0, deviceCategory=1 << bit)
            self.assertIs(bool(rules.reported_flaws(device)), bit > 25)
            status = r.DERStatus(readingTime=0, alarmStatus=1 << bit)
            self.assertIs(bool(rules.reported_flaws(status)), bit not in list(Alarm))
        for bit in range(8):
            state = r.ConnectStatusType(dateTime=0, value=1 << bit)
            for name in ("genConnectStatus", "storConnectStatus"):
                (*found,) = rules.reported_flaws(r.DERStatus(readingTime=0, **{name: state}))
                self.assertEqual([flaw.pointer for flaw in found], [f"/{name}/value"] if bit > 4 else [])
            self.assertIs(bool(rules.response_flaws(1 << bit)), bit > 2)

    def test_message(self) -> None:
        """The bits that are reserved are told by number."""
        (flaw,) = rules.category_flaws(0x0C000001)
        self.assertEqual(flaw.message, "is 0C000001, with reserved bits (26, 27), expected bits of 03FFFFFF")

    def test_pins(self) -> None:
        """A PIN with a wrong check digit is doubtful, or wrong where the utility is strict (case B12)."""
        self.assertEqual(rules.pin_flaws(111115), [])
        self.assertEqual(rules.pin_flaws(None, strict=True), [])
        for strict in (False, True):
            (flaw,) = rules.pin_flaws(111111, strict=strict)
            self.assertIs(flaw.doubtful, not strict)
            self.assertNotIn("111111", flaw.message)


def _leads(value: Element, flaw: Flaw) -> bool:
    """Whether the path of a flaw leads into a value, to something or to where something is missing."""
    at: Any = value
    for step in flaw.path:
        if isinstance(step, int):
            at = at[step]
        elif step not in {field.name for field in fields(type(at))}:
            return False
        else:
            at = getattr(at, step)
    return True
