"""The same script played to several servers: what each of them answers, cuts, keeps, logs and notes.

A script is a list of steps: octets sent in so many reads, time that passes, what the operator does meanwhile,
connections that hang up. It says nothing of how a server works, so that two which work differently can be
compared to the octet:

    one = play(World(first), callers, script)
    other = play(World(second, answers=0), callers, script)
    self.assertEqual(one, other)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import asdict, frozen
from twisted.logger import formatEvent as format_event
from twisted.logger import globalLogPublisher

from csipd.net.identity import Identity
from csipd.refusals import Refusal, Unavailable
from tests.support.actions import ACTIONS
from tests.support.memory_tls import Wire
from tests.support.world import LAB, World

#: What is on the other end of every connection with TLS, whomever it is taken for.
_CREDENTIAL = LAB.device("anybody")
#: Columns whose values are drawn at random.
_RANDOM = frozenset(("revision", "commits.number"))


@frozen
class Line:
    """A connection: who calls, and whether with TLS.

    :param portion: bytes that one read of the server gives at most; None: all that were sent together
    """

    who: Identity
    secure: bool = False
    portion: int | None = None


@frozen
class Send:
    """Octets on a connection; each read of the server gets some records (without TLS these are one)."""

    line: int
    reads: tuple[tuple[bytes, ...], ...]


@frozen
class Pass:
    """Time goes by, on every clock."""

    seconds: float


@frozen
class Shift:
    """Somebody sets the wall clock."""

    seconds: float


@frozen
class Hold:
    """What comes from the database is held on its way back, or let go again."""

    held: bool


@frozen
class Fail:
    """What is held on its way back from the database has failed, and nothing is held any more."""


@frozen
class Read:
    """A peer reads what it is sent, or does not."""

    line: int
    reads: bool


@frozen
class HangUp:
    """A peer loses power."""

    line: int


@frozen
class Drain:
    """The server is told to end: connections close behind what is in progress."""


@frozen
class Do:
    """Something is done to the utility, by its name in `ACTIONS`, if it can be.

    :param which: to whom, or to which, where there is a choice
    """

    action: str
    which: int = 0


Step = Send | Pass | Shift | Hold | Fail | Read | HangUp | Drain | Do


@frozen
class Seen:
    """What a connection came to in one step."""

    step: int
    line: int
    received: bytes
    closed: bool
    closing: bool


@frozen
class Record:
    """What a server did with a script.

    :param store: what it keeps, by table
    :param noted: what is new about callers
    """

    seen: list[Seen]
    log: list[str]
    remarks: list[str]
    store: dict[str, list[Any]]
    noted: list[dict[str, Any]]


class _Stage:
    """A world with the connections of a script."""

    def __init__(self, world: World, lines: Sequence[Line], folder: Path) -> None:
        self.world = world
        self._lines = lines
        self._folder = folder
        self._wires: dict[int, Wire] = {}
        self._read: dict[int, int] = {}
        self.seen: list[Seen] = []

    def wire(self, number: int) -> Wire | None:
        """The connection of that number, made anew if it is gone; None: the server takes none."""
        wire = self._wires.get(number)
        if wire is None or wire.closed:
            line = self._lines[number]
            try:
                wire = self._connect(line)
            except ConnectionRefusedError:
                return None
            wire.portion = line.portion
            self._wires[number] = wire
            self._read[number] = 0
        return wire

    def _connect(self, line: Line) -> Wire:
        if line.secure:
            return self.world.secure(self._folder, _CREDENTIAL, line.who)
        return self.world.open(line.who)

    def carry_out(self, step: Step) -> None:
        world = self.world
        match step:
            case Send(line, reads):
                wire = self.wire(line)
                for records in reads if wire is not None else ():
                    assert wire is not None
                    for record in records if self._lines[line].secure else (b"".join(records),):
                        wire.client.send(record)
                    wire.pump()
            case Pass(seconds):
                world.now += seconds
                world.clock.advance(seconds)
            case Shift(seconds):
                world.now += seconds
            case Hold(held):
                (world.back.hold if held else world.back.release)()
            case Fail():
                world.back.release(Unavailable("there is no disk"))
            case Read(line, reads):
                if line in self._wires:
                    self._wires[line].reading = reads
            case HangUp(line):
                if line in self._wires:
                    self._wires[line].hang_up()
            case Drain():
                world.site.connections.drain()
            case Do(action, which):
                # It was done before, or what it would be done to is gone.
                with suppress(Refusal):
                    world.write(lambda transaction: ACTIONS[action](transaction, world, which))

    def look(self, at: int) -> None:
        """Write down what every connection came to."""
        for wire in self._wires.values():
            wire.pump()
        for number, wire in sorted(self._wires.items()):
            received = wire.client.received
            new = received[self._read[number] :]
            self._read[number] = len(received)
            self.seen.append(Seen(at, number, new, wire.closed, wire.closing))

    def end(self) -> None:
        for wire in self._wires.values():
            if not wire.closed:
                wire.hang_up()


def play(world: World, lines: Sequence[Line], script: Sequence[Step], folder: Path) -> Record:
    """What a server does with a script; it is closed then.

    :param folder: where there is room for keys
    """
    log: list[str] = []

    def note(event: Any) -> None:
        failure = event.get("log_failure")
        log.append(f"{event['log_level'].name} {format_event(event)} {failure and failure.type.__name__}")

    stage = _Stage(world, lines, folder)
    globalLogPublisher.addObserver(note)
    try:
        for number, step in enumerate(script):
            stage.carry_out(step)
            stage.look(number)
        world.back.release()
        stage.look(len(script))
        noted = [asdict(each) for each in world.contacts.collect(world.site.connections.identified())]
        stage.end()
    finally:
        globalLogPublisher.removeObserver(note)
    store = content(world)
    world.close()
    remarks = [
        f"{each.peer} {each.reason} {each.line.format(peer=each.peer, **each.values)}"
        for each in world.remarks
    ]
    return Record(stage.seen, log, remarks, store, sorted(noted, key=lambda each: str(each["lfdi"])))


def content(world: World) -> dict[str, list[Any]]:
    """All that a server's database holds, by table, what is drawn at random aside."""
    return world.read(lambda connection: _content(connection.connection.driver_connection))


def _content(database: Any) -> dict[str, list[Any]]:
    assert isinstance(database, sqlite3.Connection)
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    content = {}
    for (table,) in tables:
        columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
        kept = ", ".join(
            f'"{column}"' for column in columns if _RANDOM.isdisjoint((column, f"{table}.{column}"))
        )
        # Not every table has row numbers.
        content[table] = sorted(database.execute(f'SELECT {kept} FROM "{table}"').fetchall(), key=repr)
    return content
