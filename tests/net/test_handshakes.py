"""Handshakes that are not finished: who waits, and who is given up for that."""

from __future__ import annotations

from attrs import define
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.handshakes import CROWD_SECONDS, SILENCE_SECONDS, STALL_SECONDS, Handshakes

MOST, OF_ADDRESS = 10, 3


@define(eq=False)
class Begun:
    """A connection, and whether it has said something that was not read."""

    unread: bool = False

    def has_unread(self) -> bool:
        return self.unread


class HandshakesTests(SynchronousTestCase):
    """How many come in."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.handshakes: Handshakes[Begun] = Handshakes(self.clock, MOST, OF_ADDRESS)
        self.calls = 0

    def begin(self, number: int, *, heard: bool = True, origin: str = "") -> list[Begun]:
        """So many, each from an address of its own if none is named."""
        made = [Begun() for _ in range(number)]
        for each in made:
            self.handshakes.add(each, origin or f"{id(each)}")
            if heard:
                self.handshakes.heard(each)
        return made

    def wait(self) -> None:
        def call() -> None:
            self.calls += 1

        self.assertEqual(self.handshakes.room(1), 0)
        self.handshakes.when_room(call)

    def pass_by(self, seconds: float) -> None:
        self.clock.pump([0.05] * round(seconds / 0.05))

    def test_room(self) -> None:
        """There is as much as is wanted, or as is left."""
        self.begin(7)
        self.assertEqual([self.handshakes.room(wanted) for wanted in (1, 3, 5)], [1, 3, 3])
        self.begin(3)
        self.assertEqual(self.handshakes.room(5), 0)

    def test_next_finished(self) -> None:
        """Whoever waits is called once, when one is finished or gone; nothing is looked for after that."""
        for leave in (self.handshakes.finished, self.handshakes.remove):
            first, *others = self.begin(MOST)
            self.calls = 0
            self.wait()
            leave(first)
            self.assertEqual((self.calls, self.handshakes.room(5)), (1, 1))
            leave(others[0])
            self.assertEqual((self.calls, self.clock.getDelayedCalls()), (1, []))
            for each in others:
                self.handshakes.remove(each)
        self.assertEqual(len(self.handshakes), 0)

    def test_going_on(self) -> None:
        """None is cut while handshakes are finished, however long each of them takes."""
        begun = self.begin(MOST)
        for _ in range(8):
            self.clock.advance(STALL_SECONDS / 2)
            for each in begun:
                self.handshakes.heard(each)
            self.handshakes.finished(begun.pop(0))
            self.assertEqual(self.handshakes.room(5), 1)
            begun += self.begin(1)
            self.wait()

    def test_silent(self) -> None:
        """Who says nothing goes first, the oldest before the others, for those that wait."""
        spoken = self.begin(4)
        silent = self.begin(6, heard=False)
        self.wait()
        self.pass_by(SILENCE_SECONDS - 0.2)
        self.assertEqual(self.calls, 0)
        self.handshakes.finished(spoken.pop())
        (late,) = self.begin(1, heard=False)
        self.calls = 0
        self.wait()
        self.pass_by(0.4)
        self.assertEqual((self.calls, self.handshakes.room(20)), (1, 6))
        self.assertIs(self.handshakes.in_the_way("new"), silent[0])
        # One of them speaks after all.
        self.handshakes.heard(silent[0])
        self.assertEqual(self.handshakes.room(20), 5)
        self.assertIs(self.handshakes.in_the_way("new"), silent[1])
        for each in silent[1:]:
            self.handshakes.remove(each)
        self.begin(5)
        self.assertEqual(self.handshakes.room(20), 0)
        self.pass_by(SILENCE_SECONDS)
        self.assertEqual(self.handshakes.room(20), 1)
        self.assertIs(self.handshakes.in_the_way("new"), late)

    def test_half_way(self) -> None:
        """Who begins and goes no further is given up though others finish; not who was just not read."""
        stuck = self.begin(4)
        stuck[1].unread = True
        others = self.begin(6)
        self.clock.advance(STALL_SECONDS / 2)
        for each in others:
            self.handshakes.heard(each)
        self.clock.advance(STALL_SECONDS / 2)
        self.handshakes.finished(others.pop())
        for each in self.begin(1):
            self.handshakes.finished(each)
        self.begin(1)
        self.assertEqual(self.handshakes.room(20), 3)
        self.assertIs(self.handshakes.in_the_way("new"), stuck[0])
        # One of them goes on after all.
        self.handshakes.heard(stuck[0])
        self.assertEqual(self.handshakes.room(20), 2)
        self.assertIs(self.handshakes.in_the_way("new"), stuck[2])
        for each in (*stuck, *others):
            self.handshakes.remove(each)
        # What comes of one that is gone is nothing.
        self.handshakes.heard(stuck[0])
        self.assertEqual((len(self.handshakes), self.handshakes.room(20)), (1, 9))

    def test_not_read_yet(self) -> None:
        """What a server that is late has not read was said all the same."""
        begun = self.begin(MOST, heard=False)
        for each in begun[1:]:
            each.unread = True
        self.clock.advance(SILENCE_SECONDS)
        self.assertEqual(self.handshakes.room(20), 1)
        self.assertIs(self.handshakes.in_the_way("new"), begun[0])
        begun[1].unread = False
        self.assertEqual(self.handshakes.room(20), 1)
        self.clock.advance(SILENCE_SECONDS)
        self.assertEqual(self.handshakes.room(20), 2)

    def test_stall(self) -> None:
        """Where none is finished those that began first go, but each has had its time."""
        begun = self.begin(MOST - 1)
        self.clock.advance(1)
        (last,) = self.begin(1)
        self.wait()
        self.pass_by(STALL_SECONDS - 1.2)
        self.assertEqual(self.calls, 0)
        self.pass_by(0.4)
        self.assertEqual((self.calls, self.handshakes.room(20), self.handshakes.room(5)), (1, 9, 5))
        self.assertIs(self.handshakes.in_the_way("new"), begun[0])
        self.handshakes.remove(begun.pop(0))
        self.begin(1)
        # One that is finished gives its time to those that began with it, not to those that were given up.
        self.handshakes.finished(last)
        self.begin(1)
        self.pass_by(STALL_SECONDS - 0.2)
        self.assertEqual(self.handshakes.room(20), 8)
        self.assertIs(self.handshakes.in_the_way("new"), begun[0])

    def test_address(self) -> None:
        """An address that has many loses its own, where half of the room is used."""
        here = self.begin(0)
        for _ in range(OF_ADDRESS):
            here.append(Begun())
            self.handshakes.add(here[-1], "here")
        self.begin(1)
        self.assertIsNone(self.handshakes.in_the_way("here"))
        self.begin(1)
        self.assertIs(self.handshakes.in_the_way("here"), here[0])
        self.assertIsNone(self.handshakes.in_the_way("there"))

    def test_as_slow_as_others(self) -> None:
        """Where handshakes take long each may: twice as long as the last one that was finished."""
        first, *others = self.begin(MOST)
        self.clock.advance(STALL_SECONDS - 1)
        self.handshakes.heard(first)
        self.handshakes.finished(first)
        self.begin(1)
        self.clock.advance(1.5)
        self.assertEqual(self.handshakes.room(20), 0)
        self.clock.advance(1)
        # 2 * 2 seconds have passed for these, and the last one finished is too long ago for none.
        self.assertEqual(self.handshakes.room(20), len(others))
        self.assertIs(self.handshakes.in_the_way("new"), others[0])

    def test_crowd(self) -> None:
        """Of an address that finishes none all but a few make room, soon; not where it finishes some."""
        handshakes: Handshakes[Begun] = Handshakes(self.clock, MOST, 3 * OF_ADDRESS)
        self.handshakes = handshakes
        crowd = self.begin(4, origin="crowd")
        others = self.begin(MOST - 5)
        late = self.begin(1, origin="crowd")
        self.wait()
        self.pass_by(CROWD_SECONDS - 0.1)
        self.assertEqual((self.calls, handshakes.room(20)), (0, 0))
        self.pass_by(0.2)
        self.assertEqual((self.calls, handshakes.room(20), handshakes.room(2)), (1, 4, 2))
        self.assertIs(handshakes.in_the_way("new"), crowd[0])
        # One that says something is not the next to go.
        handshakes.heard(crowd[0])
        self.assertIs(handshakes.in_the_way("new"), crowd[1])
        handshakes.finished(late[0])
        self.begin(1)
        self.assertEqual(handshakes.room(20), 0)
        handshakes.remove(others[0])
        self.begin(1)
        self.clock.advance(STALL_SECONDS - 0.5)
        self.assertEqual(handshakes.room(20), 0)

    def test_full(self) -> None:
        """Who is let in all the same has the place of the oldest."""
        begun = self.begin(MOST)
        self.assertIs(self.handshakes.in_the_way("new"), begun[0])
        self.assertIs(self.handshakes.oldest(), begun[0])
