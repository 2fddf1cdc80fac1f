"""The resource table: every resource of IEEE 2030.5-2018, as data.

The rows stand behind the Klein routes, the links in documents, paging, 404 and 405, the access rules
and half of the tests. A new function set is rows that are switched on here and the rules they need,
not a new stack of handlers.

A row says what the standard says (URI, type, which methods are Mandatory, Optional, Discouraged or an
Error, the order of its list) and what csipd makes of it (who may know of it, which methods it offers
to whom, whether it is served yet). The URIs are the standard's sample layout: short enough for clients
that copy an href into 64 bytes. Links follow from the URIs: a resource links to those one step below
it for which its type has a ``<name>Link`` element.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, Flag, auto
from functools import cache, cached_property

from attrs import field, frozen

from csipd.sep2 import resources as r
from csipd.sep2.schema import fields


class Audience(Enum):
    """Who may know that a resource exists (semantics: IEEE 2030.5-2018 table 12, CSIP IG 5.2, 6.1)."""

    ANYONE = auto()  #: any certificate that TLS lets in
    LISTED = auto()  #: one whose LFDI is on the list of those that may register, registered or not
    REGISTERED = auto()  #: one that has an EndDevice
    DEVICE = auto()  #: the device {id1} and the aggregator that manages it
    OWNER = auto()  #: the device {id1} alone
    PROGRAM = auto()  #: one that reaches DERProgram {id1} through an FSA of a device it may see
    MIRROR = auto()  #: who made MirrorUsagePoint {id1}, while its device is itself or in its fleet
    USAGE_POINT = auto()  #: the device of UsagePoint {id1} and the aggregator that manages it
    NOBODY = auto()  #: not served to devices: another party's resource, or the operator's


class Party(Flag):
    """In what relation a caller stands to a resource when it writes."""

    OWNER = auto()  #: it is the device {id1}
    MANAGER = auto()  #: it is the aggregator of the device {id1}
    CALLER = auto()  #: the resource belongs to no one device


_BOTH = Party.OWNER | Party.MANAGER
_NONE = Party(0)

#: First keys of list orders that are times: on these lists the query parameter ``a`` filters (4.6).
_TIME_KEYS = frozenset(
    (
        "changedTime",
        "createdDateTime",
        "creationTime",
        "effectiveTime",
        "interval.start",
        "intervalRequested.start",
        "timePeriod.start",
    )
)

_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")


@frozen
class Key:
    """One key of a list's order: a path of elements, and whether it descends."""

    path: tuple[str, ...]
    descending: bool


@frozen(eq=False)
class Row:
    """One resource.

    :param name: the standard's name of it, unique in the table
    :param uri: its place; ``{id1}`` and so on stand for numbers
    :param marks: GET, HEAD, PUT, POST, DELETE as the WADL marks them: M, O, D or E
    :param audience: who may know of it
    :param on: whether csipd serves it; nothing links to a resource that is off
    :param type_name: the type of its document where that differs from its name
    :param linked_as: the name that links to it use where that differs from its name
    :param order: a list's ordering keys, ``-`` before one that descends
    :param accepts: the types a POST may carry
    :param put: who may PUT; ``post`` and ``delete`` likewise
    :param most: members that one list holds; 0: no caller posts to it, or its chapter has a rule of its own.
        Members that are equal in the list's order are one
    :param measured: PUT again and again with values that were measured
    :param bulky: takes readings, of which a body may have many: it may be larger than others
    :param subscribable: whether who may see it may subscribe to it (decision 64)
    """

    name: str
    uri: str
    marks: str
    audience: Audience
    on: bool = True
    type_name: str = field(kw_only=True, default="")
    linked_as: str = field(kw_only=True, default="")
    order: str = field(kw_only=True, default="")
    accepts: tuple[str, ...] = field(kw_only=True, default=())
    put: Party = field(kw_only=True, default=_NONE)
    post: Party = field(kw_only=True, default=_NONE)
    delete: Party = field(kw_only=True, default=_NONE)
    most: int = field(kw_only=True, default=0)
    measured: bool = field(kw_only=True, default=False)
    bulky: bool = field(kw_only=True, default=False)
    subscribable: bool = field(kw_only=True, default=False)

    @cached_property
    def resource_type(self) -> type[r.Resource]:
        """The class of the document that a GET answers."""
        found: type[r.Resource] = getattr(r, self.type_name or self.name)
        return found

    @cached_property
    def posted(self) -> tuple[type[r.Resource], ...]:
        """The classes that a POST may carry."""
        return tuple(getattr(r, name) for name in self.accepts)

    @property
    def is_list(self) -> bool:
        return bool(self.order)

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The list's order (the table of each chapter in IEEE 2030.5-2018)."""
        return tuple(
            Key(tuple(part.lstrip("-").split(".")), part.startswith("-")) for part in self.order.split()
        )

    @property
    def timed(self) -> bool:
        """Whether the query parameter ``a`` filters this list: its first key is a time (4.7)."""
        return bool(self.order) and self.order.split()[0].lstrip("-") in _TIME_KEYS

    @cached_property
    def segments(self) -> tuple[str, ...]:
        return tuple(self.uri[1:].split("/"))

    @property
    def link(self) -> str:
        """The name of the element that links to this resource."""
        return f"{self.linked_as or self.name}Link"

    def href(self, ids: tuple[int, ...]) -> str:
        """This resource's path for the given numbers."""
        return self._template.format(*ids) if ids else self.uri

    @cached_property
    def _template(self) -> str:
        return "/" + "/".join("{}" if s[0] == "{" else s for s in self.segments)

    @cached_property
    def depth(self) -> int:
        """How many numbers there are in its URI."""
        return self.uri.count("{")

    def parties(self, method: str) -> Party:
        """Who may use a writing method here."""
        return {"PUT": self.put, "POST": self.post, "DELETE": self.delete}.get(method, _NONE)

    def allow(self, party: Party) -> tuple[str, ...]:
        """The methods offered to a caller of that relation, in the order of the WADL."""
        return _allowed(self, party)


@cache
def _allowed(row: Row, party: Party) -> tuple[str, ...]:
    return tuple(m for m in _METHODS if m in ("GET", "HEAD") or row.parties(m) & party)


_A = Audience

#: The table. In the order of the standard's WADL; the rows of ours are marked.
TABLE: tuple[Row, ...] = (
    # Device capability, self device, end devices
    Row("DeviceCapability", "/dcap", "MMEEE", _A.ANYONE),
    Row("SelfDevice", "/sdev", "MMDEE", _A.REGISTERED),
    Row(
        "EndDeviceList",
        "/edev",
        "MMEOE",
        _A.LISTED,
        order="-changedTime sFDI href",
        accepts=("EndDevice",),
        post=Party.CALLER,
        subscribable=True,
    ),
    Row(
        "EndDevice",
        "/edev/{id1}",
        "MMOEO",
        _A.DEVICE,
        put=_BOTH,
        delete=Party.MANAGER,
        subscribable=True,
    ),
    Row("Registration", "/edev/{id1}/rg", "MMOEO", _A.DEVICE),
    Row("DeviceStatus", "/edev/{id1}/dstat", "MMMEO", _A.DEVICE, put=_BOTH, measured=True),
    Row(
        "FunctionSetAssignmentsList",
        "/edev/{id1}/fsa",
        "MMEDE",
        _A.DEVICE,
        order="-mRID",
        subscribable=True,
    ),
    Row("FunctionSetAssignments", "/edev/{id1}/fsa/{id2}", "MMEED", _A.DEVICE),
    # Ours: the programs of one FSA. The WADL has no place for the list that an FSA's
    # DERProgramListLink names (decision 10).
    Row(
        "FSADERProgramList",
        "/edev/{id1}/fsa/{id2}/derp",
        "MMEEE",
        _A.DEVICE,
        type_name="DERProgramList",
        linked_as="DERProgramList",
        order="primacy -mRID",
        subscribable=True,
    ),
    # Subscription and notification
    Row(
        "SubscriptionList",
        "/edev/{id1}/sub",
        "MMEME",
        _A.OWNER,
        order="href",
        accepts=("Subscription",),
        post=Party.OWNER,
    ),
    Row(
        "Subscription",
        "/edev/{id1}/sub/{id2}",
        "MMMEM",
        _A.OWNER,
        put=Party.OWNER,
        delete=Party.OWNER,
    ),
    Row("NotificationList", "/ntfy", "DDEME", _A.NOBODY, False, order="href"),
    Row("Notification", "/ntfy/{id1}", "DDEEE", _A.NOBODY, False),
    # Response
    Row("ResponseSetList", "/rsps", "OOEDE", _A.REGISTERED, order="-mRID"),
    Row("ResponseSet", "/rsps/{id1}", "OOEED", _A.REGISTERED),
    Row(
        "ResponseList",
        "/rsps/{id1}/rsp",
        "OOEME",
        _A.REGISTERED,
        order="-createdDateTime endDeviceLFDI",
        accepts=("Response",),
        post=Party.CALLER,
    ),
    # All the kinds have one URI, for which the first row stands.
    Row("Response", "/rsps/{id1}/rsp/{id2}", "OOEEO", _A.REGISTERED),
    Row("PriceResponse", "/rsps/{id1}/rsp/{id2}", "OOEEO", _A.REGISTERED),
    Row("TextResponse", "/rsps/{id1}/rsp/{id2}", "OOEEO", _A.REGISTERED),
    Row("DERControlResponse", "/rsps/{id1}/rsp/{id2}", "OOEEO", _A.REGISTERED),
    Row("FlowReservationResponseResponse", "/rsps/{id1}/rsp/{id2}", "OOEEO", _A.REGISTERED),
    Row("DrResponse", "/rsps/{id1}/rsp/{id2}", "OOEEO", _A.REGISTERED),
    # Time, device information, power status
    Row("Time", "/tm", "MMDEE", _A.ANYONE),
    Row("DeviceInformation", "/edev/{id1}/di", "MMMEO", _A.DEVICE, put=_BOTH),
    Row(
        "SupportedLocaleList",
        "/edev/{id1}/di/loc",
        "MMEME",
        _A.DEVICE,
        order="locale",
        accepts=("SupportedLocale",),
        post=_BOTH,
        most=32,
    ),
    Row("SupportedLocale", "/edev/{id1}/di/loc/{id2}", "MMMEM", _A.DEVICE, put=_BOTH, delete=_BOTH),
    Row("PowerStatus", "/edev/{id1}/ps", "MMMEE", _A.DEVICE, put=_BOTH, measured=True),
    # Network status
    Row("IPInterfaceList", "/edev/{id1}/ns", "MMEOE", _A.DEVICE, False, order="ifIndex"),
    Row("IPInterface", "/edev/{id1}/ns/{id2}", "MMOEO", _A.DEVICE, False),
    Row("IPAddrList", "/edev/{id1}/ns/{id2}/addr", "MMEOE", _A.DEVICE, False, order="address"),
    Row("IPAddr", "/edev/{id1}/ns/{id2}/addr/{id3}", "MMOEO", _A.DEVICE, False),
    Row(
        "RPLInstanceList",
        "/edev/{id1}/ns/{id2}/addr/{id3}/rpl",
        "MMEOE",
        _A.DEVICE,
        False,
        order="DODAGid RPLInstanceID",
    ),
    Row("RPLInstance", "/edev/{id1}/ns/{id2}/addr/{id3}/rpl/{id4}", "MMOEO", _A.DEVICE, False),
    Row(
        "RPLSourceRoutesList",
        "/edev/{id1}/ns/{id2}/addr/{id3}/rpl/{id4}/srt",
        "MMEOE",
        _A.DEVICE,
        False,
        order="SourceRoute DestAddress",
    ),
    Row(
        "RPLSourceRoutes",
        "/edev/{id1}/ns/{id2}/addr/{id3}/rpl/{id4}/srt/{id5}",
        "MMOEO",
        _A.DEVICE,
        False,
    ),
    Row("LLInterfaceList", "/edev/{id1}/ns/{id2}/ll", "MMEOE", _A.DEVICE, False, order="EUI64"),
    Row("LLInterface", "/edev/{id1}/ns/{id2}/ll/{id3}", "MMOEO", _A.DEVICE, False),
    Row("NeighborList", "/edev/{id1}/ns/{id2}/ll/{id3}/nbh", "MMEOE", _A.DEVICE, False, order="href"),
    Row("Neighbor", "/edev/{id1}/ns/{id2}/ll/{id3}/nbh/{id4}", "MMOEO", _A.DEVICE, False),
    # Log events
    Row(
        "LogEventList",
        "/edev/{id1}/lel",
        "MMEME",
        _A.DEVICE,
        order="-createdDateTime -logEventID",
        accepts=("LogEvent",),
        post=_BOTH,
    ),
    Row("LogEvent", "/edev/{id1}/lel/{id2}", "MMOEM", _A.DEVICE, delete=_BOTH),
    # Configuration
    Row("Configuration", "/edev/{id1}/cfg", "MMMEE", _A.DEVICE, put=_BOTH),
    Row(
        "PriceResponseCfgList",
        "/edev/{id1}/cfg/prcfg",
        "MMEME",
        _A.DEVICE,
        False,
        order="href",
        accepts=("PriceResponseCfg",),
        post=_BOTH,
    ),
    Row(
        "PriceResponseCfg",
        "/edev/{id1}/cfg/prcfg/{id2}",
        "MMMEM",
        _A.DEVICE,
        False,
        put=_BOTH,
        delete=_BOTH,
    ),
    # File download
    Row("FileList", "/file", "MMEDE", _A.REGISTERED, False, order="mfID mfModel -mfVer href"),
    Row("File", "/file/{id1}", "MMDED", _A.REGISTERED, False),
    Row("FileStatus", "/edev/{id1}/fs", "MMMEE", _A.DEVICE, False, put=_BOTH),
    # Demand response and load control
    Row("DemandResponseProgramList", "/dr", "MMEDE", _A.REGISTERED, False, order="primacy -mRID"),
    Row("DemandResponseProgram", "/dr/{id1}", "MMEED", _A.REGISTERED, False),
    Row(
        "ActiveEndDeviceControlList",
        "/dr/{id1}/actedc",
        "MMEEE",
        _A.REGISTERED,
        False,
        type_name="EndDeviceControlList",
        order="interval.start -creationTime -mRID",
    ),
    Row(
        "EndDeviceControlList",
        "/dr/{id1}/edc",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="interval.start -creationTime -mRID",
    ),
    Row("EndDeviceControl", "/dr/{id1}/edc/{id2}", "MMEED", _A.REGISTERED, False),
    Row(
        "LoadShedAvailabilityList",
        "/edev/{id1}/lsl",
        "MMEME",
        _A.DEVICE,
        False,
        order="href",
        accepts=("LoadShedAvailability",),
        post=_BOTH,
    ),
    Row("LoadShedAvailability", "/edev/{id1}/lsl/{id2}", "MMOEM", _A.DEVICE, False, delete=_BOTH),
    # Metering
    Row("UsagePointList", "/upt", "MMEOE", _A.REGISTERED, order="-mRID"),
    Row("UsagePoint", "/upt/{id1}", "MMEEO", _A.USAGE_POINT),
    Row("MeterReadingList", "/upt/{id1}/mr", "MMEOE", _A.USAGE_POINT, order="-mRID"),
    Row("MeterReading", "/upt/{id1}/mr/{id2}", "MMEEO", _A.USAGE_POINT),
    Row("ReadingType", "/upt/{id1}/mr/{id2}/rt", "MMOEE", _A.USAGE_POINT),
    # Ours: the latest Reading. The WADL has no place for what a MeterReading's ReadingLink names.
    Row(
        "LatestReading",
        "/upt/{id1}/mr/{id2}/r",
        "MMEEE",
        _A.USAGE_POINT,
        type_name="Reading",
        linked_as="Reading",
    ),
    Row("ReadingSetList", "/upt/{id1}/mr/{id2}/rs", "MMEOE", _A.USAGE_POINT, order="-timePeriod.start -mRID"),
    Row("ReadingSet", "/upt/{id1}/mr/{id2}/rs/{id3}", "MMEEO", _A.USAGE_POINT),
    Row(
        "ReadingList",
        "/upt/{id1}/mr/{id2}/rs/{id3}/r",
        "MMEOE",
        _A.USAGE_POINT,
        order="localID consumptionBlock touTier",
    ),
    Row("Reading", "/upt/{id1}/mr/{id2}/rs/{id3}/r/{id4}", "MMOEO", _A.USAGE_POINT),
    # Metering mirror
    Row(
        "MirrorUsagePointList",
        "/mup",
        "MMEME",
        _A.REGISTERED,
        order="-mRID",
        accepts=("MirrorUsagePoint",),
        post=Party.CALLER,
        bulky=True,
    ),
    Row(
        "MirrorUsagePoint",
        "/mup/{id1}",
        "OOMMM",
        _A.MIRROR,
        accepts=("MirrorMeterReading", "MirrorMeterReadingList"),
        put=Party.CALLER,
        post=Party.CALLER,
        delete=Party.CALLER,
        bulky=True,
    ),
    # Pricing
    Row("TariffProfileList", "/tp", "MMEDE", _A.REGISTERED, False, order="-mRID"),
    Row("TariffProfile", "/tp/{id1}", "MMEED", _A.REGISTERED, False),
    Row("RateComponentList", "/tp/{id1}/rc", "MMEDE", _A.REGISTERED, False, order="-mRID"),
    Row("RateComponent", "/tp/{id1}/rc/{id2}", "MMEED", _A.REGISTERED, False),
    Row(
        "ActiveTimeTariffIntervalList",
        "/tp/{id1}/rc/{id2}/acttti",
        "MMEEE",
        _A.REGISTERED,
        False,
        type_name="TimeTariffIntervalList",
        order="interval.start -creationTime -mRID",
    ),
    Row(
        "TimeTariffIntervalList",
        "/tp/{id1}/rc/{id2}/tti",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="interval.start -creationTime -mRID",
    ),
    Row("TimeTariffInterval", "/tp/{id1}/rc/{id2}/tti/{id3}", "MMEED", _A.REGISTERED, False),
    Row(
        "ConsumptionTariffIntervalList",
        "/tp/{id1}/rc/{id2}/tti/{id3}/cti",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="startValue",
    ),
    Row(
        "ConsumptionTariffInterval",
        "/tp/{id1}/rc/{id2}/tti/{id3}/cti/{id4}",
        "MMEED",
        _A.REGISTERED,
        False,
    ),
    # Messaging
    Row("MessagingProgramList", "/msg", "MMEDE", _A.REGISTERED, False, order="-mRID"),
    Row("MessagingProgram", "/msg/{id1}", "MMEED", _A.REGISTERED, False),
    Row(
        "ActiveTextMessageList",
        "/msg/{id1}/acttxt",
        "MMEEE",
        _A.REGISTERED,
        False,
        type_name="TextMessageList",
        order="interval.start -creationTime -mRID",
    ),
    Row(
        "TextMessageList",
        "/msg/{id1}/txt",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="interval.start -creationTime -mRID",
    ),
    Row("TextMessage", "/msg/{id1}/txt/{id2}", "MMEED", _A.REGISTERED, False),
    # Billing
    Row("CustomerAccountList", "/bill", "MMEDE", _A.REGISTERED, False, order="customerName -mRID"),
    Row("CustomerAccount", "/bill/{id1}", "MMEED", _A.REGISTERED, False),
    Row(
        "CustomerAgreementList",
        "/bill/{id1}/ca",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="serviceLocation -mRID",
    ),
    Row("CustomerAgreement", "/bill/{id1}/ca/{id2}", "MMEED", _A.REGISTERED, False),
    Row(
        "ActiveBillingPeriodList",
        "/bill/{id1}/ca/{id2}/actbp",
        "MMEEE",
        _A.REGISTERED,
        False,
        type_name="BillingPeriodList",
        order="-interval.start href",
    ),
    Row(
        "BillingPeriodList",
        "/bill/{id1}/ca/{id2}/bp",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="-interval.start href",
    ),
    Row("BillingPeriod", "/bill/{id1}/ca/{id2}/bp/{id3}", "MMDED", _A.REGISTERED, False),
    Row(
        "ProjectionReadingList",
        "/bill/{id1}/ca/{id2}/pro",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="description -mRID",
    ),
    Row("ProjectionReading", "/bill/{id1}/ca/{id2}/pro/{id3}", "MMDED", _A.REGISTERED, False),
    Row("BillingReadingSetList", "/brs", "MMEDE", _A.REGISTERED, False, order="-timePeriod.start -mRID"),
    Row("BillingReadingSet", "/brs/{id1}", "MMEED", _A.REGISTERED, False),
    Row(
        "BillingReadingList",
        "/brs/{id1}/br",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="timePeriod.start consumptionBlock touTier",
    ),
    Row("BillingReading", "/brs/{id1}/br/{id2}", "MMDED", _A.REGISTERED, False),
    Row(
        "TargetReadingList",
        "/bill/{id1}/ca/{id2}/tar",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="description -mRID",
    ),
    Row("TargetReading", "/bill/{id1}/ca/{id2}/tar/{id3}", "MMEED", _A.REGISTERED, False),
    Row(
        "HistoricalReadingList",
        "/bill/{id1}/ca/{id2}/ver",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="description -mRID",
    ),
    Row("HistoricalReading", "/bill/{id1}/ca/{id2}/ver/{id3}", "MMEED", _A.REGISTERED, False),
    Row("ServiceSupplier", "/bill/{id1}/ss", "MMEED", _A.REGISTERED, False),
    # Prepayment
    Row("PrepaymentList", "/ppy", "MMEDE", _A.REGISTERED, False, order="-mRID"),
    Row("Prepayment", "/ppy/{id1}", "MMEED", _A.REGISTERED, False),
    Row("AccountBalance", "/ppy/{id1}/ab", "MMDEE", _A.REGISTERED, False),
    Row("PrepayOperationStatus", "/ppy/{id1}/os", "MMDEE", _A.REGISTERED, False),
    Row(
        "ActiveSupplyInterruptionOverrideList",
        "/ppy/{id1}/actsi",
        "MMEEE",
        _A.REGISTERED,
        False,
        type_name="SupplyInterruptionOverrideList",
        order="interval.start interval.duration",
    ),
    Row(
        "SupplyInterruptionOverrideList",
        "/ppy/{id1}/si",
        "MMEDE",
        _A.REGISTERED,
        False,
        order="interval.start interval.duration",
    ),
    Row("SupplyInterruptionOverride", "/ppy/{id1}/si/{id2}", "MMDED", _A.REGISTERED, False),
    Row("CreditRegisterList", "/ppy/{id1}/cr", "MMEOE", _A.REGISTERED, False, order="-effectiveTime -mRID"),
    Row("CreditRegister", "/ppy/{id1}/cr/{id2}", "MMEEO", _A.REGISTERED, False),
    # Flow reservation
    Row(
        "FlowReservationRequestList",
        "/edev/{id1}/frq",
        "MMEME",
        _A.DEVICE,
        False,
        order="intervalRequested.start -creationTime -mRID",
        accepts=("FlowReservationRequest",),
        post=_BOTH,
    ),
    Row("FlowReservationRequest", "/edev/{id1}/frq/{id2}", "MMMEO", _A.DEVICE, False, put=_BOTH),
    Row(
        "FlowReservationResponseList",
        "/edev/{id1}/frp",
        "MMEDE",
        _A.DEVICE,
        False,
        order="interval.start -creationTime -mRID",
    ),
    Row("FlowReservationResponse", "/edev/{id1}/frp/{id2}", "MMEED", _A.DEVICE, False),
    # DER information
    Row("DERList", "/edev/{id1}/der", "MMEOE", _A.DEVICE, order="href"),
    Row("DER", "/edev/{id1}/der/{id2}", "MMOEO", _A.DEVICE),
    Row("AssociatedUsagePoint", "/edev/{id1}/der/{id2}/upt", "MMEEO", _A.DEVICE, type_name="UsagePoint"),
    Row(
        "AssociatedDERProgramList",
        "/edev/{id1}/der/{id2}/derp",
        "MMEOE",
        _A.DEVICE,
        type_name="DERProgramList",
        order="primacy -mRID",
        subscribable=True,
    ),
    Row("CurrentDERProgram", "/edev/{id1}/der/{id2}/cdp", "MMEEO", _A.DEVICE, type_name="DERProgram"),
    Row("DERSettings", "/edev/{id1}/der/{id2}/derg", "MMMEE", _A.DEVICE, put=_BOTH),
    Row("DERStatus", "/edev/{id1}/der/{id2}/ders", "MMMEE", _A.DEVICE, put=_BOTH, measured=True),
    Row("DERAvailability", "/edev/{id1}/der/{id2}/dera", "MMMEE", _A.DEVICE, put=_BOTH, measured=True),
    Row("DERCapability", "/edev/{id1}/der/{id2}/dercap", "MMMEE", _A.DEVICE, put=_BOTH),
    # DER programs
    Row("DERProgramList", "/derp", "MMEOE", _A.REGISTERED, order="primacy -mRID", subscribable=True),
    Row("DERProgram", "/derp/{id1}", "MMEEO", _A.PROGRAM, subscribable=True),
    Row(
        "ActiveDERControlList",
        "/derp/{id1}/actderc",
        "MMEEE",
        _A.PROGRAM,
        type_name="DERControlList",
        order="interval.start -creationTime -mRID",
    ),
    Row(
        "DERControlList",
        "/derp/{id1}/derc",
        "MMEOE",
        _A.PROGRAM,
        order="interval.start -creationTime -mRID",
        subscribable=True,
    ),
    Row("DERControl", "/derp/{id1}/derc/{id2}", "MMEEO", _A.PROGRAM, subscribable=True),
    Row("DefaultDERControl", "/derp/{id1}/dderc", "MMOEE", _A.PROGRAM, subscribable=True),
    Row("DERCurveList", "/derp/{id1}/dc", "MMEOE", _A.PROGRAM, order="-creationTime -mRID"),
    Row("DERCurve", "/derp/{id1}/dc/{id2}", "MMEEO", _A.PROGRAM),
)

#: The rows by name.
ROWS: Mapping[str, Row] = {row.name: row for row in TABLE}

#: One row for each URI that is served. Where several rows share a URI (the kinds of Response), the
#: first stands for all.
SERVED: Mapping[str, Row] = {row.uri: row for row in reversed(TABLE) if row.on}


@frozen
class Place:
    """A resource: its row and the numbers in its URI."""

    row: Row
    ids: tuple[int, ...] = ()

    @property
    def href(self) -> str:
        return self.row.href(self.ids)

    @property
    def device(self) -> int | None:
        """The EndDevice number in the URI, where the resource belongs to a device."""
        return self.ids[0] if self.row.segments[0] == "edev" and self.ids else None


def number(text: str) -> int | None:
    """A number in a URI: canonical decimal, at least 1 and below 2**63; None for anything else."""
    if text.isascii() and text.isdigit() and len(text) <= 19 and text[0] != "0":
        value = int(text)
        return value if value < 2**63 else None
    return None


def locate(path: str) -> Place | None:
    """The served resource at a path, or None.

    Only the canonical spelling is a resource's path: no trailing slash, no escapes, no leading zeros.
    """
    parts = path.split("/")
    if parts[0] or len(parts) < 2:
        return None
    ids: list[int] = []
    shape: list[str] = []
    for part in parts[1:]:
        value = number(part) if part else None
        if value is None:
            shape.append(part)
        else:
            ids.append(value)
            shape.append(f"{{id{len(ids)}}}")
    row = SERVED.get("/" + "/".join(shape))
    # A literal segment that looks like a place holder would otherwise pass for one.
    return Place(row, tuple(ids)) if row and row.depth == len(ids) else None


@cache
def children(row: Row) -> tuple[Row, ...]:
    """The resources, served or not, that a document of this row has a link element for."""
    return tuple(_children(row))


def _children(row: Row) -> Iterator[Row]:
    names = {item.name for item in fields(row.resource_type)}
    # What lies at the top is linked to from DeviceCapability, wherever that is.
    parent = "" if row.name == "DeviceCapability" else row.uri
    for other in TABLE:
        if other.uri.rpartition("/")[0] == parent and other.link in names:
            yield other


def enclosing(place: Place) -> Place | None:
    """The nearest numbered resource that a place lies in: a DER for its DERStatus, a device for its DERs.

    Nothing can be at a place unless what encloses it is there.
    """
    row = _enclosing_row(place.row)
    return None if row is None else Place(row, place.ids[: row.depth])


@cache
def _enclosing_row(row: Row) -> Row | None:
    segments = row.segments[:-1]
    while segments and segments[-1][0] != "{":
        segments = segments[:-1]
    return SERVED["/" + "/".join(segments)] if segments else None


def bare(row: Row, resource: r.Resource) -> r.Resource:
    """A resource that a client sent, less what is the server's to say.

    The server gives href, pollRate and subscribable, and the links to what lies below; other links are
    kept where they lead to a resource of their kind that is served, since every href that is handed out has
    to resolve.
    """
    given = vars(resource)
    doubtful = given.keys() & _doubtful(row, type(resource))
    if not doubtful:
        return resource
    ours = _ours(row)
    dropped = {name: None for name in doubtful if name in ours or not _leads(name, given[name].href)}
    return resource.replace(**dropped) if dropped else resource


@cache
def _ours(row: Row) -> frozenset[str]:
    """What is the server's to say of a row's resources."""
    return frozenset({child.link for child in children(row)} | {"href", "pollRate", "subscribable"})


@cache
def _doubtful(row: Row, kind: type[r.Resource]) -> frozenset[str]:
    """The fields of a class whose values are looked at: those that are the server's to say, and links."""
    links = {item.name for item in fields(kind) if item.form is None and issubclass(item.type, r.Link)}
    return _ours(row) | links


def _leads(link: str, href: str) -> bool:
    """Whether there can be at an href what a link of that name is to."""
    place = locate(href)
    return place is not None and place.row.link == link


@cache
def member(row: Row) -> Row:
    """The row of a list's members.

    Lists that are views (active controls, the programs of an FSA) have members that live elsewhere:
    those are found by the type that the list holds.
    """
    return ROWS[(row.type_name or row.name).removesuffix("List")]


@cache
def list_of(row: Row) -> Row | None:
    """The row of the list that a resource is a member of, or None for one that stands by itself."""
    if row.segments[-1][0] != "{":
        return None
    return SERVED["/" + "/".join(row.segments[:-1])]
