"""Statements that are compiled once: what they give is what Core gives."""

from __future__ import annotations

import pkgutil
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import psycopg
from twisted.trial.unittest import SynchronousTestCase

from csipd import db
from csipd.db import health
from csipd.db import tables as t
from csipd.db.columns import Unreadable
from csipd.db.prepared import Prepared
from csipd.sep2.types import LogProfile
from tests.support.store import NOW, statements, store
from tests.support.world import World

_TIMES = (0, NOW - 100_000, NOW, NOW + 1800, NOW + 4000, 2**40)
#: Where values for parameters come from, by their names: what stands in these columns, or these values. For
#: other names it is columns of that name, or values of the type.
VALUES: dict[str, Sequence[Any]] = {
    "after": _TIMES,
    "asker": (t.devices.c.manager,),
    "at": _TIMES,
    "body": (b"<DER/>", b""),
    "device": (t.devices.c.id, 0),
    "devices": (t.devices.c.id, 0),
    "first": _TIMES,
    "from": ("", "0"),
    "group": (t.groups.c.id, 0),
    "groups": (t.groups.c.id, 0),
    "href": (t.documents.c.href, t.lists.c.href, "/nowhere"),
    "hrefs": (t.documents.c.href, t.lists.c.href, "/nowhere"),
    "keep": (0, 1, 100),
    "last": _TIMES,
    "latest": (True, False),
    "lfdi": (t.devices.c.lfdi, "0" * 40),
    "limit": (0, 1, 10),
    "list": (t.documents.c.list, "/nowhere"),
    "made": _TIMES,
    "manager": (t.devices.c.manager, 0),
    "number": (t.programs.c.id, t.controls.c.id, 0),
    "numbers": (t.programs.c.id, t.controls.c.id, 0),
    "place": (t.documents.c.href, "/nowhere"),
    "program": (t.programs.c.id, 0),
    "programs": (t.programs.c.id, 0),
    "since": _TIMES,
    "start": (0, 1),
    "to": ("", "~"),
    "until": _TIMES,
    "who": (t.devices.c.id, 0),
}
OF_TYPE: dict[type, Sequence[Any]] = {
    int: (0, 1, 2, 3, *_TIMES),
    str: ("", "/nowhere"),
    bool: (True, False),
    bytes: (b"", b"x"),
}
#: How often each statement is compared.
_TIMES_ASKED = 60


def prepared() -> Iterator[tuple[str, Prepared]]:
    """All statements that are prepared, with where they stand."""
    for module in pkgutil.iter_modules(db.__path__, "csipd.db."):
        if not module.ispkg:
            for name, value in vars(import_module(module.name)).items():
                for one in _within(value):
                    yield f"{module.name}.{name}", one


def _within(value: Any) -> Iterator[Prepared]:
    """The statements in what stands in a module: alone, in a row, by a key or as parts of a whole."""
    if isinstance(value, Prepared):
        yield value
    elif isinstance(value, Mapping | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _within(one)
    elif attrs.has(type(value)):
        for one in attrs.asdict(value, recurse=False).values():
            yield from _within(one)


class WalkTests(SynchronousTestCase):
    """Every statement of the store that is prepared."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.world = World(folder / "world.sqlite")
        self.addCleanup(self.world.close)
        engine = sa.create_engine(f"sqlite:///{folder / 'world.sqlite'}")
        self.addCleanup(engine.dispose)

        # As the store's own: the driver's way knows no savepoints.
        @sa.event.listens_for(engine, "connect")
        def connect(connection: Any, _record: Any) -> None:
            connection.isolation_level = None

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN")

        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        self.chance = random.Random(1)
        self._known: dict[sa.Column[Any], list[Any]] = {}

    def value(self, name: str, bind: sa.BindParameter[Any]) -> Any:
        """A value for a parameter, by chance."""
        named = [table.c[name] for table in t.metadata.sorted_tables if name in table.c]
        one = self.chance.choice(VALUES.get(name) or named or OF_TYPE[bind.type.python_type])
        if not isinstance(one, sa.Column):
            return one
        if one not in self._known:
            self._known[one] = list(self.connection.scalars(sa.select(one).distinct())) or [None]
        return self.chance.choice(self._known[one])

    def parameters(self, one: Prepared) -> dict[str, Any]:
        """Parameters for a statement."""
        compiled = one.of("sqlite").compile(
            dialect=self.connection.dialect, column_keys=list(one.names) or None
        )
        return {
            name: [self.value(name, bind) for _ in range(self.chance.randrange(6))]
            if bind.expanding
            else self.value(name, bind)
            for bind, name in compiled.bind_names.items()
            if bind.required
        }

    def asked(self, one: Prepared, parameters: Mapping[str, Any], core: bool) -> tuple[Any, ...]:
        """What a statement gives, one way or the other, and leaves behind; that is taken back."""
        statement: Any = one.of("sqlite")
        has_rows = bool(list(statement.exported_columns))
        part = self.connection.begin_nested()
        try:
            if core:
                found = self.connection.execute(statement, dict(parameters))
                given: Any = [tuple(row) for row in found.all()] if has_rows else found.rowcount
            elif has_rows:
                rows = one.all(self.connection, parameters)
                given = [tuple(row) for row in rows]
            else:
                given = one.execute(self.connection, parameters)
        except sa.exc.IntegrityError as error:
            given = type(error)
        left = None
        if isinstance(statement, sa.Insert | sa.Update | sa.Delete):
            left = sorted(map(repr, self.connection.execute(sa.select(statement.table))))
        part.rollback()
        return given, [list(map(type, row)) for row in given] if isinstance(given, list) else None, left

    def test_as_core(self) -> None:
        """Each gives what Core gives for the same values, to the type, and leaves the same behind."""
        found = dict(prepared())
        self.assertGreater(len(found), 10)
        for name, one in found.items():
            for _ in range(_TIMES_ASKED):
                parameters = self.parameters(one)
                self.assertEqual(
                    self.asked(one, parameters, False),
                    self.asked(one, parameters, True),
                    f"{name} {parameters}",
                )

    def test_ways_of_asking(self) -> None:
        """One row, one column and one value are what all rows begin with."""
        for name, one in prepared():
            if not isinstance(one.of("sqlite"), sa.Select):
                continue
            for _ in range(10):
                parameters = self.parameters(one)
                rows = one.all(self.connection, parameters)
                first = rows[0] if rows else None
                self.assertEqual(one.first(self.connection, parameters), first, name)
                self.assertEqual(one.scalars(self.connection, parameters), [row[0] for row in rows], name)
                self.assertEqual(one.scalar(self.connection, parameters), first and first[0], name)

    def test_names(self) -> None:
        """Columns have the names that Core gives them."""
        for name, one in prepared():
            statement: Any = one.of("sqlite")
            keys = [column.key or "" for column in statement.exported_columns]
            made = one.compiled(self.connection.dialect).rows([(None,) * len(keys)])[0]
            for key, given in zip(keys, made._fields, strict=True):
                if key.isidentifier():
                    self.assertEqual(given, key, name)

    def test_postgresql(self) -> None:
        """Each can be said to PostgreSQL by psycopg 3, values by name."""
        dialect = psycopg.dialect()
        for name, one in prepared():
            parameters = self.parameters(one)
            sql, values = one.compiled(dialect).said(parameters)
            self.assertTrue(sql % dict.fromkeys(values, ""), name)
            self.assertNotIn("POSTCOMPILE", sql, name)


_FACT = Prepared(sa.select(t.facts).where(t.facts.c.name == sa.bindparam("name")))
_FACTS = Prepared(
    sa.select(t.facts.c.name)
    .where(t.facts.c.name.in_(sa.bindparam("names", expanding=True)))
    .order_by(t.facts.c.name)
)
_OTHERS = Prepared(
    sa.select(t.facts.c.name).where(t.facts.c.name.not_in(sa.bindparam("names", expanding=True)))
)
_KEEP = Prepared(sa.insert(t.facts), "name", "value")
_ADD = Prepared(sa.insert(t.assignments).returning(t.assignments.c.id), "name")
_RENAME = Prepared(sa.update(t.facts).where(t.facts.c.name == "a"), "value")


class PreparedTests(SynchronousTestCase):
    """How they are used."""

    def setUp(self) -> None:
        within = store()
        self.transaction = within.__enter__()
        self.connection = self.transaction.connection
        self.addCleanup(within.__exit__, None, None, None)
        for name in "abc":
            _KEEP.execute(self.connection, {"name": name, "value": name * 2})

    def test_rows(self) -> None:
        """A row is a tuple with the columns' names; there may be none."""
        row = _FACT.first(self.connection, {"name": "a"})
        self.assertEqual((row, row.name, row.value), (("a", "aa"), "a", "aa"))
        self.assertEqual(_FACT.all(self.connection, {"name": "x"}), [])
        self.assertIsNone(_FACT.first(self.connection, {"name": "x"}))
        self.assertIsNone(_FACT.scalar(self.connection, {"name": "x"}))

    def test_lists(self) -> None:
        """A list of any length; nothing is in one that is empty."""
        for length in range(4):
            names = list("abc")[:length]
            self.assertEqual(_FACTS.scalars(self.connection, {"names": names}), names)
            self.assertEqual(sorted(_OTHERS.scalars(self.connection, {"names": names})), list("abc")[length:])

    def test_few_forms(self) -> None:
        """However long lists are, few statements come of them: the driver keeps some only."""
        compiled = _FACTS.compiled(self.connection.dialect)
        told = {compiled.said({"names": ["a"] * length})[0] for length in range(500)}
        self.assertLess(len(told), 12)

    def test_writes(self) -> None:
        """A write says how many rows it changed, or gives what it returns."""
        self.assertEqual(_RENAME.execute(self.connection, {"value": "new"}), 1)
        self.assertEqual(_FACT.first(self.connection, {"name": "a"}).value, "new")
        number = _ADD.scalar(self.connection, {"name": "one"})
        self.assertEqual(_ADD.scalar(self.connection, {"name": "two"}), number + 1)

    def test_one_statement(self) -> None:
        """Core's and these go to the driver alike, within one transaction."""
        with statements(self.transaction) as said:
            self.connection.execute(sa.insert(t.facts).values(name="d", value="e"))
            self.assertEqual(_FACT.first(self.connection, {"name": "d"}), ("d", "e"))
        self.assertEqual(len(said), 2)

    def test_missing(self) -> None:
        """A value that is not given is a defect of the caller."""
        self.assertRaises(KeyError, _FACT.first, self.connection, {})

    def test_errors(self) -> None:
        """What the driver reports is what Core raises: health judges it, and the text has no values."""
        again = {"name": "a", "value": "secret"}
        error = self.assertRaises(sa.exc.IntegrityError, _KEEP.execute, self.connection, again)
        self.assertFalse(health.is_outage(error))
        self.assertIn("UNIQUE constraint failed", health.reason_of(error))
        self.assertNotIn("secret", str(error))
        wrong = Prepared(sa.select(sa.literal_column("x")).select_from(sa.table("nowhere")))
        error = self.assertRaises(sa.exc.OperationalError, wrong.all, self.connection)
        self.assertFalse(health.is_outage(error))

    def test_damage(self) -> None:
        """A value of another type than its column's is refused, wherever it comes in."""
        self.connection.execute(sa.text("INSERT INTO facts (name, value) VALUES ('d', x'FF')"))
        everything = Prepared(sa.select(t.facts.c.value, t.facts.c.name).order_by(t.facts.c.name))
        for ask in (everything.all, everything.scalars):
            error = self.assertRaises(Unreadable, ask, self.connection)
            self.assertIn("facts.value: holds bytes", str(error))
        self.assertRaises(Unreadable, _FACT.first, self.connection, {"name": "d"})
        value = Prepared(sa.select(t.facts.c.value).where(t.facts.c.name == "d"))
        for _ in range(2):
            self.assertRaises(Unreadable, value.scalar, self.connection)

    def test_text_that_is_none(self) -> None:
        """So is text that the driver cannot read: that is damage of the file."""
        self.connection.execute(sa.text("INSERT INTO facts VALUES ('d', CAST(x'FF' AS TEXT))"))
        error = self.assertRaises(sa.exc.OperationalError, _FACT.first, self.connection, {"name": "d"})
        self.assertTrue(health.is_damage(error))
        self.assertIsInstance(error.orig, sqlite3.OperationalError)

    def test_conversions(self) -> None:
        """Booleans are such in both directions, and an enumeration's member is its number."""
        flags = Prepared(
            sa.select(t.devices.c.aggregator, t.devices.c.retired.is_(None).label("there")).where(
                t.devices.c.aggregator == sa.bindparam("flag", type_=sa.Boolean)
            )
        )
        values = {"lfdi": "A" * 40, "sfdi": 1, "changed_time": 0}
        self.connection.execute(sa.insert(t.devices).values(aggregator=True, **values))
        self.assertEqual(flags.all(self.connection, {"flag": False}), [])
        (row,) = flags.all(self.connection, {"flag": True})
        self.assertIs(row.aggregator, True)
        self.assertIs(row.there, True)
        self.assertIs(flags.scalar(self.connection, {"flag": True}), True)
        number = Prepared(sa.select(sa.literal(LogProfile.IEEE_2030_5, sa.Integer)))
        self.assertEqual(number.scalar(self.connection), LogProfile.IEEE_2030_5.value)

    def test_nothing_is_left_open(self) -> None:
        """A row that was not fetched does not hold the transaction's snapshot."""
        first = Prepared(sa.select(t.facts.c.name))
        self.assertEqual(first.scalar(self.connection), "a")
        self.connection.execute(sa.text("DROP TABLE facts"))  # refused while a statement is under way
