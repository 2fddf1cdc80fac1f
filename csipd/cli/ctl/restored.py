"""What a backup brings back that an operator should look at before it takes the place of what is there."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from attrs import frozen

from csipd.cli.ctl.archives import Manifest
from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.session import Session
from csipd.sep2.identity import pretty_lfdi

#: Devices that are shown for review; --json has them all.
_SHOWN = 50


@frozen
class Control:
    """A control that is not over.

    :param start: with ``end``, of it at most (TimeType)
    """

    number: int
    program: int
    program_name: str
    start: int
    end: int


@frozen
class Device:
    """A device that the backup's store admits.

    :param registered: whether it has an EndDevice; else it is only listed
    """

    number: int
    name: str | None
    lfdi: str
    registered: bool


@frozen
class Found:
    """What a backup brings back that an operator should look at.

    :param again: devices that the store which is there now has shut out; None where it cannot be read
    """

    controls: list[Control]
    devices: list[Device]
    again: list[Device] | None

    def as_json(self, manifest: Manifest, keep: bool, aside: Path) -> Value:
        return {
            "made": manifest.made,
            "controls": [
                {
                    "id": one.number,
                    "program": one.program,
                    "program_name": one.program_name,
                    "start": one.start,
                    "end": one.end,
                }
                for one in self.controls
            ],
            "cancelled": not keep,
            "devices": [
                {"id": one.number, "name": one.name, "lFDI": one.lfdi, "registered": one.registered}
                for one in self.devices
            ],
            "admitted_again": None if self.again is None else [one.number for one in self.again],
            "aside": str(aside),
        }


def shut_out(database: Path, work: Path) -> frozenset[str] | None:
    """The LFDIs that the store which is there now lets in no more; None where it cannot be read.

    :param work: a folder on the same volume, for what SQLite puts beside a file that it reads
    """
    if not database.exists():
        return frozenset()
    linked = work / "present"
    try:
        linked.mkdir()
        for suffix in ("", "-wal"):
            if (part := database.with_name(database.name + suffix)).exists():
                os.link(part, linked / part.name)
        uri = f"{(linked / database.name).resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            query = "SELECT lfdi FROM devices WHERE withdrawn IS NOT NULL OR retired IS NOT NULL"
            if "former_lfdis" in tables:
                query += " UNION SELECT lfdi FROM former_lfdis WHERE NOT works"
            return frozenset(lfdi for (lfdi,) in connection.execute(query))
    except (sqlite3.Error, OSError):
        return None


def time_of(url: str, now: int) -> int:
    """What the time is in a store: of a lab, whose clock may run fast, that of its last tick if it is later.

    :param now: the machine's time (epoch s)
    """
    from csipd.daemon import scheduler
    from csipd.db import engine

    opened = engine.make_engine(url)
    try:
        with opened.connect() as connection:
            return max(now, scheduler.last_tick(connection) or now)
    finally:
        opened.dispose()


def look(url: str, now: int, shut: frozenset[str] | None) -> Found:
    """What is in a backup's store.

    :param now: TimeType
    :param shut: LFDIs that are let in no more, where that is known
    """
    from csipd.db import engine, programs
    from csipd.db.tables import controls, devices

    opened = engine.make_engine(url)
    try:
        with opened.connect() as connection:
            live = (
                sa.select(controls.c.id, controls.c.program, controls.c.earliest, controls.c.latest)
                .where(controls.c.latest > now, controls.c.cancelled.is_(None))
                .order_by(controls.c.id)
            )
            admitted = (
                sa.select(devices.c.id, devices.c.name, devices.c.lfdi, devices.c.registered.is_not(None))
                .where(devices.c.retired.is_(None), devices.c.withdrawn.is_(None))
                .order_by(devices.c.id)
            )
            found = [Device(*row) for row in connection.execute(admitted)]
            called = {one.number: one.name or str(one.number) for one in found}
            rows = list(connection.execute(live))
            described = programs.names(connection, [row.program for row in rows])

            def named(program: int) -> str:
                owner = programs.owner_of(program)
                if owner is not None:
                    return f"own program of {called.get(owner, owner)}"
                return described[program][0] if program in described else str(program)

            return Found(
                [Control(row.id, row.program, named(row.program), row.earliest, row.latest) for row in rows],
                found,
                None if shut is None else [one for one in found if one.lfdi in shut],
            )
    finally:
        opened.dispose()


def show(session: Session, manifest: Manifest, found: Found, keep: bool) -> None:
    """Show it.

    :param keep: whether controls stay in force
    """
    session.out.show(f"Backup of {session.when(manifest.made)}, made by csipd {manifest.version}")
    if found.controls:
        fate = "stay in force" if keep else "are cancelled"
        rows = tuple(
            (
                str(one.number),
                f"{one.program_name} ({one.program})",
                session.when(one.start),
                session.when(one.end),
            )
            for one in found.controls
        )
        title = f"Controls that are not over: they {fate}"
        session.out.show(Grid(("Control", "Program", "Starts", "Ends"), rows, title))
    if found.again is None:
        session.out.note("The database that is there cannot be read: who was shut out since is not known.")
    elif found.again:
        title = (
            f"Devices that are shut out now and are admitted again: {len(found.again)}; withdraw them anew"
        )
        session.out.show(_devices(found.again, title))
    title = f"Devices that are admitted: {len(found.devices)}"
    if len(found.devices) > _SHOWN:
        title += f", of which the first {_SHOWN}"
    session.out.show(_devices(found.devices[:_SHOWN], title))


def _devices(some: Sequence[Device], title: str) -> Grid:
    rows = tuple(
        (str(one.number), one.name or "", pretty_lfdi(one.lfdi), "registered" if one.registered else "listed")
        for one in some
    )
    return Grid(("Number", "Name", "LFDI", "Standing"), rows, title)
