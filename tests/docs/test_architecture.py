"""docs/architecture.md against the code: what it names is there, and what is there is in its map."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent.parent
CSIPD = ROOT / "csipd"

NAME = r"`([A-Za-z_][\w.]*)`"
#: "`web/app.py` `Application.resource`, `wanted`": a module and names in it.
NAMES_OF_A_MODULE = re.compile(rf"`([\w/]+\.py)` ({NAME}(?:(?:, | or ){NAME})*)")

#: Rooms that the map names as a whole, a module a chapter or a kind of value.
AS_A_WHOLE = (
    "sep2/resources",
    "sep2/rules",
    "db/chapters",
    "db/migrations",
    "db/tables",
    "db/tree",
    "web/admin",
    "cli",
)
#: What says nothing to a reader of the map.
NOT_SHOWN = ("__init__.py", "version.py", "db/upsert.py", "db/stored.py")


def names_in(path: Path) -> set[str]:
    """Functions, classes and methods that a module defines, as `name` and `Class.name`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.add(node.name)
            members = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            found.update(f"{node.name}.{one.name}" for one in members)
    return found


class ArchitectureTests(SynchronousTestCase):
    """The text as it stands in the checkout."""

    def setUp(self) -> None:
        self.text = (ROOT / "docs" / "architecture.md").read_text("utf-8")

    def test_walks(self) -> None:
        """Each function that a GET, a PUT and a tick go through is in the module that is named."""
        walks = self.text.partition("### A GET")[2].partition("### Commands")[0]
        found = list(NAMES_OF_A_MODULE.finditer(walks))
        self.assertGreater(len(found), 20)
        for one in found:
            defined = names_in(CSIPD / one[1])
            for name in re.findall(NAME, one[2]):
                self.assertIn(name, defined, one[0])

    def test_paths(self) -> None:
        """Each module that is named with its folder is there."""
        for path in re.findall(r"`([\w.]+/[\w/]*\.py)`", self.text):
            self.assertTrue((CSIPD / path).exists() or (ROOT / path).exists(), path)

    def test_map(self) -> None:
        """Each module of the layers is in the map, by its name or with its room."""
        shown = set(re.findall(r"`(?:[\w/]+/)?(\w+\.py)`", self.text))
        rooms = [f"{room}/" for room in AS_A_WHOLE]
        for layer in ("sep2", "der", "db", "net", "sim", "web"):
            for path in (CSIPD / layer).rglob("*.py"):
                name = str(path.relative_to(CSIPD))
                if not name.startswith(tuple(rooms)) and not name.endswith(NOT_SHOWN):
                    self.assertIn(path.name, shown, name)
