"""Physical quantities: a value times a power of ten."""

from __future__ import annotations

from csipd.sep2.schema import Element
from csipd.sep2.types import (
    Boolean,
    DERUnitRefType,
    Int16,
    Int32,
    Int48,
    PowerOfTenMultiplierType,
    SignedPerCent,
    UInt16,
    UInt48,
    UomType,
)


class FixedPointType(Element):
    """A signed number."""

    multiplier: PowerOfTenMultiplierType
    value: Int16


class UnsignedFixedPointType(Element):
    """A number that is not negative."""

    multiplier: PowerOfTenMultiplierType
    value: UInt16


class UnitValueType(Element):
    """A number and the code of its unit."""

    multiplier: PowerOfTenMultiplierType
    unit: UomType
    value: Int32


class ActivePower(Element):
    """Watts."""

    multiplier: PowerOfTenMultiplierType
    value: Int16


class ReactivePower(Element):
    """Volt-amperes reactive."""

    multiplier: PowerOfTenMultiplierType
    value: Int16


class ApparentPower(Element):
    """Volt-amperes."""

    multiplier: PowerOfTenMultiplierType
    value: UInt16


class RealEnergy(Element):
    """Watt-hours that only flow one way."""

    multiplier: PowerOfTenMultiplierType
    value: UInt48


class SignedRealEnergy(Element):
    """Watt-hours that flow either way."""

    multiplier: PowerOfTenMultiplierType
    value: Int48


class WattHour(Element):
    """Watt-hours, as storage is rated."""

    multiplier: PowerOfTenMultiplierType
    value: UInt16


class AmpereHour(Element):
    """Ampere-hours."""

    multiplier: PowerOfTenMultiplierType
    value: UInt16


class CurrentRMS(Element):
    """Amperes, root mean square."""

    multiplier: PowerOfTenMultiplierType
    value: UInt16


class VoltageRMS(Element):
    """Volts, root mean square."""

    multiplier: PowerOfTenMultiplierType
    value: UInt16


class ReactiveSusceptance(Element):
    """Siemens."""

    multiplier: PowerOfTenMultiplierType
    value: UInt16


class PowerFactor(Element):
    """A power factor from 0 to 1."""

    displacement: UInt16
    multiplier: PowerOfTenMultiplierType


class PowerFactorWithExcitation(Element):
    """A power factor and its side: `excitation` is true where vars are absorbed."""

    displacement: UInt16
    excitation: Boolean
    multiplier: PowerOfTenMultiplierType


class FixedVar(Element):
    """Vars in hundredths of a percent of what `refType` (a UnitRef) names."""

    refType: DERUnitRefType
    value: SignedPerCent
