"""Valid values of every class of the information model, drawn by hypothesis from its own tables of fields."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from csipd.sep2 import resources as r
from csipd.sep2.identity import with_check_digit
from csipd.sep2.schema import Element, Field, fields
from csipd.sep2.types import Bool, Choice, Constraint, Hexadecimal, Integer, Range, Real, Reference, Text

CLASSES: tuple[type[Element], ...] = tuple(
    found
    for found in vars(r).values()
    if isinstance(found, type) and issubclass(found, Element) and found is not Element
)

CHARACTERS = st.one_of(
    st.characters(min_codepoint=32, max_codepoint=126),
    st.sampled_from("&<>\"'\t\n\r\x85\xa0é\u2028€\ufffd\U0001f50c"),
)
REFERENCES = st.sampled_from(
    ["/edev/1", "/derp/1/derc?s=0&l=10", "https://user@host:443/a%20b#c", "http://[::1]/", "", "a b", "/é"]
)
# What may stand where any resource may: shallow ones, so that values stay small.
_POLYMORPHIC = {
    r.Resource: (r.Time, r.DERControlList, r.FunctionSetAssignmentsList, r.Resource),
    r.Response: (r.Response, r.DERControlResponse, r.DrResponse, r.TextResponse),
    r.Notification: (r.Notification,),
}


def simple(field: Field) -> st.SearchStrategy[Any]:
    """Values that a simple field may have."""
    for rule in field.constraints:
        match rule:
            case Range(least, most):
                return st.integers(least, most)
            case Constraint():  # there is one: SFDIType
                return st.integers(0, 2**36 - 1).map(with_check_digit)
    match field.form:
        case Integer(least, most):
            return st.integers(least, most)
        case Hexadecimal(octets) if field.type is int:
            return st.integers(0, 2 ** (8 * octets) - 1)
        case Hexadecimal(octets):
            return st.integers(0, 2 ** (8 * octets) - 1).map(lambda number: f"{number:0{2 * octets}X}")
        case Choice(words=words):
            return st.sampled_from(words)
        case Text(longest):
            return st.text(CHARACTERS, max_size=min(longest or 40, 40))
        case Reference():
            return REFERENCES
        case Bool():
            return st.booleans()
        case Real():
            return st.decimals(-(10**9), 10**9, places=3)
    raise AssertionError(field)


#: Bits that the standard names, of bit maps whose others it reserves.
_KNOWN_BITS = {
    (r.EndDevice, "deviceCategory"): 26,
    (r.DERStatus, "alarmStatus"): 11,
    (r.ConnectStatusType, "value"): 5,
}


@st.composite
def instances(draw: st.DrawFn, cls: type[Element], likely: float = 0.5) -> Any:
    """Values of a class. `likely` is how likely an optional field is to be there; it falls with depth."""
    given: dict[str, Any] = {}
    for field in fields(cls):
        if not field.required and draw(st.floats(0, 1)) >= likely:
            continue
        if (cls, field.name) in _KNOWN_BITS:
            members = st.integers(0, 2 ** _KNOWN_BITS[cls, field.name] - 1)
        elif field.form is not None:
            members = simple(field)
        else:
            classes = _POLYMORPHIC[field.type] if field.polymorphic else (field.type,)
            members = st.sampled_from(classes).flatmap(lambda member: instances(member, likely / 2))
        if field.occurs is None:
            given[field.name] = draw(members)
        else:
            least = max(field.occurs.least, 1)
            given[field.name] = tuple(draw(st.lists(members, min_size=least, max_size=least + 1)))
    if issubclass(cls, r.RespondableResource) and given.get("responseRequired"):
        given.setdefault("replyTo", "/rsps/1/rsp")
    return cls(**given)
