"""A stored document with the server's attributes, without reading it: href and pollRate.

What is kept of a resource is the document that `codec.encode` made of its own fields, so that to give it out
is to put a few octets behind the first of its start tag. The result is to the octet what decoding, adding the
attributes and encoding again would give; where that cannot be said, there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from csipd.sep2 import codec
from csipd.sep2.resources import Notification, Resource
from csipd.sep2.schema import fields

_NAMESPACE = f' xmlns="{codec.NAMESPACE}"'.encode()
# Nobody's href: hrefs of the table have no such octet.
_HREF = "|"


def spliced(
    body: bytes, kind: type[Resource], href: str, poll_rate: int | None, *, extensions: bool
) -> bytes | None:
    """A document with its href and pollRate; None where it has to be decoded.

    :param body: what `codec.encode` gave, with extensions, for a value of that very class without attributes
    :param poll_rate: s; None: documents of the class have none
    :param extensions: whether elements that the schema does not know stay
    """
    opening, before, after = _opening(kind, poll_rate)
    if not body.startswith(opening):
        return None  # a class derived from it, or with attributes of its own
    if not extensions and body.find(b"xmlns", len(opening)) >= 0:
        # Whatever is not of the schema declares its namespace.
        return None
    return b"%b%b%b%b" % (before, href.encode(), after, body[len(opening) - 1 :])


@cache
def _opening(kind: type[Resource], poll_rate: int | None) -> tuple[bytes, bytes, bytes]:
    """A start tag without attributes, and around its href with them."""
    given: dict[str, object] = {"href": _HREF, "pollRate": poll_rate}
    shown = [field.name for field in fields(kind) if given.get(field.name) is not None]
    before, _, after = _start_tag(kind, {name: given[name] for name in shown}).partition(_HREF.encode())
    return _start_tag(kind, {}) + b">", before, after


def _start_tag(kind: type[Resource], attributes: Mapping[str, object]) -> bytes:
    """The beginning of a document, but for the last octet of its start tag.

    :param attributes: in the order of the schema
    """
    # Not a value of its class: what a document needs is not there.
    value = kind.__new__(kind)
    value.__dict__.update(attributes)
    return codec.encode(value).removesuffix(b"/>")


def with_resource(notification: Notification, document: bytes) -> bytes:
    """A Notification's octets with a resource, as a GET of it has it.

    :param notification: without one
    :param document: what `codec.encode` gave of the resource
    """
    around = codec.encode(notification)
    if notification.newResourceURI is not None:
        raise ValueError("a Notification of what has moved has no resource")
    kind = document[1 : min(document.index(b" "), document.index(b">"))]
    inner = document[len(kind) + 1 :].replace(_NAMESPACE, b"", 1)
    if not inner.endswith(b"/>"):
        inner = inner[: -len(kind) - 1] + b"Resource>"
    before, mark, after = around.partition(b"</subscribedResource>")
    return b'%b%b<Resource xsi:type="%b"%b%b' % (before, mark, kind, inner, after)
