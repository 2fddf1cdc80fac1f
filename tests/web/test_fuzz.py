"""Whatever anybody sends, the server answers in form, and nothing in it breaks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import attrs
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.identity import Identity
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.site import SERVED, TABLE, locate
from tests.support.bodies import FULL, MINIMAL
from tests.support.client import Answer
from tests.support.examples import fewer
from tests.support.schema import validate
from tests.support.walk import EVERYTHING, judge, walk
from tests.support.world import (
    AGGREGATOR,
    ALLOW_ALL,
    EVERYBODY,
    IN_BAND,
    MANAGED,
    NAMESPACE,
    OWNER,
    World,
    end_device,
)

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
        meant = mutated(BODIES[name]) if name in BODIES else bodies
        body = draw(bodies) if draw(seldom) else draw(meant)
    return Asked(who, method, path, draw(st.none() | queries), draw(headers) if draw(seldom) else {}, body)


class FuzzCase(SynchronousTestCase):
    """What holds for every answer."""

    #: Nothing else is ever answered here; 505 and 503 have causes that are not at hand.
    STATUSES = frozenset((200, 201, 204, 400, 403, 404, 405, 406, 409, 413, 414, 415, 501))

    def setUp(self) -> None:
        self.world = self.make()
        whole = [path for path in walk(self.world, OWNER) if path.endswith(EVERYTHING)]
        self.lists = [path.removesuffix(EVERYTHING) for path in whole]

    def make(self, policy: Any = IN_BAND) -> World:
        world = World(Path(self.mktemp()), policy=policy)
        self.addCleanup(world.close)
        return world

    def assertForm(self, answer: Answer, method: str, path: str) -> None:
        """An answer has a status that is known, and the body and headers that belong to it."""
        self.assertIn(answer.status, self.STATUSES, answer)
        if answer.status == 204:
            self.assertEqual(answer.body, b"")
        elif answer.status == 201:
            self.assertEqual(answer.body, b"")
            self.assertIsNotNone(locate(answer.headers["location"]), answer)
        elif answer.status == 200:
            if method != "HEAD":
                # Of an unreserved character its escape is another spelling (RFC 3986 6.2.2.2).
                judge(unquote(path), answer)
        else:
            self.assertEqual(answer.headers["content-type"], "application/sep+xml", answer)
            if method != "HEAD":
                validate(answer.body)
                self.assertEqual(etree.fromstring(answer.body).tag, f"{NAMESPACE}Error")
        self.assertEqual("allow" in answer.headers, answer.status == 405)
        self.assertEqual("location" in answer.headers, answer.status in (201, 409))

    def assertUnbroken(self) -> None:
        """Nothing went wrong behind the answers."""
        self.assertEqual(self.flushLoggedErrors(), [])


class RequestTests(FuzzCase):
    """Requests of every kind."""

    @fewer(2)
    @given(st.sampled_from([IN_BAND, ALLOW_ALL]), st.lists(asked(), min_size=4, max_size=16))
    def test_anything(self, policy: Any, requests: list[Asked]) -> None:
        """Any method, path, query, headers and body from anybody is answered; what is there stays sound."""
        world = self.make(policy)
        for each in requests:
            answer = world.send(each.who, each.method, each.target, each.body, each.headers)
            self.assertForm(answer, each.method, each.path)
        for who in (OWNER, MANAGED):
            device = world.document(who, "/edev")
            self.assertEqual(len(device), 1 if device.get("all") == "1" else 0)
        world.close()
        self.assertUnbroken()

    def test_every_route(self) -> None:
        """Each route is answered for each caller and method, with a body that is not meant for it."""
        ids = attrs.asdict(self.world.numbers)
        for row in SERVED.values():
            for device in (ids["managed"], ids["owner"]):
                path = row.href((device, 1, 1)[: row.uri.count("{")])
                for who in (OWNER, AGGREGATOR, EVERYBODY["unknown"]):
                    for method in ("GET", "PUT", "POST", "OPTIONS", "FOO"):
                        body = BODIES["DERStatus"] if method != "GET" else None
                        self.assertForm(self.world.send(who, method, path, body), method, path)
        self.assertUnbroken()

    @fewer(2)
    @given(st.data())
    def test_lists(self, data: st.DataObject) -> None:
        """Any query of any list is a page of it or 400."""
        path = data.draw(st.sampled_from(self.lists))
        for query in data.draw(st.lists(queries, min_size=1, max_size=8)):
            answer = self.world.get(OWNER, f"{path}?{query}")
            self.assertForm(answer, "GET", path)
            self.assertIn(answer.status, (200, 400, 414))
        self.assertUnbroken()


class BodyTests(FuzzCase):
    """Bodies that are nearly right, where they may be written."""

    @fewer(2)
    @given(
        st.lists(
            st.sampled_from(sorted(BODIES)).flatmap(
                lambda name: st.tuples(st.just(name), mutated(BODIES[name]))
            ),
            min_size=1,
            max_size=12,
        )
    )
    def test_mutated(self, sent: list[tuple[str, bytes]]) -> None:
        """A body with something wrong in it is taken or refused, and what is then served is valid."""
        places = {
            row.resource_type.__name__: row.href((self.world.numbers.owner, 1))
            for row in SERVED.values()
            if row.put and row.name != "SupportedLocale" and row.uri.count("{") < 3
        }
        device = f"/edev/{self.world.numbers.owner}"
        lists = {
            "SupportedLocale": (f"{device}/di/loc", (201, 400)),
            "LogEvent": (f"{device}/lel", (201, 400)),
            # Another's LFDI is as good a value as one's own.
            "DERControlResponse": ("/rsps/1/rsp", (201, 400, 403)),
            "Response": ("/rsps/1/rsp", (201, 400, 403)),
        }
        for name, body in sent:
            if name in lists:
                path, statuses = lists[name]
                made = self.world.post(OWNER, path, body)
                self.assertIn(made.status, statuses, made)
                path += "?l=500"
            else:
                path = {"EndDevice": device}.get(name) or places[name]
                put = self.world.put(OWNER, path, body)
                self.assertIn(put.status, (204, 400), put)
            judge(path, self.world.get(OWNER, path))
        self.assertUnbroken()

    @fewer(2)
    @given(st.lists(mutated(codec.encode(end_device(EVERYBODY["unregistered"]))), min_size=1, max_size=10))
    def test_registrations(self, sent: list[bytes]) -> None:
        """An EndDevice with something wrong in it registers nobody that it should not."""
        before = {*EVERYBODY.values()}
        for body in sent:
            for who in (AGGREGATOR, EVERYBODY["listed"], OWNER):
                answer = self.world.post(who, "/edev", body)
                self.assertForm(answer, "POST", "/edev")
                self.assertIn(answer.status, (201, 400, 403, 409), answer)
                if answer.status == 201 and who is not AGGREGATOR:
                    own = self.world.document(who, answer.headers["location"])
                    self.assertEqual(own.findtext(f"{NAMESPACE}lFDI"), who.lfdi)
        self.assertEqual(before, {*EVERYBODY.values()})
        for who in (OWNER, EVERYBODY["other"]):
            self.assertEqual(self.world.document(who, "/edev").get("all"), "1")
        self.assertUnbroken()

    @fewer(2)
    @given(st.text(max_size=50), st.text(max_size=50))
    def test_texts(self, name: str, locale: str) -> None:
        """Whatever text XML can carry comes back as it was; what it cannot is refused."""
        device = f"/edev/{self.world.numbers.owner}"
        sound = [
            not re.search("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", t) for t in (name, locale)
        ]
        body = MINIMAL["Configuration"].replace(userDeviceName=name, currentLocale=locale)
        try:
            sent = codec.encode(body)
        except UnicodeEncodeError:
            return
        answer = self.world.put(OWNER, f"{device}/cfg", sent)
        good = all(sound) and len(name) <= 32 and len(locale) <= 42
        self.assertEqual(answer.status, 204 if good else 400, answer)
        if good:
            got = codec.decode(self.world.get(OWNER, f"{device}/cfg").body, r.Configuration)
            self.assertEqual((got.userDeviceName, got.currentLocale), (name, locale))
