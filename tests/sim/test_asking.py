"""How a simulated client asks: where it lets itself be sent."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sim.asking import Asking, Refused
from csipd.sim.counts import Counts
from csipd.sim.http import Answer

HERE = Answer(200, {}, codec.encode(r.DeviceCapability(href="/there")))


class Server:
    """Gives the answers that it has; notes what was asked."""

    def __init__(self, **answers: Answer) -> None:
        self._answers = {f"/{name}": answer for name, answer in answers.items()}
        self.asked: list[str] = []

    async def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        self.asked.append(path)
        return self._answers[path]


def moved(to: str, status: int = 301) -> Answer:
    return Answer(status, {"location": to})


class MovedTests(SynchronousTestCase):
    """A document that is elsewhere."""

    def ask(self, server: Any) -> r.DeviceCapability:
        asking = Asking(server, Counts())
        return self.successResultOf(Deferred.fromCoroutine(asking.get("/dcap", r.DeviceCapability)))

    def assert_refused(self, status: int, server: Server) -> None:
        asking = Asking(server, Counts())  # type: ignore[arg-type]
        failure = self.failureResultOf(
            Deferred.fromCoroutine(asking.get("/dcap", r.DeviceCapability)), Refused
        )
        self.assertEqual(failure.value.status, status)

    def test_followed(self) -> None:
        """It is followed to on the same server, whichever of the statuses says so."""
        for status in (301, 302, 307, 308):
            server = Server(dcap=moved("/there", status), there=HERE)
            self.assertEqual(self.ask(server).href, "/there")
            self.assertEqual(server.asked, ["/dcap", "/there"])

    def test_not_followed(self) -> None:
        """Not to another server, nor to what is no path, nor without end."""
        for to in (
            "https://elsewhere/there",
            "//elsewhere/there",
            "there",
            "",
            "/there \r\nX: y",
            "/" + "x" * 300,
        ):
            server = Server(dcap=moved(to))
            self.assert_refused(301, server)
            self.assertEqual(server.asked, ["/dcap"], to)
        server = Server(dcap=moved("/there"), there=moved("/dcap", 302))
        self.assert_refused(302, server)
        self.assertEqual(server.asked, ["/dcap", "/there"])
        self.assert_refused(301, Server(dcap=Answer(301, {})))
