"""Takes back what a start has made, when it then fails: a start that fails changes nothing on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen


@frozen
class Undo:
    """What lay in some folders before a start.

    :param folders: the folders, each with all paths in it at that time; None: it was not there
    :param parents: folders above them that were not there either, the deepest first
    """

    folders: tuple[tuple[Path, frozenset[str] | None], ...]
    parents: tuple[Path, ...]

    @classmethod
    def of(cls, folders: Iterable[Path], new: Iterable[Path] = ()) -> Undo:
        """Remember what is there now, and the empty folders that were made just before (``new``)."""
        folders = tuple(folders)
        parents = (parent for folder in folders for parent in folder.parents if not parent.exists())
        deepest_first = sorted({*new, *parents}, key=lambda path: len(path.parts), reverse=True)
        return cls(tuple((folder, _paths(folder)) for folder in folders), tuple(deepest_first))

    def take_back(self) -> None:
        """Delete what has come since. What was there keeps its content; nothing here ever overwrote it."""
        for folder, before in self.folders:
            if before is None:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            # A folder sorts before what is in it.
            for path in sorted(_paths(folder) or (), reverse=True):
                if path not in before:
                    _remove(Path(path))
        for parent in self.parents:
            _remove(parent)


def _paths(folder: Path) -> frozenset[str] | None:
    if not folder.is_dir():
        return None
    return frozenset(
        os.path.join(place, name) for place, folders, files in os.walk(folder) for name in (*folders, *files)
    )


def _remove(path: Path) -> None:
    # What cannot be deleted must not hide why the start failed.
    try:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    except OSError:
        return
