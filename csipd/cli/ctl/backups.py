"""``csipctl backup`` and ``csipctl restore``: the whole state of a csipd, into one file and out of it again.

A backup is made beside a running daemon. A restore needs it stopped, and leaves what was there before in a
folder of its own. What it brings back has never seen what was made after the backup, so the store goes on
with numbers that nobody can have seen, and live controls are cancelled unless they are to be kept
(decision 46).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import randbits
from tempfile import TemporaryDirectory
from typing import BinaryIO

import click
import sqlalchemy as sa
from attrs import frozen
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from csipd.cli.ctl import archives
from csipd.cli.ctl.archives import ArchiveError, Manifest, Source
from csipd.cli.ctl.client import Value
from csipd.cli.ctl.errors import Declined, Failure
from csipd.cli.ctl.options import pass_session
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.session import Session
from csipd.config import Settings
from csipd.sep2.identity import pretty_lfdi
from csipd.version import VERSION

#: Folders of tls_repository that are not backed up: what openssl works in.
_NOT_KEPT = frozenset(("openssl",))
#: Devices that are shown for review; --json has them all.
_SHOWN = 50
_WHO = "csipctl restore"
_KEY = b"PRIVATE KEY-----"


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--with-keys", is_flag=True, help="Private keys, too: whoever has the file is the server then.")
@pass_session
def backup(session: Session, file: Path, with_keys: bool) -> None:
    """Write configuration, database and certificates into one new file, also while csipd runs.

    The database in it is that of one moment. PINs are in it: the file is readable by its owner only. Private
    keys are left out unless you ask for them; without them keep those of tls/private elsewhere. Run it where
    csipd runs, as its user or as root.

    \b
    Examples:
      csipctl --config /etc/csipd/config.yml backup /backup/csipd-2026-11-29.tar.gz
      csipctl --config /etc/csipd/config.yml backup --with-keys /safe/csipd.tar.gz
    """
    # Only these commands need the server's own parts, which take longer to load than others to run.
    from csipd.db import copying, engine

    settings = _settings(session)
    database = engine.file_of(engine.sqlite_url(settings.storage_path))
    if database is None or not database.exists():
        raise Failure(f"{database}: there is no database; storage_path of the configuration says where it is")
    manifest = Manifest(made=int(session.now()), version=VERSION, keys=with_keys)
    if not file.parent.is_dir():
        raise Failure(f"{file.parent}: there is no such folder to write {file.name} into")
    partial = file.with_name(f".{file.name}.partial")
    with _failing(), _new_file(file, partial), TemporaryDirectory(dir=file.parent, prefix=".csipd-") as work:
        copied = Path(work) / archives.DATABASE
        with _bar("copying the database") as bar:
            copying.copy(database, copied, bar.place)
        if (damage := copying.damage(copied)) is not None:
            raise Failure(f"{database}: is damaged, and a backup of it could not be restored: {damage}")
        sources = [Source(archives.DATABASE, copied), *_configuration(settings)]
        sources += _certificates(settings.tls_repository, with_keys)
        with (
            _bar("writing", sum(one.path.stat().st_size for one in sources)) as bar,
            partial.open("wb") as out,
        ):
            archives.write(out, manifest, sources, bar.advance)
            out.flush()
            os.fsync(out.fileno())
    size = file.stat().st_size
    if session.out.as_json:
        session.out.json({"file": str(file), "octets": size, "files": len(manifest.files), "keys": with_keys})
    else:
        session.out.show(f"Wrote {file}: {len(manifest.files)} files, {size} octets.")
    if not with_keys:
        session.out.note("Private keys are not in it: keep those of the tls_repository elsewhere.")


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--keep", is_flag=True, help="Live controls stay in force; else they are cancelled.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def restore(session: Session, file: Path, keep: bool, yes: bool) -> None:
    """Put a backup in the place of what csipd has now. csipd has to be stopped.

    Controls of the backup that are not over are shown, and cancelled unless you say --keep: what was
    commanded or cancelled since is not known to it. The devices that it admits are shown as well, those
    first that were withdrawn or removed since: they are admitted again. The database that was there is
    kept in a folder beside it. Certificates and keys that are missing are put back, those that are there
    stay; so does the configuration.

    \b
    Examples:
      csipctl --config /etc/csipd/config.yml restore /backup/csipd-2026-11-29.tar.gz
      csipctl --config /etc/csipd/config.yml restore --keep --yes /backup/csipd-2026-11-29.tar.gz
    """
    from csipd.daemon import storage
    from csipd.daemon.failures import StartError

    settings = _settings(session)
    folder = settings.storage_path
    with _failing():
        source = file.open("rb")
    with closing(source), _failing():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock = storage.lock(settings)
        except StartError as error:
            raise Failure(f"{error}: stop it first") from None
        try:
            with _as_owner(folder), TemporaryDirectory(dir=folder, prefix=".restore-") as work:
                _restore(session, settings, source, file, Path(work), keep, yes)
        finally:
            os.close(lock)


def _restore(
    session: Session, settings: Settings, source: BinaryIO, file: Path, work: Path, keep: bool, yes: bool
) -> None:
    from csipd.db import copying, engine

    storage = settings.storage_path
    try:
        with _bar("reading", os.fstat(source.fileno()).st_size) as bar:
            manifest = archives.extract(source, work, shutil.disk_usage(work).free, bar.advance)
    except ArchiveError as error:
        raise Failure(f"{file}: {error}") from None
    database = work / archives.DATABASE
    url = engine.sqlite_url(work)
    try:
        if (damage := copying.damage(database)) is not None:
            raise sqlite3.DatabaseError(damage)
        engine.prepare(url)
    except (engine.StoreError, sqlite3.Error) as error:
        raise Failure(f"{file}: its database cannot be used: {str(error).replace(str(work), '')}") from None
    made = int(session.now())
    now = _time_of(url, made)
    found = _found(url, now, _shut_out(storage / archives.DATABASE, work))
    if not session.out.as_json:
        _show(session, manifest, found, keep)
    if not yes and not session.out.ask("Put this backup in the place of what is there?"):
        raise Declined("nothing was changed")
    _go_on_elsewhere(url, manifest, [] if keep else [one.number for one in found.controls], now)
    aside = _new_folder(storage / f"before-restore-{datetime.fromtimestamp(made, UTC):%Y%m%dT%H%M%SZ}")
    _put_in_place(database, storage / archives.DATABASE, aside)
    differing, failed = _put_back(work / "tls", settings.tls_repository)
    for folder in (work / "configuration", *((work / "tls",) if failed else ())):
        if folder.exists():
            shutil.move(folder, aside / folder.name)
    if session.out.as_json:
        session.out.json({**found.as_json(manifest, keep, aside), "differing": differing, "failed": failed})
        return
    session.out.note(f"Done. What was there before is in {aside}, and with it the backup's configuration.")
    if differing:
        session.out.note(
            f"{len(differing)} files of {settings.tls_repository} differ from the backup's, and stay: "
            f"{_some(differing)}"
        )
    if failed:
        session.out.note(
            f"{len(failed)} files of {settings.tls_repository} could not be looked at or written, and may be"
            f" missing; they are in {aside / 'tls'}: {_some(failed)}"
        )
    if keyless := _keyless(settings.tls_repository):
        session.out.note(
            f"{len(keyless)} certificates of {settings.tls_repository} have no key: {_some(keyless)}."
            " Put their keys into its private/ before csipd is started, unless they are kept elsewhere."
        )


def _settings(session: Session) -> Settings:
    if session.settings is None:
        raise click.UsageError(
            "Give --config: it says where csipd keeps what is to be backed up or restored."
        )
    return session.settings


# What goes into a backup.


def _configuration(settings: Settings) -> list[Source]:
    """The configuration, and what it refers to outside of tls_repository."""
    sources = [Source(f"configuration/{Path(settings.file).name}", Path(settings.file).resolve())]
    others = [settings.openssl_cnf, *settings.trust_roots]
    for number, path in enumerate(others):
        if path is not None and path.is_file() and not path.is_relative_to(settings.tls_repository):
            sources.append(Source(f"configuration/{number}/{path.name}", path.resolve()))
    return sources


def _certificates(repository: Path, with_keys: bool) -> Iterator[Source]:
    for folder in sorted(repository.iterdir() if repository.is_dir() else ()):
        if folder.name in _NOT_KEPT or folder.is_symlink() or not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if (
                path is not None
                and path.is_file()
                and not path.is_symlink()
                and (with_keys or not _holds_key(path))
            ):
                yield Source(f"tls/{folder.name}/{path.name}", path)


def _holds_key(path: Path) -> bool:
    return path.parent.name == "private" or _KEY in path.read_bytes()


@contextmanager
def _new_file(file: Path, partial: Path) -> Iterator[None]:
    """Have a file appear when it is complete; nothing is overwritten."""
    if file.exists():
        raise Failure(f"{file}: exists, and is not overwritten")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield
        # Fails where somebody else has made one of that name meanwhile, as a rename would not.
        os.link(partial, file)
    finally:
        partial.unlink(missing_ok=True)


# What a restore finds and does.


@frozen
class _Control:
    number: int
    program: int
    program_name: str
    start: int
    end: int


@frozen
class _Device:
    number: int
    name: str | None
    lfdi: str
    registered: bool


@frozen
class _Found:
    """What a backup brings back that an operator should look at.

    :param again: devices that the store which is there now has shut out; None where it cannot be read
    """

    controls: list[_Control]
    devices: list[_Device]
    again: list[_Device] | None

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


def _shut_out(database: Path, work: Path) -> frozenset[str] | None:
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


def _time_of(url: str, now: int) -> int:
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


def _found(url: str, now: int, shut_out: frozenset[str] | None) -> _Found:
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
            found = [_Device(*row) for row in connection.execute(admitted)]
            called = {one.number: one.name or str(one.number) for one in found}
            rows = list(connection.execute(live))
            described = programs.names(connection, [row.program for row in rows])

            def named(program: int) -> str:
                owner = programs.owner_of(program)
                if owner is not None:
                    return f"own program of {called.get(owner, owner)}"
                return described[program][0] if program in described else str(program)

            return _Found(
                [_Control(row.id, row.program, named(row.program), row.earliest, row.latest) for row in rows],
                found,
                None if shut_out is None else [one for one in found if one.lfdi in shut_out],
            )
    finally:
        opened.dispose()


def _show(session: Session, manifest: Manifest, found: _Found, keep: bool) -> None:
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


def _devices(some: Sequence[_Device], title: str) -> Grid:
    rows = tuple(
        (str(one.number), one.name or "", pretty_lfdi(one.lfdi), "registered" if one.registered else "listed")
        for one in some
    )
    return Grid(("Number", "Name", "LFDI", "Standing"), rows, title)


def _go_on_elsewhere(url: str, manifest: Manifest, cancelled: list[int], now: int) -> None:
    """Have a restored store use no number again, and cancel controls."""
    from csipd.db import audit, controls, engine, fact_store, numbering, subscriptions
    from csipd.db.database import Transaction

    opened = engine.make_engine(url, immediate=True)
    made = f"{datetime.fromtimestamp(manifest.made, UTC):%Y-%m-%dT%H:%M:%SZ}"
    try:
        with opened.begin() as connection:
            transaction = Transaction(connection)
            numbering.go_on_elsewhere(transaction, randbits)
            for number in cancelled:
                controls.cancel(transaction, number, False, f"restored from a backup of {made}", now)
            subscriptions.mark_all(connection)
            what = f"backup of {made}, controls cancelled: {cancelled or 'none'}"
            audit.record(transaction, now, _WHO, "restore", "store", what[:2000])
            fact_store.renumber(connection)
    except numbering.Exhausted as error:
        raise Failure(
            f"the store was restored too often: there are no higher numbers left for {error}"
        ) from None
    finally:
        opened.dispose()


def _new_folder(wanted: Path) -> Path:
    """Make a folder, with a number behind its name if there is one already."""
    folder, number = wanted, 1
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    folder.mkdir(mode=0o700)
    return folder


def _put_in_place(new: Path, database: Path, aside: Path) -> None:
    """Give a database the place of another, which stays beside it; at no moment is there none."""
    if database.exists():
        os.link(database, aside / database.name)
    for suffix in ("-wal", "-shm"):
        beside = database.with_name(database.name + suffix)
        if beside.exists():
            # SQLite would take it for the new database's own.
            beside.rename(aside / beside.name)
    new.replace(database)
    for folder in (aside, database.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put_back(kept: Path, repository: Path) -> tuple[list[str], list[str]]:
    """Put back the files of tls_repository that are missing.

    :return: those that are there and differ, and those that could not be put back
    """
    differing, failed = [], []
    for path in sorted(kept.glob("*/*")):
        name = str(path.relative_to(kept))
        target = repository / name
        try:
            if target.exists() or target.is_symlink():
                if not target.is_file() or target.read_bytes() != path.read_bytes():
                    differing.append(name)
                continue
            public = target.parent.name == "certs"
            target.parent.mkdir(mode=0o755 if public else 0o700, parents=True, exist_ok=True)
            path.chmod(0o644 if public else 0o600)
            shutil.move(path, target)
        except OSError:
            failed.append(name)
    return differing, failed


def _keyless(repository: Path) -> list[str]:
    """Ids of the certificates whose keys are not there."""
    ids = (path.name.removesuffix(".crt") for path in sorted((repository / "certs").glob("*.crt")))
    try:
        return [id for id in ids if not (repository / "private" / f"{id}.pem").exists()]
    except OSError:  # another's, and not to be looked into
        return []


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


@contextmanager
def _as_owner(folder: Path) -> Iterator[None]:
    """As root, act as the owner of a folder: what is made is the owner's, and no link in it is a trap."""
    owner = folder.stat()
    if os.geteuid() != 0 or not owner.st_uid:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextmanager
def _failing() -> Iterator[None]:
    """What the system and SQLite say, in one line."""
    try:
        yield
    except ArchiveError as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
    except sqlite3.Error as error:
        from csipd.db import copying

        what = "is damaged" if copying.is_damage(error) else "cannot be read"
        raise Failure(f"the database {what}: {error}") from None


@frozen
class _Bar:
    """A bar that is drawn on a terminal."""

    advance: Callable[[int], None]
    place: Callable[[int, int], None]


@contextmanager
def _bar(what: str, total: int | None = None) -> Iterator[_Bar]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield _Bar(
            lambda done: progress.advance(task, done),
            lambda done, pages: progress.update(task, completed=done, total=pages),
        )
