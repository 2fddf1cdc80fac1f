"""Media types: what a client sends and what it can take (IEEE 2030.5-2018 5.6).

Of the standard's two encodings csipd speaks XML, ``application/sep+xml``. EXI is answered with 406 where
only it would be accepted and with 415 where it is sent. A ``level`` of ``-S1`` says that its sender can
parse nothing beyond the base schema (5.7.2).
"""

from __future__ import annotations

from attrs import frozen

#: What covers XML in the standard's own type, the most specific first: that is what counts (RFC 9110 12.5.1).
_RANGES = ("application/sep+xml", "application/*", "*/*")
#: Taken leniently where none of these is named: a person's browser or curl sends them.
_GENERIC = ("application/xml", "text/xml", "text/*")
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
    asked: dict[str, dict[str, str]] = {}
    for part in accept.split(","):
        kind, parameters = _parts(part)
        asked.setdefault(kind, parameters)
    named = [kind for kind in _RANGES if kind in asked][:1] or [kind for kind in _GENERIC if kind in asked]
    xml = any(asked[kind].get("q", "1").strip("0.") for kind in named)
    # A client that cannot parse more than the base schema says so once, in whatever place.
    return Wanted(xml, extensions=xml and all(given.get("level") != "-s1" for given in asked.values()))


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
