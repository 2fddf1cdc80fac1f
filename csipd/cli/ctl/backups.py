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
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import randbits
from tempfile import TemporaryDirectory
from typing import BinaryIO

import click
from attrs import frozen
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from csipd.cli.ctl import archives, restored
from csipd.cli.ctl.archives import ArchiveError, Manifest, Source
from csipd.cli.ctl.errors import Declined, Failure
from csipd.cli.ctl.options import pass_session
from csipd.cli.ctl.session import Session
from csipd.config import Settings
from csipd.version import VERSION

#: Folders of tls_repository that are not backed up: what openssl works in.
_NOT_KEPT = frozenset(("openssl",))
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
    now = restored.time_of(url, made)
    found = restored.look(url, now, restored.shut_out(storage / archives.DATABASE, work))
    if not session.out.as_json:
        restored.show(session, manifest, found, keep)
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


# What a restore does.


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
