"""What is told of devices, as it is written."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.gridappsd import reports
from csipd.sep2 import resources as r
from csipd.sep2.measurements import quantity_of
from tests.support.bodies import AT, FULL
from tests.support.metering import WATTS

MRID = "_2B5D7749-6C18-D77E-B848-3F7C31ADC3E6"
#: The attributes of an AnalogValue that those who listened to the older server know.
KEYS = [
    "identifier",
    "mRID",
    "aliasName",
    "description",
    "name",
    "timeStamp",
    "sensorAccuracy",
    "MeasurementValueQuality",
    "MeasurementValueSource",
    "value",
    "Analog",
    "AnalogControl",
]


def documented(words: str) -> Any:
    """The example in docs/gridappsd.md that has these words."""
    text = (Path(__file__).parents[2] / "docs" / "gridappsd.md").read_text("utf-8")
    found = [block for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if words in block]
    assert len(found) == 1, found
    return json.loads(found[0])


class StateOfChargeTests(SynchronousTestCase):
    """The form of the older server."""

    def test_form(self) -> None:
        """All attributes of an AnalogValue are there; those that the older server gave have values."""
        found = reports.state_of_charge(MRID, "house_7", FULL["DERStatus"])
        assert found is not None
        self.assertEqual(list(found), KEYS)
        self.assertEqual(
            {name: value for name, value in found.items() if value is not None},
            {"mRID": MRID, "name": "house_7", "timeStamp": AT, "value": 9000},
        )
        self.assertEqual(documented('"value": 9000'), {MRID: found})

    def test_unknown(self) -> None:
        """Who says no state of charge is not told of."""
        self.assertIsNone(reports.state_of_charge(MRID, "house_7", r.DERStatus(readingTime=AT)))


class StatusTests(SynchronousTestCase):
    """The form of its successor."""

    def test_values(self) -> None:
        """Numbers alone, the state of charge in percent; what a device does not say is left out."""
        self.assertEqual(
            reports.status_values(FULL["DERStatus"]),
            {
                "DERStatus.genConnectStatus": 7,
                "DERStatus.operationalModeStatus": 2,
                "DERStatus.alarmStatus": 16,
                "DERStatus.readingTime": AT,
                "DERStatus.inverterStatus": 2,
                "DERStatus.stateOfChargeStatus": 90.0,
                "DERStatus.storageModeStatus": 1,
            },
        )
        self.assertEqual(reports.status_values(r.DERStatus(readingTime=AT)), {"DERStatus.readingTime": AT})

    def test_written_as_numbers(self) -> None:
        """A bit map that was written short is a number like any other."""
        status = r.DERStatus.replace(FULL["DERStatus"], alarmStatus=0)
        said = json.dumps(reports.status_values(status))
        self.assertIn('"DERStatus.alarmStatus": 0', said)

    def test_differences(self) -> None:
        """What is as it was told is left out, and all is told the first time."""
        before = reports.status_values(FULL["DERStatus"])
        after = {**before, "DERStatus.readingTime": AT + 60, "DERStatus.stateOfChargeStatus": 89.5}
        self.assertEqual(len(reports.differences(MRID, after, None)), 7)
        self.assertEqual(
            reports.differences(MRID, after, before),
            [
                {"object": MRID, "attribute": "DERStatus.readingTime", "value": AT + 60},
                {"object": MRID, "attribute": "DERStatus.stateOfChargeStatus", "value": 89.5},
            ],
        )

    def test_envelope(self) -> None:
        """What was is the same as what is, in the envelope of commands."""
        found = reports.differences(MRID, {"DERStatus.readingTime": AT}, None)
        message = reports.difference_message(found, simulation_id="12", now=AT, mrid="m")
        self.assertEqual(message["command"], "update")
        self.assertEqual(message["input"]["simulation_id"], "12")
        self.assertEqual(
            message["input"]["message"],
            {
                "timestamp": AT,
                "difference_mrid": "m",
                "reverse_differences": found,
                "forward_differences": found,
            },
        )

    def test_documented(self) -> None:
        """The example in the docs is what is told."""
        found = reports.differences(MRID, {"DERStatus.stateOfChargeStatus": 90.0}, None)
        mrid = "0b8e4a2c-6f3d-4f0e-9a53-0d9b7f2f1c55"
        self.assertEqual(
            documented(mrid), reports.difference_message(found, simulation_id=None, now=AT, mrid=mrid)
        )


class ReadingTests(SynchronousTestCase):
    """Mirrored readings as AnalogValues."""

    def reading(self, **more: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "meter": "der",
            "mrid": "A1",
            "href": "/upt/1/mr/2",
            "description": None,
            "at": AT,
            "value": Decimal(4200),
            "quality": None,
        }
        quantity = quantity_of(WATTS, is_der=True, forward_alone=True)
        return reports.reading(MRID, "house_7", quantity, **{**given, **more})

    def test_form(self) -> None:
        """Whose it is and what is measured stand in the Analog; the MeterReading's own mRID is an alias."""
        found = self.reading()
        self.assertEqual(list(found), KEYS)
        self.assertEqual(
            {name: value for name, value in found.items() if value is not None},
            {
                "identifier": "/upt/1/mr/2",
                "mRID": reports.value_mrid(MRID, "A1"),
                "aliasName": "A1",
                "description": "active_power",
                "name": "house_7 active_power",
                "timeStamp": AT,
                "MeasurementValueSource": "der",
                "value": 4200,
                "Analog": {
                    "PowerSystemResource": MRID,
                    "measurementType": "active_power",
                    "phases": None,
                    "unitSymbol": "W",
                },
            },
        )

    def test_documented(self) -> None:
        """The example in the docs is what is told."""
        found = self.reading(mrid="A1000000000000000000000000000001", href="/upt/12/mr/31")
        self.assertEqual(documented("A1000000000000000000000000000001"), {found["mRID"]: found})

    def test_description(self) -> None:
        """What its device calls it comes first; its quality is told."""
        found = self.reading(description="Roof", quality=1)
        self.assertEqual((found["description"], found["MeasurementValueQuality"]), ("Roof", 1))

    def test_mrids(self) -> None:
        """Two devices of one maker mirror the same mRIDs, and theirs on the bus differ; each is a UUID."""
        made = {reports.value_mrid(device, meter) for device in ("a", "b", "a\0") for meter in ("1", "2")}
        self.assertEqual(len(made), 6)
        for mrid in made:
            self.assertEqual((UUID(mrid).variant, UUID(mrid).version), (RFC_4122, 8))
        self.assertEqual(reports.value_mrid("a", "1"), reports.value_mrid("a", "1"))

    @given(st.integers(-(2**47), 2**47 - 1), st.integers(-9, 9))
    def test_numbers(self, value: int, multiplier: int) -> None:
        """Any reading of any multiplier is a number of JSON; whole ones are exact."""
        amount = Decimal(value).scaleb(multiplier)
        written = json.loads(json.dumps(reports.number(amount)))
        if amount == amount.to_integral_value():
            self.assertEqual(written, amount)
            self.assertIsInstance(written, int)
        else:
            self.assertAlmostEqual(written, float(amount))
