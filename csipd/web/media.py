"""Media types: what a client sends and what it can take (IEEE 2030.5-2018 5.6).

Of the standard's two encodings csipd speaks XML, ``application/sep+xml``. EXI is answered with 406 where
nothing else is asked for and with 415 where it is sent. Whoever asks for anything else gets XML: HTTP lets a
server disregard Accept (RFC 9110 12.5.1), and clients that name JSON or HTML alone read XML all the same. A
``level`` of ``-S1`` says that its sender can parse nothing beyond the base schema (5.7.2).
"""

from __future__ import annotations

from functools import lru_cache

from attrs import frozen

#: Encodings of the standard that are not spoken here, in the names that are in use.
_EXI = frozenset(("application/sep-exi", "application/sep+exi", "application/exi"))
# Headers whose meaning is kept: a client sends the same ones each time.
_KEPT = 256
_SENDABLE = frozenset(("application/sep+xml", "application/xml", "text/xml"))


@frozen
class AcceptedMedia:
    """What a client can take.

    :param xml: whether it takes our XML at all
    :param extensions: whether elements beyond the base schema may be sent to it
    """

    xml: bool
    extensions: bool


@lru_cache(maxsize=_KEPT)
def wanted(accept: str | None) -> AcceptedMedia:
    """Read an Accept header; none at all takes anything."""
    if not accept:
        return AcceptedMedia(xml=True, extensions=True)
    asked = [_parts(part) for part in accept.split(",")]
    wished = {kind for kind, parameters in asked if parameters.get("q", "1").strip("0.")}
    xml = not wished or not wished <= _EXI
    # A client that cannot parse more than the base schema says so once, in whatever place.
    return AcceptedMedia(xml, extensions=xml and all(given.get("level") != "-s1" for _, given in asked))


@lru_cache(maxsize=_KEPT)
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
