"""The standard's simple types and the names of its codes.

A simple type is an `Annotated` alias: the Python type that holds its values, then what its text may be (a
form) and what the schema does not say but the standard does (a rule). The codec reads nothing else. Codes are
open numbers in the schema, so fields take every number; the enumerations here name those that csipd speaks
of, and are the only place where these numbers are written. LFDI, SFDI and PIN are made in `identity`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, IntFlag
from typing import Annotated

from attrs import frozen

from csipd.sep2.identity import sfdi_is_valid


# Forms: what the text of a value may be. Whatever breaks one is not schema-valid.
@frozen
class Integer:
    """A decimal number from `least` to `most`, its sign optional."""

    least: int
    most: int


@frozen
class Hexadecimal:
    """At most `octets` octets, two digits each; fewer are read as if zeros stood before them.

    Held as an int (bit maps, in which one that was written shorter is a `ShortBits`) or as a str of full
    width in upper case (identifiers), as the alias says. An odd number of digits, which the schema does not
    allow, is read as if a zero stood before it.
    """

    octets: int


class ShortBits(int):
    """A bit map that was written in fewer octets than its type has: equal by value, written as it was.

    What a device puts it expects to get back as it put it, `03` and not `00000003`.
    """

    octets = 0


def octets_of(value: int | None) -> int | None:
    """In how many octets a bit map is written; None for the full width of its type."""
    return value.octets if isinstance(value, ShortBits) else None


_SHORT: list[Callable[[int], int]] = [type(f"ShortBits{n}", (ShortBits,), {"octets": n}) for n in range(8)]


def short_bits(value: int, octets: int) -> int:
    """`value` as it is written in so many octets, 0 to 7; ValueError if it does not fit."""
    if not 0 <= octets < len(_SHORT) or not 0 <= value < 1 << 8 * octets:
        raise ValueError(f"{value:#x} does not fit {octets} octets")
    return _SHORT[octets](value)


@frozen
class Text:
    """At most `longest` characters, every blank kept; None is no bound."""

    longest: int | None = None


@frozen
class Choice(Text):
    """Text that is one of some words."""

    words: tuple[str, ...] = ()


@frozen
class Reference:
    """A URI reference (RFC 3986; other characters than ASCII are let through)."""


@frozen
class Bool:
    """true, false, 1 or 0."""


@frozen
class Real:
    """Any number, held as a Decimal: what the operator's API gives, and no document of the standard has."""


# Rules: what the standard's text demands and its schema does not check.
@frozen
class Range:
    """A number from `least` to `most`."""

    least: int
    most: int


@frozen
class Constraint:
    """A number for which `holds` is true; `meaning` says in words what such a number is."""

    holds: Callable[[int], bool]
    meaning: str


# Numbers, octets, text.
UInt8 = Annotated[int, Integer(0, 2**8 - 1)]
UInt16 = Annotated[int, Integer(0, 2**16 - 1)]
UInt32 = Annotated[int, Integer(0, 2**32 - 1)]
UInt40 = Annotated[int, Integer(0, 2**48 - 1)]  # the schema's bound, wider than the name
UInt48 = Annotated[int, Integer(0, 2**48 - 1)]
UInt64 = Annotated[int, Integer(0, 2**64 - 1)]
Int8 = Annotated[int, Integer(-(2**7), 2**7 - 1)]
Int16 = Annotated[int, Integer(-(2**15), 2**15 - 1)]
Int32 = Annotated[int, Integer(-(2**31), 2**31 - 1)]
Int48 = Annotated[int, Integer(-(2**47), 2**47)]  # the schema's bound, one wider than the name
Int64 = Annotated[int, Integer(-(2**63), 2**63 - 1)]

HexBinary8 = Annotated[int, Hexadecimal(1)]
HexBinary16 = Annotated[int, Hexadecimal(2)]
HexBinary32 = Annotated[int, Hexadecimal(4)]
HexBinary48 = Annotated[int, Hexadecimal(6)]
HexBinary64 = Annotated[int, Hexadecimal(8)]
HexBinary128 = Annotated[str, Hexadecimal(16)]
HexBinary160 = Annotated[str, Hexadecimal(20)]

String = Annotated[str, Text()]
String6 = Annotated[str, Text(6)]
String16 = Annotated[str, Text(16)]
String20 = Annotated[str, Text(20)]
String32 = Annotated[str, Text(32)]
String42 = Annotated[str, Text(42)]
String192 = Annotated[str, Text(192)]
AnyURI = Annotated[str, Reference()]
Boolean = Annotated[bool, Bool()]

# Quantities and identifiers.
TimeType = Int64  # seconds since 1970-01-01T00:00:00Z, leap seconds not counted
TimeOffsetType = Int32  # seconds
OneHourRangeType = Annotated[Int16, Range(-3600, 3600)]  # seconds
PerCent = Annotated[UInt16, Range(0, 10000)]  # hundredths of a percent
SignedPerCent = Annotated[Int16, Range(-10000, 10000)]  # hundredths of a percent
PowerOfTenMultiplierType = Annotated[Int8, Range(-9, 9)]
mRIDType = HexBinary128
VersionType = UInt16
PENType = UInt32
SFDIType = Annotated[
    UInt40, Constraint(sfdi_is_valid, "the leftmost 36 bits of an LFDI and then their check digit")
]
PINType = Annotated[UInt32, Range(0, 999999)]  # its check digit is for people: an operator may choose another
SubscribableType = UInt8
LocaleType = String42
CurrencyCode = UInt16  # ISO 4217
DstRuleType = HexBinary32

# Codes and bit maps.
AccumulationBehaviourType = UInt8
ApplianceLoadReductionType = UInt8
ChargeKind = UInt8
CommodityType = UInt8
ConsumptionBlockType = UInt8
CostKindType = UInt8
CreditStatusType = UInt8
CreditTypeType = UInt8
DataQualifierType = UInt8
DERControlType = HexBinary32
DERCurveType = UInt8
DERType = UInt8
DERUnitRefType = UInt8
DeviceCategoryType = HexBinary32
FlowDirectionType = UInt8
KindType = UInt8
PhaseCode = UInt8
PowerSourceType = UInt8
PrepayModeType = UInt8
PrimacyType = UInt8  # the lower wins
PriorityType = UInt8
RoleFlagsType = HexBinary16
ServiceKind = UInt8
ServiceStatusType = UInt8
TOUType = UInt8
UnitType = UInt8
UomType = UInt8


# The names of codes: protocol.
class ReasonCode(IntEnum):
    """Error.reasonCode."""

    INVALID_FORMAT = 0
    INVALID_VALUES = 1
    RESOURCE_LIMIT = 2
    CONDITION_UNSUPPORTED = 3
    REQUEST_FREQUENCY = 4


class Subscribable(IntEnum):
    """The attribute subscribable."""

    NO = 0
    UNCONDITIONAL = 1
    CONDITIONAL = 2
    BOTH = 3


class NotificationStatus(IntEnum):
    """Notification.status; every one but NORMAL ends the subscription."""

    NORMAL = 0
    CANCELLED = 1
    MOVED = 2
    REDEFINED = 3
    DELETED = 4


class Encoding(IntEnum):
    """Subscription.encoding."""

    XML = 0
    EXI = 1


# Events and responses.
class EventState(IntEnum):
    """EventStatus.currentStatus (IEEE 2030.5-2018; 5, completed, came with the 2023 edition)."""

    SCHEDULED = 0
    ACTIVE = 1
    CANCELLED = 2
    CANCELLED_RANDOMIZED = 3
    SUPERSEDED = 4


class ResponseStatus(IntEnum):
    """Response.status (IEEE 2030.5-2018 Table 27; the 2023 edition renumbers 12 to 14).

    NOT_SUPPORTED is of the 2023 edition; clients send it to servers of 2018 too.
    """

    RECEIVED = 1
    STARTED = 2
    COMPLETED = 3
    USER_OPT_OUT = 4
    USER_OPT_IN = 5
    CANCELLED = 6
    SUPERSEDED = 7
    PARTIAL_OPT_OUT = 8
    PARTIAL_OPT_IN = 9
    COMPLETED_NO_PARTICIPATION = 10
    USER_ACKNOWLEDGED = 11
    CANNOT_BE_DISPLAYED = 12
    ABORTED_SERVER = 13
    ABORTED_PROGRAM = 14
    NOT_SUPPORTED = 251
    REJECTED_NOT_APPLICABLE = 252
    REJECTED_INVALID = 253
    REJECTED_EXPIRED = 254


class ResponseRequired(IntFlag):
    """The bits of the attribute responseRequired."""

    RECEIVED = 1 << 0
    SPECIFIC = 1 << 1
    USER = 1 << 2


# Log events.
class FunctionSet(IntEnum):
    """LogEvent.functionSet."""

    GENERAL = 0
    PUBSUB = 1
    END_DEVICE = 2
    FUNCTION_SET_ASSIGNMENT = 3
    RESPONSE = 4
    DEMAND_RESPONSE = 5
    METERING = 6
    PRICING = 7
    MESSAGING = 8
    BILLING = 9
    PREPAYMENT = 10
    DER = 11
    TIME = 12
    SOFTWARE_DOWNLOAD = 13
    DEVICE_INFORMATION = 14
    POWER_STATUS = 15
    NETWORK_STATUS = 16
    LOG_EVENT_LIST = 17
    CONFIGURATION = 18
    SECURITY = 19


class LogProfile(IntEnum):
    """LogEvent.profileID."""

    NONE = 0
    VENDOR = 1
    IEEE_2030_5 = 2
    HOME_AUTOMATION = 3
    BUILDING_AUTOMATION = 4


class Alarm(IntEnum):
    """The bits of DERStatus.alarmStatus, by number; each has a pair of log event codes (CSIP IG Table 14)."""

    OVER_CURRENT = 0
    OVER_VOLTAGE = 1
    UNDER_VOLTAGE = 2
    OVER_FREQUENCY = 3
    UNDER_FREQUENCY = 4
    VOLTAGE_IMBALANCE = 5
    CURRENT_IMBALANCE = 6
    EMERGENCY_LOCAL = 7
    EMERGENCY_REMOTE = 8
    LOW_POWER_INPUT = 9
    PHASE_ROTATION = 10

    @property
    def raised(self) -> int:
        """The logEventCode that says it has begun."""
        return 2 * self

    @property
    def cleared(self) -> int:
        """The logEventCode that says all is normal again."""
        return 2 * self + 1


# Distributed energy resources.
class CurveType(IntEnum):
    """DERCurve.curveType, named as the mode that points to such a curve."""

    FREQ_WATT = 0
    HFRT_MAY_TRIP = 1
    HFRT_MUST_TRIP = 2
    HVRT_MAY_TRIP = 3
    HVRT_MOMENTARY_CESSATION = 4
    HVRT_MUST_TRIP = 5
    LFRT_MAY_TRIP = 6
    LFRT_MUST_TRIP = 7
    LVRT_MAY_TRIP = 8
    LVRT_MOMENTARY_CESSATION = 9
    LVRT_MUST_TRIP = 10
    VOLT_VAR = 11
    VOLT_WATT = 12
    WATT_PF = 13
    WATT_VAR = 14


class UnitRef(IntEnum):
    """DERUnitRefType: of what a percentage is taken."""

    NOT_APPLICABLE = 0
    SET_MAX_W = 1
    SET_MAX_VAR = 2
    STAT_VAR_AVAIL = 3
    SET_EFFECTIVE_V = 4
    SET_MAX_CHARGE_RATE_W = 5
    SET_MAX_DISCHARGE_RATE_W = 6
    STAT_W_AVAIL = 7


@frozen
class Mode:
    """A control mode: an element of DERControlBase, its bit in DERControlType, the type of its curve."""

    name: str
    bit: int
    curve: CurveType | None = None

    @property
    def flag(self) -> int:
        return 1 << self.bit


CHARGE_FLAG = 1 << 0  # of DERControlType: what the device can do, with no element in DERControlBase
DISCHARGE_FLAG = 1 << 1

# In schema order; rampTms, the last element of DERControlBase, is no mode.
MODES = (
    Mode("opModConnect", 2),
    Mode("opModEnergize", 3),
    Mode("opModFixedPFAbsorbW", 4),
    Mode("opModFixedPFInjectW", 5),
    Mode("opModFixedVar", 6),
    Mode("opModFixedW", 7),
    Mode("opModFreqDroop", 8),
    Mode("opModFreqWatt", 9, CurveType.FREQ_WATT),
    Mode("opModHFRTMayTrip", 10, CurveType.HFRT_MAY_TRIP),
    Mode("opModHFRTMustTrip", 11, CurveType.HFRT_MUST_TRIP),
    Mode("opModHVRTMayTrip", 12, CurveType.HVRT_MAY_TRIP),
    Mode("opModHVRTMomentaryCessation", 13, CurveType.HVRT_MOMENTARY_CESSATION),
    Mode("opModHVRTMustTrip", 14, CurveType.HVRT_MUST_TRIP),
    Mode("opModLFRTMayTrip", 15, CurveType.LFRT_MAY_TRIP),
    Mode("opModLFRTMustTrip", 16, CurveType.LFRT_MUST_TRIP),
    Mode("opModLVRTMayTrip", 17, CurveType.LVRT_MAY_TRIP),
    Mode("opModLVRTMomentaryCessation", 18, CurveType.LVRT_MOMENTARY_CESSATION),
    Mode("opModLVRTMustTrip", 19, CurveType.LVRT_MUST_TRIP),
    Mode("opModMaxLimW", 20),
    Mode("opModTargetVar", 21),
    Mode("opModTargetW", 22),
    Mode("opModVoltVar", 23, CurveType.VOLT_VAR),
    Mode("opModVoltWatt", 24, CurveType.VOLT_WATT),
    Mode("opModWattPF", 25, CurveType.WATT_PF),
    Mode("opModWattVar", 26, CurveType.WATT_VAR),
)
MODE = {mode.name: mode for mode in MODES}


class DERKind(IntEnum):
    """DERType, as in DERCapability.type."""

    NOT_APPLICABLE = 0
    VIRTUAL_OR_MIXED = 1
    RECIPROCATING_ENGINE = 2
    FUEL_CELL = 3
    PHOTOVOLTAIC = 4
    COMBINED_HEAT_AND_POWER = 5
    OTHER_GENERATION = 6
    OTHER_STORAGE = 80
    ELECTRIC_VEHICLE = 81
    EVSE = 82
    COMBINED_PV_AND_STORAGE = 83


class DeviceCategory(IntFlag):
    """The bits of DeviceCategoryType."""

    THERMOSTAT = 1 << 0
    STRIP_HEATER = 1 << 1
    BASEBOARD_HEATER = 1 << 2
    WATER_HEATER = 1 << 3
    POOL_PUMP = 1 << 4
    SAUNA = 1 << 5
    HOT_TUB = 1 << 6
    SMART_APPLIANCE = 1 << 7
    IRRIGATION_PUMP = 1 << 8
    MANAGED_LOAD = 1 << 9
    SIMPLE_LOAD = 1 << 10
    EXTERIOR_LIGHTING = 1 << 11
    INTERIOR_LIGHTING = 1 << 12
    LOAD_CONTROL_SWITCH = 1 << 13
    ENERGY_MANAGEMENT_SYSTEM = 1 << 14
    SMART_ENERGY_MODULE = 1 << 15
    ELECTRIC_VEHICLE = 1 << 16
    EVSE = 1 << 17
    VIRTUAL_OR_MIXED_DER = 1 << 18
    RECIPROCATING_ENGINE = 1 << 19
    FUEL_CELL = 1 << 20
    PHOTOVOLTAIC = 1 << 21
    COMBINED_HEAT_AND_POWER = 1 << 22
    COMBINED_PV_AND_STORAGE = 1 << 23
    OTHER_GENERATION = 1 << 24
    OTHER_STORAGE = 1 << 25


class ConnectStatus(IntFlag):
    """The bits of DERStatus.genConnectStatus and storConnectStatus."""

    CONNECTED = 1 << 0
    AVAILABLE = 1 << 1
    OPERATING = 1 << 2
    TEST = 1 << 3
    FAULT = 1 << 4


class InverterState(IntEnum):
    """DERStatus.inverterStatus."""

    NOT_APPLICABLE = 0
    OFF = 1
    SLEEPING = 2
    STARTING = 3
    TRACKING_POWER_POINT = 4
    FORCED_POWER_REDUCTION = 5
    SHUTTING_DOWN = 6
    FAULT = 7
    STANDBY = 8
    TEST = 9
    SEE_MANUFACTURER = 10


class OperationalMode(IntEnum):
    """DERStatus.operationalModeStatus."""

    NOT_APPLICABLE = 0
    OFF = 1
    OPERATIONAL = 2
    TEST = 3


class StorageMode(IntEnum):
    """DERStatus.storageModeStatus."""

    CHARGING = 0
    DISCHARGING = 1
    HOLDING = 2


class LocalControlMode(IntEnum):
    """DERStatus.localControlModeStatus."""

    LOCAL = 0
    REMOTE = 1


# Metering.
class Service(IntEnum):
    """ServiceKind."""

    ELECTRICITY = 0
    GAS = 1
    WATER = 2
    TIME = 3
    PRESSURE = 4
    HEAT = 5
    COOLING = 6


class Role(IntFlag):
    """The bits of RoleFlagsType."""

    MIRROR = 1 << 0
    PREMISES_AGGREGATION_POINT = 1 << 1
    PEV = 1 << 2
    DER = 1 << 3
    REVENUE_QUALITY = 1 << 4
    DC = 1 << 5
    SUBMETER = 1 << 6


class Uom(IntEnum):
    """UomType: units of measure, those that electricity needs."""

    NOT_APPLICABLE = 0
    AMPERE = 5
    VOLT = 29
    JOULE = 31
    HERTZ = 33
    WATT = 38
    SIEMENS = 53
    VOLT_AMPERE = 61
    VAR = 63
    COS_THETA = 65
    VOLT_AMPERE_HOUR = 71
    WATT_HOUR = 72
    VAR_HOUR = 73
    AMPERE_HOUR = 106


class Kind(IntEnum):
    """KindType: what kind of thing a reading is."""

    NOT_APPLICABLE = 0
    CURRENCY = 3
    DEMAND = 8
    ENERGY = 12
    POWER = 37


class DataQualifier(IntEnum):
    """DataQualifierType."""

    NOT_APPLICABLE = 0
    AVERAGE = 2
    MAXIMUM = 8
    MINIMUM = 9
    NORMAL = 12
    DEVIATION_OF_POPULATION = 29
    DEVIATION_OF_SAMPLE = 30


class FlowDirection(IntEnum):
    """FlowDirectionType."""

    NOT_APPLICABLE = 0
    FORWARD = 1
    NET = 4
    REVERSE = 19


class Phase(IntEnum):
    """PhaseCode."""

    NOT_APPLICABLE = 0
    C = 32
    CN = 33
    CA = 40
    B = 64
    BN = 65
    BC = 66
    A = 128
    AN = 129
    AB = 132
    ABC = 224


class Commodity(IntEnum):
    """CommodityType, those of electricity."""

    NOT_APPLICABLE = 0
    ELECTRICITY_SECONDARY = 1
    ELECTRICITY_PRIMARY = 2


class Accumulation(IntEnum):
    """AccumulationBehaviourType."""

    NOT_APPLICABLE = 0
    CUMULATIVE = 3
    DELTA = 4
    INDICATING = 6
    SUMMATION = 9
    INSTANTANEOUS = 12
