"""The layer rule of docs/architecture.md, read off the imports of every module.

``sep2`` and ``der`` are pure; ``db`` adds SQL and knows no HTTP, and Twisted stands in ``db/database.py``
alone; one module of all takes the global reactor. The sources are parsed, never imported, so that an import
inside a function or under ``TYPE_CHECKING`` counts like any other. What the rule must catch is proved on
sources made up for it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

VALUES = frozenset({"attr", "attrs", "lxml", "cryptography"})
SQL = frozenset({"sqlalchemy", "alembic"})
BUILTINS = ("open", "input", "__import__")

CLOCKS = (
    "time",
    "sched",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
)
CHANCE = ("random", "secrets", "uuid")
FILES = ("os", "io.open", "pathlib", "shutil", "tempfile", "glob", "fcntl", "mmap", "sqlite3", "logging")
NETWORK = ("socket", "ssl", "select", "selectors", "http", "urllib.request", "socketserver", "asyncio")
PROCESSES = ("threading", "multiprocessing", "concurrent", "subprocess", "signal", "importlib")
MACHINE = (*FILES, *NETWORK, *PROCESSES, *BUILTINS)
HTTP = ("http", "socketserver", "wsgiref", "urllib.request")

# One name space for all chapters of the model: annotations name the classes of other chapters through it.
RESOURCES = "csipd.sep2.resources"

# The physics and the decisions of the simulated fleet, in one room with what puts it on the network.
PURE_SIM = tuple(
    f"csipd.sim.{name}"
    for name in (
        "alarms",
        "behaviour",
        "counts",
        "curves",
        "feeder",
        "inverter",
        "loads",
        "log",
        "metering",
        "neighbourhood",
        "placing",
        "plant",
        "reports",
        "response",
        "seen",
        "street",
        "sun",
        "unit",
    )
)

# What the messages of the GridAPPS-D bus say, in one room with what sends and takes them.
PURE_BUS = tuple(
    f"csipd.gridappsd.{name}"
    for name in (
        "differences",
        "meaning",
        "model",
        "reports",
        "simulation",
        "state",
        "terminals",
        "topics",
    )
)

# What is said of the server and how a link is spoken on, in one room with the sockets.
PURE_DISCOVERY = tuple(
    f"csipd.discovery.{name}" for name in ("avahi", "packets", "records", "responder", "state")
)

# What the proxy reads and hands on, octets to octets, and the grammar that all readers of requests share.
PURE_PROXY = ("csipd.net.http_grammar", "csipd.proxy.fields", "csipd.proxy.framing")

REACTOR = "twisted.internet.reactor"
# These take no reactor and reach for the global one.
TAKES_REACTOR = (
    REACTOR,
    "twisted.internet.threads.deferToThread",
    "twisted.internet.threads.callMultipleInThread",
)


@frozen
class Module:
    """One source file; ``name`` is dotted, and that of a package for an ``__init__.py``."""

    path: Path
    name: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, source: str) -> Module:
        """``path`` is relative to the root of the checkout."""
        parts = Path(path).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        return cls(Path(path), name, ast.parse(source))

    def within(self, *names: str) -> bool:
        return under(self.name, names)


@frozen(order=True)
class Use:
    """A dotted name that a module imports or reaches through an import, and where."""

    line: int
    name: str


def under(name: str, names: Iterable[str]) -> bool:
    """Whether a dotted name is one of ``names`` or lies below one of them."""
    return any(name == one or name.startswith(f"{one}.") for one in names)


def source_of(module: Module, node: ast.ImportFrom) -> str:
    """What stands between ``from`` and ``import``, made absolute."""
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    if module.path.name != "__init__.py":
        package.pop()
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, node.module] if node.module else package)


def dotted(node: ast.expr, bound: dict[str, str]) -> str | None:
    """The full name of ``a.b.c`` where ``a`` was bound by an import or is a builtin, else None."""
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, bound)
        return base and f"{base}.{node.attr}"
    return bound.get(node.id) if isinstance(node, ast.Name) else None


def uses(module: Module) -> list[Use]:
    """What a module imports, what it takes of that, and the reactor's name where it stands in a string."""
    found: set[Use] = set()
    bound = {name: name for name in BUILTINS}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.add(Use(node.lineno, alias.name))
                bound[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{source_of(module, node)}.{alias.name}"
                found.add(Use(node.lineno, full))
                bound[alias.asname or alias.name] = full
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = dotted(node, bound)
            if name:
                found.add(Use(node.lineno, name))
        elif isinstance(node, ast.Constant) and node.value == REACTOR:
            found.add(Use(node.lineno, REACTOR))
    return sorted(found)


def is_pure(use: Use, own: Iterable[str]) -> bool:
    """No clock, no chance, no machine; of packages the values' alone, of csipd ``own`` alone."""
    root = use.name.split(".")[0]
    if under(use.name, (*CLOCKS, *CHANCE, *MACHINE)):
        return False
    if root == "csipd":
        return under(use.name, own)
    return root in VALUES or root in sys.stdlib_module_names


def is_sql(use: Use, own: Iterable[str], twisted: bool) -> bool:
    """Values, SQL, of csipd ``own`` alone, and no HTTP; Twisted, without its web, where ``twisted``."""
    root = use.name.split(".")[0]
    if under(use.name, HTTP):
        return False
    if root == "csipd":
        return under(use.name, own)
    if root == "twisted":
        return twisted and not under(use.name, ("twisted.web",))
    return root in VALUES | SQL or root in sys.stdlib_module_names or root in BUILTINS


def breaches(modules: Iterable[Module]) -> Iterator[str]:
    """Each breach of the layer rule as ``path:line: module may not use name``."""
    modules = list(modules)
    # What the layers share, such as the refusals: modules next to the layers that are as pure as sep2.
    shared = [
        module.name
        for module in modules
        if module.name.count(".") == 1
        and module.path.name != "__init__.py"
        and all(is_pure(use, ["csipd.sep2"]) for use in uses(module))
    ]
    for module in modules:
        for use in uses(module):
            if under(use.name, TAKES_REACTOR):
                allowed = module.name == "csipd.daemon.tap"
            elif under(use.name, ["csipd.daemon.tap"]):  # it brings the reactor with it
                allowed = module.within("csipd.daemon.tap", "csipd.daemon.proxy_tap", "csipd.cli")
            elif module.within("csipd.sep2"):
                allowed = is_pure(use, ["csipd.sep2"])
            elif module.within("csipd.der"):
                allowed = is_pure(use, ["csipd.sep2", "csipd.der"])
            elif module.within("csipd.stomp"):
                allowed = is_pure(use, ["csipd.stomp"])
            elif module.within(*PURE_SIM):
                allowed = is_pure(use, ["csipd.sep2", "csipd.der", *PURE_SIM, *PURE_BUS])
            elif module.within(*PURE_BUS):
                # Values that come in are read as the operator's API reads them.
                own = ["csipd.sep2", "csipd.der", "csipd.web.json_form", *PURE_BUS]
                allowed = is_pure(use, own)
            elif module.within(*PURE_DISCOVERY):
                allowed = is_pure(use, ["csipd.sep2", *PURE_DISCOVERY])
            elif module.within(*PURE_PROXY):
                allowed = is_pure(use, PURE_PROXY)
            elif module.within("csipd.db"):
                own = ["csipd.sep2", "csipd.der", "csipd.db", *shared]
                allowed = is_sql(use, own, module.name == "csipd.db.database")
            else:
                allowed = True
            if not allowed:
                yield f"{module.path}:{use.line}: {module.name} may not use {use.name}"


def import_circle(modules: Iterable[Module], apart: Iterable[str] = ()) -> list[str]:
    """The modules of a circle of imports, each imported by the next, or none.

    :param apart: names of modules whose imports do not count
    """
    by_name = {module.name: module for module in modules}
    graph: dict[str, set[str]] = {}
    for name, module in by_name.items():
        found = graph.setdefault(name, set())
        for use in [] if name in apart else uses(module):
            imported = use.name
            while imported and imported not in by_name:
                imported = imported.rpartition(".")[0]
            if imported and imported != name:
                found.add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def modules_of_csipd() -> list[Module]:
    """Every module of csipd as it stands in the checkout."""
    paths = sorted((ROOT / "csipd").rglob("*.py"))
    return [Module.parse(str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in paths]


class CsipdTests(SynchronousTestCase):
    """csipd as it is."""

    def test_layers(self) -> None:
        """No module of csipd uses what its layer may not use."""
        self.assertEqual(list(breaches(modules_of_csipd())), [])

    def test_no_import_circles(self) -> None:
        """No module of csipd imports one that imports it in turn, through however many others."""
        self.assertEqual(import_circle(modules_of_csipd(), [RESOURCES]), [])

    def test_all_layers_are_looked_at(self) -> None:
        """The walk finds modules in each of the layers that have a rule of their own."""
        names = {module.name for module in modules_of_csipd()}
        self.assertTrue({"csipd", "csipd.sep2", "csipd.der", "csipd.db", "csipd.db.database"} <= names, names)

    def test_docstrings(self) -> None:
        """Every module says at its top what it is for."""
        silent = [str(module.path) for module in modules_of_csipd() if not ast.get_docstring(module.tree)]
        self.assertEqual(silent, [])

    def test_annotations_are_not_evaluated(self) -> None:
        """Every module with code in it has `from __future__ import annotations`."""
        without = [str(module.path) for module in modules_of_csipd() if lacks_future_annotations(module)]
        self.assertEqual(without, [])


def lacks_future_annotations(module: Module) -> bool:
    """Whether there is code after the docstring, and no future import of annotations among it."""
    code = module.tree.body[1:] if ast.get_docstring(module.tree) is not None else module.tree.body
    future = Use(0, "__future__.annotations")
    return bool(code) and future.name not in {use.name for use in uses(module)}


class RuleTests(SynchronousTestCase):
    """The rule itself, on sources made up to break it."""

    def caught(self, path: str, source: str, *others: tuple[str, str]) -> list[str]:
        """The names that the rule objects to when ``source`` stands at ``path``."""
        files = [(path, source), *others]
        found = breaches(Module.parse(*file) for file in files)
        return sorted({line.rpartition(" ")[2] for line in found})

    def test_pure_layers_may_use_values(self) -> None:
        """sep2 and der may use the pure standard library, attrs, lxml, cryptography and what lies below."""
        source = (
            "import re, datetime\nfrom lxml import etree\nfrom attrs import frozen\nfrom csipd import sep2\n"
            "import cryptography.x509 as x\nfrom datetime import datetime as moment\n"
            "from csipd.sep2.types import LFDI\n"
            "def at(now): return moment.fromtimestamp(now, datetime.UTC), now.today, x.Name\n"
        )
        self.assertEqual(self.caught("csipd/sep2/codec.py", source), [])
        self.assertEqual(self.caught("csipd/der/events.py", source + "from .programs import at\n"), [])

    def test_clocks_are_caught(self) -> None:
        """No way of reading a clock is open to sep2 or der, under whatever name it was imported."""
        for source, name in [
            ("import time", "time"),
            ("from time import monotonic as m", "time.monotonic"),
            ("def f():\n import time", "time"),
            ("import datetime\nx = datetime.datetime.now()", "datetime.datetime.now"),
            ("import datetime as d\nx = d.datetime.utcnow()", "datetime.datetime.utcnow"),
            ("from datetime import datetime as d\nx = d.now", "datetime.datetime.now"),
            ("from datetime import date\nx = date.today()", "datetime.date.today"),
        ]:
            for layer in ("sep2", "der"):
                self.assertIn(name, self.caught(f"csipd/{layer}/x.py", source), source)

    def test_chance_and_the_machine_are_caught(self) -> None:
        """Random numbers, files, sockets, processes, databases and threads are not for sep2 and der."""
        for source, name in [
            ("import random", "random"),
            ("from secrets import token_hex", "secrets.token_hex"),
            ("from uuid import uuid4", "uuid.uuid4"),
            ("import os.path", "os.path"),
            ("from os import urandom", "os.urandom"),
            ("from pathlib import Path", "pathlib.Path"),
            ("x = open('y')", "open"),
            ("import sqlite3", "sqlite3"),
            ("import socket as s", "socket"),
            ("from subprocess import run", "subprocess.run"),
            ("from urllib.request import urlopen", "urllib.request.urlopen"),
            ("x = __import__('time')", "__import__"),
            ("from importlib import import_module", "importlib.import_module"),
        ]:
            for layer in ("sep2", "der"):
                self.assertEqual(self.caught(f"csipd/{layer}/x.py", source), [name], source)

    def test_layers_above_are_caught(self) -> None:
        """A layer sees those below it and no other, however the import is written."""
        for path, source, name in [
            ("csipd/sep2/x.py", "from csipd.der import events", "csipd.der.events"),
            ("csipd/sep2/x.py", "from csipd import der", "csipd.der"),
            ("csipd/sep2/resources/x.py", "from ... import der", "csipd.der"),
            ("csipd/sep2/__init__.py", "from ..der import events", "csipd.der.events"),
            ("csipd/sep2/x.py", "import sqlalchemy", "sqlalchemy"),
            ("csipd/sep2/x.py", "from twisted.logger import Logger", "twisted.logger.Logger"),
            ("csipd/der/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING: import klein", "klein"),
            ("csipd/der/x.py", "from csipd.db.tables import metadata", "csipd.db.tables.metadata"),
            ("csipd/db/x.py", "from csipd.web import app", "csipd.web.app"),
            (
                "csipd/db/x.py",
                "from csipd.daemon.changes import ChangeNotifier",
                "csipd.daemon.changes.ChangeNotifier",
            ),
            ("csipd/db/x.py", "import yaml", "yaml"),
        ]:
            self.assertEqual(self.caught(path, source), [name], (path, source))

    def test_the_database_knows_twisted_in_one_module(self) -> None:
        """db/database.py may use Twisted but not its web; the other modules of db may use none of it."""
        source = "from twisted.internet.defer import Deferred\nfrom sqlalchemy import select\nimport os\n"
        self.assertEqual(self.caught("csipd/db/database.py", source), [])
        self.assertEqual(self.caught("csipd/db/devices.py", source), ["twisted.internet.defer.Deferred"])
        for name in ("twisted.web.http", "klein", "http.client", "treq"):
            self.assertEqual(self.caught("csipd/db/database.py", f"import {name}"), [name])

    def test_what_the_layers_share_must_be_pure(self) -> None:
        """db may use a module that stands beside the layers as long as that module is as pure as sep2."""
        source = "from csipd.refusals import Refusal"
        self.assertEqual(self.caught("csipd/db/x.py", source, ("csipd/refusals.py", "import enum")), [])
        for unclean in ("import time", "import klein", "from csipd.db import tables"):
            self.assertEqual(
                self.caught("csipd/db/x.py", source, ("csipd/refusals.py", unclean)),
                ["csipd.refusals.Refusal"],
            )

    def test_the_reactor_is_caught(self) -> None:
        """The global reactor is caught in every module but csipd.daemon.tap, in whatever form it is taken."""
        for source in [
            "from twisted.internet import reactor",
            "from twisted.internet import reactor as r",
            "import twisted.internet.reactor",
            "from twisted.internet.reactor import callLater",
            "def f():\n from twisted.internet import reactor\n return reactor",
            "class C:\n def f(self):\n  import twisted.internet.reactor as r",
            "import twisted.internet\nx = twisted.internet.reactor",
            "from twisted import internet as i\ni.reactor.run()",
            "import importlib\nx = importlib.import_module('twisted.internet.reactor')",
            "import sys\nx = sys.modules['twisted.internet.reactor']",
            "from twisted.internet.threads import deferToThread",
            "from twisted.internet import threads\nthreads.deferToThread(print)",
        ]:
            for path in (
                "csipd/daemon/services.py",
                "csipd/web/app.py",
                "csipd/db/database.py",
                "csipd/cli/server.py",
            ):
                self.assertNotEqual(self.caught(path, source), [], (path, source))
            self.assertEqual(self.caught("csipd/daemon/tap.py", source), [], source)

    def test_the_reactor_does_not_come_in_by_csipd_tap(self) -> None:
        """Importing csipd.daemon.tap imports the reactor: only the command line may."""
        source = "from csipd.daemon.tap import Options"
        self.assertEqual(self.caught("csipd/web/app.py", source), ["csipd.daemon.tap.Options"])
        self.assertEqual(self.caught("csipd/cli/server.py", source), [])

    def test_a_reactor_that_is_handed_in_is_free(self) -> None:
        """The reactor's interfaces and a parameter of that name are no breach."""
        source = (
            "from twisted.internet.interfaces import IReactorTime\ndef f(reactor): reactor.callLater(0, f)\n"
        )
        self.assertEqual(self.caught("csipd/daemon/scheduler.py", source), [])

    def test_import_circles_are_caught(self) -> None:
        """A circle is found through other modules, inside functions and where it is for types alone."""
        sources = {
            "csipd/a.py": "from csipd import b",
            "csipd/b.py": "def f():\n from csipd.p.c import x",
            "csipd/p/__init__.py": "",
            "csipd/p/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING: import csipd.a",
        }
        modules = [Module.parse(*file) for file in sources.items()]
        circle = import_circle(modules)
        self.assertEqual(set(circle), {"csipd.a", "csipd.b", "csipd.p.c"})
        self.assertEqual(import_circle(modules, ["csipd.b"]), [])
        self.assertEqual(import_circle([*modules[:1], Module.parse("csipd/b.py", "import csipd")]), [])

    def test_missing_future_annotations_are_caught(self) -> None:
        """A docstring alone needs no future import; code does."""
        for source, lacking in [
            ('"""Only words."""', False),
            ('"""Words."""\nx = 1', True),
            ("x = 1", True),
            ('"""Words."""\nfrom __future__ import division\nx = 1', True),
            ('"""Words."""\nfrom __future__ import annotations\nx = 1', False),
        ]:
            self.assertEqual(lacks_future_annotations(Module.parse("csipd/x.py", source)), lacking, source)
