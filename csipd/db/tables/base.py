"""What all tables share: their metadata, and types of columns."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Row numbers are part of URIs and never used again; SQLite has to be told so (sqlite_autoincrement).
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Text that sorts by its octets; PostgreSQL would sort it as people of the database's language do.
Sorted = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
