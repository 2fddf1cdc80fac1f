"""What a request to the operator's API may look like: methods, paths, queries, bodies, headers, sizes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.logger import capturedLogs

from csipd.daemon.services import ADMIN_LIMITS
from csipd.refusals import Unavailable
from csipd.web.admin.openapi import DESCRIPTION
from csipd.web.admin.table import OPERATIONS
from tests.support.operator import ALICE, JSON, PROBLEM
from tests.web.admin.case import Case
from tests.web.admin.examples import CONTROL, DEVICE, Example, example

WITH_BODY = tuple(operation for operation in OPERATIONS if operation.takes is not None)
LISTS = tuple(operation for operation in OPERATIONS if "limit" in {one.name for one in operation.query})


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), _containers, max_leaves=6
)


class MethodTests(Case):
    """Methods."""

    def test_not_taken(self) -> None:
        """A method that a path does not take is 405, with those that it does; one that HTTP lacks is 501."""
        by_path: dict[str, set[str]] = {DESCRIPTION.removeprefix("/admin"): {"GET", "HEAD"}}
        for operation in OPERATIONS:
            path = operation.path.removeprefix("/admin").format(**dict.fromkeys(operation.numbers, 1))
            by_path.setdefault(path, set()).add(operation.method)
            if operation.method == "GET":
                by_path[path].add("HEAD")
        for path, taken in by_path.items():
            for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - taken:
                answer = self.office.send(method, path, {})
                self.assertEqual(answer.status, 405, f"{method} {path}")
                self.assertEqual(set(answer.headers["allow"].split(", ")), taken, path)
                self.assertEqual(answer.headers["content-type"], PROBLEM)
            self.assertEqual(self.office.send("FOO", path).status, 501, path)
        self.assertEqual(self.office.log(), [])

    def test_head(self) -> None:
        """HEAD has the headers of GET, and no body."""
        for operation in OPERATIONS:
            if operation.method == "GET":
                path = example(operation, self.numbers).path
                got, head = self.office.send("GET", path), self.office.send("HEAD", path)
                self.assertEqual((head.status, head.headers, head.body), (200, got.headers, b""), path)
                if not operation.streams:
                    self.assertEqual(int(head.headers["content-length"]), len(got.body), path)
                self.assertEqual(head.headers["cache-control"], "no-store", path)
        self.assertEqual(self.office.send("HEAD", "/devices/77").status, 404)


class PathTests(Case):
    """Paths: only the canonical spelling is one."""

    def test_elsewhere(self) -> None:
        """What is no path of the API is 404 with a problem document."""
        for path in (
            "",
            "/",
            "/nothing",
            "/devices/",
            "/devices//",
            "//devices",
            "/Devices",
            "/devices%2F1",
            "/groups/1/",
        ):
            for method in ("GET", "POST", "DELETE"):
                self.assertEqual(self.office.refused(method, path, expect=404), None, path)
        self.assertEqual(self.office.send("FOO", "/nothing").status, 501)

    def test_numbers(self) -> None:
        """A number has no sign, no leading zero, no more than 63 bits, and is at least 1."""
        for text in ("0", "01", "+1", "-1", "1.0", "1e0", "x", "%2B1", "%D9%A3", str(2**63), "9" * 30):
            path = f"/devices/{text}"
            for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
                self.assertEqual(self.office.send(method, path, body).status, 404, path)
        for operation in OPERATIONS:
            if operation.numbers:
                largest = dict.fromkeys(operation.numbers, 2**63 - 1)
                path = operation.path.removeprefix("/admin").format(**largest)
                body = example(operation, self.numbers).body
                self.assertEqual(self.office.send(operation.method, path, body).status, 404, path)
        self.assertEqual(self.office.log(), [])

    def test_long(self) -> None:
        """A URI of the limit is read; one that is longer is 414."""
        path = "/devices?name="
        room = ADMIN_LIMITS.uri_bytes - len("/admin" + path)
        self.assertEqual(self.office.send("GET", path + "x" * room).status, 400)
        answer = self.office.send("GET", path + "x" * (room + 1))
        self.assertEqual((answer.status, answer.headers["content-type"]), (414, PROBLEM))


class QueryTests(Case):
    """Query parameters."""

    def test_unknown(self) -> None:
        """A parameter that an operation does not know, or that comes twice, is refused by its name."""
        for operation in OPERATIONS:
            one = example(operation, self.numbers)
            found = self.office.refused(one.method, f"{one.path}?nonsense=1", one.body)
            self.assertEqual(found, [("nonsense", "is unknown here")], one)
        self.assertEqual(self.office.refused("GET", "/openapi.json?x"), [("x", "is unknown here")])
        twice = self.office.refused("GET", "/devices?limit=1&after=2&limit=2")
        self.assertEqual(twice, [("limit", "is given twice")])
        long = self.office.refused("GET", f"/devices?{'y' * 100}=1")
        self.assertEqual(long, [("y" * 64, "is unknown here")])
        self.assertEqual(self.office.log(), [])

    def test_integers(self) -> None:
        """Integers are decimal in one spelling, and in range; every flaw is reported at once."""
        wrong = [("limit", "is an integer from 1 to 500")]
        for text in ("", "0", "501", "-1", "01", "1.0", "1e1", "0x10", "true", "1%20", "%D9%A3", "9" * 40):
            self.assertEqual(self.office.refused("GET", f"/devices?limit={text}"), wrong, text)
        far = 2**63 - 1
        self.assertEqual(
            self.office.refused("GET", f"/controls?limit=0&after={far + 1}&since=-1&program=00"),
            [
                ("limit", "is an integer from 1 to 500"),
                ("after", f"is an integer from 1 to {far}"),
                ("since", f"is an integer from 0 to {far}"),
                ("program", f"is an integer from 1 to {far}"),
            ],
        )
        self.assertEqual(self.office.get(f"/controls?since={far}&until=0"), {"items": [], "total": 0})
        self.assertEqual(self.office.get(f"/devices?limit=500&after={far}")["items"], [])

    def test_words(self) -> None:
        """Texts are one of their words, true or false, an LFDI, or at least not empty and not too long."""
        refused = self.office.refused
        words = [("standing", "is one of registered, listed, withdrawn, retired")]
        self.assertEqual(refused("GET", "/devices?standing=Registered"), words)
        for text in ("1", "TRUE", ""):
            self.assertEqual(refused("GET", f"/alarms?open={text}"), [("open", "is true or false")])
        for text in ("", "x" * 129):
            self.assertEqual(refused("GET", f"/devices?name={text}"), [("name", "has 1 to 128 characters")])
        ((name, _),) = refused("GET", "/devices?lfdi=12")
        self.assertEqual(name, "lfdi")

    def test_unreadable(self) -> None:
        """A query of broken escapes or of too many parameters is refused as a whole."""
        for query in ("name=%FF", "&".join(f"p{i}=1" for i in range(51))):
            self.assertEqual(self.office.refused("GET", f"/devices?{query}"), "the query cannot be read")

    def test_decoded(self) -> None:
        """Escapes and plus signs are read as forms write them; a question mark alone is no query."""
        self.assertEqual(self.office.get("/audit?who=nobody+at%20all"), {"items": [], "total": 0})
        self.assertEqual(self.office.get("/devices?"), self.office.get("/devices"))
        self.assertEqual(
            [one["name"] for one in self.office.get("/devices?name=%6Fther")["items"]], ["other"]
        )


class BodyTests(Case):
    """Bodies are JSON, and what their forms say."""

    def test_media_type(self) -> None:
        """Every body has to say that it is JSON."""
        for operation in WITH_BODY:
            one = example(operation, self.numbers)
            for kind in (None, "text/plain", "application/sep+xml", "application/jsonx", "", "\xff"):
                answer = self.office.send(one.method, one.path, one.body, Content_Type=kind)
                self.assertEqual((answer.status, answer.headers["content-type"]), (415, PROBLEM), (one, kind))
        self.assertEqual(self.office.log(), [])
        for kind in ("application/json; charset=utf-8", "APPLICATION/JSON"):
            self.office.post("/controls/preview", {"program": 1, **CONTROL}, expect=200, Content_Type=kind)

    def test_left_out(self) -> None:
        """A body may be left out only where the description says so; then it is the same as an empty one."""
        for operation in WITH_BODY:
            self.world, self.office = self.fresh()
            one = example(operation, self.numbers)
            answer = self.office.send(one.method, one.path)
            self.assertEqual(answer.status, 200 if operation.body_optional else 415, one)
        optional = [operation.name for operation in WITH_BODY if operation.body_optional]
        self.assertEqual(optional, ["withdrawDevice", "cancelControl", "previewCancelControl"])

    def test_not_wanted(self) -> None:
        """A body that nobody asked for is not read."""
        for body in (b"", b"{", b"\xff"):
            self.assertEqual(self.office.send("GET", "/devices", body, Content_Type="x/y").status, 200)
        self.office.post(f"/devices/{self.numbers.withdrawn}/readmit", b"nonsense", expect=200)

    def test_not_json(self) -> None:
        """What is not JSON, not UTF-8, names one thing twice or nests without end is refused."""
        wrong = (
            b"",
            b"{",
            b"{} {}",
            b"nonsense",
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b"{'a': 1}",
            b'{"name": "\xff"}',
            b"\xef\xbb\xbf{}",
            '{"name": "x"}'.encode("utf-16"),
            b'{"name": "x", "name": "y"}',
            b'{"x": ' + b"1" * 5000 + b"}",
            b"[" * 100_000,
            b'{"base":' * 20_000,
        )
        for operation in WITH_BODY:
            one = example(operation, self.numbers)
            for body in wrong:
                found = self.office.refused(one.method, one.path, body)
                self.assertEqual(found, "the body is not JSON (RFC 8259)", (one, body[:30]))
        self.assertEqual(self.office.log(), [])

    def test_not_of_the_form(self) -> None:
        """What is JSON and not of its form is refused with pointers, and nothing is done."""
        unknown = "is not known here"
        for operation in WITH_BODY:
            one = example(operation, self.numbers)

            def refused(body: Any, one: Example = one) -> Any:
                return self.office.refused(one.method, one.path, body)

            for body in ([], b"null", 1, "x", True):
                ((at, reported),) = refused(body)
                self.assertEqual(at, "", one)
                self.assertRegex(reported, "^is .+, expected an object", one)
            found = refused({**one.body, "strange": 1, "a/b~": None})
            self.assertEqual([at for at, _ in found], ["/strange", "/a~1b~0"], one)
            self.assertEqual([told.partition(";")[0] for _, told in found], [unknown] * 2, one)
            for name in one.body:
                self.assertEqual(
                    [at.split("/")[1] for at, _ in refused({**one.body, name: None})], [name], one
                )
        self.assertEqual(self.office.log(), [])

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(VALUES)
    def test_anything(self, value: Any) -> None:
        """Whatever JSON there is in the place of a value is taken or refused, and never a failure."""
        for name in ("base", "duration", "devices", "description", "deviceCategory", "start"):
            body = json.dumps({"program": 1, **CONTROL, name: value}).encode()
            self.assertIn(self.office.send("POST", "/controls/preview", body).status, (200, 400))
        body = json.dumps({**DEVICE, "name": value, "pIN": value}).encode()
        self.assertEqual(self.office.send("POST", "/devices", body).status, 400)

    def test_too_large(self) -> None:
        """A body of the limit is read; a larger one is 413 before it is."""
        small = json.dumps({"program": 1, **CONTROL}).encode()
        room = ADMIN_LIMITS.body_bytes - len(small)
        self.office.post("/controls/preview", small + b" " * room, expect=200)
        answer = self.office.send("POST", "/controls/preview", small + b" " * (room + 1))
        self.assertEqual((answer.status, answer.headers["content-type"]), (413, PROBLEM))


class HeaderTests(Case):
    """Headers."""

    def test_origin(self) -> None:
        """A write that a browser sends for a page of another site is refused; one of the same site is not."""
        path = f"/devices/{self.numbers.owner}/withdraw"
        for origin in ("https://evil.example", "null", "http://localhost", "https://localhost:1", "", "\xff"):
            self.assertEqual(self.office.send("POST", path, Origin=origin).status, 403, origin)
        self.assertEqual(self.office.log(), [])
        self.assertEqual(self.office.send("GET", "/devices", Origin="https://evil.example").status, 200)
        self.assertEqual(self.office.send("POST", path, Origin="https://localhost").status, 200)

    def test_idempotency_key(self) -> None:
        """A key has 1 to 64 visible characters."""
        for key in ("", "x" * 65, "a b", "\xe4", "\x7f"):
            found = self.office.refused("POST", "/devices", DEVICE, Idempotency_Key=key)
            self.assertEqual(found, "Idempotency-Key has 1 to 64 visible characters of ASCII", key)
        self.office.post("/devices", DEVICE, Idempotency_Key="~!/\"'" + "k" * 59)

    def test_malformed(self) -> None:
        """What is no HTTP is refused with a problem document, like the rest."""
        wire = self.office.wire()
        (answer,) = wire.results(wire.client.raw(b"GET /admin/status HTTP/1.1\r\n\r\n"))
        self.assertEqual((answer.status, answer.headers["content-type"]), (400, PROBLEM))
        self.assertEqual(json.loads(answer.body)["title"], "Malformed request")


class FailureTests(Case):
    """What is not the caller's fault."""

    def test_no_database(self) -> None:
        """While the database cannot be used it is 503, and when to come again is said."""
        for method, path, body in (("GET", "/devices", None), ("POST", "/groups", {"name": "x"})):
            self.world.back.hold()
            asked = self.office.ask(method, path, body)
            self.office.wire().pump()
            self.world.back.release(Unavailable("gone"))
            answer = self.office.wire().result(asked)
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "60"))
            self.assertEqual(json.loads(answer.body)["detail"], "gone")

    def test_defect(self) -> None:
        """A defect is 500 without a word of what it is; the log has it."""
        self.office.prepare = lambda body: fail(ZeroDivisionError("the secret of life"))
        with capturedLogs() as captured:
            answer = self.office.send("POST", "/devices", DEVICE)
        self.assertEqual((answer.status, answer.headers["content-type"]), (500, PROBLEM))
        self.assertNotIn(b"secret", answer.body)
        self.assertTrue(any(event.get("log_failure") for event in captured))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.office.send("GET", "/status").status, 200)

    def test_hangs_up(self) -> None:
        """A write whose operator hangs up meanwhile is done, whole, and disturbs nobody."""
        self.world.back.hold()
        asked = self.office.ask("POST", "/groups", {"name": "x"})
        self.office.wire().pump()
        self.office.wire().hang_up()
        self.world.back.release()
        self.failureResultOf(asked)
        self.assertEqual([line.action for line in self.office.log()], ["add"])
        self.assertIn(JSON, self.office.send("GET", "/groups", who=ALICE).headers["content-type"])
