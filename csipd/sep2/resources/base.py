"""What every function set is made of: resources, lists, links, identity, errors (IEEE 2030.5-2018 4)."""

from __future__ import annotations

from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import (
    AnyURI,
    HexBinary8,
    String32,
    SubscribableType,
    UInt16,
    UInt32,
    VersionType,
    mRIDType,
)


class Resource(Element):
    """Anything with a URI of its own; `href` is absent in what a client sends."""

    href: Attribute[AnyURI] | None = None


class SubscribableResource(Resource):
    """A resource to whose changes a client may subscribe."""

    subscribable: Attribute[SubscribableType] = 0


class RespondableResource(Resource):
    """A resource that a client may be asked to answer: where to, and with what (bits of ResponseRequired)."""

    replyTo: Attribute[AnyURI] | None = None
    responseRequired: Attribute[HexBinary8] = 0

    def flaw(self) -> str | None:
        if self.responseRequired and self.replyTo is None:
            return "wants a response but says not where (replyTo)"
        return None


class IdentifiedObject(Resource):
    """A resource with an identity that outlives its URI; `version` rises with every change."""

    mRID: mRIDType
    description: String32 | None = None
    version: VersionType | None = None


class SubscribableIdentifiedObject(SubscribableResource):
    """An identified object that may be subscribed to."""

    mRID: mRIDType
    description: String32 | None = None
    version: VersionType | None = None


class RespondableIdentifiedObject(RespondableResource):
    """An identified object that may ask for a response."""

    mRID: mRIDType
    description: String32 | None = None
    version: VersionType | None = None


class RespondableSubscribableIdentifiedObject(RespondableResource):
    """An identified object that may be subscribed to and may ask for a response."""

    subscribable: Attribute[SubscribableType] = 0
    mRID: mRIDType
    description: String32 | None = None
    version: VersionType | None = None


class List(Resource):
    """A page of a list: `all` members exist for the requester, `results` of them are here."""

    all: Attribute[UInt32]
    results: Attribute[UInt32]


class SubscribableList(SubscribableResource):
    """A page of a list that may be subscribed to."""

    all: Attribute[UInt32]
    results: Attribute[UInt32]


class Link(Element):
    """Points to a resource; it stands only where there is something to point to."""

    href: Attribute[AnyURI]


class ListLink(Link):
    """Points to a list; `all` is required where the list is on this server."""

    all: Attribute[UInt32] | None = None


class Error(Element):
    """What went wrong with a request (a ReasonCode), and for how many seconds not to retry."""

    maxRetryDuration: UInt16 | None = None
    reasonCode: UInt16
