"""Requests as octets, for hypothesis to draw: framed rightly and wrongly, in rows, cut anywhere."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from tests.support.asking import BODIES, asked, methods, seldom
from tests.support.client import SEP_XML

HEAD = f"Host: localhost\r\nAccept: {SEP_XML}\r\n"
_LENGTH = "Content-Type: {type}\r\nContent-Length: {length}\r\n"

#: How a body is measured; nearly always in the one right way.
_framings = st.sampled_from(
    ["right"] * 9
    + ["chunked"] * 3
    + ["expect", "expect", "expect chunked", "late", "short", "long", "none", "both", "twice", "huge"]
    + ["bad chunk", "identity", "not a number", "other type", "no type"]
)
#: What is odd about a head, as a function of it.
ODDITIES = {
    "lower case": lambda head: re.sub(rb"(?m)^[A-Za-z-]+:", lambda name: name[0].lower(), head),
    "absolute": lambda head: head.replace(b" /", b" https://localhost/", 1),
    "absolute, upper case": lambda head: head.replace(b" /", b" HTTPS://a:443/", 1),
    "1.0": lambda head: head.replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "1.0 in a header": lambda head: head.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nX: a HTTP/1.1\r\n", 1),
    "2.0": lambda head: head.replace(b"HTTP/1.1", b"HTTP/2.0", 1),
    "no version": lambda head: head.replace(b" HTTP/1.1", b"", 1),
    "two blanks": lambda head: head.replace(b" /", b"  /", 1),
    "blank line first": lambda head: b"\r\n" + head,
    "two blank lines first": lambda head: b"\r\n\r\n" + head,
    "no host": lambda head: re.sub(rb"(?i)\r\nhost:[^\r]*", b"", head),
    "two hosts": lambda head: _with(head, b"Host: localhost"),
    "bad host": lambda head: head.replace(b"Host: localhost", b"Host: a b", 1),
    "host at the end": lambda head: _with(head.replace(b"Host: localhost\r\n", b"", 1), b"Host: localhost"),
    "bare newlines": lambda head: head.replace(b"\r\n", b"\n"),
    "one bare newline": lambda head: head.replace(b"\r\nAccept", b"\nAccept", 1),
    "bare return": lambda head: head.replace(b"\r\nAccept", b"\rAccept", 1),
    "no blanks": lambda head: head.replace(b": ", b":"),
    "many blanks": lambda head: head.replace(b": ", b": \t  ").replace(b"\r\n", b" \r\n", 3),
    "blank before colon": lambda head: head.replace(b"Accept:", b"Accept :", 1),
    "folded": lambda head: _with(head, b"X: a\r\n b"),
    "no colon": lambda head: _with(head, b"nonsense"),
    "no name": lambda head: _with(head, b": x"),
    "nul": lambda head: _with(head, b"X: a\0b"),
    "latin": lambda head: _with(head, b"X: \xe9\xff"),
    "latin in accept": lambda head: head.replace(b"Accept: ", b"Accept: \xe9", 1),
    "two accepts": lambda head: _with(head, b"Accept: application/sep-exi"),
    "no accept": lambda head: re.sub(rb"\r\nAccept:[^\r]*", b"", head),
    "exi": lambda head: re.sub(rb"\r\nAccept:[^\r]*", b"\r\nAccept: application/sep-exi", head),
    "level": lambda head: re.sub(rb"\r\nAccept:[^\r]*", b"\r\nAccept: application/sep+xml; level=-S1", head),
    "close": lambda head: _with(head, b"Connection: close"),
    "close among others": lambda head: _with(head, b"connection: keep-alive, Close"),
    "keep alive": lambda head: _with(head, b"Connection: keep-alive"),
    "upgrade": lambda head: _with(head, b"Connection: Upgrade\r\nUpgrade: h2c"),
    "expect": lambda head: _with(head, b"Expect: 100-continue"),
    "expect something else": lambda head: _with(head, b"Expect: a miracle"),
    "length of nothing": lambda head: _with(head, b"Content-Length: 0"),
    "a te": lambda head: _with(head, b"TE: trailers"),
    "large": lambda head: _with(head, b"X: " + b"x" * 1100),
    "too large": lambda head: _with(head, b"X: " + b"x" * 8200),
    "many headers": lambda head: _with(head, b"\r\n".join(b"X%d: y" % number for number in range(99))),
    "long target": lambda head: head.replace(b" HTTP", b"?" + b"x" * 250 + b" HTTP", 1),
    "fragment": lambda head: head.replace(b" HTTP", b"#x HTTP", 1),
    "method override": lambda head: _with(head, b"X-HTTP-Method-Override: DELETE"),
    "conditional": lambda head: _with(head, b"If-None-Match: *\r\nIf-Modified-Since: x\r\nRange: bytes=0-1"),
    "client cert": lambda head: _with(head, b"Client-Cert: :AAAA:"),
    "client cert in lower case": lambda head: _with(head, b"client-cert-chain: x\r\nclient-cert: :AAAA:"),
    "user agent": lambda head: _with(head, b"User-Agent: a device"),
}
_oddities = st.sampled_from([None] * 2 * len(ODDITIES) + list(ODDITIES))
#: What follows a request at times and is none.
GARBAGE = (
    b"\r\n",
    b"\0",
    b"\x16\x03\x01",
    b"GET",
    b"GET / HTTP",
    b"\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


#: What devices PUT, and where below their EndDevice.
_REPORTS = {
    "DERStatus": "der/1/ders",
    "DERSettings": "der/1/derg",
    "DERCapability": "der/1/dercap",
    "DeviceStatus": "dstat",
}


def _with(head: bytes, line: bytes) -> bytes:
    """A head with one line more at its end."""
    return head[:-2] + line + b"\r\n\r\n"


def plain(path: str, method: str = "GET") -> bytes:
    """What an ordinary device sends that wants to know something."""
    return f"{method} {path} HTTP/1.1\r\n{HEAD}\r\n".encode()


def written(method: str, path: str, body: bytes) -> bytes:
    """What an ordinary device sends that tells something."""
    length = _LENGTH.format(type=SEP_XML, length=len(body))
    return f"{method} {path} HTTP/1.1\r\n{HEAD}{length}\r\n".encode() + body


def _chunks(draw: st.DrawFn, body: bytes) -> bytes:
    size = max(1, len(body) // draw(st.integers(1, 4)))
    extension = draw(st.sampled_from([b"", b"", b";a=b"]))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    trailer = draw(st.sampled_from([b"", b"", b"Trailer: x\r\n"]))
    return (
        b"".join(b"%x%b\r\n%b\r\n" % (len(each), extension, each) for each in pieces)
        + b"0\r\n%b\r\n" % trailer
    )


@st.composite
def request(draw: st.DrawFn, usual: tuple[str, ...]) -> bytes:
    """The octets of one request.

    :param usual: paths that its sender asks for all the time
    """
    match draw(st.sampled_from(["read"] * 3 + ["write"] * 2 + ["anything"])):
        case "read":
            path = draw(st.sampled_from(usual))
            found = plain(path, "HEAD" if draw(seldom) else "GET")
        case "write":
            name, path = draw(st.sampled_from(sorted(_REPORTS.items())))
            found = written("PUT", f"/edev/{draw(st.sampled_from((1, 5)))}/{path}", BODIES[name])
        case _:
            found = _anything(draw)
    oddity = draw(_oddities)
    if oddity is None:
        return found
    head, end, body = found.partition(b"\r\n\r\n")
    return ODDITIES[oddity](head + end) + body


def _anything(draw: st.DrawFn) -> bytes:
    drawn = draw(asked())
    method = draw(methods) if draw(seldom) else drawn.method
    fields = {"Host": "localhost", "Accept": SEP_XML} | drawn.headers
    kind = fields.pop("Content-Type", SEP_XML)
    head = f"{method} {drawn.target} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
    if drawn.body is None:
        return (head + "\r\n").encode()
    body = drawn.body
    framing = draw(_framings)
    length: object = len(body)
    sent = body
    more = ""
    match framing:
        case "short":
            length = max(0, len(body) - draw(st.integers(1, 9)))
        case "long":
            length = len(body) + draw(st.integers(1, 9))
        case "huge":
            length = draw(st.sampled_from([70_000, 10**30, "9" * 5000]))
        case "not a number":
            length = draw(st.sampled_from(["x", "-1", "+5", "5, 5", "0x5", "", "0 0"]))
        case "other type":
            kind = draw(st.sampled_from(["text/xml", "application/sep-exi", ";;=", "application/SEP+XML"]))
        case "no type":
            kind = None
        case "none":
            length = None
        case "twice":
            more = f"Content-Length: {len(body)}\r\n"
        case "both":
            more = "Transfer-Encoding: chunked\r\n"
        case "identity":
            more, length = "Transfer-Encoding: identity\r\n", None
        case "expect":
            more = "Expect: 100-continue\r\n"
        case "late":
            # A client that never hears what it waits for.
            more, sent = "Expect: 100-continue\r\n", b""
        case "chunked" | "expect chunked" | "bad chunk":
            more, length = "Transfer-Encoding: chunked\r\n", None
            sent = _chunks(draw, body) if framing != "bad chunk" else b"zz\r\n" + body
            if framing == "expect chunked":
                more += "Expect: 100-continue\r\n"
    if kind is not None:
        head += f"Content-Type: {kind}\r\n"
    if length is not None:
        head += f"Content-Length: {length}\r\n"
    return (head + more + "\r\n").encode() + sent


@st.composite
def burst(draw: st.DrawFn, usual: tuple[str, ...]) -> bytes:
    """Some requests one behind the other, with garbage behind them at times."""
    several = draw(st.sampled_from([1] * 8 + [2, 2, 3, 8]))
    data = b"".join(draw(request(usual)) for _ in range(several))
    return data + draw(st.sampled_from(GARBAGE)) if draw(seldom) else data


@st.composite
def reads(draw: st.DrawFn, data: bytes) -> tuple[tuple[bytes, ...], ...]:
    """Octets as they come in: whole as a rule, else cut into reads, and reads into records."""
    match draw(st.sampled_from(["whole"] * 5 + ["cut"] * 3 + ["records", "head", "drops"])):
        case "whole":
            return ((data,),)
        case "head":
            at = data.find(b"\r\n\r\n") + 4
            at += draw(st.integers(-3, 3))
            return tuple((piece,) for piece in (data[:at], data[at:]) if piece)
        case "drops":
            first = min(len(data), draw(st.integers(1, 60)))
            return tuple((data[at : at + 1],) for at in range(first)) + (
                ((data[first:],),) if data[first:] else ()
            )
        case how:
            cuts = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=5)))
            pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if data[a:b]]
            return (tuple(pieces),) if how == "records" else tuple((piece,) for piece in pieces)
