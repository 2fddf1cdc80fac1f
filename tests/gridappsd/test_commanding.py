"""Tests of what is made of difference messages: from the bus to what devices are given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import bus as store
from csipd.db import programs
from csipd.db.tables import bus_messages, bus_wishes
from csipd.gridappsd import commanding
from csipd.gridappsd.commanding import Commanding
from csipd.gridappsd.topics import Topics
from csipd.refusals import Unavailable
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.types import EventState
from tests.support.bus import MemoryBus
from tests.support.schema import validate
from tests.support.world import BARE, MANAGED, OTHER, OWNER, World

TOPICS = Topics("IEEE_2030_5", "77")
SECONDS = 1800
BASE = "DERControlBase."
SEED = "DERControl.DERControlBase."


def envelope(
    forward: list[tuple[str, str, Any]] = (),  # type: ignore[assignment]  # nothing is put into it
    reverse: list[tuple[str, str, Any]] = (),  # type: ignore[assignment]  # likewise
    mrid: str = "1",
) -> bytes:
    """A message of differences: object, attribute and value."""

    def listed(items: Any) -> list[Any]:
        return [{"object": of, "attribute": attribute, "value": value} for of, attribute, value in items]

    message = {
        "timestamp": 1,
        "difference_mrid": mrid,
        "forward_differences": listed(forward),
        "reverse_differences": listed(reverse),
    }
    return json.dumps({"command": "update", "input": {"simulation_id": "77", "message": message}}).encode()


class Story:
    """A world with the bus, in which time passes and which can be restarted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        self.now = 0.0
        self._start()
        self.now = self.world.now

    def _start(self) -> None:
        self.world = World(self.path)
        if self.now:
            self.world.now = self.now
        self.bus = MemoryBus()
        self.clock = Clock()
        self.back: Any = self.world.back
        self.commanding = Commanding(
            self.bus, self.back, self.clock, lambda: self.world.now, self.world.server, TOPICS, SECONDS
        )
        self.commanding.startService()

    @property
    def counts(self) -> Mapping[str, int]:
        return self.bus.state.commanded

    def close(self) -> None:
        self.commanding.stopService()
        self.world.close()

    def kill(self) -> None:
        """The server dies and is started again."""
        for timer in self.clock.getDelayedCalls():
            timer.cancel()
        self.now = self.world.now
        self.world.close()
        self._start()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.world.now += 0.1

    def say(self, body: bytes, topic: int = 0) -> None:
        self.bus.deliver(TOPICS.inputs[topic], body)

    def tell(self, *forward: tuple[str, str, Any], reverse: Any = ()) -> None:
        """A message of its own."""
        self.number += 1
        self.say(envelope(list(forward), list(reverse), str(self.number)))

    def active(self, who: Any = OWNER, name: str = "owner") -> dict[str, Any]:
        """The modes in force in a device's own program, as the device is given them."""
        found: dict[str, Any] = {}
        for one in sorted(self.listed(who, name), key=lambda one: (one.creationTime, one.mRID)):
            if one.EventStatus.currentStatus == EventState.ACTIVE:
                found.update(vars(one.DERControlBase))
        return found

    def listed(self, who: Any = OWNER, name: str = "owner") -> list[r.DERControl]:
        program = programs.own_program(getattr(self.world.numbers, name))
        answer = self.world.get(who, f"/derp/{program}/derc?l=200")
        if answer.status == 404:
            return []
        validate(answer.body)
        return list(codec.decode(answer.body, r.DERControlList).DERControl)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.story = Story(Path(self.mktemp()))
        self.addCleanup(self.story.close)


class MessageTests(Case):
    """Messages in both shapes."""

    def test_both_shapes_and_topics(self) -> None:
        """Both shapes of the attribute, on both topics, become a control a second later."""
        story = self.story
        self.assertEqual(story.bus.destinations, list(TOPICS.inputs))
        story.say(envelope([("_owner", SEED + "opModTargetW", {"multiplier": 3, "value": 1})], mrid="a"))
        story.say(envelope([("other", BASE + "opModConnect", False)], mrid="b"), 1)
        story.wait(0.8)
        self.assertEqual(story.listed(), [])
        story.wait(0.4)
        self.assertEqual(story.active(), {"opModTargetW": r.ActivePower(multiplier=3, value=1)})
        self.assertEqual(story.active(OTHER, "other"), {"opModConnect": False})
        self.assertEqual((story.counts["messages"], story.counts["controls"]), (2, 2))

    def test_one_control_a_second(self) -> None:
        """Differences of a device within a second become one control of all its modes, the newest counts."""
        story = self.story
        for watts in range(9):
            story.tell(("owner", BASE + "opModTargetW", watts), ("owner", BASE + "opModConnect", True))
            story.wait(0.1)
        story.tell(("owner", SEED + "opModEnergize", True))
        story.wait(2)
        self.assertEqual(len(story.listed()), 1)
        watts8 = r.ActivePower(multiplier=0, value=8)
        expected = {"opModConnect": True, "opModEnergize": True, "opModTargetW": watts8}
        self.assertEqual(story.active(), expected)

    def test_nonsense_takes_nothing(self) -> None:
        """A value that an attribute cannot have is counted, and leaves what was said a moment before."""
        story = self.story
        story.tell(("owner", BASE + "opModTargetW", 100))
        for nonsense in ("on", [1], {"multiplier": 99, "value": 1}, 10**30, True):
            story.tell(("owner", BASE + "opModTargetW", nonsense))
        story.wait(2)
        self.assertEqual(story.active(), {"opModTargetW": r.ActivePower(multiplier=0, value=100)})
        refused = story.bus.state.refused
        self.assertEqual(refused["values that the attribute cannot have"], 4)
        self.assertEqual(refused["malformed differences"], 1)

    def test_repeated(self) -> None:
        """A message that comes twice counts once, also after a restart."""
        story = self.story
        body = envelope([("owner", BASE + "opModConnect", True)], mrid="x")
        story.say(body)
        story.say(body, 1)
        story.wait(2)
        self.assertEqual((story.counts["controls"], story.counts["repeated"]), (1, 1))
        story.say(envelope(reverse=[("owner", BASE + "opModConnect", True)], mrid="y"))
        story.wait(2)
        self.assertEqual(story.active(), {})
        story.kill()
        story.say(body)
        story.wait(2)
        self.assertEqual((story.active(), story.counts["repeated"]), ({}, 1))

    def test_settings(self) -> None:
        """A difference outside the base sets the device's default."""
        story = self.story
        story.tell(("owner", "DERControl.setGradW", 55))
        story.wait(2)
        program = programs.own_program(story.world.numbers.owner)
        answer = story.world.get(OWNER, f"/derp/{program}/dderc")
        validate(answer.body)
        self.assertEqual(codec.decode(answer.body, r.DefaultDERControl).setGradW, 55)
        self.assertEqual(story.counts["defaults"], 1)

    def test_refusals_are_counted(self) -> None:
        """What is refused is counted by kind, and nothing is made of it."""
        story = self.story
        story.say(b"no JSON")
        story.say(envelope(mrid="2").replace(b"update", b"pause"))
        story.say(envelope(mrid="3").replace(b'"77"', b'"78"'))
        story.tell(
            ("owner", "PowerElectronicsConnection.p", 1),
            ("owner", BASE + "opModMaxLimW", 0.5),
            ("nobody", BASE + "opModConnect", True),
            ("withdrawn", BASE + "opModConnect", True),
            ("other", BASE + "rampTms", 5),
            ("", BASE + "opModConnect", True),
            ("owner", "DERStatus.genConnectStatus", 1),
        )
        story.wait(2)
        self.assertEqual(
            dict(story.bus.state.refused),
            {
                "malformed messages": 1,
                "messages that are no update": 1,
                "messages of another simulation": 1,
                "unknown attributes": 1,
                "malformed differences": 1,
                "values that the attribute cannot have": 1,
                "unknown or unregistered devices": 2,
                "commands against the rules": 1,
            },
        )
        self.assertEqual((story.counts["controls"], story.counts["echoes"]), (0, 1))

    def test_aggregators_see_it(self) -> None:
        """A device of an aggregator is commanded as well, in its own program."""
        self.story.tell(("managed", BASE + "opModConnect", True), ("bare", BASE + "opModConnect", True))
        self.story.wait(2)
        self.assertEqual(self.story.active(MANAGED, "managed"), {"opModConnect": True})
        self.assertEqual(self.story.counts["controls"], 2)
        self.assertEqual(self.story.world.get(BARE, "/dcap").status, 200)


class BoundTests(Case):
    """What waits is bounded."""

    def test_a_million_messages(self) -> None:
        """However many messages come while the database stands still, what waits is a value for each mode."""
        story = self.story
        self.patch(commanding, "MOST_OPEN", 100)
        self.patch(commanding, "MOST_RECENT", 100)
        story.back.hold()
        for watts in range(3000):
            story.tell(("owner", BASE + "opModTargetW", watts))
            if watts % 100 == 0:
                story.wait(0.1)
        self.assertLessEqual(len(story.commanding._recent), 100)
        story.back.release()
        story.wait(3)
        self.assertEqual(story.active(), {"opModTargetW": r.ActivePower(multiplier=0, value=2999)})
        self.assertLessEqual(story.counts["controls"], 10)

    def test_full(self) -> None:
        """Beyond their bounds differences and devices are refused, and counted."""
        story = self.story
        self.patch(commanding, "MOST_ARRIVED", 3)
        story.tell(*((f"d{number}", BASE + "opModConnect", True) for number in range(4)))
        self.assertEqual(story.bus.state.refused["commands beyond what there is room for"], 4)
        self.patch(commanding, "MOST_DEVICES", 2)
        story.tell(*((f"d{number}", BASE + "opModConnect", True) for number in range(3)))
        story.wait(0.5)
        self.assertEqual(story.bus.state.refused["commands beyond what there is room for"], 5)

    def test_held_back(self) -> None:
        """A command for which a program has no room is carried out when there is."""
        story = self.story
        self.patch(store, "MOST_LIVE", 1)
        story.tell(("owner", BASE + "opModConnect", True))
        story.wait(2)
        story.tell(("owner", BASE + "opModConnect", False))
        story.wait(2)
        self.assertEqual((story.active(), story.counts["held back"]), ({"opModConnect": True}, 1))
        self.patch(store, "MOST_LIVE", 2)
        story.wait(commanding.HELD_BACK + 2)
        self.assertEqual(story.active(), {"opModConnect": False})

    def test_held_back_is_older(self) -> None:
        """What was held back never comes after what was said of the same mode since then."""
        story = self.story
        self.patch(store, "MOST_LIVE", 1)
        story.tell(("owner", BASE + "opModConnect", True))
        story.wait(2)
        story.tell(("owner", BASE + "opModTargetW", 100), ("owner", BASE + "opModMaxLimW", 1000))
        story.wait(2)
        self.assertEqual(story.counts["held back"], 1)
        self.patch(store, "MOST_LIVE", 9)
        story.tell(("owner", BASE + "opModTargetW", 200))
        story.wait(2)
        story.tell(("owner", BASE + "opModMaxLimW", None))
        story.wait(commanding.HELD_BACK + 2)
        expected = {"opModConnect": True, "opModTargetW": r.ActivePower(multiplier=0, value=200)}
        self.assertEqual(story.active(), expected)

    def test_judged_in_slices(self) -> None:
        """However many differences a message has, few are judged before the reactor looks elsewhere."""
        story = self.story
        judged: list[Any] = []
        turns: list[int] = []
        call_later = story.clock.callLater

        def turn(*call: Any, **named: Any) -> Any:
            turns.append(len(judged))
            return call_later(*call, **named)

        story.clock.callLater = turn  # type: ignore[method-assign]  # it is a clock all the same
        self.patch(commanding, "value_of", lambda attribute, value: judged.append(value))
        for message in range(20):
            names = (f"d{message * 10 + number}" for number in range(10))
            story.tell(*((name, BASE + "opModConnect", True) for name in names))
        story.clock.advance(0.1)
        self.assertEqual(len(judged), 200)
        self.assertLessEqual(max(after - before for before, after in pairwise(turns)), 32)

    def test_portions(self) -> None:
        """A transaction has so many devices at most, and all are commanded."""
        story = self.story
        self.patch(commanding, "TOGETHER", 1)
        names = ("owner", "other", "managed", "bare", "foreign")
        story.tell(*((name, BASE + "opModConnect", True) for name in names))
        story.wait(2)
        self.assertEqual(story.counts["controls"], len(names))
        keys = story.world.read(lambda c: c.scalar(sa.select(sa.func.count(bus_messages.c.key))))
        self.assertEqual(keys, 1)


class OutageTests(Case):
    """The database, and the end."""

    def test_damaged(self) -> None:
        """What is damaged of one device is counted, and takes nothing from the others, also later."""
        story = self.story
        names = ("owner", "other", "managed")
        story.tell(*((name, BASE + "opModConnect", True) for name in names))
        story.wait(2)
        owner = bus_wishes.c.device == story.world.numbers.owner
        damage = sa.update(bus_wishes).where(owner).values(body=b"damaged")
        story.world.write(lambda t: t.connection.execute(damage))
        for connect in (False, True):
            story.tell(*((name, BASE + "opModConnect", connect) for name in names))
            story.wait(4)
            self.assertEqual(story.active(OTHER, "other"), {"opModConnect": connect})
            self.assertEqual(story.active(MANAGED, "managed"), {"opModConnect": connect})
        self.assertEqual(story.bus.state.refused, {"commands that failed": 2})

    def test_unavailable(self) -> None:
        """What the database could not take is carried out when it can, and what came meanwhile counts."""
        story = self.story
        story.tell(("owner", BASE + "opModTargetW", 1), ("owner", BASE + "opModConnect", True))
        story.wait(0.5)
        story.back.hold()
        story.wait(1)
        story.tell(("owner", BASE + "opModTargetW", 2))
        outage = Unavailable("the disk is full")
        story.world.database.write, write = lambda *_: _failed(outage), story.world.database.write
        story.back.release(outage)
        story.wait(3)
        story.world.database.write = write
        story.wait(3)
        watts = r.ActivePower(multiplier=0, value=2)
        self.assertEqual(story.active(), {"opModTargetW": watts, "opModConnect": True})

    def test_stop(self) -> None:
        """What waits when the server stops is carried out before the database closes."""
        story = self.story
        story.tell(("owner", BASE + "opModConnect", True))
        done = self.successResultOf(story.commanding.stopService())
        self.assertIsNone(done)
        self.assertEqual(story.active(), {"opModConnect": True})
        self.assertEqual(story.clock.getDelayedCalls(), [])
        story.tell(("owner", BASE + "opModConnect", False))
        self.assertEqual(story.clock.getDelayedCalls(), [])

    def test_stop_without_database(self) -> None:
        """A server whose database cannot be used stops all the same."""
        story = self.story
        story.tell(("owner", BASE + "opModConnect", True))
        story.back.read = lambda *_: _failed(Unavailable("gone"))
        self.assertIsNone(self.successResultOf(story.commanding.stopService()))


def _failed(error: Exception) -> Any:
    return fail(error)


# Random stories.
NAMES = {"owner": OWNER, "other": OTHER, "managed": MANAGED}
MODES = ("opModTargetW", "opModConnect", "opModMaxLimW")
VALUES = {"opModTargetW": (0, 1000, -500), "opModConnect": (True, False), "opModMaxLimW": (0, 10000)}


@define
class Model:
    """What the bus has in force, as whoever sends the messages would think of it."""

    modes: dict[str, dict[str, Any]] = field(factory=lambda: {name: {} for name in NAMES})
    ends: dict[str, float] = field(factory=dict)


DIFFERENCE = st.tuples(
    st.sampled_from(sorted(NAMES)), st.sampled_from(MODES), st.integers(0, 2), st.booleans()
)
STEP = st.one_of(
    st.tuples(st.just("tell"), st.lists(DIFFERENCE, min_size=1, max_size=4)),
    st.tuples(st.just("again"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from((2, 60, SECONDS))),
    st.tuples(st.just("kill"), st.none()),
    st.tuples(st.just("nonsense"), st.sampled_from((b"{", envelope([("x", "y", 1)], mrid="n")))),
)


class StoryTests(SynchronousTestCase):
    """Whatever is sent, in whatever order, with restarts in between."""

    @settings(max_examples=25, deadline=None)
    @given(st.lists(STEP, max_size=12))
    def test_stories(self, steps: list[tuple[str, Any]]) -> None:
        """After each step devices are given what the messages say, and nothing else."""
        with TemporaryDirectory() as folder:
            story = Story(Path(folder) / "store")
            try:
                self.tell(story, steps)
            finally:
                story.close()

    def tell(self, story: Story, steps: list[tuple[str, Any]]) -> None:
        model = Model()
        last: bytes | None = None
        for kind, what in steps:
            match kind:
                case "tell":
                    forward, reverse = [], []
                    said: dict[tuple[str, str], Any] = {}
                    for name, mode, choice, takes_back in what:
                        if takes_back:
                            reverse.append((f"_{name}", BASE + mode, 1))
                            said.setdefault((name, mode), None)
                        else:
                            value = VALUES[mode][choice % len(VALUES[mode])]
                            forward.append((name, SEED + mode, value))
                            said[name, mode] = value
                    story.number += 1
                    last = envelope(forward, reverse, str(story.number))
                    story.say(last)
                    story.wait(1.2)
                    self.keep(model, said, story.world.now)
                case "again" if last is not None:
                    story.say(last)
                    story.wait(1.2)
                case "wait":
                    story.world.now += what
                case "kill":
                    story.kill()
                case "nonsense":
                    story.say(what)
                    story.wait(1.2)
            story.wait(1)
            for name, who in NAMES.items():
                expected = model.modes[name] if model.ends.get(name, 0) > story.world.now else {}
                self.assertEqual(self.plain(story.active(who, name)), expected, (steps, kind, name))

    def keep(self, model: Model, said: Mapping[tuple[str, str], Any], now: float) -> None:
        """A message's differences of a device are one change."""
        for name in NAMES:
            of = {mode: value for (one, mode), value in said.items() if one == name}
            if not of:
                continue
            held = dict(model.modes[name]) if model.ends.get(name, 0) > now else {}
            after = {k: v for k, v in {**held, **of}.items() if v is not None}
            model.modes[name] = after
            if after != held:
                # The second in which it was carried out, within that of its message.
                model.ends[name] = int(now) + SECONDS - 1

    def plain(self, modes: Mapping[str, Any]) -> dict[str, Any]:
        def of(value: Any) -> Any:
            return value.value * 10**value.multiplier if isinstance(value, r.ActivePower) else value

        return {name: of(value) for name, value in modes.items()}
