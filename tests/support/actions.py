"""What operators, the clock and the configuration do to a small utility (world.py), by name.

Each action is a function of a transaction, the world and a number that says to whom, or which, where there is
a choice. What cannot be done, since it was done before or would break a rule, raises a `Refusal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from csipd.daemon.scheduler import tick
from csipd.db import commands, controls, devices, documents, groups, own_programs, programs, replacement
from csipd.db.database import Transaction
from csipd.db.responses import REPLY_TO
from csipd.db.tables import controls as controls_table
from csipd.db.tables import programs as programs_table
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from tests.support.world import AGGREGATOR, ISSUER, MANAGED, OTHER, OWNER, World, caller

#: The certificate that OWNER's is replaced by.
NEW = caller("the owner's new certificate")

Action = Callable[[Transaction, World, int], Any]

_GROUPS = ("System", "Feeder A", "Feeder B", "Point 1", "Campaign")


def _who(which: int) -> Identity:
    return (OWNER, AGGREGATOR, MANAGED, OTHER)[which % 4]


def _device(world: World, which: int) -> int:
    numbers = world.numbers
    return (numbers.owner, numbers.managed, numbers.bare, numbers.other)[which % 4]


def _group(transaction: Transaction, which: int) -> int:
    number = groups.find(transaction.connection, _GROUPS[which % len(_GROUPS)])
    assert number is not None
    return number


def _program(world: World, which: int) -> int:
    numbers = world.numbers
    shared = (numbers.system, numbers.feeder_a, numbers.feeder_b, numbers.point_1, numbers.campaign)
    own = (programs.own_program(numbers.owner), programs.own_program(numbers.managed))
    return (*shared, numbers.spare, numbers.gone, *own)[which % 9]


def _shared(world: World, which: int) -> int:
    return _program(world, which % 7)


def _curve(which: int) -> r.DERCurve:
    return r.DERCurve(
        mRID="0",
        creationTime=0,
        CurveData=(r.CurveData(xvalue=1, yvalue=which),),
        curveType=0,
        xMultiplier=0,
        yMultiplier=0,
        yRefType=1,
    )


def _join(transaction: Transaction, world: World, which: int) -> None:
    devices.join(transaction, _device(world, which), _group(transaction, which // 4), int(world.now))


def _leave(transaction: Transaction, world: World, which: int) -> None:
    devices.leave(transaction, _device(world, which), _group(transaction, which // 4), int(world.now))


def _move(transaction: Transaction, world: World, which: int) -> None:
    moved = groups.find(transaction.connection, ("Point 1", "Feeder A", "Feeder B")[which % 3])
    assert moved is not None
    parent = _group(transaction, which // 3)
    groups.move(transaction, moved, parent=parent, level=6 if which % 3 == 0 else 3)


def _command(transaction: Transaction, world: World, which: int) -> None:
    now = int(world.now)
    start = now + (0, 5, 60, 3600)[which % 4]
    command = commands.Command(r.DERControlBase(opModFixedW=which % 100), 30 * (1 + which % 3), start)
    target = commands.Target(program=_program(world, which // 4))
    if which % 5 == 0:
        target = commands.Target(devices=(_device(world, which // 4),))
    commands.create(transaction, world.server.own, REPLY_TO, target, command, now, "ada")


def _cancel(transaction: Transaction, world: World, which: int) -> None:
    numbers = list(
        transaction.connection.scalars(sa.select(controls_table.c.id).order_by(controls_table.c.id))
    )
    commands.cancel(transaction, numbers[-1 - which % len(numbers)], False, None, int(world.now), "ada")


def _default(transaction: Transaction, world: World, which: int) -> None:
    default = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(opModFixedW=which % 100))
    made = None if which % 4 == 0 else default
    programs.set_default(transaction, ISSUER, _shared(world, which // 4), made, int(world.now))


def _add_curve(transaction: Transaction, world: World, which: int) -> None:
    programs.add_curve(transaction, ISSUER, _shared(world, which), _curve(which), int(world.now))


def _change_curve(transaction: Transaction, world: World, which: int) -> None:
    place = Place(ROWS["DERCurve"], (world.numbers.feeder_a, world.numbers.curve))
    programs.change_curve(transaction, place, _curve(which), int(world.now))


def _drop_curve(transaction: Transaction, world: World, which: int) -> None:
    documents.delete(transaction, Place(ROWS["DERCurve"], (world.numbers.point_1, 1)))


def _add_program(transaction: Transaction, world: World, which: int) -> None:
    known = transaction.connection.scalar(sa.select(sa.func.count()).select_from(programs_table))
    programs.add(transaction, ISSUER, _group(transaction, which), f"Program {known}", which % 10)


def _change_program(transaction: Transaction, world: World, which: int) -> None:
    group = _group(transaction, which // 7)
    programs.change(transaction, _shared(world, which), group=group, primacy=which % 5)


def _manager(transaction: Transaction, world: World, which: int) -> None:
    numbers = world.numbers
    manager = (numbers.aggregator, numbers.rival, None)[which % 3]
    devices.update(transaction, (numbers.managed, numbers.bare)[which % 2], manager=manager)


ACTIONS: Mapping[str, Action] = {
    "withdraw": lambda t, w, n: devices.withdraw(t, _who(n).lfdi, "ada", int(w.now)),
    "readmit": lambda t, w, n: devices.readmit(t, _who(n).lfdi, "ada", int(w.now)),
    "replace": lambda t, w, n: replacement.replace(
        t, w.numbers.owner, NEW.lfdi, "ada", int(w.now), at_once=n % 2 == 0
    ),
    "remove": lambda t, w, n: devices.retire(t, _device(w, n), int(w.now)),
    "bring back": lambda t, w, n: devices.update(t, _device(w, n), retired=None),
    "join": _join,
    "leave": _leave,
    "move a group": _move,
    "command": _command,
    "cancel": _cancel,
    "default": _default,
    "add a curve": _add_curve,
    "change a curve": _change_curve,
    "drop a curve": _drop_curve,
    "add a program": _add_program,
    "change a program": _change_program,
    "retire a program": lambda t, w, n: programs.retire(t, _shared(w, n), int(w.now)),
    "show an own program": lambda t, w, n: own_programs.show(
        t, programs.own_program(_device(w, n)), int(w.now)
    ),
    "hide an own program": lambda t, w, n: own_programs.hide(
        t, programs.own_program(_device(w, n)), int(w.now)
    ),
    "change the manager": _manager,
    "set a rate": lambda t, w, n: devices.update(t, _device(w, n), poll_rate=60 + n),
    "set a PIN": lambda t, w, n: devices.update(t, _device(w, n), pin=n),
    "tick": lambda t, w, n: tick(t, int(w.now)),
    "age": lambda t, w, n: controls.next_moment(t.connection, int(w.now)),
}
