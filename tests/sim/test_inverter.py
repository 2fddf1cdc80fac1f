"""What an inverter makes of its orders."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2.types import CHARGE_FLAG, DISCHARGE_FLAG, MODE, UnitRef
from csipd.sim.curves import Curve
from csipd.sim.inverter import Flow, Inverter, Nameplate, Orders, Room, Stage
from tests.sim.orders import factor, orders

PV = Nameplate(max_w=5000.0, max_va=5500.0, max_var=2400.0)
STORAGE = Nameplate(max_w=5000.0, max_va=5000.0, max_var=2400.0, max_charge_w=4000.0)
SUNNY = Room(0.0, 5000.0, 5000.0)
CHARGED = Room(-4000.0, 0.0, 5000.0)

VOLT_VAR = Curve((92, 98, 102, 108), (100, 0, 0, -100), UnitRef.SET_MAX_VAR, 0.0)
VOLT_WATT = Curve((105, 110), (100, 0), UnitRef.SET_MAX_W, 0.0)


def droop(response: int = 0) -> r.FreqDroopType:
    """36 mHz of deadband on both sides, 5 % of the frequency for the whole power."""
    return r.FreqDroopType(dBOF=36, dBUF=36, kOF=50, kUF=50, openLoopTms=response)


class Case(SynchronousTestCase):
    """An inverter and its clock."""

    def setUp(self) -> None:
        self.now = 0.0
        self.use(PV, SUNNY)

    def use(self, nameplate: Nameplate, room: Room) -> None:
        """Take another one."""
        self.inverter, self.room = Inverter(nameplate), room

    def run_for(
        self, seconds: float, told: Orders, volts: float = 1.0, hertz: float = 60.0, room: Room | None = None
    ) -> Flow:
        """Let time pass."""
        self.now += seconds
        return self.inverter.step(self.now, seconds, room or self.room, volts, hertz, told)

    def watts(self, modes: dict[str, Any], **given: Any) -> float:
        """The active power under modes without ramps, after a second."""
        return self.run_for(1.0, orders(modes), **given).w

    def var(self, modes: dict[str, Any], **given: Any) -> float:
        """The reactive power likewise."""
        return self.run_for(1.0, orders(modes), **given).var


class ActivePowerTests(Case):
    """Where the active power goes."""

    def test_free(self) -> None:
        """Without orders all that the source gives by itself flows, and no vars."""
        self.assertEqual(self.run_for(1.0, orders()), Flow(5000.0, 0.0, Stage.RUNNING, held_back=False))
        self.use(STORAGE, CHARGED)
        self.assertEqual(self.watts({}), 0.0)

    def test_ceiling(self) -> None:
        """opModMaxLimW is a ceiling in hundredths of a percent of max_w; what is less is left alone."""
        flow = self.run_for(1.0, orders({"opModMaxLimW": 4000}))
        self.assertEqual((flow.w, flow.held_back), (2000.0, True))
        dim = Room(0.0, 1500.0, 1500.0)
        flow = self.run_for(1.0, orders({"opModMaxLimW": 4000}), room=dim)
        self.assertEqual((flow.w, flow.held_back), (1500.0, False))

    def test_fixed(self) -> None:
        """opModFixedW is a share of the discharge rate, where negative of the charge rate."""
        self.use(STORAGE, CHARGED)
        self.assertEqual(self.watts({"opModFixedW": 5000}), 2500.0)
        self.assertEqual(self.watts({"opModFixedW": -5000}), -2000.0)

    def test_target(self) -> None:
        """opModTargetW is in watts; panels give no more than they can, and take nothing."""
        self.assertEqual(self.watts({"opModTargetW": r.ActivePower(multiplier=2, value=12)}), 1200.0)
        self.assertEqual(self.watts({"opModTargetW": r.ActivePower(multiplier=3, value=12)}), 5000.0)
        self.assertEqual(self.watts({"opModTargetW": r.ActivePower(multiplier=0, value=-500)}), 0.0)

    def test_several(self) -> None:
        """Of two set points the one nearer to 0 holds, and the ceiling above both."""
        both = {"opModFixedW": 5000, "opModTargetW": r.ActivePower(multiplier=0, value=2000)}
        self.assertEqual(self.watts(both), 2000.0)
        self.assertEqual(self.watts({**both, "opModMaxLimW": 1000}), 500.0)

    def test_modes(self) -> None:
        """It says what it follows: storage charges too, and nobody rides through by a curve."""
        self.assertTrue(PV.modes & DISCHARGE_FLAG and not PV.modes & CHARGE_FLAG)
        self.assertTrue(STORAGE.modes & CHARGE_FLAG)
        self.assertTrue(PV.modes & MODE["opModVoltVar"].flag)
        self.assertFalse(PV.modes & MODE["opModHVRTMustTrip"].flag)


class RampTests(Case):
    """How fast it gets there."""

    def test_gradient(self) -> None:
        """setGradW is in hundredths of a percent of max_w per second, down and up."""
        self.run_for(1.0, orders(setGradW=100))
        limited = orders({"opModMaxLimW": 5000}, setGradW=100)
        self.assertAlmostEqual(self.run_for(1.0, limited).w, 4950.0)
        self.assertAlmostEqual(self.run_for(20.0, limited).w, 3950.0)
        self.assertAlmostEqual(self.run_for(60.0, limited).w, 2500.0)
        self.assertAlmostEqual(self.run_for(10.0, orders(setGradW=100)).w, 3000.0)
        self.assertAlmostEqual(self.run_for(1.0, orders(setGradW=0)).w, 5000.0)

    def test_ramp_of_an_order(self) -> None:
        """rampTms, in hundredths of a second, is the time from the order to its set point."""
        self.run_for(1.0, orders())
        limited = orders({"opModMaxLimW": 5000}, ramp=1000, setGradW=1)
        self.assertAlmostEqual(self.run_for(4.0, limited).w, 4000.0)
        self.assertAlmostEqual(self.run_for(6.0, limited).w, 2500.0)
        again = orders({"opModMaxLimW": 2500}, ramp=0, source="A2", setGradW=1)
        self.assertAlmostEqual(self.run_for(1.0, again).w, 1250.0)

    def test_the_sun_needs_no_ramp(self) -> None:
        """What the source cannot give is lost at once; what comes back rises by the ramp."""
        told = orders(setGradW=100)
        self.run_for(1.0, told)
        cloud = Room(0.0, 1000.0, 1000.0)
        self.assertAlmostEqual(self.run_for(1.0, told, room=cloud).w, 1000.0)
        self.assertAlmostEqual(self.run_for(10.0, told).w, 1500.0)

    @given(st.lists(st.tuples(st.integers(0, 10000), st.floats(0.1, 30.0)), min_size=1, max_size=20))
    def test_never_exceeded(self, limits: list[tuple[int, float]]) -> None:
        """Whatever is ordered, and however time passes, no step is steeper than setGradW."""
        self.use(PV, SUNNY)
        before = self.run_for(1.0, orders(setGradW=70)).w
        for limit, seconds in limits:
            now = self.run_for(seconds, orders({"opModMaxLimW": limit}, setGradW=70)).w
            self.assertLessEqual(abs(now - before), 35.0 * seconds + 1e-6)
            before = now


class SwitchTests(Case):
    """Connecting and energizing."""

    def test_open(self) -> None:
        """opModConnect or opModEnergize false stops watts and vars at once, whatever ramps there are."""
        for mode in ("opModConnect", "opModEnergize"):
            self.use(PV, SUNNY)
            self.run_for(1.0, orders(setGradW=1))
            told = orders({mode: False, "opModFixedPFInjectW": factor(900, absorbs=True)}, ramp=10000)
            self.assertEqual(self.run_for(0.1, told), Flow(0.0, 0.0, Stage.OPEN, held_back=True))

    def test_back(self) -> None:
        """It waits for setESDelay, rises by setSoftGradW, and goes on by setGradW."""
        settings = {"setESDelay": 6000, "setSoftGradW": 100, "setGradW": 1000}
        self.run_for(1.0, orders({"opModConnect": False}, **settings))
        self.assertEqual(self.run_for(1.0, orders({"opModConnect": True}, **settings)).stage, Stage.WAITING)
        flow = self.run_for(59.0, orders(**settings))
        self.assertEqual((flow.w, flow.stage), (0.0, Stage.WAITING))
        flow = self.run_for(1.0, orders(**settings))
        self.assertAlmostEqual(flow.w, 50.0)
        self.assertEqual(flow.stage, Stage.STARTING)
        flow = self.run_for(99.0, orders(**settings))
        self.assertAlmostEqual(flow.w, 5000.0)
        self.assertEqual(flow.stage, Stage.RUNNING)
        self.assertAlmostEqual(self.run_for(1.0, orders({"opModMaxLimW": 5000}, **settings)).w, 4500.0)

    def test_back_without_settings(self) -> None:
        """With neither setting it is back at once."""
        self.run_for(1.0, orders({"opModEnergize": False}))
        self.assertEqual(self.run_for(1.0, orders()), Flow(5000.0, 0.0, Stage.RUNNING, held_back=False))


class ProtectionTests(Case):
    """Answers to voltage and frequency."""

    def test_volt_watt(self) -> None:
        """Above its curve's knee watts go down with the voltage, below they are free."""
        for volts, expected in [(1.0, 5000.0), (1.05, 5000.0), (1.07, 3000.0), (1.2, 0.0)]:
            self.assertAlmostEqual(self.watts({"opModVoltWatt": VOLT_WATT}, volts=volts), expected)

    def test_volt_watt_of_what_is_available(self) -> None:
        """With yRefType 7 the share is of what the source could give now."""
        curve = Curve(VOLT_WATT.xs, VOLT_WATT.ys, UnitRef.STAT_W_AVAIL, 0.0)
        dim = Room(0.0, 1000.0, 1000.0)
        self.assertAlmostEqual(self.watts({"opModVoltWatt": curve}, volts=1.07, room=dim), 600.0)

    def test_freq_watt(self) -> None:
        """Over-frequency lowers the ceiling, in percent of max_w; below nothing storage is charged."""
        curve = Curve((60.2, 61.2), (100, -100), UnitRef.SET_MAX_W, 0.0)
        self.assertAlmostEqual(self.watts({"opModFreqWatt": curve}, hertz=60.45), 2500.0)
        self.assertAlmostEqual(self.watts({"opModFreqWatt": curve}, hertz=61.2), 0.0)
        self.use(STORAGE, CHARGED)
        self.assertAlmostEqual(self.watts({"opModFreqWatt": curve}, hertz=61.2), -4000.0)

    def test_droop(self) -> None:
        """Beyond the deadband power changes by the deviation over k of the nominal frequency."""
        told = {"opModFreqDroop": droop()}
        self.assertAlmostEqual(self.watts(told, hertz=60.036), 5000.0)
        self.assertAlmostEqual(self.watts(told, hertz=60.636), 4000.0)  # 0.6 Hz of 3 Hz
        self.assertAlmostEqual(self.watts(told, hertz=59.0), 5000.0)  # panels have no more
        self.use(STORAGE, CHARGED)
        self.assertAlmostEqual(self.watts(told, hertz=59.364), 1000.0)
        self.assertAlmostEqual(self.watts(told, hertz=60.636), -1000.0)
        self.assertAlmostEqual(self.watts({**told, "opModMaxLimW": 1000}, hertz=59.364), 500.0)

    def test_droop_does_not_add_up(self) -> None:
        """Under a lasting deviation the power stays where it is."""
        told = orders({"opModFreqDroop": droop()}, setGradW=1)
        self.run_for(1.0, orders(setGradW=1))
        seen = {round(self.run_for(1.0, told, hertz=60.636).w, 6) for _ in range(5)}
        self.assertEqual(seen, {4000.0})

    def test_open_loop_response(self) -> None:
        """After the open loop response time 90 % of the answer are there, in however many steps."""
        for steps in (1, 8):
            self.use(PV, SUNNY)
            self.run_for(1.0, orders({"opModFreqDroop": droop(400)}))
            for _ in range(steps):
                flow = self.run_for(4.0 / steps, orders({"opModFreqDroop": droop(400)}), hertz=60.636)
            self.assertAlmostEqual(flow.w, 5000.0 - 0.9 * 1000.0)

    def test_missing_curve(self) -> None:
        """A mode whose curve is not there is not followed."""
        link = r.DERCurveLink(href="/nowhere")
        self.assertAlmostEqual(self.watts({"opModVoltWatt": link}, volts=1.2), 5000.0)


class VarTests(Case):
    """Reactive power: fed in is positive."""

    def test_power_factor(self) -> None:
        """Excitation true takes vars in, false feeds them; watts keep to what of max_va that leaves."""
        expected = 5500.0 * math.sqrt(1 - 0.9**2)
        for absorbs, sign in ((True, -1), (False, 1)):
            flow = self.run_for(1.0, orders({"opModFixedPFInjectW": factor(900, absorbs)}))
            self.assertAlmostEqual(flow.w, 4950.0)
            self.assertAlmostEqual(flow.var, sign * expected)

    def test_power_factor_of_a_direction(self) -> None:
        """Of the two fixed power factors that of the direction in which power flows counts."""
        self.use(STORAGE, CHARGED)
        modes = {"opModFixedPFInjectW": factor(950, False), "opModFixedPFAbsorbW": factor(950, True)}
        self.assertGreater(self.var({**modes, "opModFixedW": 5000}), 0.0)
        self.assertLess(self.var({**modes, "opModFixedW": -5000}), 0.0)

    def test_fixed_var(self) -> None:
        """Percent of max_w, of max_var, or of the vars that are left beside the watts."""
        for reference, base in [
            (UnitRef.SET_MAX_W, 5000.0),
            (UnitRef.SET_MAX_VAR, 2400.0),
            (UnitRef.STAT_VAR_AVAIL, math.sqrt(5500.0**2 - 5000.0**2)),
        ]:
            for share in (-2000, 2000):
                told = {"opModFixedVar": r.FixedVar(refType=reference, value=share)}
                self.assertAlmostEqual(self.var(told), base * share / 10000)

    def test_target_var(self) -> None:
        """opModTargetVar is in vars, and no more than max_var."""
        for value, expected in ((-12, -1200.0), (90, 2400.0)):
            told = {"opModTargetVar": r.ReactivePower(multiplier=2, value=value)}
            self.assertAlmostEqual(self.var(told), expected)

    def test_vars_first(self) -> None:
        """Watts give way to vars where both do not fit into max_va."""
        flow = self.run_for(1.0, orders({"opModTargetVar": r.ReactivePower(multiplier=2, value=24)}))
        self.assertAlmostEqual(flow.var, 2400.0)
        self.assertAlmostEqual(flow.w, math.sqrt(5500.0**2 - 2400.0**2))

    def test_volt_var(self) -> None:
        """High voltage makes it take vars in, low voltage feed them; between it does neither."""
        for volts, expected in [(0.9, 2400.0), (0.95, 1200.0), (1.0, 0.0), (1.05, -1200.0), (1.1, -2400.0)]:
            self.assertAlmostEqual(self.var({"opModVoltVar": VOLT_VAR}, volts=volts), expected)

    def test_curves_of_watts(self) -> None:
        """opModWattVar and opModWattPF follow the share of max_w that flows."""
        half = {"opModFixedW": 5000}
        watt_var = Curve((0, 100), (0, -80), UnitRef.SET_MAX_VAR, 0.0)
        self.assertAlmostEqual(self.var({**half, "opModWattVar": watt_var}), -0.4 * 2400.0)
        watt_pf = Curve((0, 100), (0.0, -0.2), open_loop=0.0)
        self.assertAlmostEqual(self.var({**half, "opModWattPF": watt_pf}), -2500.0 * math.tan(math.acos(0.9)))

    def test_the_least_wins(self) -> None:
        """Of several reactive modes the one with the fewest vars holds."""
        told = {
            "opModTargetVar": r.ReactivePower(multiplier=0, value=-500),
            "opModVoltVar": VOLT_VAR,
            "opModFixedVar": r.FixedVar(refType=2, value=9000),
        }
        self.assertAlmostEqual(self.var(told, volts=1.1), -500.0)
        self.assertAlmostEqual(self.var(told, volts=1.103), -500.0)
        self.assertAlmostEqual(self.var(told, volts=1.03), -400.0)

    def test_asleep(self) -> None:
        """Panels without light run no electronics: no vars at night."""
        night = Room(0.0, 0.0, 0.0)
        self.assertEqual(self.var({"opModVoltVar": VOLT_VAR}, volts=1.1, room=night), 0.0)


CURVES = st.builds(
    lambda xs, ys, reference, lag: Curve(tuple(sorted(xs)), tuple(ys), UnitRef(reference), lag),
    st.lists(st.floats(50, 130), min_size=3, max_size=3),
    st.lists(st.floats(-100, 100), min_size=3, max_size=3),
    st.sampled_from([1, 2, 3, 7]),
    st.sampled_from([None, 0.0, 3.0]),
)
FACTORS = st.builds(factor, st.integers(0, 1000), st.booleans())
ANY_MODES = st.fixed_dictionaries(
    {},
    optional={
        "opModConnect": st.booleans(),
        "opModFixedW": st.integers(-10000, 10000),
        "opModMaxLimW": st.integers(0, 10000),
        "opModTargetW": st.builds(
            r.ActivePower, multiplier=st.integers(0, 2), value=st.integers(-9000, 9000)
        ),
        "opModTargetVar": st.builds(
            r.ReactivePower, multiplier=st.integers(0, 2), value=st.integers(-9000, 9000)
        ),
        "opModFixedVar": st.builds(r.FixedVar, refType=st.integers(1, 3), value=st.integers(-10000, 10000)),
        "opModFixedPFInjectW": FACTORS,
        "opModFixedPFAbsorbW": FACTORS,
        "opModFreqDroop": st.builds(
            r.FreqDroopType,
            dBOF=st.integers(0, 500),
            dBUF=st.integers(0, 500),
            kOF=st.integers(0, 100),
            kUF=st.integers(0, 100),
            openLoopTms=st.integers(0, 500),
        ),
        "opModVoltVar": CURVES,
        "opModVoltWatt": CURVES,
        "opModWattVar": CURVES,
    },
)
STEPS = st.tuples(
    ANY_MODES,
    st.none() | st.integers(0, 3000),
    st.floats(0.1, 60.0),
    st.floats(0.8, 1.2),
    st.floats(57.0, 63.0),
    st.floats(0.0, 1.0),
)


class CapabilityTests(Case):
    """What holds whatever is ordered."""

    @given(st.sampled_from([PV, STORAGE]), st.lists(STEPS, min_size=1, max_size=8))
    def test_never_beyond_capability(self, rated: Nameplate, steps: list[Any]) -> None:
        """Watts are within the room that the source gives, vars within max_var, both within max_va."""
        self.use(rated, SUNNY)
        for modes, ramp, seconds, volts, hertz, light in steps:
            room = Room(-rated.max_charge_w * light, rated.max_w * light, rated.max_w * light)
            flow = self.run_for(seconds, orders(modes, ramp=ramp, setGradW=500), volts, hertz, room)
            self.assertTrue(room.least - 1e-6 <= flow.w <= room.most + 1e-6, flow)
            self.assertLessEqual(abs(flow.var), rated.max_var + 1e-6)
            self.assertLessEqual(math.hypot(flow.w, flow.var), rated.max_va + 1e-6)
