"""DER programs, their controls and curves (IEEE 2030.5-2018 10.10.4)."""

from __future__ import annotations

from typing import Annotated

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import (
    IdentifiedObject,
    Link,
    List,
    ListLink,
    SubscribableIdentifiedObject,
    SubscribableList,
)
from csipd.sep2.resources.event import RandomizableEvent
from csipd.sep2.schema import Attribute, Element, Occurs
from csipd.sep2.types import (
    Boolean,
    DERCurveType,
    DERUnitRefType,
    DeviceCategoryType,
    Int16,
    Int32,
    PerCent,
    PowerOfTenMultiplierType,
    PrimacyType,
    SignedPerCent,
    TimeType,
    UInt16,
    UInt32,
)


class DERProgram(SubscribableIdentifiedObject):
    """A program of controls; where programs disagree the lower `primacy` wins."""

    ActiveDERControlListLink: r.ActiveDERControlListLink | None = None
    DefaultDERControlLink: r.DefaultDERControlLink | None = None
    DERControlListLink: r.DERControlListLink | None = None
    DERCurveListLink: r.DERCurveListLink | None = None
    primacy: PrimacyType


class DERProgramLink(Link):
    """To DERProgram."""


class DERProgramList(SubscribableList):
    """A page of a list of DERProgram."""

    pollRate: Attribute[UInt32] = 900
    DERProgram: tuple[r.DERProgram, ...] = ()


class DERProgramListLink(ListLink):
    """To a list of DERProgram."""


class FreqDroopType(Element):
    """Frequency-watt by parameters: deadbands in mHz, slopes in thousandths, response in 0.01 s."""

    dBOF: UInt32
    dBUF: UInt32
    kOF: UInt16
    kUF: UInt16
    openLoopTms: UInt16


class DERControlBase(Element):
    """The control modes, each at most once (types.MODES); `rampTms` in hundredths of a second is no mode."""

    opModConnect: Boolean | None = None
    opModEnergize: Boolean | None = None
    opModFixedPFAbsorbW: r.PowerFactorWithExcitation | None = None
    opModFixedPFInjectW: r.PowerFactorWithExcitation | None = None
    opModFixedVar: r.FixedVar | None = None
    opModFixedW: SignedPerCent | None = None
    opModFreqDroop: r.FreqDroopType | None = None
    opModFreqWatt: r.DERCurveLink | None = None
    opModHFRTMayTrip: r.DERCurveLink | None = None
    opModHFRTMustTrip: r.DERCurveLink | None = None
    opModHVRTMayTrip: r.DERCurveLink | None = None
    opModHVRTMomentaryCessation: r.DERCurveLink | None = None
    opModHVRTMustTrip: r.DERCurveLink | None = None
    opModLFRTMayTrip: r.DERCurveLink | None = None
    opModLFRTMustTrip: r.DERCurveLink | None = None
    opModLVRTMayTrip: r.DERCurveLink | None = None
    opModLVRTMomentaryCessation: r.DERCurveLink | None = None
    opModLVRTMustTrip: r.DERCurveLink | None = None
    opModMaxLimW: PerCent | None = None
    opModTargetVar: r.ReactivePower | None = None
    opModTargetW: r.ActivePower | None = None
    opModVoltVar: r.DERCurveLink | None = None
    opModVoltWatt: r.DERCurveLink | None = None
    opModWattPF: r.DERCurveLink | None = None
    opModWattVar: r.DERCurveLink | None = None
    rampTms: UInt16 | None = None


class DERControl(RandomizableEvent):
    """An event that controls DERs; those of `deviceCategory` only, if given."""

    DERControlBase: r.DERControlBase
    deviceCategory: DeviceCategoryType | None = None


class DERControlList(SubscribableList):
    """A page of a list of DERControl."""

    DERControl: tuple[r.DERControl, ...] = ()


class DERControlListLink(ListLink):
    """To a list of DERControl."""


class ActiveDERControlListLink(ListLink):
    """To the list of DERControls that are active now."""


class DefaultDERControl(SubscribableIdentifiedObject):
    """What holds when no event does; it alone sets ramp rates and enter service."""

    DERControlBase: r.DERControlBase
    setESDelay: UInt32 | None = None
    setESHighFreq: UInt16 | None = None
    setESHighVolt: Int16 | None = None
    setESLowFreq: UInt16 | None = None
    setESLowVolt: Int16 | None = None
    setESRampTms: UInt32 | None = None
    setESRandomDelay: UInt32 | None = None
    setGradW: UInt16 | None = None
    setSoftGradW: UInt16 | None = None


class DefaultDERControlLink(Link):
    """To DefaultDERControl."""


class CurveData(Element):
    """A point of a curve; `excitation` only where y is a power factor."""

    excitation: Boolean | None = None
    xvalue: Int32
    yvalue: Int32


class DERCurve(IdentifiedObject):
    """A curve of up to ten points; `curveType` is a CurveType, `yRefType` a UnitRef."""

    autonomousVRefEnable: Boolean | None = None
    autonomousVRefTimeConstant: UInt32 | None = None
    creationTime: TimeType
    CurveData: Annotated[tuple[r.CurveData, ...], Occurs(1, 10)]
    curveType: DERCurveType
    openLoopTms: UInt16 | None = None
    rampDecTms: UInt16 | None = None
    rampIncTms: UInt16 | None = None
    rampPT1Tms: UInt16 | None = None
    vRef: PerCent | None = None
    xMultiplier: PowerOfTenMultiplierType
    yMultiplier: PowerOfTenMultiplierType
    yRefType: DERUnitRefType


class DERCurveLink(Link):
    """To DERCurve."""


class DERCurveList(List):
    """A page of a list of DERCurve."""

    DERCurve: tuple[r.DERCurve, ...] = ()


class DERCurveListLink(ListLink):
    """To a list of DERCurve."""
