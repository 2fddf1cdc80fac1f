"""The information model against the IEEE's schema, and the values it is made of."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import re
from typing import Annotated, get_args, get_origin

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2 import types
from csipd.sep2.resources import edition2023
from csipd.sep2.schema import Element, Occurs, fields
from csipd.sep2.types import MODES, Alarm, Hexadecimal, Integer, Range, Text
from tests.support.instances import CLASSES
from tests.support.schema import definitions

XS = "{http://www.w3.org/2001/XMLSchema}"
PYTHON_NAMES = {"xs:boolean": "Boolean", "xs:anyURI": "AnyURI", "xs:string": "String"}
BUILT_IN = {
    "xs:byte": (-(2**7), 2**7 - 1),
    "xs:short": (-(2**15), 2**15 - 1),
    "xs:int": (-(2**31), 2**31 - 1),
    "xs:long": (-(2**63), 2**63 - 1),
    "xs:unsignedByte": (0, 2**8 - 1),
    "xs:unsignedShort": (0, 2**16 - 1),
    "xs:unsignedInt": (0, 2**32 - 1),
    "xs:unsignedLong": (0, 2**64 - 1),
}


class Definition:
    """A complex type as the schema defines it."""

    def __init__(self, element: etree._Element) -> None:
        self.name = element.get("name")
        content = element.find(f"{XS}complexContent/{XS}extension")
        alias = element.find(f"{XS}simpleContent/{XS}extension")
        body = next((found for found in (content, alias) if found is not None), element)
        self.base = body.get("base")
        self.simple = alias is not None
        self.elements = list(body.iter(f"{XS}element"))
        self.attributes = list(body.iter(f"{XS}attribute"))


@functools.cache
def complex_types(edition: int = 2018) -> dict[str, Definition]:
    found = [Definition(element) for element in definitions(edition).findall(f"{XS}complexType")]
    return {definition.name: definition for definition in found}


@functools.cache
def simple_types() -> dict[str, etree._Element]:
    found = definitions(2018).findall(f"{XS}simpleType")
    return {element.get("name"): element.find(f"{XS}restriction") for element in found}


def declared(annotation: str) -> tuple[str, bool]:
    """The schema's name of the type in an annotation, and whether it may be left out."""
    optional = annotation.endswith(" | None")
    text = annotation.removesuffix(" | None")
    text = re.sub(r"^Annotated\[(.*), Occurs\(.*\)\]$", r"\1", text)
    text = re.sub(r"^tuple\[(.*), \.\.\.\]$", r"\1", text)
    text = re.sub(r"^(Attribute|Polymorphic)\[(.*)\]$", r"\2", text)
    return text.removeprefix("r."), optional


class SchemaTests(SynchronousTestCase):
    """The model is the schema's, name by name."""

    def test_every_type(self) -> None:
        """Each of the 324 complex types is a class of the model, or an alias where its content is simple."""
        definitions = complex_types()
        self.assertEqual(len(definitions), 324)
        self.assertEqual(
            {cls.__name__ for cls in CLASSES},
            {name for name, definition in definitions.items() if not definition.simple},
        )
        for name, definition in definitions.items():
            if definition.simple:
                self.assertIs(get_origin(getattr(types, name)), Annotated, name)

    def test_every_root(self) -> None:
        """Each root element of the schema is named as its type, which is why a name decides the class."""
        roots = definitions(2018).findall(f"{XS}element")
        self.assertEqual(len(roots), 324)
        for root in roots:
            self.assertEqual(root.get("name"), root.get("type"))

    def test_bases(self) -> None:
        """Each class is derived from the class of its type's base."""
        for cls in CLASSES:
            definition = complex_types()[cls.__name__]
            self.assertEqual([base.__name__ for base in cls.__bases__], [definition.base or "Element"])

    def test_fields(self) -> None:
        """Each class has its type's elements and attributes: names, order, types, number, defaults."""
        for cls in CLASSES:
            definition = complex_types()[cls.__name__]
            own = inspect.get_annotations(cls)
            by_name = {field.name: field for field in fields(cls)}
            marked = {name for name in own if by_name[name].attribute}
            self.assertEqual(
                [name for name in own if name not in marked],
                [element.get("name") for element in definition.elements],
            )
            self.assertEqual(marked, {attribute.get("name") for attribute in definition.attributes})
            for element in definition.elements:
                self.check_element(cls, own[element.get("name")], element)
            for attribute in definition.attributes:
                self.check_attribute(cls, own[attribute.get("name")], attribute)

    def check_element(self, cls: type[Element], annotation: str, element: etree._Element) -> None:
        at = f"{cls.__name__}.{element.get('name')}"
        field = next(field for field in fields(cls) if field.name == element.get("name"))
        name, optional = declared(annotation)
        self.assertEqual(name, PYTHON_NAMES.get(element.get("type"), element.get("type")), at)
        least, most = element.get("minOccurs"), element.get("maxOccurs")
        self.assertEqual(field.required, least != "0", at)
        if most == "1":
            self.assertIsNone(field.occurs, at)
            self.assertEqual(optional, least == "0", at)
        else:
            bound = None if most == "unbounded" else int(most)
            self.assertEqual(field.occurs, Occurs(int(least), bound), at)

    def check_attribute(self, cls: type[Element], annotation: str, attribute: etree._Element) -> None:
        at = f"{cls.__name__}/@{attribute.get('name')}"
        field = next(field for field in fields(cls) if field.name == attribute.get("name"))
        name, optional = declared(annotation)
        self.assertEqual(name, PYTHON_NAMES.get(attribute.get("type"), attribute.get("type")), at)
        self.assertEqual(field.required, attribute.get("use") == "required", at)
        default = attribute.get("default")
        self.assertEqual(optional, not field.required and default is None, at)
        if default is not None:
            self.assertEqual(getattr(cls, field.name), int(default, 16 if "Hex" in name else 10), at)

    def test_simple_types(self) -> None:
        """Each simple type, and each alias, has the bounds that the schema gives it."""
        restrictions = simple_types()
        self.assertEqual(len(restrictions), 25)
        for name in restrictions:
            self.assertEqual(form(name), expected_form(name), name)
        for name, definition in complex_types().items():
            if definition.simple:
                self.assertEqual(form(name), expected_form(definition.base), name)

    def test_rules(self) -> None:
        """The ranges that the schema forgets are those of the standard, and no others."""
        ruled = {}
        for name, definition in complex_types().items():
            if definition.simple and len(get_args(getattr(types, name))) > 2:
                ruled[name] = get_args(getattr(types, name))[2]
        sfdi = ruled.pop("SFDIType")
        self.assertEqual(
            ruled,
            {
                "OneHourRangeType": Range(-3600, 3600),
                "PerCent": Range(0, 10000),
                "SignedPerCent": Range(-10000, 10000),
                "PowerOfTenMultiplierType": Range(-9, 9),
                "PINType": Range(0, 999999),
            },
        )
        for number in (0, 167261211391, 687194767357):
            self.assertTrue(sfdi.holds(number), number)
        for number in (1, 167261211390, 687194767359, 687194767362, 2**48 - 1):
            self.assertFalse(sfdi.holds(number), number)

    def test_edition_2023(self) -> None:
        """What counts as an addition of 2023 is what its schema has and that of 2018 has not."""
        old, new = complex_types(2018), complex_types(2023)
        elements: dict[str, set[str]] = {}
        attributes: dict[str, set[str]] = {}
        for name in old.keys() & new.keys():
            inherited = names(new, new[name].base, "elements") if new[name].base != old[name].base else set()
            known = names(old, name, "elements")
            added = {e.get("name") for e in new[name].elements} | inherited
            added = {e for e in added - known if not e.endswith(edition2023.RESERVED)}
            if old[name].base in old and new[name].base != old[name].base:
                added -= names(new, old[name].base, "elements")
            if added:
                elements[name] = added
            added = (
                names(new, name, "attributes") - names(old, name, "attributes") - {"schemaVer", "disabled"}
            )
            if added:
                attributes[name] = added
        self.assertEqual({name: set(found) for name, found in edition2023.ELEMENTS.items()}, elements)
        self.assertEqual({name: set(found) for name, found in edition2023.ATTRIBUTES.items()}, attributes)


def names(definitions: dict[str, Definition], name: str | None, kind: str) -> set[str]:
    """The names of a type's elements or attributes, those of its bases included."""
    if name not in definitions:
        return set()
    own = {found.get("name") for found in getattr(definitions[name], kind)}
    return own | names(definitions, definitions[name].base, kind)


def form(name: str) -> object:
    return get_args(getattr(types, name))[1]


def expected_form(name: str) -> object:
    restriction = simple_types().get(name)
    if restriction is None:
        return expected_form(complex_types()[name].base)
    base = restriction.get("base")
    facets = {etree.QName(facet).localname: int(facet.get("value")) for facet in restriction}
    if base == "xs:hexBinary":
        return Hexadecimal(facets["maxLength"])
    if base == "xs:string":
        return Text(facets["maxLength"])
    if base not in BUILT_IN:
        return expected_form(base)
    least, most = BUILT_IN[base]
    return Integer(facets.get("minInclusive", least), facets.get("maxInclusive", most))


class CodeTests(SynchronousTestCase):
    """The numbers that have names."""

    def test_modes(self) -> None:
        """The modes are the elements of DERControlBase in order; curve types count the links among them."""
        names = [field.name for field in fields(r.DERControlBase)]
        self.assertEqual([mode.name for mode in MODES], names[:-1])
        self.assertEqual([mode.bit for mode in MODES], list(range(2, 27)))
        links = [field.name for field in fields(r.DERControlBase) if field.type is r.DERCurveLink]
        self.assertEqual([mode.name for mode in MODES if mode.curve is not None], links)
        self.assertEqual([mode.curve for mode in MODES if mode.curve is not None], list(range(15)))

    def test_mode_flags(self) -> None:
        """Bit n of DERControlType has the value 2 to the n: opModMaxLimW alone reads 00100000."""
        self.assertEqual(types.MODE["opModMaxLimW"].flag, 0x00100000)
        self.assertEqual(types.MODE["opModVoltVar"].flag, 0x00800000)

    def test_alarms(self) -> None:
        """An alarm of bit n is logged as 2n when it begins and 2n + 1 when it ends."""
        self.assertEqual((Alarm.OVER_CURRENT.raised, Alarm.OVER_CURRENT.cleared), (0, 1))
        self.assertEqual((Alarm.PHASE_ROTATION.raised, Alarm.PHASE_ROTATION.cleared), (20, 21))


class ElementTests(SynchronousTestCase):
    """What every value of the model does."""

    status = r.EventStatus(currentStatus=1, dateTime=5, potentiallySuperseded=False)

    def test_absent(self) -> None:
        """A field that was not given has the schema's default, or none."""
        self.assertIsNone(self.status.reason)
        self.assertEqual(r.DERList(all=0, results=0).pollRate, 900)
        self.assertEqual(r.DERList(all=0, results=0).DER, ())

    def test_missing(self) -> None:
        """A constructor names all required fields that were not given, or were given as None."""
        error = self.assertRaises(TypeError, r.EventStatus, dateTime=5, potentiallySuperseded=None)
        self.assertEqual(str(error), "EventStatus needs currentStatus, potentiallySuperseded")

    def test_unknown(self) -> None:
        """A constructor refuses what is no field."""
        error = self.assertRaises(TypeError, r.TimeLink, href="/tm", all=1)
        self.assertEqual(str(error), "TimeLink has no all")

    def test_none_is_absent(self) -> None:
        """None and an empty tuple are the same as nothing given."""
        given = r.DERList(href=None, all=0, results=0, DER=(), extensions=())
        self.assertEqual(given, r.DERList(all=0, results=0))

    def test_equal(self) -> None:
        """Values are equal when their classes and fields are, in whatever order these were given."""
        same = r.EventStatus(potentiallySuperseded=False, dateTime=5, currentStatus=types.EventState.ACTIVE)
        self.assertEqual(same, self.status)
        self.assertEqual(hash(same), hash(self.status))
        self.assertNotEqual(self.status, self.status.replace(reason=""))
        self.assertNotEqual(r.TimeLink(href="/tm"), r.DERLink(href="/tm"))
        self.assertNotEqual(r.TimeLink(href="/tm"), "/tm")

    def test_replace(self) -> None:
        """A copy may change, add and drop fields; the original stays as it was."""
        changed = self.status.replace(currentStatus=2, reason="storm")
        self.assertEqual((changed.currentStatus, changed.reason, changed.dateTime), (2, "storm", 5))
        self.assertEqual(changed.replace(currentStatus=1, reason=None), self.status)
        self.assertRaises(TypeError, self.status.replace, dateTime=None)

    def test_immutable(self) -> None:
        """Fields can be neither set nor deleted."""
        with self.assertRaises(AttributeError):
            self.status.reason = "storm"
        with self.assertRaises(AttributeError):
            del self.status.dateTime

    def test_identifiers(self) -> None:
        """Identifiers are kept in upper case and full width, as they are written."""
        self.assertEqual(r.IPAddr(address="fe80").address, "0000000000000000000000000000FE80")

    def test_copies(self) -> None:
        """Values survive copying and pickling."""
        self.assertEqual(copy.deepcopy(self.status), self.status)
        self.assertEqual(pickle.loads(pickle.dumps(self.status)), self.status)

    def test_repr(self) -> None:
        """A value shows what it was given, and of long lists the length."""
        self.assertEqual(repr(r.TimeLink(href="/tm")), "TimeLink(href='/tm')")
        many = r.DERList(all=9, results=9, DER=tuple(r.DER(href=f"/der/{n}") for n in range(9)))
        self.assertEqual(repr(many), "DERList(all=9, results=9, DER=<9 DER>)")

    def test_flaw(self) -> None:
        """A resource that wants a response must say where."""
        self.assertIsNone(r.RespondableResource(responseRequired=0).flaw())
        self.assertIsNone(r.RespondableResource(responseRequired=1, replyTo="/rsp").flaw())
        self.assertIn("replyTo", r.RespondableResource(responseRequired=1).flaw() or "")
