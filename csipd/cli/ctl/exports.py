"""``csipctl export``: what came in a period, of whatever length, into a pipe or a file."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import click
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TimeElapsedColumn, TransferSpeedColumn

from csipd.cli.ctl import lookup
from csipd.cli.ctl.client import Query, Value
from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.options import MOMENT_HELP, NUMBER, Command, Moment, pass_session
from csipd.cli.ctl.session import Session


class Download:
    """A file that is there once it is whole: until then it has another name, and after a failure none.

    click.BadParameter where it cannot be made, or is there already; Failure where it cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._file: BinaryIO | None = None

    def __enter__(self) -> Callable[[bytes], None]:
        try:
            if self._path.exists():
                raise FileExistsError(None, "exists, and is not overwritten", str(self._path))
            self._file = self._part.open("xb")
        except OSError as error:
            raise click.BadParameter(f"{error.filename}: {error.strerror}", param_hint="--output") from None
        return self._write

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        try:
            with self._file as file:
                if kind is None:
                    file.flush()
                    os.fsync(file.fileno())
            if kind is None:
                self._name()
        except OSError as failed:
            raise Failure(f"{self._path}: {failed.strerror}") from None
        finally:
            self._part.unlink(missing_ok=True)

    def _name(self) -> None:
        """Give the file its name; what has come there meanwhile is left alone."""
        try:
            os.link(self._part, self._path)
        except FileExistsError:
            raise
        except OSError:  # not every file system has links
            os.rename(self._part, self._path)

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(data)
        except OSError as error:
            raise Failure(f"{self._part}: {error.strerror}") from None


#: Of every command that exports.
output_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="A file for it, which is there once it is whole; nothing is overwritten [standard output].",
)


def export_options(command: Command) -> Command:
    """--since and --until, and --output, of every command that exports what is of a period."""

    @click.option("--since", type=Moment(ahead=False), help=f"Only from this moment on {MOMENT_HELP}.")
    @click.option("--until", type=Moment(ahead=False), help="Only before this.")
    @output_option
    @functools.wraps(command)
    def with_options(*args: Any, since: int | None, until: int | None, **more: Any) -> Any:
        return command(*args, period={"since": since, "until": until}, **more)

    return with_options


def export(session: Session, path: str, query: Query, output: Path | None) -> None:
    """Write what an export of the API gives: CSV, or with --json JSON. A terminal shows how it goes."""
    asked = {**query, "format": "json" if session.out.as_json else "csv"}
    if output is None:
        session.client.stream(path, asked, _write_out)
        return
    taken = 0
    with Download(output) as write, _Bar() as advance:

        def take(data: bytes) -> None:
            nonlocal taken
            write(data)
            taken += len(data)
            advance(len(data))

        session.client.stream(path, asked, take)
    session.out.note(f"Wrote {output}, {taken} octets")


def _write_out(data: bytes) -> None:
    out = sys.stdout.buffer
    try:
        out.write(data)
        out.flush()
    except OSError as error:
        # What is still to be written goes nowhere, or Python would try it again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        raise Failure(f"standard output: {error.strerror}") from None


class _Bar:
    """How many octets have come, and how fast, on a terminal: how many there will be nobody knows."""

    def __enter__(self) -> Callable[[int], None]:
        columns = (SpinnerColumn(), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._progress.start()
        task = self._progress.add_task("", total=None)
        return lambda octets: self._progress.advance(task, octets)

    def __exit__(self, *why: object) -> None:
        self._progress.stop()


@click.group("export")
def exports() -> None:
    """What came in a period, the oldest first: CSV, or with csipctl --json a JSON array.

    However long it is, it is written as it comes. One that was cut ends with an error.
    """


_device_option = click.option("--device", help="Only of this device (number, name or LFDI).")


@exports.command("responses")
@_device_option
@click.option("--control", type=NUMBER, help="Only those to this control.")
@export_options
@pass_session
def export_responses(
    session: Session, device: str | None, control: int | None, period: Value, output: Path | None
) -> None:
    """Responses of devices, by when they came.

    \b
    Examples:
      csipctl export responses --since 2026-07-01 --until 2026-08-01 --output july.csv
      csipctl --json export responses --control 12 | jq -r '.[].meaning'
    """
    query = {"device": _device(session, device), "control": control, **period}
    export(session, "/exports/responses", query, output)


@exports.command("alarms")
@_device_option
@export_options
@pass_session
def export_alarms(session: Session, device: str | None, period: Value, output: Path | None) -> None:
    """Alarms of devices, by when they were raised.

    \b
    Examples:
      csipctl export alarms --since -24h
      csipctl export alarms --device dev1
    """
    export(session, "/exports/alarms", {"device": _device(session, device), **period}, output)


@exports.command("log")
@_device_option
@export_options
@pass_session
def export_log(session: Session, device: str | None, period: Value, output: Path | None) -> None:
    """Log events of devices, by when they came.

    \b
    Examples:
      csipctl export log --since -24h --output log.csv
      csipctl export log --device dev1
    """
    export(session, "/exports/logevents", {"device": _device(session, device), **period}, output)


@exports.command("capability")
@click.argument("group")
@output_option
@pass_session
def export_capability(session: Session, group: str, output: Path | None) -> None:
    """What the devices of a group (number or name) can deliver now, by kind of DER and in all.

    \b
    Examples:
      csipctl export capability feeder-1
    """
    export(session, f"/exports/groups/{lookup.group(session.client, group)}/capability", {}, output)


@exports.command("delivery")
@click.argument("control", type=NUMBER)
@output_option
@pass_session
def export_delivery(session: Session, control: int, output: Path | None) -> None:
    """What each device of a control was commanded, and what its readings say that it delivered.

    \b
    Examples:
      csipctl export delivery 12 --output delivery.csv
    """
    export(session, f"/exports/controls/{control}/delivery", {}, output)


def _device(session: Session, device: str | None) -> int | None:
    return None if device is None else lookup.device(session.client, device)
