"""What DERs can deliver together, by what they last said: ratings, settings, what is available and stored.

Each figure is a sum over those DERs that have said it, with how many these are and how old what they said is.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from attrs import evolve, field, frozen

from csipd.sep2 import resources as r
from csipd.sep2.types import DERKind

#: What is summed of each of the things that a DER says, in plain units.
SUMMED: Mapping[str, tuple[str, ...]] = {
    "capability": (
        "rtgMaxW",
        "rtgMaxVA",
        "rtgMaxVar",
        "rtgMaxChargeRateW",
        "rtgMaxDischargeRateW",
        "rtgMaxWh",
    ),
    "settings": (
        "setMaxW",
        "setMaxVA",
        "setMaxVar",
        "setMaxChargeRateW",
        "setMaxDischargeRateW",
        "setMaxWh",
    ),
    "availability": ("statWAvail", "statVarAvail"),
    "status": (),
}
#: Hundredths of a percent in a whole.
_WHOLE = 10_000


@frozen
class Said:
    """How many DERs have said one of these things, and how old that is (s)."""

    ders: int = 0
    youngest: int | None = None
    oldest: int | None = None

    def and_one(self, age: int) -> Said:
        """With one DER more."""
        return Said(
            self.ders + 1,
            age if self.youngest is None else min(self.youngest, age),
            age if self.oldest is None else max(self.oldest, age),
        )


@frozen
class Sum:
    """What some DERs come to.

    :param said: by what they say: ``capability``, ``settings``, ``availability``, ``status``
    :param amounts: sums by the name of the element, in W, VA, var, Wh
    :param charged: DERs that say their state of charge and how much they can store
    :param stored: of these what is stored, ``capacity`` and what could be (Wh)
    """

    devices: int = 0
    ders: int = 0
    said: Mapping[str, Said] = field(factory=dict)
    amounts: Mapping[str, Decimal] = field(factory=dict)
    charged: int = 0
    stored: Decimal = Decimal(0)
    capacity: Decimal = Decimal(0)

    @property
    def state_of_charge(self) -> Decimal | None:
        """In percent, of all that can be stored; None: nobody has said it."""
        return self.stored * 100 / self.capacity if self.capacity else None


def kind_name(capability: r.DERCapability | None) -> str:
    """What kind of DER one is, in words."""
    if capability is None:
        return "unknown"
    code = capability.type
    known = code in DERKind.__members__.values()
    return DERKind(code).name.lower().replace("_", " ") if known else f"type {code}"


def with_der(total: Sum, said: Mapping[str, r.Resource | None], ages: Mapping[str, int]) -> Sum:
    """A sum with one DER more.

    :param said: what it last said, by what that is; None: nothing
    :param ages: how old each of it is (s)
    """
    amounts = dict(total.amounts)
    known = dict(total.said)
    for what, names in SUMMED.items():
        document = said.get(what)
        if document is None:
            continue
        known[what] = known.get(what, Said()).and_one(ages[what])
        for name in names:
            value = getattr(document, name)
            if value is not None:
                amounts[name] = amounts.get(name, Decimal(0)) + _plain(value)
    total = evolve(total, ders=total.ders + 1, said=known, amounts=amounts)
    charge, capacity = _charge(said.get("status")), _capacity(said)
    if charge is None or not capacity:
        return total
    return evolve(
        total,
        charged=total.charged + 1,
        stored=total.stored + capacity * charge / _WHOLE,
        capacity=total.capacity + capacity,
    )


def _charge(status: r.Resource | None) -> int | None:
    state = status.stateOfChargeStatus if isinstance(status, r.DERStatus) else None
    return None if state is None else state.value


def _capacity(said: Mapping[str, r.Resource | None]) -> Decimal | None:
    """How much a DER can store (Wh): as it is set, else as it is rated."""
    for what, name in (("settings", "setMaxWh"), ("capability", "rtgMaxWh")):
        value = getattr(said.get(what), name, None)
        if value is not None:
            return _plain(value)
    return None


def _plain(quantity: Any) -> Decimal:
    return Decimal(quantity.value).scaleb(quantity.multiplier)
