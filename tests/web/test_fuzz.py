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

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.site import SERVED, locate
from tests.support.asking import BODIES, Asked, asked, mutated, queries
from tests.support.bodies import MINIMAL
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


class FuzzCase(SynchronousTestCase):
    """What holds for every answer."""

    #: Nothing else is ever answered here; 505 and 503 have causes that are not at hand.
    STATUSES = frozenset((200, 201, 204, 400, 403, 404, 405, 406, 409, 413, 414, 415, 501))

    def setUp(self) -> None:
        self.world = self.make()
        whole = [path for path in walk(self.world, OWNER) if path.endswith(EVERYTHING)]
        self.lists = [path.removesuffix(EVERYTHING) for path in whole]

    def make(self, policy: Any = IN_BAND, straight: bool = True) -> World:
        world = World(Path(self.mktemp()), policy=policy, straight=straight)
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
    @given(st.sampled_from([IN_BAND, ALLOW_ALL]), st.booleans(), st.lists(asked(), min_size=4, max_size=16))
    def test_anything(self, policy: Any, straight: bool, requests: list[Asked]) -> None:
        """Any method, path, query, headers and body from anybody is answered; what is there stays sound."""
        world = self.make(policy, straight)
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
                path = row.href((device, 1, 1, 1)[: row.uri.count("{")])
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
            "MirrorUsagePoint": ("/mup", (201, 204, 400, 403, 413)),
            "MirrorMeterReading": ("/mup/1", (201, 204, 400)),
        }
        self.world.post(OWNER, "/mup", BODIES["MirrorUsagePoint"])
        for name, body in sent:
            if name in lists:
                path, statuses = lists[name]
                made = self.world.post(OWNER, path, body)
                self.assertIn(made.status, statuses, made)
                # What was read is found below the usage point.
                path = path.replace("/mup/1", "/upt/1/mr/1/rs") + "?l=500"
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
