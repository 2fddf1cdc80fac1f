"""Takes back what a start has made, when it then fails: a start that fails changes nothing on disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

#: A folder, and the pattern of names of what a start may make in it.
Place = tuple[Path, str]


@frozen
class Undo:
    """What was in some places before a start.

    Only what a start itself makes is ever looked at: a folder may be somebody's home.

    :param before: the places, each with the files of its pattern at that time
    :param folders: folders that were not there then, or were made just before, the deepest first
    """

    before: tuple[tuple[Path, str, frozenset[Path]], ...]
    folders: tuple[Path, ...]

    @classmethod
    def of(cls, places: Iterable[Place], new: Iterable[Path] = ()) -> Undo:
        """Remember what is there now.

        :param new: folders that were made just before
        """
        places = tuple(places)
        above = {each for folder, _ in places for each in (folder, *folder.parents)}
        missing = {folder for folder in above if not folder.exists()}
        return cls(
            tuple((folder, pattern, frozenset(folder.glob(pattern))) for folder, pattern in places),
            tuple(sorted({*new, *missing}, key=lambda path: len(path.parts), reverse=True)),
        )

    def take_back(self) -> None:
        """Delete what has come since. What was there keeps its content; nothing here ever overwrote it."""
        for folder, pattern, before in self.before:
            for path in frozenset(folder.glob(pattern)) - before:
                _remove(path)
        for folder in self.folders:
            _remove(folder)


def _remove(path: Path) -> None:
    # What cannot be deleted, as a folder that somebody else put something into, must not hide why the start
    # failed.
    try:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    except OSError:
        return
