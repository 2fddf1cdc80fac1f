"""Statements that requests ask all the time: SQLAlchemy Core's, compiled once and run on the driver's cursor.

To execute a statement Core looks it up, sorts parameters, makes a context, a result and rows that know much:
ten times what SQLite needs for a row found by its key. Here that is done once for each database, and what is
left is a cursor, the values in their order, and named tuples. Statements that are asked now and then stay
with Core. Both can be mixed on one connection; the transaction is Core's, who begins and ends it.

    _NAME = Prepared(sa.select(devices.c.name).where(devices.c.id == sa.bindparam("device")))
    name = _NAME.scalar(connection, {"device": 4})
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from attrs import define, field, frozen

from csipd.db.columns import conversion, reader

#: Different columns' types that rows were seen with, of one statement; a few columns may be NULL.
_MOST_TYPES = 256

_Parameters = Mapping[str, Any]
_NONE: _Parameters = {}


class Prepared:
    """A statement that is compiled once for each database.

    :param statement: of Core, or a function of the dialect's name that gives it where the databases' own
        constructs have to be used (upsert.py). Values that it has itself are its defaults; the others have to
        be given each time, those of an expanding IN as sequences of any length
    :param names: columns that an INSERT or UPDATE sets, where it does not say so itself (``values``)

    All its methods raise what Core raises: ``sqlalchemy.exc.DBAPIError`` for what the driver reports, and
    ``Unreadable`` for a row that cannot be what was stored.
    """

    def __init__(self, statement: sa.Executable | Callable[[str], sa.Executable], *names: str) -> None:
        self._statement = statement
        self.names = names
        self._compiled: dict[str, _Compiled] = {}

    def of(self, dialect: str) -> sa.Executable:
        """The statement as Core has it."""
        return self._statement if isinstance(self._statement, sa.Executable) else self._statement(dialect)

    def compiled(self, dialect: sa.Dialect) -> _Compiled:
        """The statement as a database is asked it; of one dialect there is one driver."""
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _compile(self.of(dialect.name), self.names, dialect)
        return found

    def all(self, connection: sa.Connection, parameters: _Parameters = _NONE) -> list[Any]:
        """All rows: tuples, whose members have the columns' names, too."""
        compiled = self.compiled(connection.dialect)
        return compiled.rows(compiled.run(connection, parameters, _fetch_all))

    def first(self, connection: sa.Connection, parameters: _Parameters = _NONE) -> Any:
        """The first row, or None."""
        compiled = self.compiled(connection.dialect)
        row = compiled.run(connection, parameters, _fetch_one)
        return None if row is None else compiled.rows((row,))[0]

    def scalars(self, connection: sa.Connection, parameters: _Parameters = _NONE) -> list[Any]:
        """The first column of all rows."""
        compiled = self.compiled(connection.dialect)
        return [compiled.value(row[0]) for row in compiled.run(connection, parameters, _fetch_all)]

    def scalar(self, connection: sa.Connection, parameters: _Parameters = _NONE) -> Any:
        """The first column of the first row; None where there is no row."""
        compiled = self.compiled(connection.dialect)
        row = compiled.run(connection, parameters, _fetch_one)
        return None if row is None else compiled.value(row[0])

    def execute(self, connection: sa.Connection, parameters: _Parameters = _NONE) -> int:
        """Carry out a write, and say how many rows it was that it changed."""
        changed: int = self.compiled(connection.dialect).run(connection, parameters, _count_rows)
        return changed

    def execute_many(self, connection: sa.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Carry out a write once for each row of values, which are in the order of ``names``."""
        compiled = self.compiled(connection.dialect)
        compiled.run_many(connection, self.names, rows)


def run(connection: sa.Connection, sql: str) -> None:
    """Carry out a statement that has neither parameters nor rows, on the driver's cursor.

    :raises sa.exc.DBAPIError: what the driver reports
    """
    try:
        cursor = connection.connection.cursor()
        cursor.execute(sql)
        cursor.close()
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_core(error, sql, connection.dialect) from error


def _as_core(error: Exception, sql: str, dialect: sa.Dialect) -> BaseException:
    """An error of the driver as Core raises it, by which `health` judges. Parameters are not in its text."""
    return sa.exc.DBAPIError.instance(
        sql, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
    )


def _fetch_all(cursor: Any) -> Any:
    return cursor.fetchall()


def _fetch_one(cursor: Any) -> Any:
    return cursor.fetchone()


def _count_rows(cursor: Any) -> Any:
    return cursor.rowcount


@frozen
class _Form:
    """A statement with the lists of its expanding INs written out.

    :param order: names of the values as the driver takes them
    :param lists: the names that each list's values have, by the list's own
    """

    sql: str
    order: Sequence[str]
    lists: Mapping[str, Sequence[str]]


@define(eq=False)
class _Compiled:
    """A statement for one database.

    :param required: names of the values that have to be given
    :param defaults: values that the statement has itself
    :param expanding: names of its expanding INs
    :param converting: what values go through before the driver gets them, by name
    :param row: makes a row of a tuple
    :param readers: what the values of each column go through, strictly
    :param converters: the same for columns of which more is wanted than that their type is right
    """

    _compiled: Any
    _dialect: sa.Dialect
    _required: Sequence[str]
    _defaults: _Parameters
    _expanding: Sequence[str]
    _converting: Mapping[str, Callable[[Any], Any]]
    _row: Callable[[Iterable[Any]], Any]
    _readers: Sequence[Callable[[Any], Any] | None]
    _converters: Sequence[tuple[int, Callable[[Any], Any]]]
    _forms: dict[Sequence[int], _Form] = field(init=False, factory=dict)
    # Types of columns that were looked at and found to be what is stored there.
    _seen: set[tuple[type, ...]] = field(init=False, factory=set)
    _seen_first: set[type] = field(init=False, factory=set)

    def run(self, connection: sa.Connection, parameters: _Parameters, fetch: Callable[[Any], Any]) -> Any:
        """Ask the database, and fetch something of what it says."""
        sql, values = self.said(parameters)
        try:
            cursor = connection.connection.cursor()
            try:
                cursor.execute(sql, values)
                return fetch(cursor)
            finally:
                # What was not fetched must not keep the transaction's snapshot.
                cursor.close()
        except connection.dialect.loaded_dbapi.Error as error:
            raise _as_core(error, sql, connection.dialect) from error

    def run_many(
        self, connection: sa.Connection, names: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Say the same again and again."""
        form = self._forms.get(())
        if form is None:
            form = self._forms[()] = self._form(())
        assert not self._defaults and not self._expanding
        said: Sequence[Any] = rows
        if self._converting:
            said = [
                [
                    value if (convert := self._converting.get(name)) is None else convert(value)
                    for name, value in zip(names, row, strict=True)
                ]
                for row in rows
            ]
        if not self._dialect.positional:
            said = [dict(zip(names, row, strict=True)) for row in said]
        elif tuple(form.order) != tuple(names):
            places = [names.index(name) for name in form.order]
            said = [[row[place] for place in places] for row in said]
        try:
            cursor = connection.connection.cursor()
            try:
                if len(said) == 1:
                    cursor.execute(form.sql, said[0])
                else:
                    cursor.executemany(form.sql, said)
            finally:
                cursor.close()
        except connection.dialect.loaded_dbapi.Error as error:
            raise _as_core(error, form.sql, connection.dialect) from error

    def said(self, parameters: _Parameters) -> tuple[str, Any]:
        """What is said to the driver: SQL and values.

        :raises KeyError: a value is missing
        """
        given = {**self._defaults, **parameters}
        lengths: Sequence[int] = ()
        if self._expanding:
            for name in self._expanding:
                given[name] = _padded(given[name])
            lengths = tuple([len(given[name]) for name in self._expanding])
        form = self._forms.get(lengths)
        if form is None:
            form = self._forms[lengths] = self._form(lengths)
        for name, convert in self._converting.items():
            value = given[name]
            given[name] = list(map(convert, value)) if name in self._expanding else convert(value)
        for name, written_out in form.lists.items():
            given.update(zip(written_out, given[name], strict=True))
        if self._dialect.positional:
            return form.sql, [given[name] for name in form.order]
        return form.sql, {name: given[name] for name in form.order}

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        """Rows as the driver gives them, looked at, converted and with names."""
        seen = self._seen
        for row in found:
            types = tuple(map(type, row))
            if types not in seen:
                self._look_at(row)
                if len(seen) >= _MOST_TYPES:
                    seen.clear()
                seen.add(types)
        if self._converters:
            found = [self._converted(row) for row in found]
        return list(map(self._row, found))

    def value(self, value: Any) -> Any:
        """A value of the first column, likewise."""
        if type(value) not in self._seen_first:
            read = self._readers[0]
            if read is not None:
                read(value)
            self._seen_first.add(type(value))
        if self._converters and self._converters[0][0] == 0:
            return self._converters[0][1](value)
        return value

    def _look_at(self, row: Sequence[Any]) -> None:
        for read, value in zip(self._readers, row, strict=True):
            if read is not None:
                read(value)

    def _converted(self, row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for position, convert in self._converters:
            values[position] = convert(values[position])
        return values

    def _form(self, lengths: Sequence[int]) -> _Form:
        wanted: dict[str, Any] = dict.fromkeys(self._required)
        wanted |= {name: [None] * length for name, length in zip(self._expanding, lengths, strict=True)}
        state = self._compiled.construct_expanded_state(wanted)
        order = state.positiontup if self._dialect.positional else tuple(state.parameters)
        return _Form(state.statement, order, state.parameter_expansion)


def _padded(values: Sequence[Any]) -> Sequence[Any]:
    """A list with its last value repeated until its length is a power of two.

    To an IN that is the same, and few lengths are few statements: the driver keeps so many only.
    """
    length = len(values)
    if length & (length - 1) == 0:
        return values
    return [*values, *[values[-1]] * ((1 << length.bit_length()) - length)]


def _compile(statement: Any, names: Sequence[str], dialect: sa.Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=list(names) or None)
    binds: Mapping[str, sa.BindParameter[Any]] = {name: bind for bind, name in compiled.bind_names.items()}
    converting = {
        name: convert
        for name, bind in binds.items()
        if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
    }
    columns = list(statement.exported_columns)
    types = [column.type.dialect_impl(dialect) for column in columns]
    converters = [conversion(kind, dialect) for kind in types]
    return _Compiled(
        compiled,
        dialect,
        [name for name, bind in binds.items() if bind.required],
        {name: bind.effective_value for name, bind in binds.items() if not bind.required},
        [name for name, bind in binds.items() if bind.expanding],
        converting,
        partial(tuple.__new__, namedtuple("Row", [str(c.key) for c in columns], rename=True)),
        [reader(kind, dialect) for kind in types],
        [(position, convert) for position, convert in enumerate(converters) if convert is not None],
    )
