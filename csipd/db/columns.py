"""Types of columns that see what they read.

SQLite keeps in a column whatever it is given, and on a page that is damaged in its content, but not in its
structure, whatever the disk made of it. A number that has become octets would go through the code and fail
somewhere, as a defect of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from csipd.refusals import Unavailable


class Unreadable(Unavailable):
    """A row of the store holds something that was never written to it."""


class _Strict:
    """Beside a type of SQLAlchemy's: what SQLite gives must be of one class of Python's, or None."""

    #: Table and column, for the log.
    where = "a value that was computed"
    _kind: type

    def adapt(self, cls: type[Any], **kw: Any) -> Any:
        """A copy of another class, as SQLAlchemy makes one for each dialect."""
        # It is that of the type beside this class, as below.
        made = super().adapt(cls, **kw)  # type: ignore[misc]
        if isinstance(made, _Strict):
            made.where = self.where
        return made

    def conversion(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """What a value of the right class goes through besides."""
        own: Callable[[Any], Any] | None = super().result_processor(dialect, coltype)  # type: ignore[misc]
        return own

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """The function that each value goes through when it is read; it raises `Unreadable`."""
        own = self.conversion(dialect, coltype)
        if dialect.name != "sqlite":
            # Others keep what a column is declared to hold.
            return own
        kind, where = self._kind, self.where

        def read(value: Any) -> Any:
            if value is not None and type(value) is not kind:
                raise Unreadable(f"{where}: holds {type(value).__name__} in a row, expected {kind.__name__}")
            return value if own is None else own(value)

        return read


class _SmallInteger(_Strict, sa.SmallInteger):
    _kind = int


class _Integer(_Strict, sa.Integer):
    _kind = int


class _BigInteger(_Strict, sa.BigInteger):
    _kind = int


class _Float(_Strict, sa.Float):  # type: ignore[type-arg]  # as SQLAlchemy's own subclasses have it
    _kind = float


class _Boolean(_Strict, sa.Boolean):
    _kind = int


class _Text(_Strict, sa.Text):
    _kind = str


class _String(_Strict, sa.String):
    _kind = str


class _LargeBinary(_Strict, sa.LargeBinary):
    _kind = bytes


#: What PostgreSQL calls a number of double precision: its driver asks for it.
_DOUBLE = 701

_STRICT: dict[type[Any], type[Any]] = {
    cls.__mro__[2]: cls
    for cls in (_SmallInteger, _Integer, _BigInteger, _Float, _Boolean, _Text, _String, _LargeBinary)
}


def conversion(kind: TypeEngine[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    """What values of a type go through when they are read, apart from the look at their class."""
    if isinstance(kind, _Strict):
        return kind.conversion(dialect, None)
    return reader(kind, dialect)


def reader(kind: TypeEngine[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    """What values of a type go through when they are read."""
    return kind.result_processor(dialect, _DOUBLE if isinstance(kind, sa.Float) else None)


def make_strict(metadata: sa.MetaData) -> None:
    """Have every column of these tables see what is read from it."""
    for table in metadata.tables.values():
        for column in table.columns:
            column.type = _strict(column.type, f"{table.name}.{column.name}")


def _strict(plain: TypeEngine[Any], where: str) -> TypeEngine[Any]:
    variants = plain._variant_mapping
    strict: Any = plain.adapt(_STRICT[type(plain)])
    strict.where = where
    strict._variant_mapping = type(variants)(
        {dialect: _strict(variant, where) for dialect, variant in variants.items()}
    )
    made: TypeEngine[Any] = strict
    return made
