"""The keys of plain HTTP, and of where devices begin: ``http_port``, ``http_mode``, ``dcap_path``."""

from __future__ import annotations

import re
from typing import Final

from csipd.config.document import Node
from csipd.config.doors import PlainHTTP, PlainMode
from csipd.config.fields import Fields, InvalidValue, integer, scalar, word_of
from csipd.sep2.layout import is_free

#: Octets of a path: clients copy an href into 64 octets, of which one ends it.
_LONGEST: Final = 63
#: Segments of dots alone are taken out of a path before it is sent (RFC 3986 5.2.4), and would not arrive.
_SEGMENTS: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.~-]+)+")


def read_plain(top: Fields, *, named: bool, https_port: int | None) -> PlainHTTP | None:
    """The listener without TLS; None: there is none.

    What it answers leads to the server's name and port, so the file has to say both.

    :param named: whether it says by which name clients call the server
    :param https_port: None: the file lacks it
    """
    port = top.get("http_port", integer(0, 65_535), None)
    mode = top.get("http_mode", word_of(PlainMode), PlainMode.DCAP)
    if port is None:
        if top.has("http_mode") and not top.has("http_port"):
            top.error("http_mode", "expected http_port beside it; without it there is no plain HTTP")
        return None
    if not named:
        top.error(
            "http_port",
            "expected server_names beside it, since server is every address: plain HTTP leads clients to the "
            "first of them",
        )
    if https_port == 0:
        top.error(
            "http_port", "expected an https_port that is known beforehand beside it, got 0: any free one"
        )
    return PlainHTTP(port, mode)


def dcap_path(node: Node) -> str:
    """Where DeviceCapability is: a path that no other resource has or could have."""
    expected = f"a path of at most {_LONGEST} characters that is no resource's, such as /sep2/dcap"
    written = scalar(node, expected).text
    if len(written) > _LONGEST or not _SEGMENTS.fullmatch(written) or not is_free(written):
        raise InvalidValue(expected)
    return written
