"""What a plant says of itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2.codec import encode
from csipd.sep2.types import (
    ConnectStatus,
    DERKind,
    InverterState,
    LocalControlMode,
    OperationalMode,
    StorageMode,
)
from csipd.sim import reports
from csipd.sim.inverter import Nameplate, Orders
from csipd.sim.plant import HOUR, PV, Battery, Plant
from csipd.sim.sun import DAY, Sun
from tests.sim.orders import orders
from tests.support.schema import validate

NOON = DAY // 2


def combined() -> Plant:
    """3 kW of panels and 10 kWh, half full."""
    rated = Nameplate(max_w=5000.0, max_va=5500.0, max_var=2400.0, max_charge_w=4000.0)
    return Plant(rated, PV(3000.0, Sun(NOON)), Battery(10000.0, 5000.0, 1.0))


def panels() -> Plant:
    """3 kW of panels."""
    return Plant(Nameplate(max_w=5000.0, max_va=5500.0, max_var=2400.0), PV(3000.0, Sun(NOON)))


class ReportTests(SynchronousTestCase):
    """The four documents of a DER."""

    def test_valid(self) -> None:
        """They are valid by the schema, of panels and of storage."""
        for plant in (panels(), combined()):
            output = plant.step(NOON, 60.0, 1.06, 60.0, Orders())
            for document in (
                reports.capability(plant),
                reports.settings(plant, orders(setGradW=100, setSoftGradW=50), NOON),
                reports.status(plant, output, Orders(), NOON),
                reports.availability(plant, output, NOON),
            ):
                validate(encode(document))

    def test_capability(self) -> None:
        """Ratings with their units; those of a battery where there is one."""
        found = reports.capability(combined())
        self.assertEqual(found.type, DERKind.COMBINED_PV_AND_STORAGE)
        self.assertEqual(found.rtgMaxW, r.ActivePower(multiplier=0, value=5000))
        self.assertEqual(found.rtgMaxVarNeg, r.ReactivePower(multiplier=0, value=-2400))
        self.assertEqual(found.rtgMaxWh, r.WattHour(multiplier=0, value=10000))
        self.assertIsNone(reports.capability(panels()).rtgMaxChargeRateW)

    def test_settings(self) -> None:
        """Settings are the ratings, with the ramps as ordered."""
        plant = combined()
        rated, found = reports.capability(plant), reports.settings(plant, orders(setGradW=70), NOON)
        self.assertEqual((found.setMaxW, found.setMaxVA), (rated.rtgMaxW, rated.rtgMaxVA))
        self.assertEqual((found.setGradW, found.setSoftGradW, found.updatedTime), (70, None, NOON))
        self.assertEqual(found.setVRef, r.VoltageRMS(multiplier=-1, value=2400))

    def test_status(self) -> None:
        """What it does: by itself, curtailed, disconnected, at night."""
        plant = combined()
        output = plant.step(NOON, 60.0, 1.06, 60.0, Orders())
        free = reports.status(plant, output, Orders(), NOON)
        self.assertEqual(free.alarmStatus, 2)
        assert free.inverterStatus and free.genConnectStatus and free.storageModeStatus
        assert free.stateOfChargeStatus and free.localControlModeStatus and free.operationalModeStatus
        self.assertEqual(free.inverterStatus.value, InverterState.TRACKING_POWER_POINT)
        self.assertEqual(free.genConnectStatus.value, 0b111)
        self.assertEqual(free.storageModeStatus.value, StorageMode.HOLDING)
        self.assertEqual(free.stateOfChargeStatus.value, 5000)
        self.assertEqual(free.localControlModeStatus.value, LocalControlMode.LOCAL)
        self.assertEqual(free.operationalModeStatus.value, OperationalMode.OPERATIONAL)

        told = orders({"opModMaxLimW": 2000})
        output = plant.step(NOON + HOUR, HOUR, 1.0, 60.0, told)
        held = reports.status(plant, output, told, NOON + 3600, free)
        assert held.inverterStatus and held.genConnectStatus and held.storageModeStatus
        assert held.localControlModeStatus and held.stateOfChargeStatus
        self.assertEqual(held.alarmStatus, 0)
        self.assertEqual(held.inverterStatus.value, InverterState.FORCED_POWER_REDUCTION)
        self.assertEqual(held.storageModeStatus.value, StorageMode.CHARGING)
        self.assertGreater(held.stateOfChargeStatus.value, 6500)
        self.assertEqual(held.localControlModeStatus.value, LocalControlMode.REMOTE)
        self.assertEqual(held.genConnectStatus, free.genConnectStatus)
        self.assertEqual(held.genConnectStatus.dateTime, NOON)
        self.assertEqual(held.inverterStatus.dateTime, NOON + 3600)

        told = orders({"opModConnect": False})
        output = plant.step(NOON + HOUR + 1, 1.0, 1.0, 60.0, told)
        off = reports.status(plant, output, told, NOON + 3601)
        assert off.inverterStatus and off.storConnectStatus and off.operationalModeStatus
        self.assertEqual(off.inverterStatus.value, InverterState.OFF)
        self.assertEqual(off.storConnectStatus.value, 0)
        self.assertEqual(off.operationalModeStatus.value, OperationalMode.OFF)

    def test_night(self) -> None:
        """Panels sleep: connected and available, without output; they say nothing of storage."""
        plant = panels()
        output = plant.step(0, 60.0, 1.0, 60.0, Orders())
        found = reports.status(plant, output, Orders(), 0)
        assert found.inverterStatus and found.genConnectStatus
        self.assertEqual(found.inverterStatus.value, InverterState.SLEEPING)
        self.assertEqual(found.genConnectStatus.value, ConnectStatus.CONNECTED | ConnectStatus.AVAILABLE)
        self.assertIsNone(found.storageModeStatus)
        self.assertIsNone(found.stateOfChargeStatus)

    def test_availability(self) -> None:
        """What is in reserve, and for how long; what is curtailed counts as reserve."""
        plant = combined()
        output = plant.step(NOON, 60.0, 1.0, 60.0, orders({"opModFixedW": 4000}))
        found = reports.availability(plant, output, NOON)
        self.assertEqual(found.statWAvail, r.ActivePower(multiplier=0, value=3000))
        self.assertEqual(found.reservePercent, 6000)
        self.assertEqual(found.reserveChargePercent, 10000)
        self.assertEqual(found.statVarAvail, r.ReactivePower(multiplier=0, value=2400))
        self.assertEqual(found.availabilityDuration, 3612)  # 1 kW went into the battery for a minute
        self.assertEqual(found.maxChargeDuration, 4485)

    @given(st.floats(-3e7, 3e7))
    def test_rounded(self, amount: float) -> None:
        """Any power fits, to whole watts where they fit and else to a ten-thousandth."""
        found = reports.rounded(r.ActivePower, amount)
        error = abs(found.value * 10**found.multiplier - amount)
        self.assertLessEqual(error, max(0.5, abs(amount) / 5000) + 1e-6)
