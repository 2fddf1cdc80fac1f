"""Function set assignments: which programs a device is to follow (IEEE 2030.5-2018 8.6)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import ListLink, Resource, SubscribableList
from csipd.sep2.schema import Attribute
from csipd.sep2.types import String32, SubscribableType, UInt32, VersionType, mRIDType


class FunctionSetAssignmentsBase(Resource):
    """Links to what is assigned, or at DeviceCapability to what is open to anyone."""

    CustomerAccountListLink: r.CustomerAccountListLink | None = None
    DemandResponseProgramListLink: r.DemandResponseProgramListLink | None = None
    DERProgramListLink: r.DERProgramListLink | None = None
    FileListLink: r.FileListLink | None = None
    MessagingProgramListLink: r.MessagingProgramListLink | None = None
    PrepaymentListLink: r.PrepaymentListLink | None = None
    ResponseSetListLink: r.ResponseSetListLink | None = None
    TariffProfileListLink: r.TariffProfileListLink | None = None
    TimeLink: r.TimeLink | None = None
    UsagePointListLink: r.UsagePointListLink | None = None


class FunctionSetAssignments(FunctionSetAssignmentsBase):
    """One assignment of function sets to a device."""

    subscribable: Attribute[SubscribableType] = 0
    mRID: mRIDType
    description: String32 | None = None
    version: VersionType | None = None


class FunctionSetAssignmentsList(SubscribableList):
    """A page of a list of FunctionSetAssignments."""

    pollRate: Attribute[UInt32] = 900
    FunctionSetAssignments: tuple[r.FunctionSetAssignments, ...] = ()


class FunctionSetAssignmentsListLink(ListLink):
    """To a list of FunctionSetAssignments."""
