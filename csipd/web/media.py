"""Media types: what a client sends and what it can take (IEEE 2030.5-2018 5.6).

Of the standard's two encodings csipd speaks XML, ``application/sep+xml``. EXI is answered with 406 where
only it would be accepted and with 415 where it is sent. A ``level`` of ``-S1`` says that its sender can
parse nothing beyond the base schema (5.7.2).
"""

from __future__ import annotations

from attrs import frozen

#: Ranges in an Accept header that XML in the standard's own type falls under. Generic XML types are taken
#: leniently: a person's browser or curl sends them.
_ACCEPTABLE = frozenset(
    ("application/sep+xml", "application/*", "*/*", "application/xml", "text/xml", "text/*")
)
_SENDABLE = frozenset(("application/sep+xml", "application/xml", "text/xml"))


@frozen
class Wanted:
    """What a client can take.

    :param xml: whether it takes our XML at all
    :param extensions: whether elements beyond the base schema may be sent to it
    """

    xml: bool
    extensions: bool


def wanted(accept: str | None) -> Wanted:
    """Read an Accept header; none at all takes anything."""
    if not accept:
        return Wanted(xml=True, extensions=True)
    for part in accept.split(","):
        kind, parameters = _parts(part)
        if kind in _ACCEPTABLE and parameters.get("q", "1").strip("0.") != "":
            return Wanted(xml=True, extensions=parameters.get("level") != "-s1")
    return Wanted(xml=False, extensions=False)


def is_xml(content_type: str | None) -> bool:
    """Whether a body of this Content-Type can be read: XML in UTF-8."""
    if content_type is None:
        return False
    kind, parameters = _parts(content_type)
    return kind in _SENDABLE and parameters.get("charset", "utf-8") in ("utf-8", "utf8")


def _parts(text: str) -> tuple[str, dict[str, str]]:
    kind, *parameters = text.lower().split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return kind.strip(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}
