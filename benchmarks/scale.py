"""What a million devices cost: `python -m benchmarks.scale`.

Two stores, one of a thousand devices and one of a million, are served in turn by a process that knows
neither beforehand: how long until it serves, what a GET of a device's own resources costs that was not
asked for before, and how much memory it holds in the end. Then an aggregator's fleet of 100,000. The ratio
is what counts: a device must not notice how many others there are.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from benchmarks import lab

SMALL, LARGE, FLEET = 1_000, 1_000_000, 100_000
REPEATS = 5
#: A device's own resources: what one asks for when it polls.
OWN = (
    "/dcap",
    "/edev",
    "/edev/{}",
    "/edev/{}/fsa",
    "/edev/{}/fsa/1/derp?l=10",
    "/edev/{}/der/1",
    "/edev/{}/der/1/ders",
)


@frozen
class Identity:
    lfdi: str
    sfdi: int


def main() -> None:
    options = argparse.ArgumentParser(description="Measure csipd with many devices.")
    options.add_argument("--small", type=int, default=SMALL)
    options.add_argument("--large", type=int, default=LARGE)
    options.add_argument("--fleet", type=int, default=FLEET, help="devices of the aggregator")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    options.add_argument("--profile", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        serve(lab.Store(**json.loads(chosen.serve)))
        return
    with TemporaryDirectory() as folder:
        compare(Path(folder), chosen.small, chosen.large, chosen.fleet)


def compare(folder: Path, small: int, large: int, fleet: int) -> None:
    """Print the figures of two stores side by side."""
    found = []
    for number in (small, large):
        began = time.monotonic()
        place = folder / str(number)
        place.mkdir()
        store = lab.build(place / "var", number, min(fleet, number // 10))
        size = (place / "var" / "csipd.sqlite").stat().st_size
        print(f"{number:,} devices laid out in {time.monotonic() - began:.0f} s, {lab.mebibytes(size)}")
        began = time.monotonic()
        with lab.csipd(place) as daemon:
            started, held = time.monotonic() - began, daemon.peak()
        figures = run(store)
        found.append({"daemon listens after, s": started, "daemon's memory, MiB": held / 2**20, **figures})
    one, other = found
    print(f"\n{'':36}{small:>12,}{large:>12,}{'ratio':>8}")
    for name in one:
        ratio = other[name] / one[name] if one[name] else float("nan")
        print(f"{name:36}{one[name]:12,.2f}{other[name]:12,.2f}{ratio:8.2f}")


def run(store: lab.Store) -> dict[str, float]:
    """Have the store served by a process of its own."""
    described = json.dumps({name: getattr(store, name) for name in lab.Store.__annotations__})
    command = [sys.executable, "-m", "benchmarks.scale", "--serve", described]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def serve(store: lab.Store) -> None:
    """Answer GETs in this process, as the daemon's database thread does, and print what that costs."""
    from csipd.db import engine
    from csipd.db.database import Database

    began = time.monotonic()
    engine.prepare(store.url)
    database = Database(store.url, None)
    ask = partial(answer, database)
    ask(lab.lfdi(1), "/dcap")
    figures: dict[str, float] = {"store opened and asked, s": time.monotonic() - began}
    dice = random.Random(1)
    for path in OWN:
        figures[f"GET {path}, us CPU"] = cost(lambda: own(ask, dice, store, path), 300)  # noqa: B023 - called here
    boss = lab.lfdi(store.aggregator)
    starts = {"at the start": 0, "in the middle": store.fleet // 2, "at the end": max(store.fleet - 49, 0)}
    figures["fleet: GET /dcap, us CPU"] = cost(partial(ask, boss, "/dcap"), 10)
    for where, start in starts.items():
        figures[f"fleet: 50 EndDevices {where}, us"] = cost(partial(ask, boss, f"/edev?s={start}&l=50"), 10)
    figures["fleet: GET /derp?l=50, us CPU"] = cost(partial(ask, boss, "/derp?l=50"), 10)
    figures["process's memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


def own(ask: Callable[[str, str], bytes], dice: random.Random, store: lab.Store, path: str) -> None:
    """A GET by some device of something of its own."""
    device = dice.randrange(1, store.devices + 1)
    ask(lab.lfdi(device), path.format(device))


def cost(work: Callable[[], object], times: int) -> float:
    work()
    return 1e6 * lab.middle(lambda: lab.spent(work, times), REPEATS)


def answer(database: Any, lfdi: str, path: str) -> bytes:
    """What the web layer asks of the database for a GET: who asks, may it, the document, encoded."""
    from zoneinfo import ZoneInfo

    from csipd.db.tree import access, context
    from csipd.db.tree import read as reading
    from csipd.sep2 import codec, identity, paging, site

    path, _, query = path.partition("?")
    place = site.locate(path)
    assert place is not None
    server = context.Server(lfdi=lab.lfdi(0), sfdi=0, issuer=lab.ISSUER, zone=ZoneInfo("UTC"))
    asker = Identity(lfdi, identity.sfdi(lfdi))

    def read(connection: sa.Connection) -> bytes:
        asked = context.identify(connection, server, asker, place, lab.NOW)
        access.authorize(asked, place, "GET")
        part = paging.parse(query, 500)
        return codec.encode(reading.read(asked, place, part))

    body: bytes = database.read(read).result
    if not isinstance(body, bytes):
        raise RuntimeError(f"{path}: {body}")
    return body


if __name__ == "__main__":
    main()
