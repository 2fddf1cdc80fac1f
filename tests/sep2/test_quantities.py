"""Plain numbers become quantities exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2.quantities import Magnitude, magnitude, quantity, scale

quick = settings(max_examples=150, deadline=None)
AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14, places=6)


class ScaleTests(SynchronousTestCase):
    """A value and a power of ten for a number."""

    @quick
    @given(AMOUNTS)
    def test_scale(self, amount: Decimal) -> None:
        """A power of ten is exact and in bounds, or there is none."""
        scaled = scale(amount, -32768, 32767)
        exact = [
            multiplier
            for multiplier in range(-9, 10)
            if (value := amount.scaleb(-multiplier)) == int(value) and -32768 <= value <= 32767
        ]
        if scaled is None:
            self.assertEqual(exact, [])
        else:
            multiplier, value = scaled
            self.assertEqual(Decimal(value).scaleb(multiplier), amount)
            self.assertEqual(abs(multiplier), min(map(abs, exact)))

    @quick
    @given(st.integers(-(2**47), 2**47), st.integers(-9, 9))
    def test_all_that_can_be_held(self, value: int, multiplier: int) -> None:
        """Whatever a value and a power of ten can say is found, though perhaps as another pair."""
        amount = Decimal(value).scaleb(multiplier)
        scaled = scale(amount, -(2**47), 2**47)
        assert scaled is not None
        self.assertEqual(Decimal(scaled[1]).scaleb(scaled[0]), amount)

    def test_beyond_the_arithmetic(self) -> None:
        """Numbers of any length and size are not rounded into ones that could be held."""
        for text in ("NaN", "-Infinity", "9e999999", "1e-999999", "1." + 40 * "0" + "1", 60 * "9"):
            self.assertIsNone(scale(Decimal(text), -32768, 32767), text)
        self.assertEqual(scale(Decimal("1." + 40 * "0"), -32768, 32767), (0, 1))


class QuantityTests(SynchronousTestCase):
    """The standard's types of quantities."""

    def test_which_they_are(self) -> None:
        """A type is a quantity when it is an integer and its multiplier, and nothing else."""
        self.assertEqual(magnitude(r.ActivePower), Magnitude("value", -32768, 32767))
        self.assertEqual(magnitude(r.PowerFactor), Magnitude("displacement", 0, 65535))
        for kind in (r.PowerFactorWithExcitation, r.UnitValueType, r.FixedVar, r.DERCapability):
            self.assertIsNone(magnitude(kind), kind)
            self.assertRaises(TypeError, quantity, kind, Decimal(1))

    def test_made(self) -> None:
        """A number becomes the quantity with the multiplier nearest to zero."""
        self.assertEqual(quantity(r.VoltageRMS, Decimal("239.5")), r.VoltageRMS(multiplier=-1, value=2395))
        self.assertEqual(quantity(r.ActivePower, Decimal(-50_000)), r.ActivePower(multiplier=1, value=-5000))
        self.assertEqual(
            quantity(r.PowerFactor, Decimal("0.95")), r.PowerFactor(multiplier=-2, displacement=95)
        )

    def test_refused(self) -> None:
        """What was expected is said of a number that is too fine, too great or no power factor."""
        for kind, amount in ((r.ActivePower, "40001"), (r.VoltageRMS, "-1"), (r.WattHour, "1e15")):
            with self.assertRaisesRegex(ValueError, r"^a number that is \S+ times a power of ten, exactly$"):
                quantity(kind, Decimal(amount))
        with self.assertRaisesRegex(ValueError, r"^a power factor 0\.\.1$"):
            quantity(r.PowerFactor, Decimal("1.1"))
