"""End devices, the server's own device, registration and status (IEEE 2030.5-2018 8.4, 8.5)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import Link, ListLink, Resource, SubscribableList, SubscribableResource
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import (
    Boolean,
    DeviceCategoryType,
    HexBinary160,
    Int16,
    PINType,
    PowerOfTenMultiplierType,
    SFDIType,
    TimeType,
    UInt8,
    UInt16,
    UInt32,
)


class AbstractDevice(SubscribableResource):
    """What every device shows of itself; `deviceCategory` holds bits of DeviceCategory."""

    ConfigurationLink: r.ConfigurationLink | None = None
    DERListLink: r.DERListLink | None = None
    deviceCategory: DeviceCategoryType | None = None
    DeviceInformationLink: r.DeviceInformationLink | None = None
    DeviceStatusLink: r.DeviceStatusLink | None = None
    FileStatusLink: r.FileStatusLink | None = None
    IPInterfaceListLink: r.IPInterfaceListLink | None = None
    lFDI: HexBinary160 | None = None
    LoadShedAvailabilityListLink: r.LoadShedAvailabilityListLink | None = None
    LogEventListLink: r.LogEventListLink | None = None
    PowerStatusLink: r.PowerStatusLink | None = None
    sFDI: SFDIType


class EndDevice(AbstractDevice):
    """A device that the server knows: its identity and the links to all that is its own."""

    changedTime: TimeType
    enabled: Boolean | None = None
    FlowReservationRequestListLink: r.FlowReservationRequestListLink | None = None
    FlowReservationResponseListLink: r.FlowReservationResponseListLink | None = None
    FunctionSetAssignmentsListLink: r.FunctionSetAssignmentsListLink | None = None
    postRate: UInt32 | None = None
    RegistrationLink: r.RegistrationLink | None = None
    SubscriptionListLink: r.SubscriptionListLink | None = None


class EndDeviceList(SubscribableList):
    """A page of a list of EndDevice."""

    pollRate: Attribute[UInt32] = 900
    EndDevice: tuple[r.EndDevice, ...] = ()


class EndDeviceLink(Link):
    """To EndDevice."""


class EndDeviceListLink(ListLink):
    """To a list of EndDevice."""


class SelfDevice(AbstractDevice):
    """The server itself, as a device."""

    pollRate: Attribute[UInt32] = 900


class SelfDeviceLink(Link):
    """To SelfDevice."""


class Registration(Resource):
    """The PIN by which a device and its server know each other, and since when."""

    pollRate: Attribute[UInt32] = 900
    dateTimeRegistered: TimeType
    pIN: PINType


class RegistrationLink(Link):
    """To Registration."""


class Temperature(Element):
    """A temperature of the part of a device that `subject` names, in degrees Celsius."""

    multiplier: PowerOfTenMultiplierType
    subject: UInt8
    value: Int16


class DeviceStatus(Resource):
    """What a device reports of its operation."""

    pollRate: Attribute[UInt32] = 900
    changedTime: TimeType
    onCount: UInt16 | None = None
    opState: UInt8 | None = None
    opTime: UInt32 | None = None
    Temperature: tuple[r.Temperature, ...] = ()
    TimeLink: r.TimeLink | None = None


class DeviceStatusLink(Link):
    """To DeviceStatus."""
