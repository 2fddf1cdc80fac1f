"""Requests of every kind from everybody, for hypothesis to draw: right ones, odd ones and wrong ones."""

from __future__ import annotations

import re
from typing import Any

import attrs
from hypothesis import strategies as st

from csipd.net.identity import Identity
from csipd.sep2 import codec
from csipd.sep2.site import SERVED, TABLE, locate
from tests.support.bodies import FULL
from tests.support.metering import WATTS, meter, reading, reading_set, usage_point
from tests.support.world import AGGREGATOR, EVERYBODY, MANAGED, OWNER, end_device

#: Those who may do something come more often than all the others.
callers = st.sampled_from([OWNER] * 8 + [AGGREGATOR] * 6 + [MANAGED] * 2 + list(EVERYBODY.values()))
seldom = st.sampled_from([False] * 9 + [True])
methods = st.sampled_from(
    ["GET"] * 6
    + ["PUT"] * 6
    + ["POST"] * 3
    + ["HEAD", "DELETE", "DELETE", "OPTIONS", "PATCH", "FOO", "TRACE", "get"]
)

# What stands in the place of a number: mostly one that is there.
_numbers = st.sampled_from(
    [str(number) for number in range(1, 13)]
    + ["0", "01", "-1", "+1", "1e3", "%31", "{id1}", "", "x", "9223372036854775807", "1" * 25]
)
_target = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#?")
_segments = st.one_of(
    st.text(_target, max_size=8),
    st.sampled_from(["..", ".", "%00", "%ff", "%2e%2e", "%", "%zz", "edev", "derp", "dcap", "1", "<id1>"]),
)


@st.composite
def routes(draw: st.DrawFn, own: str) -> str:
    """A path that is one of the standard's, mostly one below a device of the caller's own."""
    row = draw(st.sampled_from(list(SERVED.values()) * 12 + list(TABLE)))
    usual = {"{id1}": own if row.segments[0] == "edev" else "1"}

    def number(place: re.Match[str]) -> str:
        return draw(_numbers) if draw(seldom) else usual.get(place[0], "1")

    return re.sub(r"\{id\d\}", number, row.uri)


nowhere = st.lists(_segments, max_size=6).map(lambda parts: "/" + "/".join(parts))
_values = st.one_of(
    st.integers(-3, 20).map(str),
    st.sampled_from(
        ["", "255", "1767225600", str(2**63), str(-(2**63)), "1e9", "%31", "%FF", "+", "٣", "0x1"]
    ),
    st.text(_target, max_size=6),
)
queries = st.lists(
    st.tuples(st.sampled_from(["s", "l", "a", "b", "S", "%73", ""]), _values).map("=".join)
    | st.text(_target, max_size=8),
    max_size=4,
).map("&".join)
_header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Accept": st.sampled_from(["application/sep-exi", "*/*", "application/sep+xml;level=-S1", ";", "q=0"])
        | _header_values,
        "Content-Type": st.sampled_from([None, "application/sep-exi", "text/plain", ";;=", "text/xml"])
        | _header_values,
        "Host": st.sampled_from(["localhost", "", "a:b:c", "x y", "[::1]:443", "/"]),
        "Connection": st.sampled_from(["close", "keep-alive", "upgrade", ",,"]),
        "Cookie": _header_values,
        "If-None-Match": _header_values,
        "If-Modified-Since": _header_values,
        "Range": st.sampled_from(["bytes=0-1", "bytes=-", "x"]),
        "Accept-Encoding": st.sampled_from(["gzip", "identity;q=0"]),
        "Authorization": _header_values,
        "X-Forwarded-For": _header_values,
        "X-HTTP-Method-Override": st.just("DELETE"),
    },
)

#: A body that is right for each resource that is written.
BODIES: dict[str, bytes] = {name: codec.encode(body) for name, body in FULL.items()}
BODIES["Response"] = codec.encode(FULL["DERControlResponse"].replace(endDeviceLFDI=OWNER.lfdi))
_METERED = meter("A1", WATTS, reading(5), reading_set("B1", [1, 2, 3]))
BODIES["MirrorUsagePoint"] = codec.encode(usage_point(OWNER, "F0", _METERED))
BODIES["MirrorMeterReading"] = codec.encode(_METERED)
BODIES["EndDevice"] = codec.encode(end_device(OWNER, deviceCategory=5, postRate=9))


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """A body with a few things wrong with it, or nothing."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        to = min(len(body), at + draw(st.integers(0, 30)))
        match draw(st.integers(0, 7)):
            case 0:
                body = body[:at] + body[to:]
            case 1:
                body = body[:at] + draw(st.binary(max_size=8)) + body[to:]
            case 2:
                body = body[:to] + body[at:]
            case 3:
                number = draw(
                    st.sampled_from([b"-1", b"0", b"99999999999999999999", b"", b"1.5", b"2147483648"])
                )
                body = re.sub(rb">-?\d+<", b">" + number + b"<", body, count=1)
            case 4:
                elements = re.findall(rb"<(\w+)>[^<]*</\1>", body)
                if elements:
                    name = draw(st.sampled_from(elements))
                    whole = re.search(rb"<" + name + rb">[^<]*</" + name + rb">", body)
                    assert whole is not None
                    part = whole[0]
                    body = draw(
                        st.sampled_from([body.replace(part, b"", 1), body.replace(part, part * 2, 1)])
                    )
            case 5:
                body = (
                    draw(st.sampled_from([b"\xef\xbb\xbf", b"<?xml version='1.0'?>", b" \n", b"<!-- -->"]))
                    + body
                )
            case 6:
                body = re.sub(rb"<(\w+)>", rb"<x:\1 xmlns:x='urn:x'>", body, count=1)
            case 7:
                text = draw(
                    st.sampled_from(
                        [b"&amp;", b"&#0;", b"&undefined;", b"]]>", b"<![CDATA[1]]>", "é€".encode()]
                    )
                )
                body = re.sub(rb">[^<]+<", b">" + text + b"<", body, count=1)
    return body


bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=60),
    st.sampled_from(sorted(BODIES)).flatmap(lambda name: mutated(BODIES[name])),
    st.sampled_from([b"<a" * 3000, b"<a>" * 500, b"{}", b"<Error xmlns='urn:ieee:std:2030.5:ns'/>"]),
)


@attrs.frozen
class Asked:
    """A request."""

    who: Identity
    method: str
    path: str
    query: str | None
    headers: dict[str, Any]
    body: bytes | None

    @property
    def target(self) -> str:
        return self.path if self.query is None else f"{self.path}?{self.query}"


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    who, method = draw(callers), draw(methods)
    own = "1" if who is OWNER else "5"
    path = draw(nowhere) if draw(seldom) else draw(routes(own))
    place = locate(path)
    body: bytes | None = None
    if method in ("PUT", "POST", "PATCH") or draw(seldom):
        name = place.row.resource_type.__name__.removesuffix("List") if place else ""
        if name == "MirrorUsagePoint" and method == "POST" and path != "/mup":
            name = "MirrorMeterReading"
        meant = mutated(BODIES[name]) if name in BODIES else bodies
        body = draw(bodies) if draw(seldom) else draw(meant)
    return Asked(who, method, path, draw(st.none() | queries), draw(headers) if draw(seldom) else {}, body)
