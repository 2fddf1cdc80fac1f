"""Chapters of the standard in the store: one module each, every one of them in the table."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import chapters
from csipd.sep2.site import ROWS


class ChapterTests(SynchronousTestCase):
    """The table of chapters."""

    def test_every_module_is_in_the_table(self) -> None:
        """A chapter's module that nobody listed would silently keep its rows as plain documents."""
        modules = [
            import_module(f"{chapters.__name__}.{m.name}") for m in pkgutil.iter_modules(chapters.__path__)
        ]
        self.assertEqual([id(m.CHAPTER) for m in modules], [id(c) for c in chapters.CHAPTERS])

    def test_each_row_has_one_chapter(self) -> None:
        """No two chapters say where a row's documents come from, or what one write does; the rows exist."""
        sources = [name for chapter in chapters.CHAPTERS for name in chapter.sources]
        self.assertEqual(len(sources), len(set(sources)))
        writes = [key for chapter in chapters.CHAPTERS for key in chapter.writes]
        self.assertEqual(len(writes), len(set(writes)))
        for name, method in writes:
            self.assertTrue(ROWS[name].parties(method), (name, method))

    def test_chapters_are_named_as_in_the_model(self) -> None:
        """The chapter of a resource has the same name in each layer."""
        for module in pkgutil.iter_modules(chapters.__path__):
            import_module(f"csipd.sep2.resources.{module.name}")
