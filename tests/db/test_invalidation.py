"""The table of what is kept and which write drops it: complete, true, and printed."""

from __future__ import annotations

import ast
from pathlib import Path

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

import csipd.db
from csipd.db import facts, invalidation
from csipd.db.chapters import read_facts, written_facts
from csipd.db.facts import kind_of
from csipd.db.invalidation import MADE_FROM
from csipd.db.tables import metadata
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from csipd.sep2.site import locate
from tests.support.bodies import FULL
from tests.support.walk import walk
from tests.support.world import AGGREGATOR, MANAGED, OWNER, UNREGISTERED, World, end_device

ROOT = Path(__file__).parents[2]
#: What is written here, and dropped by the only caller of it, or with something else.
ELSEWHERE = {
    ("old_readings.py", "meter_readings"): "how many sets there are, which nothing is made from",
    ("groups.py", "memberships"): "devices.join and devices.leave",
    ("group_counts.py", "fleets"): "the same, and devices.update",
    ("programs.py", "default_versions"): "goes with the document",
    ("outbox.py", "subscriptions"): "columns that no resource shows",
    ("notifications.py", "subscriptions"): "the same",
    ("numbering.py", "default_versions"): "a store that was restored, which nobody has open",
    ("numbering.py", "documents"): "the same",
    ("numbering.py", "lists"): "the same",
    ("numbering.py", "programs"): "the same",
}
FOLDER = Path(csipd.db.__file__).parent


def writes(tree: ast.AST) -> set[str]:
    """The tables that a module has INSERT, UPDATE or DELETE for, by what it calls them."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        of = None
        match node.func:
            case ast.Attribute(value=ast.Name("sa"), attr="insert" | "update" | "delete") if node.args:
                of = node.args[0]
            case ast.Name("insert") if len(node.args) > 1:
                of = node.args[1]
        if isinstance(of, ast.Name):
            found.add(of.id)
    return found


def tables_called(tree: ast.AST) -> dict[str, str]:
    """What a module calls the tables that it imports."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "csipd.db.tables"
        for alias in node.names
    }


def kinds_dropped(tree: ast.AST) -> set[str]:
    """The kinds of facts that a module names: ``facts.document`` and so on."""
    return {
        node.attr.lower()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "facts"
    }


class TableTests(SynchronousTestCase):
    """What is said of the tables."""

    def test_each_table(self) -> None:
        """Of each table, and each column that is named, it is said what is made from it."""
        self.assertEqual(MADE_FROM.keys(), metadata.tables.keys())
        for name, made in MADE_FROM.items():
            self.assertLessEqual(set(made.columns), set(metadata.tables[name].columns.keys()), name)

    def test_each_module(self) -> None:
        """Each module that has statements for a table names the facts that are made from it."""
        names = {kind: word for word, kind in vars(facts).items() if isinstance(kind, facts.Kind)}
        looked = 0
        for path in FOLDER.rglob("*.py"):
            tree = ast.parse(path.read_text())
            called = tables_called(tree)
            for name in writes(tree):
                table = called.get(name)
                if table is None:
                    continue
                made = MADE_FROM[table]
                # Statements for columns alone are looked at as they are carried out.
                possible = {*made.rows, *(kind for kinds in made.columns.values() for kind in kinds)}
                looked += 1
                if possible and (path.name, table) not in ELSEWHERE:
                    named = kinds_dropped(tree) & {names[kind] for kind in possible}
                    self.assertTrue(named, f"{path.name}: {table}")
        self.assertGreater(looked, 20)

    def test_printed(self) -> None:
        """docs/invalidation.md is what `python -m csipd.db.invalidation` prints."""
        self.assertEqual((ROOT / "docs" / "invalidation.md").read_text(), invalidation.document())


class WatchTests(SynchronousTestCase):
    """The watch that the other tests' transactions are under notices what is forgotten."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)

    def test_noticed(self) -> None:
        """A row that is changed without a word is noticed, one that no statement finds is not."""

        devices = metadata.tables["devices"]
        change = sa.update(devices).values(pin=1, name=devices.c.name)
        none = change.where(devices.c.id == 10**9)
        one = change.where(devices.c.id == self.world.numbers.owner)
        self.world.write(lambda t: t.connection.execute(none) and None)
        self.assertEqual(self.world.database.lacks, [])
        self.world.write(lambda t: t.connection.execute(one) and t.invalidate(facts.device(1)))
        self.assertEqual(self.world.database.lacks, [])
        self.world.write(lambda t: t.connection.execute(one) and None)
        self.assertEqual(self.world.database.lacks, ["devices name, pin: no device"])
        self.world.database.lacks.clear()


class DeclarationTests(SynchronousTestCase):
    """What the chapters declare, against what happens."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)

    def test_reads(self) -> None:
        """Whatever a GET hangs on is of the kinds that its chapter declares."""
        seen: dict[str, set[facts.Kind]] = {}
        keep = self.world.cache.keep

        def watched(generation: int, lfdi: str, head: bytes, *rest: object, **more: object) -> None:
            path = head.split(b" ", 2)[1].partition(b"?")[0].decode()
            place = locate(path)
            assert place is not None
            depends_on = rest[2]
            assert isinstance(depends_on, set)
            seen.setdefault(place.row.name, set()).update(map(kind_of, depends_on))
            keep(generation, lfdi, head, *rest, **more)  # type: ignore[arg-type]  # as they came

        self.patch(self.world.cache, "keep", watched)
        for who in (OWNER, AGGREGATOR, MANAGED):
            walk(self.world, who)
        self.assertGreater(len(seen), 25)
        for name, kinds in seen.items():
            declared = read_facts(csipd.sep2.site.ROWS[name])
            self.assertLessEqual(kinds, set(declared), name)

    def test_writes(self) -> None:
        """Whatever a caller's write drops is of the kinds that its chapter declares."""
        n = self.world.numbers
        own = f"/edev/{n.owner}"
        response = FULL["DERControlResponse"].replace(endDeviceLFDI=OWNER.lfdi)
        steps: list[tuple[Identity, str, str, r.Resource | None]] = [
            (OWNER, "PUT", f"{own}/der/1/{last}", FULL[name])
            for last, name in (
                ("ders", "DERStatus"),
                ("dera", "DERAvailability"),
                ("derg", "DERSettings"),
                ("dercap", "DERCapability"),
            )
        ]
        steps += [
            (OWNER, "PUT", f"{own}/ps", FULL["PowerStatus"]),
            (OWNER, "PUT", f"{own}/dstat", FULL["DeviceStatus"]),
            (OWNER, "PUT", f"{own}/cfg", FULL["Configuration"]),
            (OWNER, "PUT", own, end_device(OWNER, postRate=61)),
            (OWNER, "POST", f"{own}/lel", FULL["LogEvent"]),
            (OWNER, "DELETE", f"{own}/lel/1", None),
            (OWNER, "POST", "/rsps/1/rsp", response),
            (AGGREGATOR, "POST", "/edev", end_device(UNREGISTERED)),
            (AGGREGATOR, "DELETE", f"/edev/{n.managed}", None),
        ]
        for who, method, path, body in steps:
            self.world.changed.clear()
            how = {"PUT": self.world.put, "POST": self.world.post}
            answer = how[method](who, path, body) if body is not None else self.world.delete(who, path)
            self.assertIn(answer.status, (201, 204), path)
            place = locate(path)
            assert place is not None
            declared = written_facts(place.row, method)
            self.assertLessEqual(set(map(kind_of, self.world.changed)), set(declared), path)

    def test_one_of_a_fleet(self) -> None:
        """What a device of a fleet logs drops its entry of the list, and nothing else of its boss's."""
        paths = [path for path, answer in walk(self.world, AGGREGATOR).items() if answer.status == 200]
        for path in paths:
            self.world.get(AGGREGATOR, path)
        here = f"/edev/{self.world.numbers.managed}"
        self.assertEqual(self.world.post(MANAGED, f"{here}/lel", FULL["LogEvent"]).status, 201)
        shows = {here, f"{here}/lel", f"{here}/lel?l=500", "/edev", "/edev?l=500"}
        lost = []
        for path in paths:
            hits = self.world.hits
            self.world.get(AGGREGATOR, path)
            if self.world.hits == hits:
                lost.append(path)
        self.assertLessEqual(set(lost), shows)
        self.assertIn(here, lost)

    def test_precise(self) -> None:
        """A PUT of a DERStatus drops what shows that, and nothing else that anybody has."""
        primed = {
            who: [path for path, answer in walk(self.world, who).items() if answer.status == 200]
            for who in (OWNER, AGGREGATOR, MANAGED)
        }
        for who, paths in primed.items():
            for path in paths:
                self.world.get(who, path)
        mine = f"/edev/{self.world.numbers.managed}/der/1/ders"
        self.assertEqual(self.world.put(MANAGED, mine, FULL["DERStatus"].replace(readingTime=1)).status, 204)
        for who, paths in primed.items():
            for path in paths:
                hits = self.world.hits
                self.world.get(who, path)
                shows = path == mine
                self.assertEqual(self.world.hits - hits, 0 if shows else 1, f"{path} of {who.lfdi}")
