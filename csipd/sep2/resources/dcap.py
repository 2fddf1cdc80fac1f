"""Device capability: where every client begins (IEEE 2030.5-2018 8.3)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import Link
from csipd.sep2.resources.fsa import FunctionSetAssignmentsBase
from csipd.sep2.schema import Attribute
from csipd.sep2.types import UInt32


class DeviceCapability(FunctionSetAssignmentsBase):
    """The entry point: links to what this server has for this client."""

    pollRate: Attribute[UInt32] = 900
    EndDeviceListLink: r.EndDeviceListLink | None = None
    MirrorUsagePointListLink: r.MirrorUsagePointListLink | None = None
    SelfDeviceLink: r.SelfDeviceLink | None = None


class DeviceCapabilityLink(Link):
    """To DeviceCapability."""
