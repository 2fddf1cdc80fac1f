"""Flow reservation: energy asked for and granted ahead of time (IEEE 2030.5-2018 10.9)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import IdentifiedObject, List, ListLink, SubscribableList
from csipd.sep2.resources.event import Event
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import TimeType, UInt8, UInt16, UInt32, mRIDType


class RequestStatus(Element):
    """Whether a request stands or is withdrawn, and since when."""

    dateTime: TimeType
    requestStatus: UInt8


class FlowReservationRequest(IdentifiedObject):
    """A device's wish for energy within an interval."""

    creationTime: TimeType
    durationRequested: UInt16 | None = None
    energyRequested: r.SignedRealEnergy
    intervalRequested: r.DateTimeInterval
    powerRequested: r.ActivePower
    RequestStatus: r.RequestStatus


class FlowReservationRequestList(List):
    """A page of a list of FlowReservationRequest."""

    pollRate: Attribute[UInt32] = 900
    FlowReservationRequest: tuple[r.FlowReservationRequest, ...] = ()


class FlowReservationRequestListLink(ListLink):
    """To a list of FlowReservationRequest."""


class FlowReservationResponse(Event):
    """What the server grants of the request `subject`."""

    energyAvailable: r.SignedRealEnergy
    powerAvailable: r.ActivePower
    subject: mRIDType


class FlowReservationResponseList(SubscribableList):
    """A page of a list of FlowReservationResponse."""

    pollRate: Attribute[UInt32] = 900
    FlowReservationResponse: tuple[r.FlowReservationResponse, ...] = ()


class FlowReservationResponseListLink(ListLink):
    """To a list of FlowReservationResponse."""


class ActiveFlowReservationListLink(ListLink):
    """To the list of FlowReservationResponses that are active now."""
