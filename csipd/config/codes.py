"""The words that a file may use for the standard's codes.

Numbers are :mod:`csipd.sep2.types`'s; here are their names as files spell them. Case and underscores do
not matter, so ``setMaxW`` and ``SET_MAX_W`` are one word. Beside csipd's own names stand those of the
files of GridAPPS-D's server.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from csipd.sep2.rules import VAR_REFERENCES
from csipd.sep2.types import MODES, DERKind, DeviceCategory, UnitRef

NamedCodes = Mapping[str, int]

_CATEGORY_ALIASES = {
    "PROGRAMMABLE_COMMUNICATING_THERMOSTAT": DeviceCategory.THERMOSTAT,
    "STRIP_HEATERS": DeviceCategory.STRIP_HEATER,
    "BASEBOARD_HEATERS": DeviceCategory.BASEBOARD_HEATER,
    "MANAGED_COMMERCIAL_AND_INDUSTRIAL_LOADS": DeviceCategory.MANAGED_LOAD,
    "SIMPLE_RESIDENTIAL_LOADS": DeviceCategory.SIMPLE_LOAD,
    "EV": DeviceCategory.ELECTRIC_VEHICLE,
    "ELECTRIC_VEHICLE_SUPPLY_EQUIPMENT": DeviceCategory.EVSE,
    "PHOTOVOLTAIC_SYSTEM": DeviceCategory.PHOTOVOLTAIC,
    "CHP": DeviceCategory.COMBINED_HEAT_AND_POWER,
    "OTHER_GENERATION_SYSTEMS": DeviceCategory.OTHER_GENERATION,
    "OTHER_STORAGE_SYSTEMS": DeviceCategory.OTHER_STORAGE,
}

#: Kinds of client that deviceCategory has no bit for; numbers as in GridAPPS-D's files.
AGGREGATOR = 99
OTHER_CLIENT = 100

#: Bit positions of DeviceCategoryType, and the two words above.
CATEGORIES: NamedCodes = {
    **{
        name: bits.bit_length() - 1
        for name, bits in {**DeviceCategory.__members__, **_CATEGORY_ALIASES}.items()
    },
    "AGGREGATOR": AGGREGATOR,
    "OTHER_CLIENT": OTHER_CLIENT,
}

#: DERCapability.type.
DER_KINDS: NamedCodes = {
    **DERKind.__members__,
    "VIRTUAL_OR_MIXED_DER": DERKind.VIRTUAL_OR_MIXED,
    "PHOTOVOLTAIC_SYSTEM": DERKind.PHOTOVOLTAIC,
    "CHP": DERKind.COMBINED_HEAT_AND_POWER,
    "EV": DERKind.ELECTRIC_VEHICLE,
}

#: DERCurve.curveType, by the mode that points to such a curve.
CURVE_TYPES: NamedCodes = {mode.name: mode.curve for mode in MODES if mode.curve is not None}

#: DERCurve.yRefType.
UNIT_REFS: NamedCodes = UnitRef.__members__

#: FixedVar.refType: a setpoint of vars is a share of one of these.
VAR_REFS: NamedCodes = {ref.name: ref for ref in VAR_REFERENCES}


class Level(IntEnum):
    """Places of a group in the topology, from the top down (CSIP IG 4.3)."""

    SYSTEM = 0
    SUBTRANSMISSION = 1
    SUBSTATION = 2
    FEEDER = 3
    SEGMENT = 4
    SERVICE_TRANSFORMER = 5
    SERVICE_POINT = 6
