"""No module keeps a private name that nothing in it uses."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CSIPD = Path(__file__).resolve().parent.parent / "csipd"


def _defined(tree: ast.Module) -> set[str]:
    """The private names that a module defines at its top."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def unused(source: str) -> set[str]:
    """The private names at the top of a module that it never reads, be it in an annotation."""
    tree = ast.parse(source)
    read = Counter(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    )
    return {name for name in _defined(tree) if not read[name]}


class PrivateNameTests(SynchronousTestCase):
    """What is left behind when code moves is seen."""

    def test_csipd(self) -> None:
        """Each private name of csipd is used where it stands."""
        modules = [path for path in CSIPD.rglob("*.py") if "migrations" not in path.parts]
        self.assertGreater(len(modules), 300)
        found = {str(path.relative_to(CSIPD)): unused(path.read_text("utf-8")) for path in modules}
        self.assertEqual({path: names for path, names in found.items() if names}, {})

    def test_found(self) -> None:
        """Functions, classes, values and several at once are seen; what is read, or public, is not."""
        source = "_A = 1\n_B, _C = 1, 2\nD = _B\ndef _f() -> None: ...\nclass _G: ...\n_h: int = 3\n"
        self.assertEqual(unused(source), {"_A", "_C", "_f", "_G", "_h"})
        self.assertEqual(unused("_T = int\ndef f(x: _T) -> None: ...\n"), set())
