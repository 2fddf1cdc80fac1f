"""New files for what is handed out once: reserved before it is asked for, never overwriting anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import click

from csipd.cli.ctl.errors import Failure


class NewFiles:
    """Files of a folder that are made empty, with their modes, and written to later.

    Those that were not written to are gone at the end of the `with`. click.BadParameter where a file cannot
    be made; Failure where it cannot be written to after all.
    """

    def __init__(self, folder: Path | None, wanted: Mapping[str, int]) -> None:
        """`wanted` has the mode of each file by its name; a folder that is not there is made."""
        self._folder = folder or Path()
        self._wanted = wanted
        self._open: dict[str, int] = {}
        self.written: list[Path] = []

    def __enter__(self) -> NewFiles:
        try:
            for name, mode in self._wanted.items():
                self._folder.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._open[name] = os.open(self._folder / name, flags, mode)
        except OSError as error:
            self._abandon()
            reason = (
                "exists, and is not overwritten" if isinstance(error, FileExistsError) else error.strerror
            )
            raise click.BadParameter(f"{error.filename}: {reason}", param_hint="--out") from None
        return self

    def write(self, name: str, text: str) -> None:
        """Write the whole of one file, down to the disk."""
        path = self._folder / name
        try:
            with open(self._open.pop(name), "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            path.unlink(missing_ok=True)
            raise Failure(
                f"{path}: {error.strerror}; what was for it is lost: remove the device and add it anew"
            ) from None
        self.written.append(path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._abandon()

    def _abandon(self) -> None:
        while self._open:
            name, file = self._open.popitem()
            os.close(file)
            (self._folder / name).unlink(missing_ok=True)
