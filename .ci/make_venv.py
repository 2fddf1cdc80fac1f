"""Makes an environment for the Makefile, or brings it up to date; does nothing when it is current.

    make_venv.py .venv run                            # what pins.txt lists for running csipd
    make_venv.py .venv run develop                    # and for its tests and linters
    make_venv.py --versions newest .venv-latest       # the newest of everything, whatever pins.txt says
    make_venv.py --versions oldest .venv-oldest       # the oldest that setup.cfg promises to work with

FOLDER/.installed is written last and says what the environment was made from: a half-made one is made again,
and so is one that was moved or made from other pins; a changed setup.cfg only installs csipd anew. Two of
these at once wait for each other. Runs on any Python from 3.8, and finds one for csipd: 3.11 or later, with
venv and pip.
"""

from __future__ import annotations

import argparse
import configparser
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SETUP = ROOT / "setup.cfg"
PINS = ROOT / "pins.txt"
#: What installs csipd itself, without a look at any index: everything that it needs is there by then.
CSIPD = ["--no-index", "--no-deps", "--no-build-isolation", "--editable", "."]

#: Run by each Python that might do; prints its path if it is new enough, and whether it was built with
#: optimisation. Distributions build theirs so (base_prefix is /usr), but Debian's does not tell configure.
PROBE = """
import sys
if sys.version_info < (3, 11): raise SystemExit(1)
import ensurepip, json, sysconfig, venv
said = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
print(json.dumps([sys._base_executable, said or sys.base_prefix == "/usr"]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folder", nargs="?", default=".venv", help="of the environment, in the root of the checkout"
    )
    parser.add_argument("sections", nargs="*", help="of pins.txt, besides build: run, develop, pins")
    parser.add_argument("--versions", choices=["pinned", "newest", "oldest"], default="pinned")
    parser.add_argument("--python", default="python3", help="names of Pythons, the preferred one first")
    parser.add_argument("--find", action="store_true", help="only say which Python would be taken")
    given = parser.parse_args()
    if given.find:
        print(choose(given.python.split()))
        return
    folder = ROOT / given.folder
    with SETUP.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if given.versions == "pinned":
            pinned(folder, given.sections, given.python.split())
        else:
            unpinned(folder, given.versions, given.python.split())


def pinned(folder: Path, sections: list[str], names: list[str]) -> None:
    """The packages of these sections and of those that are there already, and csipd."""
    found = read_stamp(folder)
    pins = digest(PINS)
    project = digest(SETUP, ROOT / "pyproject.toml")
    if found.get("pins") != pins:
        create(folder, names)
        found = {}
    there = found.get("sections", [])
    missing = [section for section in ["build", *sections] if section not in there]
    if not missing and found.get("project") == project:
        return
    write_stamp(folder)  # of no set of packages until pip has ended
    if missing:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.writelines(pins_of(missing))
            requirements.flush()
            pip(folder, "--require-hashes", "--no-deps", "--requirement", requirements.name)
    pip(folder, *CSIPD)
    write_stamp(folder, pins=pins, project=project, sections=[*there, *missing])


def unpinned(folder: Path, versions: str, names: list[str]) -> None:
    """The newest of everything, or the oldest of what csipd needs: pip is asked each time."""
    if read_stamp(folder).get("versions") != versions:
        create(folder, names)
    extras = ".[test,dev]" if versions == "newest" else ".[test]"
    upgrade = ["--upgrade", "--upgrade-strategy", "eager"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.writelines(f"{line}\n" for line in (oldest() if versions == "oldest" else ()))
        constraints.flush()
        pip(folder, *upgrade, "--constraint", constraints.name, "--editable", extras)
    write_stamp(folder, versions=versions)


def pins_of(sections: Iterable[str]) -> Iterator[str]:
    """The lines of pins.txt in these sections; each begins with a line such as `# [run]`."""
    section = ""
    for line in PINS.read_text().splitlines(keepends=True):
        if match := re.fullmatch(r"# \[(\w+)\]\n", line):
            section = match[1]
        if section in sections:
            yield line


def oldest() -> Iterator[str]:
    """The lower bound of each requirement of csipd, as a version."""
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    for line in setup["options"]["install_requires"].split("\n"):
        if line:
            match = re.fullmatch(r"([\w.-]+)(?:\[\w+\])? >= ([\w.]+)", line)
            if match is None:
                sys.exit(f"setup.cfg: install_requires: expected NAME >= VERSION, got {line!r}")
            yield f"{match[1]} == {match[2]}"


def create(folder: Path, names: list[str]) -> None:
    """An empty environment, of the best Python among these names."""
    python = choose(names)
    said = subprocess.run([python, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    print(f"Making {folder.name} with {said} ({python})", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)


def choose(names: list[str]) -> str:
    """The first Python of these names that is new enough, those built with optimisation before the others."""
    found: dict[str, bool] = {}
    for candidate in candidates(names):
        done = subprocess.run([candidate, "-c", PROBE], check=False, capture_output=True, text=True)
        if done.returncode == 0:
            path, optimised = json.loads(done.stdout)
            found.setdefault(path, optimised)
    if not found:
        sys.exit(
            f"csipd needs Python 3.11 or later with its venv module, and none of {', '.join(names)} is one."
        )
    return max(found, key=lambda path: found[path])


def candidates(names: list[str]) -> Iterator[Path | str]:
    """Each program of these names: by name in each folder of PATH, and among those that pyenv keeps."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += sorted(pyenv.glob("versions/*/bin"))
    for name in names:
        if "/" in name:
            yield name
        for folder in folders:
            if "/" not in name and os.access(folder / name, os.X_OK):
                yield folder / name


def pip(folder: Path, *arguments: str) -> None:
    """Install; pip says nothing but errors."""
    command = [folder / "bin" / "python", "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    if subprocess.run([*command, *arguments], cwd=ROOT, check=False).returncode:
        sys.exit("The packages could not be installed; pip's reason is above.")


def digest(*files: Path) -> str:
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def read_stamp(folder: Path) -> dict[str, Any]:
    """What an environment was made from; nothing where it is not of this place, or its Python is gone."""
    try:
        stamp = json.loads((folder / ".installed").read_text())
    except (OSError, ValueError):
        return {}
    # python is a link to the interpreter below it: exists() is false when that one was uninstalled.
    current = (
        isinstance(stamp, dict) and stamp.get("folder") == str(folder) and (folder / "bin/python").exists()
    )
    return stamp if current else {}


def write_stamp(folder: Path, **made_from: Any) -> None:
    (folder / ".installed").write_text(json.dumps({"folder": str(folder), **made_from}) + "\n")


main()
