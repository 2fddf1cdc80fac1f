"""Makes .venv for the Makefile, or brings it up to date; does nothing when it is current.

.venv/.installed is written last and holds what the environment was made from: a half-made one is made again,
and so is one that was moved; one made from another setup.cfg is brought up to date. Two of these at once wait
for each other. Needs nothing but Python 3.11 with its own venv and pip.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed"
SOURCES = [ROOT / "setup.cfg", ROOT / "pyproject.toml"]


def main() -> None:
    with SOURCES[0].open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = "\n".join([str(VENV), *(source.read_text() for source in SOURCES)])
        found = STAMP.read_text() if STAMP.exists() else ""
        # PYTHON is a link to the interpreter below it: exists() is false when that one was uninstalled.
        if found == wanted and PYTHON.exists():
            return
        if found.startswith(f"{VENV}\n") and PYTHON.exists():
            STAMP.write_text(f"{VENV}\n")  # of this place, but of no set of packages until pip has ended
        else:
            print(f"Making {VENV.name} with Python {sys.version.split()[0]}", flush=True)
            venv.create(VENV, clear=True, with_pip=True, symlinks=True)
        install = ["install", "--quiet", "--disable-pip-version-check", "--editable", ".[test,dev]"]
        done = subprocess.run([PYTHON, "-m", "pip", *install], cwd=ROOT, check=False)
        if done.returncode:
            sys.exit("The packages could not be installed; pip's reason is above.")
        STAMP.write_text(wanted)


main()
