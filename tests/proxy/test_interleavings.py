"""Whatever devices, the server and time do: each device gets its own answers, in order, or 502 or 504."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.limits import ConnectionLimits
from tests.proxy.memory import Bench, Device

METHODS = (b"GET", b"GET", b"GET", b"HEAD", b"PUT", b"POST", b"DELETE")
#: How long answers are: short, in several records, more than a transport likes to hold.
SIZES = (0, 10, 300, 70_000)

NUMBERS = st.integers(0, 1_000)
#: What may happen, the more often it stands here the more often.
KINDS = (
    *("ask",) * 6,
    *("ask_slowly",) * 2,
    *("settle",) * 4,
    *("answer",) * 4,
    *("answer_all",) * 2,
    *("begin_answer", "end_with", "lose", "stop", "start", "renew"),
    *("hang_up", "stop_reading", "go_on_reading", "wait", "wait"),
)
ACTIONS = st.lists(st.tuples(st.sampled_from(KINDS), NUMBERS, NUMBERS), min_size=5, max_size=80)


class Story:
    """What happens, and what each device has asked for."""

    def __init__(self) -> None:
        self.bench = Bench(limits=ConnectionLimits(answer_seconds=15.0))
        self.devices = [self.bench.device(name) for name in "ABCD"]
        self.asked: dict[Device, list[tuple[bytes, bytes, int]]] = {device: [] for device in self.devices}
        self.number = 0

    def act(self, action: str, one: int, other: int) -> None:
        getattr(self, action)(one, other)

    def ask(self, one: int, other: int) -> None:
        """A device asks for something that nobody else asks for."""
        self._ask(one, other, pieces=1)

    def ask_slowly(self, one: int, other: int) -> None:
        """The same, in pieces."""
        self._ask(one, other, pieces=3)

    def _ask(self, one: int, other: int, pieces: int) -> None:
        device = self.devices[one % len(self.devices)]
        if device.closed:
            return
        method = METHODS[other % len(METHODS)]
        size = SIZES[other // 7 % len(SIZES)]
        self.number += 1
        target = b"/%d?%d" % (self.number, size)
        body = b"body of %b" % target if method in (b"PUT", b"POST") else b""
        said = b"Content-Length: %d\r\n" % len(body) if body else b""
        data = b"%b %b HTTP/1.1\r\nHost: a\r\nClient-Cert: :X:\r\n%b\r\n%b" % (method, target, said, body)
        self.asked[device].append((method, target, size))
        step = len(data) // pieces + 1
        for place in range(0, len(data), step):
            device.send(data[place : place + step])

    def answer(self, one: int, other: int) -> None:
        self._link(one, lambda link: link.answer())

    def answer_all(self, one: int, other: int) -> None:
        self._link(one, lambda link: link.answer_all())

    def begin_answer(self, one: int, other: int) -> None:
        self._link(one, lambda link: link.begin_answer(other))

    def end_with(self, one: int, other: int) -> None:
        self._link(one, lambda link: link.end_with())

    def lose(self, one: int, other: int) -> None:
        self._link(one, lambda link: link.lose())

    def _link(self, one: int, call: Any) -> None:
        links = [link for link in self.bench.server.links if not link.gone]
        if links:
            call(links[one % len(links)])

    def settle(self, one: int, other: int) -> None:
        self.bench.settle()

    def hang_up(self, one: int, other: int) -> None:
        if other % 3 == 0:
            self.devices[one % len(self.devices)].hang_up()

    def stop_reading(self, one: int, other: int) -> None:
        self.devices[one % len(self.devices)].reading = False

    def go_on_reading(self, one: int, other: int) -> None:
        self.devices[one % len(self.devices)].reading = True

    def stop(self, one: int, other: int) -> None:
        self.bench.server.stop()

    def start(self, one: int, other: int) -> None:
        self.bench.server.is_up = True

    def wait(self, one: int, other: int) -> None:
        self.bench.advance((1, 5, 20)[other % 3])

    def renew(self, one: int, other: int) -> None:
        self.bench.reading.renew()
        self.bench.writing.renew()


class InterleavingTests(SynchronousTestCase):
    """Devices, requests, sizes, hang-ups and a server that fails, in any order."""

    @given(ACTIONS)
    def test_each_its_own(self, actions: list[tuple[str, int, int]]) -> None:
        """No answer goes astray, none comes out of turn, and nothing that changes something is sent twice."""
        story = Story()
        bench = story.bench
        for action in actions:
            story.act(*action)
        bench.server.is_up = True
        for device in story.devices:
            device.reading = True
        bench.serve_all()
        bench.advance(2)
        bench.serve_all()

        for device, asked in story.asked.items():
            self._see_answers(device, asked)
        owners = {one[1]: device.name for device, asked in story.asked.items() for one in asked}
        for (who, method, target), times in Counter(
            (request.who, request.method, request.target) for request in bench.server.requests
        ).items():
            self.assertIn(method, METHODS)
            most = 2 if method in (b"GET", b"HEAD") else 1
            self.assertLessEqual(times, most, (who, method, target))
        for request in bench.server.requests:
            self.assertEqual(request.who, owners[request.target])
            if request.method in (b"PUT", b"POST"):
                self.assertEqual(request.body, b"body of " + request.target)
        self.assertEqual(bench.context.held_up, 0)
        self.assertEqual(len(bench.reading.waiting) + len(bench.writing.waiting), 0)

    def _see_answers(self, device: Device, asked: list[tuple[bytes, bytes, int]]) -> None:
        if device.hung_up or device.closed:
            return  # it was given up, since it did not read for long
        got = device.answers(tuple(method == b"HEAD" for method, _, _ in asked))
        self.assertEqual(len(got), len(asked))
        for answer, (method, target, size) in zip(got, asked, strict=True):
            if answer.status != 200:
                self.assertIn(answer.status, (502, 504))
                self.assertEqual(b"<Error" in answer.body, method != b"HEAD")
            elif method == b"HEAD":
                self.assertEqual(answer.body, b"")
            else:
                self.assertEqual(answer.body, device.name + b" " + target + b" " + b"." * size)
