"""Requests that two readers of HTTP have been known to read differently, and what is answered to each."""

from __future__ import annotations

from typing import Final

#: What stands behind each of them, and is to be smuggled in.
SECOND: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def _post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((b"POST /edev HTTP/1.1", b"Host: a", *lines, b"", b"")) + body


_CHUNKED: Final = b"Transfer-Encoding: chunked"
_NONE: Final = b"0\r\n\r\n" + SECOND

#: What is refused, with what status, by what it is.
REFUSED: Final[dict[str, tuple[int, bytes]]] = {
    "a length beside chunks": (400, _post(b"Content-Length: 4", _CHUNKED, body=_NONE)),
    "chunks beside a length": (400, _post(_CHUNKED, b"Content-Length: 0", body=_NONE)),
    "two lengths": (400, _post(b"Content-Length: 0", b"Content-Length: 36", body=SECOND)),
    "the same length twice": (400, _post(b"Content-Length: 36", b"Content-Length: 36", body=SECOND)),
    "lengths in a list": (400, _post(b"Content-Length: 0, 36", body=SECOND)),
    "a length with a sign": (400, _post(b"Content-Length: +0", body=SECOND)),
    "a negative length": (400, _post(b"Content-Length: -1", body=SECOND)),
    "a length in hex": (400, _post(b"Content-Length: 0x0", body=SECOND)),
    "a length with a point": (400, _post(b"Content-Length: 0.0", body=SECOND)),
    "an empty length": (400, _post(b"Content-Length:", body=SECOND)),
    "a length of other digits": (400, _post("Content-Length: \u0660".encode(), body=SECOND)),
    "a length beyond all": (400, _post(b"Content-Length: 9999999999999999999999", body=SECOND)),
    "a long length": (413, _post(b"Content-Length: 999999999999", body=SECOND)),
    "another coding": (400, _post(b"Transfer-Encoding: gzip", body=SECOND)),
    "chunked behind another": (400, _post(b"Transfer-Encoding: gzip, chunked", body=_NONE)),
    "chunked twice": (400, _post(_CHUNKED, _CHUNKED, body=_NONE)),
    "chunked and identity": (400, _post(_CHUNKED, b"Transfer-Encoding: identity", body=_NONE)),
    "identity": (400, _post(b"Transfer-Encoding: identity", body=SECOND)),
    "a coding in quotes": (400, _post(b'Transfer-Encoding: "chunked"', body=_NONE)),
    "a coding behind a vertical tab": (400, _post(b"Transfer-Encoding: \x0bchunked", body=_NONE)),
    "a coding with a parameter": (400, _post(b"Transfer-Encoding: chunked;q=1", body=_NONE)),
    "space before the colon": (400, _post(b"Transfer-Encoding : chunked", body=_NONE)),
    "a tab before the colon": (400, _post(b"Content-Length\t: 36", body=SECOND)),
    "a folded header": (400, _post(b"X-A: b", b" Transfer-Encoding: chunked", body=_NONE)),
    "a folded coding": (400, _post(b"Transfer-Encoding:", b" chunked", body=_NONE)),
    "a header folded with a tab": (400, _post(b"X-A: b", b"\tContent-Length: 36", body=SECOND)),
    "a first line that is folded": (400, b"POST /edev HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n"),
    "a bare LF in a header": (400, _post(b"X-A: b\nContent-Length: 36", body=SECOND)),
    "a bare CR in a header": (400, _post(b"X-A: b\rContent-Length: 36", body=SECOND)),
    "NUL in a header": (400, _post(b"X-A: b\x00c", body=SECOND)),
    "NUL in a name": (400, _post(b"Content-Length\x00: 36", body=SECOND)),
    "a header without a colon": (400, _post(b"Content-Length 36", body=SECOND)),
    "a header without a name": (400, _post(b": 36", body=SECOND)),
    "a name that is none": (400, _post(b"Content(Length: 36", body=SECOND)),
    "two hosts": (400, b"GET /dcap HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "no host": (400, b"GET /dcap HTTP/1.1\r\nAccept: */*\r\n\r\n"),
    "a host with a path": (400, b"GET /dcap HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "a host with a space": (400, b"GET /dcap HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "chunks in HTTP/1.0": (400, b"POST /edev HTTP/1.0\r\nHost: a\r\n" + _CHUNKED + b"\r\n\r\n0\r\n\r\n"),
    "two spaces": (400, b"GET  /dcap HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a tab for a space": (400, b"GET\t/dcap HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a space behind the version": (400, b"GET /dcap HTTP/1.1 \r\nHost: a\r\n\r\n"),
    "no version": (400, b"GET /dcap\r\nHost: a\r\n\r\n"),
    "a version that is none": (400, b"GET /dcap HTTP/1.1.1\r\nHost: a\r\n\r\n"),
    "HTTP/2.0": (505, b"GET /dcap HTTP/2.0\r\nHost: a\r\n\r\n"),
    "a small version": (400, b"GET /dcap http/1.1\r\nHost: a\r\n\r\n"),
    "the preface of HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a bare LF behind the request line": (400, b"GET /dcap HTTP/1.1\nHost: a\r\n\r\n"),
    "a bare CR in the request line": (400, b"GET /dcap\rX HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a method that is none": (400, b"G(T /dcap HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a fragment": (400, b"GET /dcap#x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a target in UTF-8": (400, "GET /d\u00e9cap HTTP/1.1\r\nHost: a\r\n\r\n".encode()),
    "an asterisk": (400, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an authority": (400, b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a long target": (414, b"GET /" + b"a" * 300 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an endless request line": (414, b"GET /" + b"a" * 9_000),
    "an endless head": (400, b"GET /dcap HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 9_000),
    "too many lines": (400, b"GET /dcap HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 200 + b"\r\n"),
    "octets of TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "what it expects": (417, _post(b"Expect: 200-ok", b"Content-Length: 1", body=b"a")),
    "a chunk without a size": (400, _post(_CHUNKED, body=b"\r\n" + _NONE)),
    "a chunk of a negative size": (400, _post(_CHUNKED, body=b"-1\r\n" + _NONE)),
    "a size with 0x": (400, _post(_CHUNKED, body=b"0x1\r\na\r\n" + _NONE)),
    "a size that wraps": (400, _post(_CHUNKED, body=b"100000000000000001\r\na\r\n" + _NONE)),
    "a size behind a space": (400, _post(_CHUNKED, body=b" 1\r\na\r\n" + _NONE)),
    "a bare LF behind a size": (400, _post(_CHUNKED, body=b"1\na\r\n" + _NONE)),
    "a bare LF in an extension": (400, _post(_CHUNKED, body=b"1;a\nb\r\na\r\n" + _NONE)),
    "a chunk longer than its size": (400, _post(_CHUNKED, body=b"1\r\nabc\r\n" + _NONE)),
    "a chunk that ends in LF": (400, _post(_CHUNKED, body=b"1\r\na\n" + _NONE)),
    "a chunk that ends in CR CR": (400, _post(_CHUNKED, body=b"1\r\na\r\r" + _NONE)),
    "a huge chunk": (413, _post(_CHUNKED, body=b"7fffffff\r\n")),
    "an endless size": (400, _post(_CHUNKED, body=b"1;" + b"a" * 1_000)),
    "a trailer that is none": (400, _post(_CHUNKED, body=b"0\r\nGET /smuggled HTTP/1.1\r\n\r\n")),
    "a folded trailer": (400, _post(_CHUNKED, body=b"0\r\nA: b\r\n c\r\n\r\n")),
}

#: What is handed on, with the second request left alone behind it: what is sent, and what the server gets.
HANDED_ON: Final[dict[str, tuple[bytes, bytes]]] = {
    "chunks": (
        _post(_CHUNKED, body=b"3\r\nabc\r\n2;a=b\r\nde\r\n0\r\nA: b\r\n\r\n"),
        _post(b"Content-Length: 5", body=b"abcde"),
    ),
    "chunks of nothing": (_post(_CHUNKED, body=b"0\r\n\r\n"), _post(b"Content-Length: 0")),
    "a coding in capitals": (
        _post(b"transfer-encoding: CHUNKED", body=b"1\r\na\r\n0\r\n\r\n"),
        _post(b"Content-Length: 1", body=b"a"),
    ),
    "a request as a body": (
        _post(b"Content-Length: %d" % len(SECOND), body=SECOND),
        _post(b"Content-Length: %d" % len(SECOND), body=SECOND),
    ),
    "a length that Connection names": (
        _post(b"Connection: content-length", b"Content-Length: 1", body=b"a"),
        _post(b"Content-Length: 1", body=b"a"),
    ),
    "a coding that Connection names": (
        _post(b"Connection: transfer-encoding", _CHUNKED, body=b"1\r\na\r\n0\r\n\r\n"),
        _post(b"Content-Length: 1", body=b"a"),
    ),
    "a GET with a body": (
        b"GET /dcap HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
        b"GET /dcap HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
    ),
    "empty lines before": (
        b"\r\n\r\nGET /dcap HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /dcap HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    "an absolute target": (
        b"GET https://b/dcap?1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /dcap?1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
}

#: Header lines that never reach the server.
STRIPPED: Final = (
    b"Client-Cert: :AAAA:",
    b"client-cert: :AAAA:",
    b"CLIENT-CERT-CHAIN: :AAAA:",
    b"Client_Cert: :AAAA:",
    b"client-cert_chain: :AAAA:",
    b"Forwarded: for=192.0.2.1",
    b"X-Forwarded-For: 192.0.2.1",
    b"x-ssl-client-cert: a",
    b"X_Real_IP: a",
    b"Via: 1.0 somebody",
    b"Keep-Alive: timeout=5",
    b"Proxy-Authorization: Basic AAAA",
    b"proxy-connection: keep-alive",
    b"TE: trailers",
    b"Trailer: A",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAAA",
    b"Connection: keep-alive",
)
