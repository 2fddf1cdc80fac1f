"""Responses: what devices say to an event (IEEE 2030.5-2018 8.8)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import IdentifiedObject, List, ListLink, Resource
from csipd.sep2.schema import Attribute, Element, Polymorphic
from csipd.sep2.types import HexBinary160, TimeType, UInt8, UInt16, UInt32, UnitType, mRIDType


class Response(Resource):
    """What the device `endDeviceLFDI` did with the event `subject`; `status` is a ResponseStatus."""

    createdDateTime: TimeType | None = None
    endDeviceLFDI: HexBinary160
    status: UInt8 | None = None
    subject: mRIDType


class DERControlResponse(Response):
    """A response to a DERControl."""


class FlowReservationResponseResponse(Response):
    """A response to a FlowReservationResponse."""


class PriceResponse(Response):
    """A response to a TimeTariffInterval."""


class TextResponse(Response):
    """A response to a TextMessage."""


class AppliedTargetReduction(Element):
    """The reduction that a device really made."""

    type: UnitType
    value: UInt16


class DrResponse(Response):
    """A response to an EndDeviceControl, with what the device really did."""

    ApplianceLoadReduction: r.ApplianceLoadReduction | None = None
    AppliedTargetReduction: r.AppliedTargetReduction | None = None
    DutyCycle: r.DutyCycle | None = None
    Offset: r.Offset | None = None
    overrideDuration: UInt16 | None = None
    SetPoint: r.SetPoint | None = None


class ResponseList(List):
    """A page of a list of Response."""

    Response: tuple[Polymorphic[r.Response], ...] = ()


class ResponseListLink(ListLink):
    """To a list of Response."""


class ResponseSet(IdentifiedObject):
    """A place where the responses of some function set are gathered."""

    ResponseListLink: r.ResponseListLink | None = None


class ResponseSetList(List):
    """A page of a list of ResponseSet."""

    pollRate: Attribute[UInt32] = 900
    ResponseSet: tuple[r.ResponseSet, ...] = ()


class ResponseSetListLink(ListLink):
    """To a list of ResponseSet."""
