"""Large stores, laid out fast: rows are inserted by the thousand, as the writes of so many devices would have
them.

`python -m benchmarks.stores` makes one in a process of its own, from what it reads on standard input, so that
another checkout of csipd can make one with its own schema (`processes.laid_out_by`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from attrs import asdict, frozen
from rich.console import Console
from rich.progress import track

from csipd.db import controls, engine, programs, tables
from csipd.db.database import Transaction
from csipd.db.groups import assignment, put_group
from csipd.sep2 import codec, identity
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer
from csipd.sep2.ordering import order_key
from csipd.sep2.site import ROWS

try:
    from csipd.db import group_counts, tally
except ImportError:  # another checkout's csipd, of before counts were kept: they are made by the migration
    group_counts = tally = None  # type: ignore[assignment]

NOW = 1_700_000_000
ISSUER = Issuer(store=1, pen=32473)
#: Where events begin: far ahead, so that what is shown does not change while it is measured.
AHEAD = 2 * NOW
#: Scheduled controls of each program of the topology, and of the three busy ones.
CONTROLS = 10
BUSY = (10, 100, 500)
#: Where progress is shown, apart from the figures.
SHOWN = Console(stderr=True)
_AT_ONCE = 10_000

DER_STATUS = r.DERStatus(
    alarmStatus=2,
    genConnectStatus=r.ConnectStatusType(dateTime=NOW, value=7),
    inverterStatus=r.InverterStatusType(dateTime=NOW, value=4),
    operationalModeStatus=r.OperationalModeStatusType(dateTime=NOW, value=2),
    readingTime=NOW,
    stateOfChargeStatus=r.StateOfChargeStatusType(dateTime=NOW, value=5000),
)


def lfdi(number: int) -> str:
    """The LFDI of a device whose certificate nobody has."""
    return sha256(b"%d" % number).hexdigest()[:40].upper()


@frozen
class Layout:
    """How a store is to be.

    :param devices: how many there are, numbered from 1
    :param known: how many of them, the first ones, have certificates
    :param fleet: how many, the last ones, the aggregator manages that is numbered behind them all
    :param busy: how many of those with certificates are in a group of each of the `BUSY` programs
    """

    devices: int
    known: int = 0
    fleet: int = 0
    busy: int = 0


@frozen
class Store:
    """A store with many devices, each with a DER and its DERStatus.

    A device is in one of 90 feeders, which are below one of 9 substations, of 3 regions, of the system: it
    has four programs, each with a default and `CONTROLS` scheduled controls, and the next device is of the
    next feeder. The last of those with certificates are also in the group of a busy program.

    :param programs: those of the feeders: device N's is at N % 90
    :param busy_programs: those of as many scheduled controls as `BUSY` says
    """

    url: str
    layout: Layout
    programs: tuple[int, ...]
    busy_programs: tuple[int, ...]

    @property
    def aggregator(self) -> int:
        """The number of the aggregator."""
        return self.layout.devices + 1

    def program_of(self, device: int) -> int:
        """The program of a device's feeder."""
        return self.programs[device % len(self.programs)]

    def busy_devices(self, which: int) -> range:
        """The numbers of the devices that are in the group of one of the busy programs."""
        return _busy_devices(self.layout, which)


def _busy_devices(layout: Layout, which: int) -> range:
    first = layout.known + 1 - layout.busy * (len(BUSY) - which)
    return range(first, first + layout.busy)


def build(folder: Path, layout: Layout, known: Sequence[str] = ()) -> Store:
    """Make a store in a new folder and fill it.

    :param known: LFDIs of the devices with certificates; one more is the aggregator's
    """
    folder.mkdir(parents=True)
    url = engine.sqlite_url(folder)
    engine.prepare(url)
    opened = engine.make_engine(url, immediate=True)
    with opened.begin() as connection:
        feeders, numbers, busy_groups, busy_numbers = _groups(Transaction(connection))
    for table, rows, total in _tables(layout, known, feeders, busy_groups):
        if total >= _AT_ONCE:
            rows = track(rows, f"{total:,} {table.name}", total, console=SHOWN, transient=True)
        insert(opened, table, rows)
    if tally is not None:
        with opened.begin() as connection:
            group_counts.recount(Transaction(connection))
            tally.change(Transaction(connection), tally.devices("registered"), layout.devices + 1)
    opened.dispose()
    return Store(url, layout, numbers, busy_numbers)


def _groups(transaction: Transaction) -> tuple[tuple[int, ...], ...]:
    """Make the topology: groups of feeders, their programs, groups of the busy programs, these programs."""
    topology, other = assignment(transaction, "Topology"), assignment(transaction, "Other")
    found: dict[int, int] = {}

    def group(name: str, level: int | None, parent: int | None, events: int = CONTROLS) -> int:
        fsa = other if level is None else topology
        made = put_group(transaction, name, parent=parent, level=level, assignment=fsa)
        primacy = 1 if level is None else 10 - level
        program = programs.add(transaction, ISSUER, made, f"Program of {name}", primacy)
        base = r.DERControlBase(opModMaxLimW=9000)
        default = r.DefaultDERControl(mRID="0", DERControlBase=base)
        programs.set_default(transaction, ISSUER, program, default, NOW)
        for hour in range(events):
            controls.add(transaction, ISSUER, program, control(hour))
        found[made] = program
        return made

    system = group("System", 0, None)
    regions = [group(f"Region {number}", 1, system) for number in range(3)]
    substations = [group(f"Substation {number}", 2, regions[number % 3]) for number in range(9)]
    feeders = tuple(group(f"Feeder {number}", 3, substations[number % 9]) for number in range(90))
    busy = tuple(group(f"Busy {number}", None, None, number) for number in BUSY)
    return feeders, tuple(found[one] for one in feeders), busy, tuple(found[one] for one in busy)


def control(hour: int) -> r.DERControl:
    """A scheduled control of that hour of a day far ahead."""
    return r.DERControl(
        mRID="0",
        creationTime=NOW,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=NOW, potentiallySuperseded=False),
        interval=r.DateTimeInterval(duration=3600, start=AHEAD + 3600 * hour),
        DERControlBase=r.DERControlBase(opModMaxLimW=9000),
    )


def _tables(
    layout: Layout, known: Sequence[str], feeders: tuple[int, ...], busy: tuple[int, ...]
) -> Iterator[tuple[sa.Table, Iterable[dict[str, Any]], int]]:
    """What is to be inserted where: rows, and how many there are."""
    number, fleet = layout.devices, layout.fleet
    boss = number + 1
    names = dict(zip((*range(1, layout.known + 1), boss), known, strict=False))
    first_managed = boss - fleet
    numbers = range(1, boss)
    status = codec.encode(DER_STATUS)
    der = codec.encode(r.DER())
    order = order_key(ROWS["DERList"], r.DER(), 1)

    def device(one: int) -> dict[str, Any]:
        name = names.get(one) or lfdi(one)
        return {
            "id": one,
            "lfdi": name,
            "sfdi": identity.sfdi(name),
            "aggregator": one == boss,
            "registered": NOW,
            "pin": 111115,
            "changed_time": NOW + one % 1000,
            "manager": boss if one >= first_managed else None,
            "fleet": fleet + 1 if one == boss else 0,
        }

    yield tables.devices, map(device, (boss, *numbers)), number + 1
    yield (
        tables.memberships,
        chain(
            ({"device": one, "group": feeders[one % len(feeders)], "since": NOW} for one in numbers),
            (
                {"device": one, "group": group, "since": NOW}
                for which, group in enumerate(busy)
                for one in _busy_devices(layout, which)
            ),
        ),
        number + len(busy) * layout.busy,
    )
    yield tables.lists, ({"href": f"/edev/{one}/der", "members": 1, "last": 1} for one in numbers), number
    yield (
        tables.documents,
        (
            {
                "href": f"/edev/{one}/der/1",
                "list": f"/edev/{one}/der",
                "order": order,
                **_content(one, der),
            }
            for one in numbers
        ),
        number,
    )
    yield (
        tables.documents,
        ({"href": f"/edev/{one}/der/1/ders", **_content(one, status)} for one in numbers),
        number,
    )
    counts = [0] * len(feeders)
    for one in range(first_managed, boss):
        counts[one % len(feeders)] += 1
    yield (
        tables.fleets,
        (
            {"manager": boss, "group": group, "members": members}
            for group, members in zip(feeders, counts, strict=True)
            if members
        ),
        len(feeders),
    )


def _content(device: int, body: bytes) -> dict[str, Any]:
    """What a row of a document has besides its place."""
    found = {"device": device, "changed": NOW, "body": body}
    # Another checkout's csipd may be one of before documents had checksums.
    return {**found, "checksum": crc32(body)} if "checksum" in tables.documents.c else found


def insert(opened: sa.Engine, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert many rows fast."""
    rows = iter(rows)
    while chunk := list(islice(rows, 20_000)):
        with opened.begin() as connection:
            connection.execute(sa.insert(table), chunk)


def described(store: Store) -> str:
    """A store in a line of JSON."""
    return json.dumps(asdict(store))


def found(line: str) -> Store:
    """What was described."""
    told = json.loads(line)
    layout = Layout(**told.pop("layout"))
    return Store(told["url"], layout, tuple(told["programs"]), tuple(told["busy_programs"]))


def main() -> None:
    told = json.load(sys.stdin)
    print(described(build(Path(told["folder"]), Layout(**told["layout"]), told["known"])))


if __name__ == "__main__":
    main()
