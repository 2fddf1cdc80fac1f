"""Control modes, times and amounts in words."""

from __future__ import annotations

from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.wording import (
    base_text,
    counted,
    duration_text,
    listed,
    mode_text,
    moment_text,
    value_text,
)
from csipd.sep2 import resources as r
from csipd.sep2.types import MODES
from csipd.web.json_form import to_json


class ValueTests(SynchronousTestCase):
    def test_modes(self) -> None:
        """Modes are shown with units: hundredths as percentages, powers scaled, power factors with side."""
        base = r.DERControlBase(
            opModConnect=False,
            opModFixedPFInjectW=r.PowerFactorWithExcitation(displacement=950, excitation=True, multiplier=-3),
            opModFixedVar=r.FixedVar(refType=2, value=-5050),
            opModFixedW=-2500,
            opModMaxLimW=6000,
            opModTargetVar=r.ReactivePower(multiplier=-1, value=-15),
            opModTargetW=r.ActivePower(multiplier=3, value=3),
            opModVoltVar=r.DERCurveLink(href="/derp/1/dc/2"),
            rampTms=150,
        )
        shown = {name: value_text(name, value) for name, value in to_json(base).items()}
        self.assertEqual(
            shown,
            {
                "opModConnect": "no",
                "opModFixedPFInjectW": "PF 0.95, absorbing vars",
                "opModFixedVar": "-50.5 % of setMaxVar",
                "opModFixedW": "-25 %",
                "opModMaxLimW": "60 %",
                "opModTargetVar": "-1.5 var",
                "opModTargetW": "3000 W",
                "opModVoltVar": "/derp/1/dc/2",
                "rampTms": "1.5 s",
            },
        )

    def test_plain_quantities(self) -> None:
        """A quantity that stands as a plain number is shown with its unit."""
        self.assertEqual(value_text("opModTargetW", 3000), "3000 W")

    def test_anything(self) -> None:
        """What has no form of its own is shown as JSON, or text as it is."""
        self.assertEqual(value_text("opModFreqDroop", {"dBOF": 1}), '{"dBOF": 1}')
        self.assertEqual(value_text("opModNew", "x"), "x")
        self.assertEqual(value_text("opModNew", None), "null")

    def test_base(self) -> None:
        """A base is shown in one line, and nothing for what is none."""
        self.assertEqual(
            base_text({"opModConnect": True, "opModMaxLimW": 0}), "opModConnect yes; opModMaxLimW 0 %"
        )
        self.assertEqual(base_text(None), "")

    @given(st.integers(-32768, 32767), st.integers(-9, 9))
    def test_scaling_is_exact(self, value: int, multiplier: int) -> None:
        """A scaled quantity is shown exactly, whatever its power of ten."""
        number, unit = value_text("opModTargetW", {"multiplier": multiplier, "value": value}).split(" ")
        self.assertEqual(unit, "W")
        self.assertNotIn("E", number)
        self.assertAlmostEqual(
            float(number), value * 10.0**multiplier, delta=abs(value) * 10.0**multiplier * 1e-12
        )

    def test_settings(self) -> None:
        """What only a default control has is shown with its unit, too."""
        self.assertEqual(value_text("setGradW", 27), "0.27 %/s")
        self.assertEqual(value_text("setESHighFreq", 6050), "60.5 Hz")


class SentenceTests(SynchronousTestCase):
    """Pieces of sentences (case B2)."""

    def test_modes(self) -> None:
        """A mode is said as what a device will do, with value, unit and the standard's name."""
        for name, value, words in (
            ("opModMaxLimW", 60, "limit active power to 0.6 % of its maximum (opModMaxLimW)"),
            ("opModMaxLimW", 6000, "limit active power to 60 % of its maximum (opModMaxLimW)"),
            ("opModConnect", False, "disconnect (opModConnect)"),
            ("opModEnergize", True, "energize (opModEnergize)"),
            ("opModTargetW", {"value": 3, "multiplier": 3}, "set active power to 3000 W (opModTargetW)"),
            ("opModFixedW", 7000, "give active power at 70 % of its maximum (opModFixedW)"),
            ("opModFixedW", -2550, "take in active power at 25.5 % of its maximum charge rate (opModFixedW)"),
            (
                "opModFreqDroop",
                {"dBOF": 36, "dBUF": 17, "kOF": 50, "kUF": 40, "openLoopTms": 500},
                "change active power with frequency, over-frequency with dead band 36 mHz, droop 0.05, "
                "under-frequency with dead band 17 mHz, droop 0.04, within 5 s (opModFreqDroop)",
            ),
            ("opModVoltVar", {"href": "/a"}, "follow the curve 'Usual', /a (opModVoltVar)"),
            ("opModVoltVar", {"href": "/b"}, "follow the curve /b (opModVoltVar)"),
            ("rampTms", 150, "change over within 1.5 s (rampTms)"),
        ):
            self.assertEqual(mode_text(name, value, {"/a": "Usual"}), words)

    def test_every_mode(self) -> None:
        """Whatever the mode, its name is in what is said."""
        for mode in MODES:
            self.assertIn(f"({mode.name})", mode_text(mode.name, 1, {}))

    @given(st.integers(0, 2**32 - 1))
    def test_durations(self, seconds: int) -> None:
        """A duration in words is that duration, and has no part that is none of."""
        words = duration_text(seconds).split()
        parts = {
            f"{unit.rstrip('s')}s": int(count) for count, unit in zip(words[::2], words[1::2], strict=True)
        }
        self.assertEqual(timedelta(**parts).total_seconds(), seconds)
        self.assertEqual(duration_text(29 * 60), "29 minutes")
        self.assertEqual(duration_text(5400), "1 hour 30 minutes")

    def test_moments(self) -> None:
        """A moment has its offset; one that no calendar reaches is the number that it is."""
        self.assertEqual(moment_text(0, UTC), "1970-01-01 00:00:00+00:00")
        self.assertEqual(
            moment_text(1_782_914_400, ZoneInfo("America/Los_Angeles")), "2026-07-01 07:00:00-07:00"
        )
        self.assertEqual(moment_text(2**62, UTC), f"@{2**62}")

    def test_lists(self) -> None:
        """The first few are named and the others counted."""
        self.assertEqual(listed(["a"]), "a")
        self.assertEqual(listed(["a", "b", "c"]), "a, b and c")
        self.assertEqual(listed(["a", "b"], 5), "a, b and 3 more")
        self.assertEqual(listed(["a", "b", "c"], most=2), "a, b and 1 more")
        self.assertEqual((counted(1, "device"), counted(2, "device")), ("1 device", "2 devices"))
