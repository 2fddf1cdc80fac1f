"""How a device's verified certificate is handed on: Client-Cert and Client-Cert-Chain (RFC 9440)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence


def header_lines(chain: Sequence[bytes]) -> bytes:
    """The two header lines, each with its CRLF, in the order in which the server looks for them.

    The root is left out, since the server has its own; but where it is all that stands above the device's
    certificate, so that both headers are always there.

    :param chain: as it was verified, in DER: the device's own certificate first, the root last
    """
    leaf, *above = chain
    handed_on = above[:-1] or above or [leaf]
    return b"Client-Cert: %b\r\nClient-Cert-Chain: %b\r\n" % (
        _octets(leaf),
        b", ".join(map(_octets, handed_on)),
    )


def _octets(der: bytes) -> bytes:
    """A byte sequence, as a structured field has it (RFC 8941 3.3.5)."""
    return b":%b:" % b64encode(der)
