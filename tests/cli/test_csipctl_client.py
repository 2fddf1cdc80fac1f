"""The way to the server: answers and errors as values, then real TLS on the loopback interface."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl import https
from csipd.cli.ctl.client import JSON, PROBLEM, Answer, Client, document_of, query_text
from csipd.cli.ctl.errors import Code, Failure, ServerFailed, Unreachable, printable
from csipd.cli.ctl.https import Credentials, HTTPSTransport, Server, make_context, parse_server
from tests.cli import fake
from tests.support import pki
from tests.support.pki import Authority

LAB = Authority.make()


def problem(status: int, **members: Any) -> Answer:
    return Answer(status, PROBLEM, json.dumps({"status": status, **members}).encode())


class AnswerTests(SynchronousTestCase):
    """What is made of an answer."""

    def failure(self, answer: Answer) -> tuple[int, str]:
        error = self.assertRaises(Failure, document_of, answer)
        return error.exit_code, error.message

    def test_good(self) -> None:
        """A good answer is its object, and the same octets as they came."""
        document = document_of(Answer(200, JSON, b'{"items": [1,  2]}\n'))
        self.assertEqual((document.value, document.raw), ({"items": [1, 2]}, b'{"items": [1,  2]}'))

    def test_empty(self) -> None:
        """A good answer without content is an empty object."""
        self.assertEqual(document_of(Answer(204, "", b"")).value, {})

    def test_refused(self) -> None:
        """A problem of the client's is exit code 1, with its detail, or its title where it has none."""
        self.assertEqual(
            self.failure(problem(404, title="Not found", detail="No device 7.")), (1, "No device 7 (404)")
        )
        self.assertEqual(self.failure(problem(403, title="Forbidden")), (1, "Forbidden (403)"))
        self.assertEqual(self.failure(problem(400)), (1, "no reason is given (400)"))

    def test_pointers(self) -> None:
        """Each refused value is named by its pointer, ten of them at most."""
        errors = [{"pointer": f"/base/{n}", "detail": "wrong"} for n in range(12)]
        code, line = self.failure(problem(422, detail="Refused.", errors=errors))
        self.assertEqual(code, 1)
        self.assertTrue(line.startswith("Refused; /base/0: wrong; /base/1: wrong;"), line)
        self.assertTrue(line.endswith("/base/9: wrong; and 2 more (422)"), line)

    def test_odd_problems(self) -> None:
        """A problem document of another shape is told as well as it can be."""
        for errors in ("text", [1, None], [{}], {"a": 1}, None):
            self.assertEqual(self.failure(problem(422, detail="x", errors=errors))[0], 1)
        self.assertEqual(self.failure(Answer(422, PROBLEM, b"[]"))[0], 4)
        self.assertEqual(self.failure(Answer(422, PROBLEM, b"{"))[0], 4)

    def test_server_failed(self) -> None:
        """What the server fails in is exit code 4, with a problem document or without."""
        self.assertEqual(
            self.failure(problem(503, detail="The disk is full.")), (4, "The disk is full (503)")
        )
        self.assertEqual(self.failure(Answer(502, "text/html", b"<html>"))[0], 4)

    def test_another_server(self) -> None:
        """An answer without JSON points at the wrong port: 1 where it refuses, else 4."""
        for status, code in ((404, 1), (403, 1), (200, 4), (302, 4)):
            found, line = self.failure(Answer(status, "application/sep+xml", b"<Error/>"))
            self.assertEqual(found, code)
            self.assertIn("admin_port", line)

    def test_broken_json(self) -> None:
        """A good answer that is no JSON object is the server's failure."""
        for body in (b"{", b"[]", b"1", b"\xff", b"[" * 100_000):
            self.assertEqual(self.failure(Answer(200, JSON, body))[0], 4)

    @given(st.text())
    def test_one_harmless_line(self, text: str) -> None:
        """Whatever a server writes, what is reported it is one line that a terminal does not obey."""
        error = self.assertRaises(Failure, document_of, problem(400, detail=text, errors=[{"pointer": text}]))
        self.assertTrue(
            all(sign.isprintable() or sign == "\u3000" or sign.isspace() for sign in error.message)
        )
        self.assertEqual(error.message.splitlines(), [error.message])
        self.assertNotIn("\x1b", error.message)

    def test_printable(self) -> None:
        """Line breaks become blanks, and what would turn text round or steer a terminal is replaced."""
        self.assertEqual(printable("a\nb\tc"), "a b c")
        self.assertEqual(
            printable("\x1b]0;x\x07 \u202e \u2028 \x9b"), "\ufffd]0;x\ufffd \ufffd \ufffd \ufffd"
        )
        self.assertEqual(printable("Zürich 東京"), "Zürich 東京")


class ClientTests(SynchronousTestCase):
    def test_requests(self) -> None:
        """Requests go below /admin, with JSON where there is a body and without where there is none."""
        api = fake.FakeAPI()
        client = Client(api)
        for method in ("POST", "PUT", "PATCH"):
            api.answers(method, "/x", {})
        api.answers("GET", "/x", {})
        api.answers("DELETE", "/x", None)
        client.get("/x", a=1, b=None, c=True, d="ä b&c")
        client.post("/x", {"q": 1}, "key")
        client.post("/x")
        client.put("/x", {"q": 2})
        client.patch("/x", {"q": 3})
        client.delete("/x")
        self.assertEqual(
            [(one.method, one.content, one.query) for one in api.requests],
            [
                ("GET", None, {"a": "1", "c": "true", "d": "ä b&c"}),
                ("POST", {"q": 1}, {}),
                ("POST", {}, {}),
                ("PUT", {"q": 2}, {}),
                ("PATCH", {"q": 3}, {}),
                ("DELETE", None, {}),
            ],
        )
        self.assertEqual(api.requests[1].headers["Idempotency-Key"], "key")
        self.assertEqual(api.requests[1].headers["Content-Type"], JSON)
        self.assertNotIn("Content-Type", api.requests[0].headers)

    def test_query(self) -> None:
        """What is None is left out of a query, and nothing is left of one that is empty."""
        self.assertEqual(query_text({"a": None}), "")
        self.assertEqual(query_text({"a": "x y", "b": False}), "?a=x+y&b=false")


class ServerTests(SynchronousTestCase):
    def test_urls(self) -> None:
        """A server is named by its URL; the port of the operator's API is taken where none is named."""
        for url, server in {
            "https://127.0.0.1:7444": Server("127.0.0.1", 7444, "127.0.0.1"),
            "https://csipd.example": Server("csipd.example", 7444, "csipd.example"),
            "https://[::1]:8444/": Server("::1", 8444, "::1"),
        }.items():
            self.assertEqual(parse_server(url), server)
            self.assertEqual(parse_server(str(server)), server)

    def test_refused(self) -> None:
        """Other schemes, paths, accounts and ports that are none are refused."""
        for url in (
            "",
            "127.0.0.1:7444",
            "http://127.0.0.1:7444",
            "https://",
            "https://host:0",
            "https://host:99999",
            "https://host:x",
            "https://host/admin",
            "https://user:secret@host",
            "https://host?x=1",
            "https://ho st",
            "https://[::1",
            "https://host\r\nX: y",
        ):
            self.assertRaises(ValueError, parse_server, url)


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the test's own function, on a connection that is kept."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.server.heard.append((self.command, self.path, self.rfile.read(size)))  # type: ignore[attr-defined]
        self.server.behaviour(self)  # type: ignore[attr-defined]  # set by the test

    do_GET = do_POST = do_PATCH = answer

    def reply(
        self, body: bytes, status: int = 200, kind: str = f"{JSON}; charset=utf-8", **headers: str
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _send_chunks(handler: Handler, *chunks: bytes) -> None:
    """An answer in chunks; an empty one is the last."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/csv; charset=utf-8")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for chunk in chunks:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))


def answer_well(handler: Handler) -> None:
    handler.reply(b'{"number": 1}')


class TLSTests(SynchronousTestCase):
    """Real TLS, with a server of the standard library in a thread."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        pki.write(self.folder, LAB, admin=LAB.admin())
        self.credentials = Credentials(
            self.folder / "certs" / "ca.crt",
            self.folder / "certs" / "admin.crt",
            self.folder / "private" / "admin.pem",
        )
        self.transports: list[HTTPSTransport] = []

    def serve(
        self,
        behaviour: Callable[[Handler], None] = answer_well,
        *,
        names: tuple[str, ...] = ("localhost", "127.0.0.1"),
        lab: Authority = LAB,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ) -> Server:
        """A server until the end of the test; `heard` of it has what it was asked."""
        pki.write(self.folder, server=lab.server(*names))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.credentials.ca)
        context.load_cert_chain(self.folder / "certs" / "server.crt", self.folder / "private" / "server.pem")

        class TLSServer(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def get_request(self) -> tuple[Any, Any]:
                raw, address = super().get_request()
                return context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_: object) -> None:
                """Handshakes that fail are what some of these tests are about."""

        server = TLSServer(("127.0.0.1", 0), Handler)
        self.heard: list[tuple[str, str, bytes]] = []
        server.heard = self.heard  # type: ignore[attr-defined]  # read by Handler
        server.behaviour = behaviour  # type: ignore[attr-defined]  # read by Handler
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(10)

        self.addCleanup(stop)
        return Server("127.0.0.1", server.server_address[1], "127.0.0.1")

    def transport(
        self, server: Server, timeout: float = 20, clock: Callable[[], float] = lambda: 0.0
    ) -> HTTPSTransport:
        made = HTTPSTransport(server, self.credentials, timeout=timeout, monotonic=clock)
        self.addCleanup(made.close)
        return made

    def unreachable(self, server: Server, method: str = "GET", **how: Any) -> str:
        """What is said of a server that no answer comes from."""
        error = self.assertRaises(
            Unreachable, self.transport(server, **how).send, method, "/admin/x", {}, None
        )
        self.assertEqual(error.exit_code, Code.UNREACHABLE)
        return str(error.message)

    def test_one_connection(self) -> None:
        """Requests of one run share a connection, and carry method, target, headers and body."""
        ports: list[int] = []

        def behaviour(handler: Handler) -> None:
            ports.append(handler.client_address[1])
            answer_well(handler)

        transport = self.transport(self.serve(behaviour))
        answer = transport.send("GET", "/admin/devices?limit=5", {"Accept": JSON}, None)
        self.assertEqual(answer, Answer(200, JSON, b'{"number": 1}'))
        transport.send("POST", "/admin/devices", {"Content-Type": JSON}, b"{}")
        self.assertEqual(
            self.heard, [("GET", "/admin/devices?limit=5", b""), ("POST", "/admin/devices", b"{}")]
        )
        self.assertEqual(len(set(ports)), 1)

    def test_client_on_top(self) -> None:
        """The client works over it: good answers, refusals."""

        def behaviour(handler: Handler) -> None:
            if handler.path == "/admin/devices/1":
                return answer_well(handler)
            handler.reply(b'{"detail": "No such device."}', 404, PROBLEM)

        client = Client(self.transport(self.serve(behaviour)))
        self.assertEqual(client.get("/devices/1").value, {"number": 1})
        self.assertRaises(Failure, client.get, "/devices/2")
        self.assertEqual(client.get("/devices/1").value, {"number": 1})

    def test_stream(self) -> None:
        """What comes in chunks is handed over as it comes; a refusal is not."""

        def behaviour(handler: Handler) -> None:
            if "refused" in handler.path:
                return handler.reply(b'{"detail": "No such device."}', 404, PROBLEM)
            _send_chunks(handler, b"[\n{}", b",\n{}", b"\n]\n", b"")

        client = Client(self.transport(self.serve(behaviour)))
        for _ in range(2):
            parts: list[bytes] = []
            client.stream("/exports/alarms", {"since": 5, "device": None}, parts.append)
            self.assertEqual(b"".join(parts), b"[\n{},\n{}\n]\n")
        self.assertEqual(self.heard[0][1], "/admin/exports/alarms?since=5")
        error = self.assertRaises(Failure, client.stream, "/refused", {}, parts.append)
        self.assertIn("No such device", error.message)

    def test_cut_stream(self) -> None:
        """One that ends without its last chunk was cut: that is an error, and it is not asked for again."""

        def behaviour(handler: Handler) -> None:
            _send_chunks(handler, b"[\n{}", b",\n{}")
            handler.close_connection = True

        transport = self.transport(self.serve(behaviour))
        parts: list[bytes] = []
        for _ in range(2):
            error = self.assertRaises(Unreachable, transport.stream, "/admin/x", {}, parts.append)
            self.assertIn("cut off", error.message)
        self.assertEqual(len(self.heard), 2)

    def test_kept_connection_that_was_closed(self) -> None:
        """A kept connection that the server closed is opened anew, for a question or what has a key."""

        def behaviour(handler: Handler) -> None:
            answer_well(handler)
            handler.close_connection = True  # without a word of it

        transport = self.transport(self.serve(behaviour))
        for method, headers in (("GET", {}), ("GET", {}), ("POST", {"Idempotency-Key": "k"})):
            self.assertEqual(transport.send(method, "/admin/x", headers, None).status, 200)

    def test_nothing_is_done_twice(self) -> None:
        """What could be done twice is not repeated: it is said that it may have been done."""

        def behaviour(handler: Handler) -> None:
            if handler.command == "GET":
                answer_well(handler)
            else:
                handler.close_connection = True

        transport = self.transport(self.serve(behaviour))
        transport.send("GET", "/admin/x", {}, None)
        error = self.assertRaises(Unreachable, transport.send, "PATCH", "/admin/x", {}, b"{}")
        self.assertIn("it may have been done", error.message)
        self.assertEqual(sum(method == "PATCH" for method, *_ in self.heard), 1)

    def test_closing_server(self) -> None:
        """A server that says that it closes is believed."""
        transport = self.transport(self.serve(lambda handler: handler.reply(b"{}", Connection="close")))
        for _ in range(2):
            self.assertEqual(transport.send("PATCH", "/admin/x", {}, b"{}").body, b"{}")

    def test_stranger(self) -> None:
        """A server of another root is not trusted, and hears nothing."""
        said = self.unreachable(self.serve(lab=Authority.make("stranger")))
        self.assertIn("not trusted", said)
        self.assertEqual(self.heard, [])

    def test_another_name(self) -> None:
        """A certificate for another name is not trusted, unless that is the name to be expected."""
        server = self.serve(names=("csipd.example",))
        self.assertIn("not trusted", self.unreachable(server))
        named = Server(server.host, server.port, "csipd.example")
        self.assertEqual(self.transport(named).send("GET", "/admin/x", {}, None).status, 200)

    def test_only_tls_1_2(self) -> None:
        """A server that has no TLS 1.2 is not spoken to."""
        self.assertIn("no TLS with it", self.unreachable(self.serve(version=ssl.TLSVersion.TLSv1_3)))

    def test_we_are_not_trusted(self) -> None:
        """A server that does not take our certificate is reported as such."""
        server = self.serve()
        pki.write(self.folder, admin=Authority.make("stranger").admin())
        self.assertIn("unknown ca", self.unreachable(server))

    def test_nobody_there(self) -> None:
        """That nothing listens is said with the server's URL."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        said = self.unreachable(Server("127.0.0.1", port, "127.0.0.1"))
        self.assertEqual(said, f"https://127.0.0.1:{port}: nothing listens there")

    def test_silent_server(self) -> None:
        """A server that does not answer is given up after the timeout."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            self.assertIn("within 0.05 s", self.unreachable(Server("127.0.0.1", port, "x"), timeout=0.05))

    def test_dripping_server(self) -> None:
        """An answer that comes and comes is given up after the timeout, whatever its pieces do."""
        moments = iter(range(0, 1000, 15))

        def behaviour(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for _ in range(5):
                handler.wfile.write(b"1\r\n{\r\n")
            handler.wfile.write(b"0\r\n\r\n")

        said = self.unreachable(self.serve(behaviour), clock=lambda: float(next(moments)))
        self.assertIn("no answer within", said)

    def test_endless_answer(self) -> None:
        """An answer beyond all bounds is not gathered."""
        self.patch(https, "ANSWER_LIMIT", 1000)
        transport = self.transport(self.serve(lambda handler: handler.reply(b"x" * 1001)))
        self.assertRaises(ServerFailed, transport.send, "GET", "/admin/x", {}, None)

    def test_cut_off(self) -> None:
        """Half an answer is none."""

        def behaviour(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", JSON)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b"{")
            handler.close_connection = True

        self.assertIn("cut off", self.unreachable(self.serve(behaviour)))

    def test_no_http(self) -> None:
        """A server of another protocol is the server's failure."""

        def behaviour(handler: Handler) -> None:
            handler.wfile.write(b"220 mail.example ready\r\n\r\n")
            handler.close_connection = True

        transport = self.transport(self.serve(behaviour))
        self.assertRaises(ServerFailed, transport.send, "GET", "/admin/x", {}, None)

    def test_files(self) -> None:
        """Of files that are missing, hold nothing of use, or do not belong together, each is named."""
        credentials = self.credentials
        for path in (credentials.ca, credentials.certificate, credentials.key):
            content = path.read_bytes()
            for broken in (None, b"nonsense"):
                path.unlink() if broken is None else path.write_bytes(broken)
                error = self.assertRaises(Unreachable, make_context, credentials)
                self.assertIn(str(path), error.message)
            path.write_bytes(content)
        credentials.key.write_bytes(LAB.device("dev1").key_pem)
        self.assertRaises(Unreachable, make_context, credentials)
