"""Whatever overlaps with whatever: nobody is given what is no longer true, and nobody what is another's.

The store's threads are turned by hand (tests/support/stepped.py): reads that are under way overlap commits
and their publication, and commits come between two statements of a read. What is given to a caller has to be
what a server that keeps nothing gives over the same file, at some moment between question and answer; a write
that was acknowledged before the question is in all of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, frozen
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.identity import Identity
from csipd.refusals import Refusal
from csipd.sep2 import codec
from tests.support.actions import ACTIONS, NEW
from tests.support.bodies import FULL, MINIMAL
from tests.support.client import Answer
from tests.support.examples import fewer
from tests.support.memory_tls import Wire
from tests.support.metering import WATTS, meter, reading, reading_set, usage_point
from tests.support.stepped import SteppedDatabase
from tests.support.world import (
    AGGREGATOR,
    BARE,
    EVERYBODY,
    MANAGED,
    OTHER,
    OWNER,
    RIVAL,
    SERVER,
    UNREGISTERED,
    World,
    end_device,
)

READING, _OPERATORS, WRITING = range(3)
#: Who asks, and where its EndDevice is.
CALLERS: tuple[tuple[Identity, int], ...] = (
    (OWNER, 1),
    (MANAGED, 5),
    (AGGREGATOR, 5),
    (OTHER, 2),
    (NEW, 1),
    (AGGREGATOR, 6),
    (RIVAL, 9),
)
#: What is asked for, the number of an EndDevice to be filled in.
ASKED = (
    "/derp",
    "/edev",
    "/edev?s=1",
    "/edev?s=1&l=2",
    "/edev?s=2&l=255",
    "/edev?a=1767222000&l=3",
    "/edev/{}",
    "/edev/{}/fsa",
    "/edev/{}/fsa?s=1&l=2",
    "/edev/{}/fsa/1/derp",
    "/edev/{}/fsa/2/derp",
    "/edev/{}/der/1/derp",
    "/edev/{}/der/1/cdp",
    "/edev/{}/der/1/ders",
    "/edev/{}/der/1/derg",
    "/edev/{}/rg",
    "/derp/1/derc",
    "/derp/1/dderc",
    "/derp/2/dc",
    "/derp/4/derc?l=10",
    "/derp/4/actderc",
    "/derp/4",
    "/derp/3/derc",
    "/dcap",
    "/tm",
    "/rsps/1/rsp",
    "/edev/{}/lel",
    "/edev/{}/der/1",
    "/edev/{}/der/1/upt",
    "/mup?l=9",
    "/mup/1",
    "/upt?l=9",
    "/upt?s=1&l=2",
    "/upt/1",
    "/upt/1/mr/1",
    "/upt/1/mr/1/r",
    "/upt/1/mr/1/rs?l=9",
)
#: What devices tell.
TOLD: tuple[tuple[str, str, bytes], ...] = (
    ("PUT", "/edev/{}/der/1/ders", codec.encode(MINIMAL["DERStatus"])),
    ("PUT", "/edev/{}/der/1/ders", codec.encode(FULL["DERStatus"])),
    ("PUT", "/edev/{}/der/1/derg", codec.encode(MINIMAL["DERSettings"])),
    ("PUT", "/edev/{}/der/1/dercap", codec.encode(MINIMAL["DERCapability"])),
    ("POST", "/edev/{}/lel", codec.encode(FULL["LogEvent"])),
    ("DELETE", "/edev/{}/lel/1", b""),
    ("POST", "/edev/{}/di/loc", codec.encode(FULL["SupportedLocale"])),
    ("POST", "/rsps/1/rsp", codec.encode(FULL["DERControlResponse"].replace(endDeviceLFDI=BARE.lfdi))),
    ("POST", "/rsps/1/rsp", codec.encode(FULL["DERControlResponse"].replace(endDeviceLFDI=OWNER.lfdi))),
    ("POST", "/edev", codec.encode(end_device(UNREGISTERED))),
    ("DELETE", "/edev/6", b""),
    ("PUT", "/edev/{}", codec.encode(end_device(OWNER, postRate=60))),
    ("POST", "/mup", codec.encode(usage_point(MANAGED, "F0", meter("A1", WATTS, reading(1))))),
    ("POST", "/mup", codec.encode(usage_point(MANAGED, "F0", roleFlags=0x03))),
    ("POST", "/mup", codec.encode(usage_point(BARE, "F1", meter("A1")))),
    ("POST", "/mup", codec.encode(usage_point(OWNER, "F1"))),
    ("POST", "/mup/1", codec.encode(meter("A1", WATTS, reading(2), reading_set("B1", [3, 4])))),
    ("DELETE", "/mup/1", b""),
)
#: By whom an LFDI may be seen that is not its own.
_FLEETS = {AGGREGATOR.lfdi: (MANAGED, BARE, UNREGISTERED), RIVAL.lfdi: (MANAGED, BARE, EVERYBODY["foreign"])}


@frozen
class Step:
    """Something that happens.

    :param what: kind of step
    :param who: number of a caller; ``which`` is that of what is asked, told or done
    :param rests: whether everything comes to rest before the next step
    """

    what: str
    who: int = 0
    which: int = 0
    action: str = ""
    rests: bool = False


#: How often each kind of step comes.
_KINDS = ["ask"] * 14 + ["tell"] * 3 + ["do"] * 8 + ["pass", "pass", "back", "settle"]
_KINDS += ["run", "run", "arrive", "arrive", "between", "between"]


def script(chance: Random, length: int) -> list[Step]:
    """Steps by chance. A few callers ask for a few things again and again, so that answers are kept."""
    callers = chance.sample(range(len(CALLERS)), 3)
    asked = chance.sample(range(len(ASKED)), 5)
    actions = chance.sample(sorted(ACTIONS), 4)
    rest = chance.choice((0.3, 0.6, 0.9))

    def step() -> Step:
        what = chance.choice(_KINDS)
        rests = chance.random() < rest
        match what:
            case "ask":
                return Step(what, chance.choice(callers), chance.choice(asked), rests=rests)
            case "tell":
                return Step(what, chance.choice(callers), chance.randrange(len(TOLD)), rests=rests)
            case "do":
                return Step(what, 0, chance.randrange(40), chance.choice(actions), rests)
            case "pass" | "back":
                return Step(what, 0, chance.choice((1, 5, 30, 60, 3600, 86_400 * 2)))
            case "run" | "arrive":
                return Step(what, 0, chance.choice((READING, WRITING)))
            case _:
                return Step(what, 0, chance.randrange(1, 9))

    steps = [step() for _ in range(length)]
    # What is left over of it all is looked at when all is at rest.
    last = [Step("ask", who, which, rests=True) for who in callers for which in asked]
    return [*steps, Step("settle"), *last]


def shortest(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """As few of the steps as fail all the same."""
    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps):
            fewer_steps = steps[:at] + steps[at + size :]
            if fails(fewer_steps):
                steps = fewer_steps
            else:
                at += size
        size //= 2
    return steps


@define(eq=False)
class _Question:
    """A GET under way.

    :param versions: of the store, the first and the last that its answer may tell of
    :param moments: what the wall clock said meanwhile
    """

    who: Identity
    path: str
    first: int
    moments: set[float]
    answer: list[Any]


class Play:
    """A server whose threads are turned by hand, the questions that are under way, and what is true.

    :param how: of the server that is looked at
    """

    def __init__(self, folder: Path, **how: Any) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._path = folder / "played.sqlite"
        self.world = World(self._path, database=SteppedDatabase, **how)
        database: Any = self.world.database
        self.store: SteppedDatabase = database
        self._reader = self.world.read(lambda connection: connection.connection.driver_connection)
        self.store.by_hand()
        self._questions: list[_Question] = []
        self._wires: dict[tuple[Identity, int], Wire] = {}
        self._asked = 0
        #: The store after each commit, and how many of them are acknowledged.
        self._versions: list[bytes] = [self._content()]
        self._acknowledged = 0
        self._oracles: dict[tuple[int, float, str], World] = {}
        self.judged = 0

    def close(self) -> None:
        for wire in self._wires.values():
            wire.hang_up()
        self.store.settle()
        self.world.close()
        for oracle in self._oracles.values():
            oracle.close()

    # --- what happens

    def carry_out(self, step: Step) -> None:
        who, number = CALLERS[step.who]
        match step.what:
            case "ask":
                self.ask(who, ASKED[step.which].format(number))
            case "tell":
                method, path, body = TOLD[step.which]
                self.tell(who, method, path.format(number), body)
            case "do":
                self.do(step.action, step.which)
            case "pass" | "back":
                self.world.now += step.which if step.what == "pass" else -step.which
                for question in self._questions:
                    question.moments.add(self.world.now)
            case "run":
                self.run(step.which)
            case "arrive":
                self.arrive(step.which)
            case "between":
                self.run_between(step.which)
            case "settle":
                self.settle()
        if step.rests:
            self.settle()
        self.judge()

    def ask(self, who: Identity, path: str) -> None:
        """Ask, on a connection that has nothing else to do."""
        answer: list[Any] = []
        wire = self._idle_wire(who)
        moments = {self.world.now}
        self._questions.append(_Question(who, path, self._acknowledged, moments, answer))
        wire.client.get(path).addBoth(answer.append)
        wire.pump()

    def tell(self, who: Identity, method: str, path: str, body: bytes) -> None:
        wire = self._idle_wire(who)
        answer = wire.client.request(method, path, body or None)
        answer.addBoth(self._told)
        wire.pump()

    def _told(self, answer: Any) -> None:
        assert isinstance(answer, Answer), answer
        assert answer.status in (201, 204, 400, 403, 404, 405, 409, 413), answer

    def do(self, action: str, which: int) -> None:
        done: Deferred[Any] = self.world.database.write(lambda t: ACTIONS[action](t, self.world, which))
        done.addErrback(lambda failure: failure.trap(Refusal))

    def run(self, lane: int) -> None:
        if self.store.lanes[lane].run() and lane == WRITING:
            self._committed()

    def _committed(self) -> None:
        content = self._content()
        if content != self._versions[-1]:
            self._versions.append(content)

    def arrive(self, lane: int) -> None:
        # What has arrived is acknowledged, and what is asked from now on must know of it.
        if lane == WRITING and self.store.lanes[lane].has_run:
            self._acknowledged = len(self._versions) - 1
        self.store.lanes[lane].arrive()
        for wire in list(self._wires.values()):
            wire.pump()

    def run_between(self, statement: int) -> None:
        """Run the reads that wait, and what is to be written between two of their statements."""
        left = statement
        wrong: list[Failure] = []

        def look(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                try:
                    self.run(WRITING)
                except BaseException:
                    wrong.append(Failure())

        with self._traced(look):
            self.run(READING)
        if wrong:
            wrong[0].raiseException()

    @contextmanager
    def _traced(self, look: Callable[[str], None]) -> Iterator[None]:
        self._reader.set_trace_callback(look)
        try:
            yield
        finally:
            self._reader.set_trace_callback(None)

    def settle(self) -> None:
        """Let everything come to rest."""
        for _ in range(1000):
            busy = False
            for lane in (READING, _OPERATORS, WRITING):
                busy |= self.store.lanes[lane].is_busy
                self.run(lane)
                self.arrive(lane)
            if not busy:
                return
        raise AssertionError("it never comes to rest")

    def _idle_wire(self, who: Identity) -> Wire:
        for number in range(100):
            wire = self._wires.get((who, number))
            if wire is None or wire.closed:
                wire = self._wires[who, number] = self.world.open(who)
                return wire
            if wire.client.is_idle:
                return wire
        raise AssertionError("so many questions are under way")

    # --- what is true

    def judge(self) -> None:
        """See that every answer that came is one that was true meanwhile."""
        for question in [each for each in self._questions if each.answer]:
            self._questions.remove(question)
            (answer,) = question.answer
            if isinstance(answer, Failure):
                answer.raiseException()
            self.judged += 1
            self._check(question, answer)

    def _check(self, question: _Question, answer: Answer) -> None:
        given = (answer.status, answer.body)
        assert not self._foreign(question.who, answer.body), f"{question.path}: {answer}"
        last = len(self._versions) - 1
        for version in range(last, question.first - 1, -1):
            for moment in question.moments:
                if self._truth(version, moment, question.who, question.path) == given:
                    return
        true = self._truth(last, self.world.now, question.who, question.path)
        raise AssertionError(
            f"{question.path} for {question.who.lfdi[:4]} is {given}\nbut it would be {true}\n"
            f"at {last} of {question.first}.."
        )

    @staticmethod
    def _foreign(who: Identity, body: bytes) -> bool:
        """Whether a document names somebody who is none of its reader's business."""
        known = {who, SERVER, *((OWNER, NEW) if who in (OWNER, NEW) else ()), *_FLEETS.get(who.lfdi, ())}
        strangers = {*EVERYBODY.values(), NEW} - known
        return any(stranger.lfdi.encode() in body for stranger in strangers)

    def _truth(self, version: int, moment: float, who: Identity, path: str) -> tuple[int, bytes]:
        """What a server that keeps nothing says of a version of the store at a moment."""
        key = (version, moment, who.lfdi)
        oracle = self._oracles.get(key)
        if oracle is None:
            # One for each: what one caller asks may make a version known, which is kept.
            place = self._folder / f"truth{len(self._oracles)}.sqlite"
            place.write_bytes(self._versions[version])
            oracle = self._oracles[key] = World(place, straight=False, answers=0, facts=0)
            oracle.now = moment
        answer = oracle.get(who, path)
        return answer.status, answer.body

    def _content(self) -> bytes:
        """The database as somebody finds it who opens it now."""
        content: bytes = _snapshot(self._path)
        return content


def _snapshot(path: Path) -> bytes:
    connection = sqlite3.connect(path)
    try:
        return connection.serialize()
    finally:
        connection.close()


class InterleavingTests(SynchronousTestCase):
    """Anything, in any order."""

    def play(self, steps: list[Step], straight: bool) -> None:
        """Carry out the steps. AssertionError says what was given that was not true."""
        play = Play(Path(self.mktemp()), straight=straight)
        try:
            for step in steps:
                play.carry_out(step)
            play.settle()
            play.judge()
        finally:
            play.close()

    @settings(fewer(3), phases=[Phase.explicit, Phase.generate])
    @given(st.integers(0, 2**64), st.sampled_from([True, True, False]))
    def test_anything(self, seed: int, straight: bool) -> None:
        """Whatever is asked, told and done, in whatever order it is carried out."""

        def fails(steps: list[Step]) -> bool:
            try:
                self.play(steps, straight)
            except Exception:
                return True
            return False

        steps = script(Random(seed), 40)
        if fails(steps):
            steps = shortest(steps, fails)
            self.flushLoggedErrors()
            note("\n".join(map(str, steps)))
            self.play(steps, straight)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_clock_set_back_under_way(self) -> None:
        """What the clock's being set back overtook on its way is not kept for the time before."""
        time = ASKED.index("/tm")
        steps = [Step("ask", 5, time), Step("back", 0, 30), Step("ask", 4, time, rests=True)]
        for straight in (True, False):
            self.play([*steps, Step("ask", 5, time)], straight)
