"""Ways in which a start fails: what is wrong in a place, and what the one line about it must name."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from attrs import frozen

from csipd.db import engine
from tests.support.daemon import LAB, Place

Doing = Callable[[Place], "AbstractContextManager[Any] | None"]


@frozen
class Broken:
    """One way to fail.

    :param do: makes a small place such that csipd does not start; what it gives holds as long as it is open
    :param named: what the line names, the place's own values put in
    :param flags: of the command line
    """

    do: Doing
    named: tuple[str, ...]
    flags: tuple[str, ...] = ("--no-validate",)

    def held(self, place: Place) -> AbstractContextManager[Any]:
        """Break a place, for as long as this is open."""
        return self.do(place) or nullcontext()

    def names(self, place: Place) -> list[str]:
        """What the line must hold for this place."""
        values = {
            "config": place.config,
            "folder": place.folder,
            "tls": place.tls,
            "database": place.database,
            "storage": place.database.parent,
            "port": place.port,
        }
        return [name.format(**values) for name in self.named]


def _listen(place: Place) -> AbstractContextManager[Any]:
    return socket.create_server(("127.0.0.1", place.port))


def _made(place: Place) -> sqlite3.Connection:
    """The database as csipd makes it, open."""
    place.database.parent.mkdir()
    engine.prepare(f"sqlite:///{place.database}")
    return sqlite3.connect(place.database, isolation_level=None)


# A process of its own: who reads a file closes it, and with that lets go of all locks of its process on it.
_LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program has the database for itself, as long as this is open."""
    command = [sys.executable, "-c", _LOCKER, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as locker:
        assert locker.stdin is not None and locker.stdout is not None
        if locker.stdout.readline() != "locked\n":
            raise AssertionError("the database could not be locked")
        yield
        locker.stdin.close()


def _lock(place: Place) -> AbstractContextManager[None]:
    _made(place).close()
    return locked(place.database)


def _change(statement: str) -> Doing:
    def change(place: Place) -> None:
        connection = _made(place)
        connection.execute(statement)
        connection.close()

    return change


def _corrupt(place: Place) -> None:
    connection = _made(place)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = place.database.read_bytes()
    place.database.write_bytes(content[:100] + b"\x5a" * (len(content) - 100))


def _no_database(place: Place) -> None:
    place.database.parent.mkdir()
    place.database.write_bytes(b"a text that somebody put here\n" * 400)


def _another_database(place: Place) -> None:
    place.database.parent.mkdir()
    connection = sqlite3.connect(place.database)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def _certificate(place: Place) -> Path:
    return place.tls / "certs" / "127.0.0.1.crt"


def _key(place: Place) -> Path:
    return place.tls / "private" / "127.0.0.1.pem"


def _without(file: Callable[[Place], Path]) -> Doing:
    return lambda place: file(place).unlink()


def _instead(file: Callable[[Place], Path], content: bytes | None) -> Doing:
    """Put something else into a file, or a folder in its place, which root cannot read either."""

    def put(place: Place) -> None:
        path = file(place)
        if content is None:
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(content)

    return put


def _file_for_storage(place: Place) -> None:
    place.database.parent.write_text("no folder\n")


def _say(*lines: str) -> Doing:
    """Say something else in the configuration, for good or bad."""

    def say(place: Place) -> None:
        keys = {line.partition(":")[0] for line in lines}
        kept = [line for line in place.config.read_text().splitlines() if line.partition(":")[0] not in keys]
        place.config.write_text("\n".join((*lines, *kept, "")))

    return say


def _devices(*lines: str) -> Doing:
    return lambda place: place.add(*lines)


_OTHER_KEY = LAB.device("another").key_pem

#: By what is wrong.
BROKEN: Mapping[str, Broken] = {
    "port in use": Broken(_listen, ("{config}:2: https_port: 127.0.0.1 port {port}", "in use", "expected")),
    "address of another machine": Broken(
        _say("server: 192.0.2.1"), ("{config}:1: server: 192.0.2.1", "no address of this", "expected")
    ),
    "name that cannot be resolved": Broken(
        _say("server: no-such-host.invalid"), ("{config}:1: server: no-such-host.invalid", "expected")
    ),
    "locked database": Broken(_lock, ("{config}:5: storage_path: {database}", "locked")),
    "corrupt database": Broken(_corrupt, ("{config}:5: storage_path: {database}", "malformed")),
    "a file that is no database": Broken(
        _no_database, ("{config}:5: storage_path: {database}", "not a database")
    ),
    "database of a later csipd": Broken(
        _change("UPDATE alembic_version SET version_num = '9999'"),
        ("{config}:5: storage_path: {database}", "9999", "later"),
    ),
    "database of something else": Broken(
        _another_database, ("{config}:5: storage_path: {database}", "something else")
    ),
    "a file for a storage folder": Broken(
        _file_for_storage, ("{config}:5: storage_path: {storage}", "is no folder", "expected a folder")
    ),
    "storage that cannot be made": Broken(
        _say("storage_path: /proc/x"),
        ("{config}:1: storage_path: /proc/x", "cannot be made", "expected a folder"),
    ),
    "keys that cannot be made": Broken(
        _say("tls_repository: /proc/x"),
        ("{config}:1: tls_repository: /proc/x", "cannot be made", "expected a folder"),
    ),
    "missing certificate": Broken(
        _without(_certificate),
        ("{config}:4: tls_repository: {tls}/certs/127.0.0.1.crt", "missing"),
        ("--no-validate", "--no-create-certs"),
    ),
    "missing key": Broken(
        _without(_key), ("{tls}/private/127.0.0.1.pem", "missing"), ("--no-validate", "--no-create-certs")
    ),
    "unreadable certificate": Broken(
        _instead(_certificate, None),
        ("{tls}/certs/127.0.0.1.crt", "directory"),
        ("--no-validate", "--no-create-certs"),
    ),
    "no certificate in it": Broken(_instead(_certificate, b"no PEM\n"), ("{tls}/certs/127.0.0.1.crt", "PEM")),
    "key of another certificate": Broken(
        _instead(_key, _OTHER_KEY),
        ("{tls}/certs/127.0.0.1.crt", "{tls}/private/127.0.0.1.pem", "belong together"),
    ),
    "missing trust root": Broken(
        _say("trust_roots: [no-such-root.pem]"),
        (
            "{config}:1: trust_roots[0]: ",
            "no-such-root.pem: No such file",
            "looked in {folder} and in ",
            "expected",
        ),
    ),
    "garbage in a trust root": Broken(
        _say("trust_roots: [./config.yml]"),
        ("{config}:1: trust_roots[0]: {config}: no certificate", "expected"),
    ),
    "missing openssl.cnf": Broken(
        _say("openssl_cnf: no-such.cnf", "generate_admin_cert: true"),
        ("{config}:1: openssl_cnf: ", "/no-such.cnf: No such file", "looked in {folder} and in "),
    ),
    "garbage in openssl.cnf": Broken(
        _say("openssl_cnf: config.yml", "generate_admin_cert: true"),
        ("{config}:1: openssl_cnf: {config}: line 1",),
    ),
    "host that cannot be resolved": Broken(
        _devices("  hostname: no-such-host.invalid"), ("{config}", "dev1", "no-such-host.invalid"), ()
    ),
    "one LFDI twice": Broken(
        _devices("- id: dev2", f"  lfdi: {LAB.device('dev1').lfdi}"),
        ("{config}", "dev1, dev2", LAB.device("dev1").lfdi),
    ),
    "unknown key": Broken(_say("no_such_key: 1"), ("{config}", ":1:", "no_such_key")),
    "no YAML": Broken(_say("server: [", "x: }"), ("{config}",)),
    "no configuration": Broken(lambda place: place.config.unlink(), ("{config}", "No such file")),
}
