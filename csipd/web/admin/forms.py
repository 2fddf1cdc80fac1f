"""Types that the forms of several chapters have in common.

A form is what the operator's API takes or gives: an ``Element`` like any type of the standard, so that
reading, checking and describing it needs no code of its own (csipd/web/json_form.py). Names in snake_case are
the API's own; those of the standard are spelled as there. Times are TimeType: seconds since 1970 in UTC.
Devices, groups, programs, curves and controls go by the numbers in their URIs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar

from csipd.der.programs import EndReason
from csipd.sep2.schema import Element
from csipd.sep2.types import MODES, Choice, Integer, Real, Text

#: A number in a URI.
Number = Annotated[int, Integer(1, 2**63 - 1)]
#: The number of what has none yet or no more of it, and counts.
Count = Annotated[int, Integer(0, 2**63 - 1)]
#: An amount in its unit.
Amount = Annotated[Decimal, Real()]
#: Names that the operator gives: of devices, groups.
Name = Annotated[str, Text(64)]
#: A place in the topology: 0 is the System, 6 a Service Point, nearest to a DER (CSIP IG 4.3).
Level = Annotated[int, Integer(0, 6)]
#: A line for a person.
Line = Annotated[str, Text(1024)]
#: Certificates, keys and signing requests in PEM.
PEM = Annotated[str, Text(65_536)]
#: A control mode, by the name of its element in DERControlBase.
ModeName = Annotated[str, Choice(64, tuple(mode.name for mode in MODES))]
#: Why an event does not hold a mode.
Reason = Annotated[str, Choice(64, tuple(end.value for end in EndReason))]
#: How a device stands.
STANDINGS = ("registered", "listed", "withdrawn", "retired")
Standing = Annotated[str, Choice(64, STANDINGS)]
#: How a control stands; the standard has no word for one that is over.
STATUSES = ("scheduled", "active", "cancelled", "superseded", "completed")
Status = Annotated[str, Choice(64, STATUSES)]


class Page(Element):
    """A part of a list; its ``items`` are given also where there are none.

    ``next`` is what to give as ``after`` for those that follow. ``total`` is how many there are in all pages
    together. Where that would cost as much as reading them it is left out; ``more_than`` is then how many
    were counted, if any were: there are more.
    """

    lists: ClassVar[tuple[str, ...]] = ("items",)

    next: Number | None = None
    total: Count | None = None
    more_than: Count | None = None
