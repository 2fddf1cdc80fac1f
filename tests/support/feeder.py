"""The platform's simulator of a feeder: what it says, as its messages, and what it makes of differences.

Houses stand along a line. Each takes its load and feeds in what its inverter was told: by a difference
message, as the platform's own simulators take it. There is no bus here, and no clock.

    feeder = SimulatedFeeder("1234", houses=10)
    feeder.take(differences)
    output = feeder.step(3)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from csipd.sim.feeder import Bus, Feeder

#: mRID of the feeder in the platform's model.
FEEDER: Final = "_49AD8E07-3BF9-A4E2-CB8F-C3722F837B62"
#: When the simulation begins (epoch s): it has a time of its own.
BEGINS: Final = 1_374_510_600
#: What each house takes (W), and its inverter's rating (VA).
LOAD: Final = 400.0
RATED: Final = 6600.0
#: Nominal voltages of a house, between its two lines and of each half (V).
VOLTS: Final = 240.0
HALF: Final = VOLTS / 2
#: The line, times how many houses it has (ohm): so the voltage at its end is the same for however many.
_R: Final = 1.3
_X: Final = 1.5


def mrid(*what: object) -> str:
    """An mRID that is the same in each run, as the platform writes them."""
    return f"_{uuid5(NAMESPACE_URL, '/'.join(map(str, ('feeder', *what))))}".upper()


class SimulatedFeeder:
    """One simulation of it.

    :ivar feeds: what each inverter was told, by its mRID: W + j var, generation positive
    :ivar taken: differences that were taken over
    :ivar strange: differences of objects or attributes that are not in the model
    """

    def __init__(self, simulation_id: str, houses: int = 10, *, load_sign: bool = True) -> None:
        self.simulation_id = simulation_id
        self.timestamp = BEGINS
        self.names = [f"house_{number:02}" for number in range(1, houses + 1)]
        self.feeds: dict[str, complex] = {mrid(name, "inverter"): 0j for name in self.names}
        self.taken = 0
        self.strange: list[tuple[str, str]] = []
        self._sign = -1.0 if load_sign else 1.0
        buses = [
            Bus(name, upstream, _R / houses**2, _X / houses**2)
            for name, upstream in zip(self.names, [None, *self.names], strict=False)
        ]
        self._feeder = Feeder(buses, VOLTS)

    def voltages(self) -> dict[str, float]:
        """The voltage at each house, per unit."""
        return self._feeder.voltages({name: self.feeds[mrid(name, "inverter")] - LOAD for name in self.names})

    def power(self) -> float:
        """What all inverters feed in (W)."""
        return sum(feed.real for feed in self.feeds.values())

    # --- messages

    def step(self, seconds: int = 3) -> dict[str, Any]:
        """Let time pass; what is measured then."""
        self.timestamp += seconds
        measurements: dict[str, Any] = {}
        for name, volts in self.voltages().items():
            for half in ("s1", "s2"):
                one = mrid(name, "PNV", half)
                measurements[one] = {"measurement_mrid": one, "magnitude": volts * HALF, "angle": 0.0}
            feed = self.feeds[mrid(name, "inverter")]
            power = mrid(name, "VA")
            angle = math.degrees(math.atan2(feed.imag, feed.real))
            measurements[power] = {"measurement_mrid": power, "magnitude": abs(feed), "angle": angle}
        breaker = mrid("breaker", "Pos")
        measurements[breaker] = {"measurement_mrid": breaker, "value": 1}
        return {
            "simulation_id": self.simulation_id,
            "message": {"timestamp": self.timestamp, "measurements": measurements},
        }

    def take(self, message: Mapping[str, Any]) -> None:
        """Take over a difference message for the simulation's input."""
        assert message["command"] == "update", message
        assert message["input"]["simulation_id"] == self.simulation_id, message
        for one in message["input"]["message"]["forward_differences"]:
            feed = self.feeds.get(one["object"])
            value = self._sign * float(one["value"])
            if feed is not None and one["attribute"] == "PowerElectronicsConnection.p":
                self.feeds[one["object"]] = complex(value, feed.imag)
            elif feed is not None and one["attribute"] == "PowerElectronicsConnection.q":
                self.feeds[one["object"]] = complex(feed.real, value)
            else:
                self.strange.append((one["object"], one["attribute"]))
                continue
            self.taken += 1

    def log(self, status: str) -> dict[str, Any]:
        """A message of the simulation's log."""
        return {
            "source": "simulator",
            "processId": self.simulation_id,
            "timestamp": self.timestamp,
            "processStatus": status,
            "logMessage": f"Simulation {self.simulation_id} {status.lower()}",
            "logLevel": "INFO",
            "storeToDb": True,
        }

    def dictionary(self) -> dict[str, Any]:
        """The model, as the platform answers a request for its CIM dictionary."""
        return {"data": {"feeders": [self._model()]}, "responseComplete": True, "id": "1"}

    def _model(self) -> dict[str, Any]:
        feeder: dict[str, Any] = {
            "name": "street",
            "mRID": FEEDER,
            "energyconsumers": [],
            "solarpanels": [],
            "batteries": [],
            "measurements": [],
        }
        for name in self.names:
            house, inverter = mrid(name), mrid(name, "inverter")
            node = f"node_{name}"
            feeder["energyconsumers"].append(
                {"name": name, "mRID": house, "CN1": node, "phases": "s1s2", "p": LOAD, "q": 0.0}
            )
            feeder["solarpanels"].append(
                {
                    "name": f"{name}_pv",
                    "mRID": inverter,
                    "CN1": node,
                    "phases": "s1s2",
                    "ratedS": RATED,
                    "ratedU": VOLTS,
                    "p": 0.0,
                    "q": 0.0,
                    "maxIFault": 1.111,
                }
            )
            for kind, equipment, phases in (
                ("PNV", inverter, ("s1", "s2")),
                ("VA", inverter, ("",)),
            ):
                for phase in phases:
                    feeder["measurements"].append(
                        {
                            "name": f"PowerElectronicsConnection_{name}_{kind}_{phase}",
                            "mRID": mrid(name, kind, phase) if phase else mrid(name, kind),
                            "ConductingEquipment_mRID": equipment,
                            "ConductingEquipment_name": f"{name}_pv",
                            "ConductingEquipment_type": "PowerElectronicsConnection",
                            "ConnectivityNode": node,
                            "Terminal_mRID": mrid(name, "terminal"),
                            "MeasurementClass": "Analog",
                            "measurementType": kind,
                            "phases": phase or "s1s2",
                        }
                    )
        return feeder
