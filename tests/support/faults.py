"""What can be wrong with a document: faults put into one, by chance, for a codec to find."""

from __future__ import annotations

import copy
import random

from lxml import etree

from csipd.sep2.codec import NAMESPACE

XSI = "http://www.w3.org/2001/XMLSchema-instance"

# What is put in place of a few bytes.
DAMAGE = (
    b"",
    b"<",
    b">",
    b"/>",
    b'"',
    b"&",
    b"&#0;",
    b"&#55296;",
    b"]]>",
    b"<![CDATA[",
    b"<!--",
    b"<?xml ?>",
    b"<!DOCTYPE a>",
    b"<!ENTITY",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b" xmlns:a='b' ",
    b" xmlns=''",
    b"<a xmlns='b'/>",
    b" xsi:type='a'",
)
TEXTS = (
    "",
    " ",
    "x",
    "-1",
    "0",
    "1",
    "+7",
    " 12 ",
    "07",
    "300",
    "70000",
    "99999999999",
    "true",
    "x" * 50,
    "F",
    "FF" * 21,
)


def any_element(root: etree._Element, chance: random.Random) -> etree._Element:
    return chance.choice(list(root.iter()))


def any_child(root: etree._Element, chance: random.Random) -> etree._Element:
    """Any element that is in another; one that is refused at once where there is none."""
    children = list(root.iterdescendants())
    return chance.choice(children) if children else etree.SubElement(root, f"{{{NAMESPACE}}}nonsense")


def drop(root: etree._Element, chance: random.Random) -> None:
    child = any_child(root, chance)
    child.getparent().remove(child)


def repeat(root: etree._Element, chance: random.Random) -> None:
    child = any_child(root, chance)
    for _ in range(chance.choice((1, 10))):
        child.addnext(copy.deepcopy(child))


def swap(root: etree._Element, chance: random.Random) -> None:
    child = any_child(root, chance)
    child.getparent().append(child)


def rename(root: etree._Element, chance: random.Random) -> None:
    child = any_child(root, chance)
    child.tag = chance.choice(
        [f"{{{NAMESPACE}}}nonsense", "nonsense", *(other.tag for other in child.getparent())]
    )


def change_text(root: etree._Element, chance: random.Random) -> None:
    values = [element for element in root.iter() if element.text]
    if values:
        chance.choice(values).text = chance.choice(TEXTS)


def add_text(root: etree._Element, chance: random.Random) -> None:
    any_child(root, chance).tail = chance.choice((" \n\t", "text", "\xa0"))


def add_element(root: etree._Element, chance: random.Random) -> None:
    any_element(root, chance).insert(0, etree.Element(f"{{{NAMESPACE}}}nonsense"))


def add_foreign(root: etree._Element, chance: random.Random) -> None:
    any_child(root, chance).getparent().insert(0, etree.Element("{urn:x}foreign"))


def add_attribute(root: etree._Element, chance: random.Random) -> None:
    names = (
        "nonsense",
        "{urn:x}foreign",
        "href",
        "all",
        "schemaVer",
        f"{{{XSI}}}nil",
        f"{{{XSI}}}schemaLocation",
    )
    any_element(root, chance).set(chance.choice(names), chance.choice(TEXTS))


def change_attribute(root: etree._Element, chance: random.Random) -> None:
    attributed = [element for element in root.iter() if element.attrib]
    if attributed:
        element = chance.choice(attributed)
        element.set(chance.choice(list(element.attrib)), chance.choice((*TEXTS, "%", "a:b")))


def drop_attribute(root: etree._Element, chance: random.Random) -> None:
    attributed = [element for element in root.iter() if element.attrib]
    if attributed:
        element = chance.choice(attributed)
        del element.attrib[chance.choice(list(element.attrib))]


FAULTS = (
    drop,
    repeat,
    swap,
    rename,
    change_text,
    change_text,
    add_text,
    add_element,
    add_foreign,
    add_attribute,
    change_attribute,
    drop_attribute,
)
