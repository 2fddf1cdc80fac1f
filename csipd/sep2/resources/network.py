"""Network status: interfaces, addresses, routes and neighbours (IEEE 2030.5-2018 9.5)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import List, ListLink, Resource
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import (
    Boolean,
    HexBinary8,
    HexBinary64,
    HexBinary128,
    Int64,
    String16,
    String192,
    UInt8,
    UInt16,
    UInt32,
)


class IPInterface(Resource):
    """A network interface and its counters."""

    ifDescr: String192 | None = None
    ifHighSpeed: UInt32 | None = None
    ifInBroadcastPkts: UInt32 | None = None
    ifIndex: UInt32 | None = None
    ifInDiscards: UInt32 | None = None
    ifInErrors: UInt32 | None = None
    ifInMulticastPkts: UInt32 | None = None
    ifInOctets: UInt32 | None = None
    ifInUcastPkts: UInt32 | None = None
    ifInUnknownProtos: UInt32 | None = None
    ifMtu: UInt32 | None = None
    ifName: String16 | None = None
    ifOperStatus: UInt8 | None = None
    ifOutBroadcastPkts: UInt32 | None = None
    ifOutDiscards: UInt32 | None = None
    ifOutErrors: UInt32 | None = None
    ifOutMulticastPkts: UInt32 | None = None
    ifOutOctets: UInt32 | None = None
    ifOutUcastPkts: UInt32 | None = None
    ifPromiscuousMode: Boolean | None = None
    ifSpeed: UInt32 | None = None
    ifType: UInt16 | None = None
    IPAddrListLink: r.IPAddrListLink | None = None
    lastResetTime: Int64 | None = None
    lastUpdatedTime: Int64 | None = None
    LLInterfaceListLink: r.LLInterfaceListLink | None = None


class IPInterfaceList(List):
    """A page of a list of IPInterface."""

    pollRate: Attribute[UInt32] = 900
    IPInterface: tuple[r.IPInterface, ...] = ()


class IPInterfaceListLink(ListLink):
    """To a list of IPInterface."""


class IPAddr(Resource):
    """An address of an interface."""

    address: HexBinary128
    RPLInstanceListLink: r.RPLInstanceListLink | None = None


class IPAddrList(List):
    """A page of a list of IPAddr."""

    IPAddr: tuple[r.IPAddr, ...] = ()


class IPAddrListLink(ListLink):
    """To a list of IPAddr."""


class RPLInstance(Resource):
    """A routing instance (RFC 6550) that an address belongs to."""

    DODAGid: UInt8
    DODAGroot: Boolean
    flags: UInt8
    groundedFlag: Boolean
    MOP: UInt8
    PRF: UInt8
    rank: UInt16
    RPLInstanceID: UInt8
    RPLSourceRoutesListLink: r.RPLSourceRoutesListLink | None = None
    versionNumber: UInt8


class RPLInstanceList(List):
    """A page of a list of RPLInstance."""

    RPLInstance: tuple[r.RPLInstance, ...] = ()


class RPLInstanceListLink(ListLink):
    """To a list of RPLInstance."""


class RPLSourceRoutes(Resource):
    """A source route of a routing instance."""

    DestAddress: HexBinary128
    SourceRoute: HexBinary128


class RPLSourceRoutesList(List):
    """A page of a list of RPLSourceRoutes."""

    RPLSourceRoutes: tuple[r.RPLSourceRoutes, ...] = ()


class RPLSourceRoutesListLink(ListLink):
    """To a list of RPLSourceRoutes."""


class IEEE_802_15_4(Element):
    """What an IEEE 802.15.4 link adds."""

    capabilityInfo: HexBinary8
    NeighborListLink: r.NeighborListLink | None = None
    shortAddress: UInt16


class loWPAN(Element):
    """Counters of the adaptation layer (RFC 4944)."""

    octetsRx: UInt32 | None = None
    octetsTx: UInt32 | None = None
    packetsRx: UInt32
    packetsTx: UInt32
    rxFragError: UInt32


class LLInterface(Resource):
    """A link layer interface and its counters."""

    CRCerrors: UInt32
    EUI64: HexBinary64
    IEEE_802_15_4: r.IEEE_802_15_4 | None = None
    linkLayerType: UInt8
    LLAckNotRx: UInt32 | None = None
    LLCSMAFail: UInt32 | None = None
    LLFramesDropRx: UInt32 | None = None
    LLFramesDropTx: UInt32 | None = None
    LLFramesRx: UInt32 | None = None
    LLFramesTx: UInt32 | None = None
    LLMediaAccessFail: UInt32 | None = None
    LLOctetsRx: UInt32 | None = None
    LLOctetsTx: UInt32 | None = None
    LLRetryCount: UInt32 | None = None
    LLSecurityErrorRx: UInt32 | None = None
    loWPAN: r.loWPAN | None = None


class LLInterfaceList(List):
    """A page of a list of LLInterface."""

    LLInterface: tuple[r.LLInterface, ...] = ()


class LLInterfaceListLink(ListLink):
    """To a list of LLInterface."""


class Neighbor(Resource):
    """A neighbour on an IEEE 802.15.4 link."""

    isChild: Boolean
    linkQuality: UInt8
    shortAddress: UInt16


class NeighborList(List):
    """A page of a list of Neighbor."""

    Neighbor: tuple[r.Neighbor, ...] = ()


class NeighborListLink(ListLink):
    """To a list of Neighbor."""
