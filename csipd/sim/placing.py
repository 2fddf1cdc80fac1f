"""Plants for devices of the platform's model: as large as that says, else as those of a house."""

from __future__ import annotations

from typing import Final

from csipd.gridappsd.terminals import Terminal
from csipd.sim.inverter import Nameplate
from csipd.sim.plant import PV, Battery, Plant
from csipd.sim.sun import Sun

#: Apparent power of an inverter whose rating the model does not say (VA).
_USUAL_VA: Final = 5500.0
#: Of the apparent power: the active power, and the vars that it is made for.
_WATTS: Final = 1 / 1.1
_VARS: Final = 0.44


def plant_at(terminal: Terminal, sun: Sun) -> Plant:
    """What feeds in there: a battery where the model has one, else panels as large as the inverter."""
    max_va = terminal.rated_va or _USUAL_VA
    max_w, max_var = max_va * _WATTS, max_va * _VARS
    capacity = terminal.rated_wh
    if capacity is None:
        return Plant(Nameplate(max_w, max_va, max_var), PV(max_w, sun))
    charge = capacity / 2 if terminal.stored_wh is None else min(capacity, terminal.stored_wh)
    return Plant(Nameplate(max_w, max_va, max_var, max_charge_w=max_w), battery=Battery(capacity, charge))
