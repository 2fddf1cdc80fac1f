"""What a proxy hands on of a device: its certificate and those above it, as two headers (RFC 9440).

    Client-Cert: :base64 of the certificate in DER:
    Client-Cert-Chain: :base64 of its issuer's:, :...:

The base64 of an octet string is read in one spelling only, and each header has one line, so that what is
kept under these octets is kept once. A certificate is known by nothing but its own octets: whether it is good
is judged by the same roots and rules as in a handshake (`csipd.net.tls.ServerTLS.judge`).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable, Sequence

from attrs import frozen

from csipd.net.http_grammar import END_OF_HEAD
from csipd.net.identity import Identity, IdentityOf
from csipd.sep2.certificates import LONGEST_CHAIN, ChainRefused
from csipd.sep2.identity import lfdi

CLIENT_CERT = b"Client-Cert"
CLIENT_CERT_CHAIN = b"Client-Cert-Chain"
#: What a proxy asks on a new connection before it speaks for anybody: whether it is believed. If so it may
#: ask for nothing in its own name, and gets 403. Anybody else gets something else, and would be taken for who
#: asks whatever follows.
PROBE = b"HEAD /dcap HTTP/1.1\r\nHost: csipd\r\n\r\n"
#: Octets of both headers at most: four certificates of a kilobyte, and room.
LONGEST = 8 * 1024

_CERT = b"%b: " % CLIENT_CERT
_CHAIN = b"%b: " % CLIENT_CERT_CHAIN
_BYTES = re.compile(rb":([A-Za-z0-9+/]+={0,2}):")
_COMMA = re.compile(rb"[ \t]*,[ \t]*")


class HopRefused(Exception):
    """A request of a proxy that says nothing good of whose it is.

    :param reason: one line for the log, from a fixed vocabulary
    :param lfdi: whose it says that it is, as far as it does
    """

    def __init__(self, reason: str, lfdi: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lfdi = lfdi


@frozen
class HandedOn:
    """The certificates of a device, in DER.

    :param leaf: its own
    :param above: those of the CAs between it and its root, which may be left out
    """

    leaf: bytes
    above: tuple[bytes, ...] = ()


@frozen
class Judged:
    """A device whose certificate is good.

    :param until: how long it is if nothing is read anew: the end of the first certificate of its chain (epoch
        s, by the clock that devices see)
    """

    identity: Identity
    until: float


#: Says who a device is. HopRefused: its certificate is not good, or a proxy's.
Judge = Callable[[HandedOn], Judged]


def judge_by(
    chain_end: Callable[[bytes, Sequence[bytes]], float],
    identity_of: IdentityOf,
    seen: Callable[[float], float] = float,
) -> Judge:
    """A `Judge`.

    :param chain_end: judges a leaf and what is above it, and gives when the chain ends (epoch s, by the
        machine's clock); ChainRefused (`csipd.net.tls.ServerTLS.judge`)
    :param seen: gives what the clock that devices see shows at a moment of the machine's
    """

    def judge(handed_on: HandedOn) -> Judged:
        try:
            until = chain_end(handed_on.leaf, handed_on.above)
        except ChainRefused as refused:
            raise HopRefused(refused.reason, lfdi(handed_on.leaf)) from None
        return Judged(identity_of(handed_on.leaf), seen(until))

    return judge


def header_lines(certificates: HandedOn) -> bytes:
    """The header lines, each with its CRLF, that a proxy sends first behind the request line."""
    lines = b"%b%b\r\n" % (_CERT, _written(certificates.leaf))
    if certificates.above:
        lines += b"%b%b\r\n" % (_CHAIN, b", ".join(map(_written, certificates.above)))
    return lines


def cut_out(data: bytes, at: int) -> tuple[bytes, bytes, int] | None:
    """The header lines of a request that say whose it is, its head without them, and where that ends.

    None: the head is not all there, or they are not where and how csipd's own proxy writes them.

    :param at: where in the octets the request begins
    """
    line = data.find(b"\r\n", at) + 2
    if line < 2 or not data.startswith(_CERT, line):
        return None
    rest = data.find(b"\r\n", line) + 2
    if data.startswith(_CHAIN, rest):
        rest = data.find(b"\r\n", rest) + 2
    end = data.find(END_OF_HEAD, rest - 2) + 4
    if rest < 2 or end < 4:
        return None
    return data[line:rest], data[at:line] + data[rest:end], end


def read_lines(block: bytes) -> HandedOn:
    """What header lines say that were cut out of a request.

    :raises HopRefused: they say nothing, or in another form
    """
    lines = block.split(b"\r\n")
    certs = [line[len(_CERT) :] for line in lines if line.startswith(_CERT)]
    chains = [line[len(_CHAIN) :] for line in lines if line.startswith(_CHAIN)]
    return read(certs, chains)


def read(certs: Sequence[bytes], chains: Sequence[bytes]) -> HandedOn:
    """What the values of these headers say, of which there may be one each.

    :raises HopRefused: they say nothing, or in another form
    """
    if not certs:
        raise HopRefused("no Client-Cert")
    if len(certs) > 1 or len(chains) > 1:
        raise HopRefused("more than one Client-Cert or Client-Cert-Chain")
    if len(certs[0]) + sum(map(len, chains)) > LONGEST:
        raise HopRefused("a Client-Cert that is too long")
    above = [_octets(each) for chain in chains for each in _COMMA.split(chain)]
    if len(above) >= LONGEST_CHAIN:
        raise HopRefused("a Client-Cert-Chain that is too long")
    return HandedOn(_octets(certs[0]), tuple(above))


def _written(der: bytes) -> bytes:
    return b":%b:" % b64encode(der)


def _octets(value: bytes) -> bytes:
    """The octets that a byte sequence (RFC 8941 3.3.5) stands for."""
    found = _BYTES.fullmatch(value)
    try:
        octets = b64decode(found[1], validate=True) if found is not None else b""
    except Error:
        octets = b""
    if found is None or b64encode(octets) != found[1]:
        raise HopRefused("a malformed Client-Cert or Client-Cert-Chain")
    return octets
