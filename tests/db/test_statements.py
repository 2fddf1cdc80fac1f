"""That the store's statements are SQLAlchemy's, fit for PostgreSQL as for SQLite."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.expression import Grouping
from twisted.trial.unittest import SynchronousTestCase

import csipd
from csipd import db
from csipd.db.tables import metadata

DIALECTS = (sqlite.dialect(), postgresql.dialect())
#: Where what only SQLite knows belongs.
ENGINE = Path(csipd.__file__).parent / "db" / "engine.py"


def said(value: Any, dialect: sa.Dialect) -> str:
    return str(value.compile(dialect=dialect))


def statements() -> Iterator[tuple[str, sa.Executable]]:
    """All statements that are built once, with where they stand."""
    for module in pkgutil.iter_modules(db.__path__, "csipd.db."):
        if not module.ispkg:
            for name, value in vars(import_module(module.name)).items():
                for one in value.values() if isinstance(value, Mapping) else (value,):
                    if isinstance(one, sa.Executable) and isinstance(one, sa.ClauseElement):
                        yield f"{module.name}.{name}", one


class StatementTests(SynchronousTestCase):
    """What is said to a database."""

    def test_schema(self) -> None:
        """Every table and index can be made in both databases."""
        for dialect in DIALECTS:
            for table in metadata.sorted_tables:
                self.assertIn(table.name, said(CreateTable(table), dialect))
                for index in table.indexes:
                    self.assertIn(str(index.name), said(CreateIndex(index), dialect))

    def test_index_expressions(self) -> None:
        """PostgreSQL takes columns and functions in an index as they are, and all else in brackets."""
        plain = (sa.Column, sa.TextClause, sa.Function, Grouping)
        for table in metadata.sorted_tables:
            for index in table.indexes:
                for expression in index.expressions:
                    self.assertIsInstance(expression, plain, index.name)

    def test_built_once(self) -> None:
        """Every statement that is built once can be said to both."""
        found = dict(statements())
        self.assertGreater(len(found), 20)
        for name, statement in found.items():
            for dialect in DIALECTS:
                self.assertTrue(said(statement, dialect), name)

    def test_no_sql_by_hand(self) -> None:
        """SQL that is written out, and what only SQLite knows, stands where its files are dealt with."""
        found = []
        for path in ENGINE.parent.parent.rglob("*.py"):
            if path in (ENGINE, ENGINE.with_name("copying.py")) or "migrations" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                called = node.func if isinstance(node, ast.Call) else None
                if isinstance(called, ast.Attribute) and called.attr == "exec_driver_sql":
                    found.append(f"{path}:{node.lineno}")
                if isinstance(node, ast.Constant) and "PRAGMA" in str(node.value):
                    found.append(f"{path}:{node.lineno}")
        self.assertEqual(found, [])
