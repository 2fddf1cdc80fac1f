"""Old data of time zones are said at the start."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon import zones


class ZoneDataTests(SynchronousTestCase):
    """The machine's data of time zones against the package's."""

    def folder(self, **files: str) -> str:
        path = Path(self.mktemp())
        path.mkdir()
        for name, content in files.items():
            (path / name.replace("_", ".")).write_text(content)
        return str(path)

    def test_older(self) -> None:
        """A machine whose data are older than the package's is reported, with both editions (case A11)."""
        folder = self.folder(tzdata_zi="# version 2024a\n# This zic input file is in the public domain.\n")
        (line,) = zones.warnings("Europe/Berlin", "2026c", [folder])
        for part in (folder, "2024a", "2026c"):
            self.assertIn(part, line)

    def test_not_older(self) -> None:
        """Data of the same edition, or of a later one, are nothing to speak of."""
        folder = self.folder(tzdata_zi="# version 2026c\n")
        self.assertEqual(zones.warnings("Europe/Berlin", "2026c", [folder]), [])
        self.assertEqual(zones.warnings("Europe/Berlin", "2026b", [folder]), [])

    def test_utc(self) -> None:
        """UTC is the same in every edition."""
        folder = self.folder(tzdata_zi="# version 2020a")
        for zone in ("UTC", "Etc/GMT+8"):
            self.assertEqual(zones.warnings(zone, "2026c", [folder]), [])

    def test_unknown(self) -> None:
        """Where the machine has none, or does not tell the edition, there is nothing to compare."""
        self.assertEqual(zones.warnings("Europe/Berlin", "2026c", []), [])
        self.assertEqual(zones.warnings("Europe/Berlin", "2026c", [self.folder()]), [])
        self.assertEqual(
            zones.warnings("Europe/Berlin", "2026c", [self.folder(tzdata_zi="no edition here")]), []
        )

    def test_first_folder(self) -> None:
        """Only the folder that zoneinfo reads first counts."""
        new, old = self.folder(tzdata_zi="# version 2026c"), self.folder(tzdata_zi="# version 2020a")
        self.assertEqual(zones.warnings("Europe/Berlin", "2026a", [str(Path(old) / "missing"), new, old]), [])

    def test_order(self) -> None:
        """Editions go by year, then by letter; two letters come after one."""
        ordered = ["1999z", "2024a", "2024b", "2024z", "2024za", "2025a"]
        for one, other in pairwise(ordered):
            self.assertTrue(zones.older(one, other))
            self.assertFalse(zones.older(other, one))

    def test_installed(self) -> None:
        """The edition of the installed package is known: data of 1990 are older than any."""
        self.assertEqual(
            len(zones.warnings("Europe/Berlin", None, [self.folder(tzdata_zi="# version 1990a")])), 1
        )
