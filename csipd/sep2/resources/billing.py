"""Billing: accounts, agreements and what they add up to (IEEE 2030.5-2018 10.7)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import IdentifiedObject, Link, List, ListLink, Resource, SubscribableList
from csipd.sep2.resources.metering import MeterReadingBase, ReadingBase, ReadingSetBase
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import (
    ChargeKind,
    Int32,
    Int48,
    PowerOfTenMultiplierType,
    String20,
    String32,
    String42,
    TimeType,
    UInt16,
    UInt32,
)


class ServiceSupplier(IdentifiedObject):
    """Who supplies a customer."""

    email: String32 | None = None
    phone: String20 | None = None
    providerID: UInt32 | None = None
    web: String42 | None = None


class ServiceSupplierLink(Link):
    """To ServiceSupplier."""


class ServiceSupplierList(List):
    """A page of a list of ServiceSupplier."""

    ServiceSupplier: tuple[r.ServiceSupplier, ...] = ()


class CustomerAccount(IdentifiedObject):
    """A customer's account."""

    currency: UInt16
    customerAccount: String42 | None = None
    CustomerAgreementListLink: r.CustomerAgreementListLink | None = None
    customerName: String42 | None = None
    pricePowerOfTenMultiplier: PowerOfTenMultiplierType
    ServiceSupplierLink: r.ServiceSupplierLink | None = None


class CustomerAccountLink(Link):
    """To CustomerAccount."""


class CustomerAccountList(SubscribableList):
    """A page of a list of CustomerAccount."""

    pollRate: Attribute[UInt32] = 900
    CustomerAccount: tuple[r.CustomerAccount, ...] = ()


class CustomerAccountListLink(ListLink):
    """To a list of CustomerAccount."""


class CustomerAgreement(IdentifiedObject):
    """What a customer has agreed on for one service."""

    ActiveBillingPeriodListLink: r.ActiveBillingPeriodListLink | None = None
    ActiveProjectionReadingListLink: r.ActiveProjectionReadingListLink | None = None
    ActiveTargetReadingListLink: r.ActiveTargetReadingListLink | None = None
    BillingPeriodListLink: r.BillingPeriodListLink | None = None
    HistoricalReadingListLink: r.HistoricalReadingListLink | None = None
    PrepaymentLink: r.PrepaymentLink | None = None
    ProjectionReadingListLink: r.ProjectionReadingListLink | None = None
    serviceAccount: String42 | None = None
    serviceLocation: String42 | None = None
    TargetReadingListLink: r.TargetReadingListLink | None = None
    TariffProfileLink: r.TariffProfileLink | None = None
    UsagePointLink: r.UsagePointLink | None = None


class CustomerAgreementList(SubscribableList):
    """A page of a list of CustomerAgreement."""

    CustomerAgreement: tuple[r.CustomerAgreement, ...] = ()


class CustomerAgreementListLink(ListLink):
    """To a list of CustomerAgreement."""


class BillingPeriod(Resource):
    """What is owed for a period, up to now."""

    billLastPeriod: Int48 | None = None
    billToDate: Int48 | None = None
    interval: r.DateTimeInterval
    statusTimeStamp: TimeType | None = None


class BillingPeriodList(SubscribableList):
    """A page of a list of BillingPeriod."""

    BillingPeriod: tuple[r.BillingPeriod, ...] = ()


class BillingPeriodListLink(ListLink):
    """To a list of BillingPeriod."""


class ActiveBillingPeriodListLink(ListLink):
    """To the list of BillingPeriods that run now."""


class BillingMeterReadingBase(MeterReadingBase):
    """Readings as they are billed."""

    BillingReadingSetListLink: r.BillingReadingSetListLink | None = None
    ReadingTypeLink: r.ReadingTypeLink | None = None


class HistoricalReading(BillingMeterReadingBase):
    """Readings of the past, verified for billing."""


class HistoricalReadingList(List):
    """A page of a list of HistoricalReading."""

    HistoricalReading: tuple[r.HistoricalReading, ...] = ()


class HistoricalReadingListLink(ListLink):
    """To a list of HistoricalReading."""


class ProjectionReading(BillingMeterReadingBase):
    """Readings as they are foreseen."""


class ProjectionReadingList(List):
    """A page of a list of ProjectionReading."""

    ProjectionReading: tuple[r.ProjectionReading, ...] = ()


class ProjectionReadingListLink(ListLink):
    """To a list of ProjectionReading."""


class ActiveProjectionReadingListLink(ListLink):
    """To the list of ProjectionReadings that hold now."""


class TargetReading(BillingMeterReadingBase):
    """Readings as they are wished for."""


class TargetReadingList(List):
    """A page of a list of TargetReading."""

    TargetReading: tuple[r.TargetReading, ...] = ()


class TargetReadingListLink(ListLink):
    """To a list of TargetReading."""


class ActiveTargetReadingListLink(ListLink):
    """To the list of TargetReadings that hold now."""


class Charge(Element):
    """A charge, in the account's currency."""

    description: String20 | None = None
    kind: ChargeKind | None = None
    value: Int32


class BillingReading(ReadingBase):
    """A reading and what it costs."""

    Charge: tuple[r.Charge, ...] = ()


class BillingReadingList(List):
    """A page of a list of BillingReading."""

    BillingReading: tuple[r.BillingReading, ...] = ()


class BillingReadingListLink(ListLink):
    """To a list of BillingReading."""


class BillingReadingSet(ReadingSetBase):
    """The billed readings of one period."""

    BillingReadingListLink: r.BillingReadingListLink | None = None


class BillingReadingSetList(SubscribableList):
    """A page of a list of BillingReadingSet."""

    BillingReadingSet: tuple[r.BillingReadingSet, ...] = ()


class BillingReadingSetListLink(ListLink):
    """To a list of BillingReadingSet."""
