"""What DERs can deliver together."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.der.capability import Said, Sum, kind_name, with_der
from csipd.sep2 import resources as r


def watts(value: int, multiplier: int = 0) -> r.ActivePower:
    return r.ActivePower(multiplier=multiplier, value=value)


def charged(hundredths: int) -> r.DERStatus:
    state = r.StateOfChargeStatusType(dateTime=0, value=hundredths)
    return r.DERStatus(readingTime=0, stateOfChargeStatus=state)


class SumTests(SynchronousTestCase):
    """Sums of what was said."""

    def test_sums(self) -> None:
        """Each figure has a sum over those that have said it, how many these are, and how old it is."""
        total = with_der(
            Sum(),
            {"capability": r.DERCapability(modesSupported=0, rtgMaxW=watts(5, 3), type=4)},
            {"capability": 100},
        )
        total = with_der(
            total,
            {
                "capability": r.DERCapability(modesSupported=0, rtgMaxW=watts(2500), type=4),
                "settings": r.DERSettings(setGradW=1, setMaxW=watts(2400), updatedTime=0),
            },
            {"capability": 20, "settings": 7},
        )
        total = with_der(total, {}, {})
        self.assertEqual((total.ders, total.amounts), (3, {"rtgMaxW": 7500, "setMaxW": 2400}))
        self.assertEqual(total.said, {"capability": Said(2, 20, 100), "settings": Said(1, 7, 7)})

    def test_charge(self) -> None:
        """The state of charge is weighed by what each can store; who does not say that does not count."""
        total = Sum()
        for capacity, charge in ((1000, 10_000), (3000, 2000), (None, 5000)):
            settings = r.DERSettings(
                setGradW=1,
                setMaxW=watts(1),
                setMaxWh=None if capacity is None else r.WattHour(multiplier=0, value=capacity),
                updatedTime=0,
            )
            total = with_der(
                total, {"settings": settings, "status": charged(charge)}, {"settings": 0, "status": 0}
            )
        self.assertEqual((total.charged, total.stored, total.state_of_charge), (2, 1600, 40))
        self.assertIsNone(Sum().state_of_charge)

    def test_kinds(self) -> None:
        """A kind of DER has a name, also one that nobody knows."""
        for kind, name in ((4, "photovoltaic"), (80, "other storage"), (99, "type 99")):
            said = r.DERCapability(modesSupported=0, rtgMaxW=watts(1), type=kind)
            self.assertEqual(kind_name(said), name)
        self.assertEqual(kind_name(None), "unknown")
