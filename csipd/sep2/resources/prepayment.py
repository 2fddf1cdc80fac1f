"""Prepayment (IEEE 2030.5-2018 10.8)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import IdentifiedObject, Link, List, ListLink, Resource, SubscribableList
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import (
    CreditStatusType,
    CreditTypeType,
    CurrencyCode,
    Int32,
    PowerOfTenMultiplierType,
    PrepayModeType,
    ServiceStatusType,
    String32,
    TimeType,
    UInt32,
)


class AccountingUnit(Element):
    """An amount of money, or of energy."""

    energyUnit: r.RealEnergy | None = None
    monetaryUnit: CurrencyCode
    multiplier: PowerOfTenMultiplierType
    value: Int32


class Prepayment(IdentifiedObject):
    """A prepaid service and the levels at which to warn or to stop."""

    AccountBalanceLink: r.AccountBalanceLink
    ActiveCreditRegisterListLink: r.ActiveCreditRegisterListLink | None = None
    ActiveSupplyInterruptionOverrideListLink: r.ActiveSupplyInterruptionOverrideListLink | None = None
    creditExpiryLevel: r.AccountingUnit | None = None
    CreditRegisterListLink: r.CreditRegisterListLink
    lowCreditWarningLevel: r.AccountingUnit | None = None
    lowEmergencyCreditWarningLevel: r.AccountingUnit | None = None
    prepayMode: PrepayModeType
    PrepayOperationStatusLink: r.PrepayOperationStatusLink
    SupplyInterruptionOverrideListLink: r.SupplyInterruptionOverrideListLink
    UsagePoint: tuple[r.UsagePoint, ...] = ()
    UsagePointLink: r.UsagePointLink | None = None


class PrepaymentLink(Link):
    """To Prepayment."""


class PrepaymentList(SubscribableList):
    """A page of a list of Prepayment."""

    pollRate: Attribute[UInt32] = 900
    Prepayment: tuple[r.Prepayment, ...] = ()


class PrepaymentListLink(ListLink):
    """To a list of Prepayment."""


class AccountBalance(Resource):
    """What credit is left."""

    availableCredit: r.AccountingUnit
    creditStatus: CreditStatusType | None = None
    emergencyCredit: r.AccountingUnit | None = None
    emergencyCreditStatus: CreditStatusType | None = None


class AccountBalanceLink(Link):
    """To AccountBalance."""


class CreditTypeChange(Element):
    """Which kind of credit will be used, and from when."""

    newType: CreditTypeType
    startTime: TimeType


class ServiceChange(Element):
    """How the service will change, and when."""

    newStatus: ServiceStatusType
    startTime: TimeType


class PrepayOperationStatus(Resource):
    """Which credit is in use, and whether there is service."""

    creditTypeChange: r.CreditTypeChange | None = None
    creditTypeInUse: CreditTypeType | None = None
    serviceChange: r.ServiceChange | None = None
    serviceStatus: ServiceStatusType


class PrepayOperationStatusLink(Link):
    """To PrepayOperationStatus."""


class SupplyInterruptionOverride(Resource):
    """A time in which supply is not cut, whatever the credit."""

    description: String32 | None = None
    interval: r.DateTimeInterval


class SupplyInterruptionOverrideList(List):
    """A page of a list of SupplyInterruptionOverride."""

    SupplyInterruptionOverride: tuple[r.SupplyInterruptionOverride, ...] = ()


class SupplyInterruptionOverrideListLink(ListLink):
    """To a list of SupplyInterruptionOverride."""


class ActiveSupplyInterruptionOverrideListLink(ListLink):
    """To the list of SupplyInterruptionOverrides that hold now."""


class CreditRegister(IdentifiedObject):
    """Credit that was bought."""

    creditAmount: r.AccountingUnit
    creditType: CreditTypeType | None = None
    effectiveTime: TimeType
    token: String32


class CreditRegisterList(List):
    """A page of a list of CreditRegister."""

    CreditRegister: tuple[r.CreditRegister, ...] = ()


class CreditRegisterListLink(ListLink):
    """To a list of CreditRegister."""


class ActiveCreditRegisterListLink(ListLink):
    """To the list of CreditRegisters that hold now."""
