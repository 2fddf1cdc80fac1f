"""What a reading's number means: its quantity, unit and phase, and which way it counts.

A ReadingType (IEEE 2030.5-2018 10.4) says it in codes, most of which may be left out. To operators generation
is positive and consumption negative, whoever meters it: forward is what is delivered to the customer. Where a
ReadingType does not say its direction the role of its meter does: that of a DER counts what the DER gives,
that of premises what they take.

Many clients call forward what their DER feeds in. A DER's own meter that never measures reverse power is
theirs: a DER that only ever takes would be none. What such a meter calls forward counts as given
(``DerForward``), and what it calls reverse as taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import Enum

from attrs import frozen

from csipd.sep2 import resources as r
from csipd.sep2.types import Accumulation, DataQualifier, FlowDirection, Phase, Role, Uom


class Behaviour(Enum):
    """How one reading of a series goes on from the one before."""

    INSTANTANEOUS = "instantaneous"  #: as it is at a moment, or on average over a period
    CUMULATIVE = "cumulative"  #: a register that counts on
    DELTA = "delta"  #: what came in a period


class DerForward(Enum):
    """What forward is taken for at a DER's own meter that measures power in this direction alone."""

    GENERATION = "generation"
    CONSUMPTION = "consumption"


@frozen
class Measurand:
    """What is measured.

    :param name: as operators ask for it
    :param unit: its symbol
    :param directed: whether it has a direction, and so a sign
    :param counted: whether it is an amount that adds up, such as energy
    """

    name: str
    unit: str
    directed: bool = False
    counted: bool = False


#: What is measured of electricity, by the code of its unit.
MEASURANDS: Mapping[int, Measurand] = {
    Uom.WATT: Measurand("active_power", "W", directed=True),
    Uom.VAR: Measurand("reactive_power", "var", directed=True),
    Uom.VOLT_AMPERE: Measurand("apparent_power", "VA"),
    Uom.VOLT: Measurand("voltage", "V"),
    Uom.AMPERE: Measurand("current", "A"),
    Uom.HERTZ: Measurand("frequency", "Hz"),
    Uom.COS_THETA: Measurand("power_factor", ""),
    Uom.WATT_HOUR: Measurand("active_energy", "Wh", directed=True, counted=True),
    Uom.VAR_HOUR: Measurand("reactive_energy", "varh", directed=True, counted=True),
    Uom.VOLT_AMPERE_HOUR: Measurand("apparent_energy", "VAh", counted=True),
    Uom.JOULE: Measurand("heat", "J", counted=True),
    Uom.AMPERE_HOUR: Measurand("charge", "Ah", counted=True),
    Uom.SIEMENS: Measurand("susceptance", "S"),
}
#: The codes of units by the names that operators ask for.
UNIT_CODES: Mapping[str, int] = {measurand.name: int(code) for code, measurand in MEASURANDS.items()}

_QUALIFIERS: Mapping[int, str] = {
    DataQualifier.AVERAGE: "average",
    DataQualifier.MAXIMUM: "maximum",
    DataQualifier.MINIMUM: "minimum",
    DataQualifier.NORMAL: "normal",
    DataQualifier.DEVIATION_OF_POPULATION: "deviation of the population",
    DataQualifier.DEVIATION_OF_SAMPLE: "deviation of the sample",
}
#: Of more phases than one it is the whole: a sum over meters has it once.
_WHOLE = (Phase.NOT_APPLICABLE, Phase.ABC)
#: Whose directions say what forward is at a usage point: the first of these that has any.
_DECIDING = (Uom.WATT, Uom.WATT_HOUR, Uom.VAR, Uom.VAR_HOUR)
_DIRECTIONS = frozenset((FlowDirection.FORWARD, FlowDirection.NET, FlowDirection.REVERSE))
_REGISTERS = (Accumulation.CUMULATIVE, Accumulation.SUMMATION)


@frozen
class Quantity:
    """What the readings of a series are.

    :param name: of the measurand; ``unit 42`` where the code is none of electricity's
    :param unit: its symbol; empty where there is none
    :param phase: ``AN``, ``ABC``; empty where none is said
    :param qualifier: ``average``, ``maximum``; empty where none is said
    :param sign: 1, or -1 where the numbers count what is taken in
    :param multiplier: the power of ten of the numbers
    """

    name: str
    unit: str
    phase: str
    qualifier: str
    behaviour: Behaviour
    sign: int
    multiplier: int

    def amount(self, value: int | float) -> Decimal:
        """A number of the series in the unit, generation positive; exact for integers."""
        return Decimal(value).scaleb(self.multiplier) * self.sign

    @property
    def label(self) -> str:
        """``active_power ABC average``, for people."""
        return " ".join(part for part in (self.name, self.phase, self.qualifier) if part)


def quantity_of(
    reading_type: r.ReadingType,
    *,
    is_der: bool,
    forward_alone: bool = False,
    der_forward: DerForward = DerForward.GENERATION,
) -> Quantity:
    """What the readings of a type are.

    :param is_der: whether they come from a DER's own meter (``of_der``)
    :param forward_alone: whether their usage point is one of those that ``has_forward_alone`` knows
    :param der_forward: what that means where it is a DER's
    """
    is_given = is_der and forward_alone and der_forward is DerForward.GENERATION
    code = reading_type.uom or 0
    known = MEASURANDS.get(code)
    measurand = known or Measurand(f"unit {code}", "")
    return Quantity(
        name=measurand.name,
        unit=measurand.unit,
        phase=_phase(reading_type.phase or 0),
        qualifier=_QUALIFIERS.get(reading_type.dataQualifier or 0, ""),
        behaviour=behaviour_of(reading_type),
        sign=_sign(reading_type.flowDirection or 0, is_der, is_given) if measurand.directed else 1,
        multiplier=reading_type.powerOfTenMultiplier or 0,
    )


def behaviour_of(reading_type: r.ReadingType) -> Behaviour:
    """How the readings of a type go on from one another.

    Where it is not said an amount that adds up is a register, or with an intervalLength what came in that
    time; all else is as it is at a moment.
    """
    said = reading_type.accumulationBehaviour or 0
    if said in _REGISTERS:
        return Behaviour.CUMULATIVE
    if said == Accumulation.DELTA:
        return Behaviour.DELTA
    measurand = MEASURANDS.get(reading_type.uom or 0)
    if said in (Accumulation.INDICATING, Accumulation.INSTANTANEOUS) or not (measurand and measurand.counted):
        return Behaviour.INSTANTANEOUS
    return Behaviour.DELTA if reading_type.intervalLength else Behaviour.CUMULATIVE


def is_whole(phase: int | None) -> bool:
    """Whether a PhaseCode means all phases together: these are what a sum over meters is made of."""
    return (phase or 0) in _WHOLE


def of_der(role: int) -> bool:
    """Whether a usage point of these roles (RoleFlagsType) is a DER's own meter."""
    return bool(role & Role.DER)


def has_forward_alone(of_usage_point: Iterable[r.ReadingType]) -> bool:
    """Whether a usage point measures power forward, or net, and never in reverse.

    Active power decides; where it is not measured in any direction, active energy, and then what is reactive.
    """
    flows: dict[int, set[int]] = {}
    for each in of_usage_point:
        flows.setdefault(each.uom or 0, set()).add(each.flowDirection or 0)
    for uom in _DECIDING:
        if known := _DIRECTIONS & flows.get(uom, set()):
            return FlowDirection.REVERSE not in known
    return False


def _sign(flow: int, is_der: bool, is_given: bool) -> int:
    # Net is what went forward less what came back.
    if flow in (FlowDirection.FORWARD, FlowDirection.NET):
        return 1 if is_given else -1
    if flow == FlowDirection.REVERSE:
        return -1 if is_given else 1
    return 1 if is_der else -1


def _phase(code: int) -> str:
    if code == Phase.NOT_APPLICABLE:
        return ""
    return Phase(code).name if code in Phase.__members__.values() else f"phase {code}"
