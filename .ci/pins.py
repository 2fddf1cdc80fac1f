"""Writes pins.txt anew: the newest version of all that make installs, with the hashes of its files.

    .venv-pins/bin/python .ci/pins.py         # what `make pins` does

The versions hold for every Python that setup.cfg allows and for every platform; what only some need has a
marker.
Sections are for make_venv.py; for pip the whole file is a requirements file like any other.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).parent / "uv"
#: What this program needs itself.
OWN = ["uv >= 0.5"]

HEADER = """\
# What make installs, each version with the hashes of all its files. Written by `make pins`; do not edit.
# Which versions csipd works with is in setup.cfg.
"""
SECTIONS = {
    "build": "installs csipd",
    "run": "runs it",
    "develop": "tests and linters",
    "pins": "writes this file",
}


def compiled(
    *sources: str | Path, lines: list[str] | None = None, within: Path | None = None
) -> dict[str, str]:
    """All packages that these need, by name, as lines of a requirements file.

    :param sources: files of requirements and options of uv
    :param lines: more requirements
    :param within: a file of versions to keep to
    """
    command: list[str | Path] = [
        UV,
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--generate-hashes",
        *sources,
    ]
    command += ["--no-header", "--annotation-style", "line"]
    if within is not None:
        command += ["--constraint", within]
    if lines is not None:
        command.append("-")
    done = subprocess.run(
        command, cwd=ROOT, input="\n".join(lines or ()), check=False, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        sys.exit("The versions could not be found; uv's reason is above.")
    blocks = re.split(r"^(?=[\w.-]+==)", done.stdout, flags=re.MULTILINE)
    return {block.partition("==")[0]: block for block in blocks if block}


def main() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    project = ("setup.cfg", "--python-version", "3.11")
    everything = compiled(*project, "--extra", "test", "--extra", "dev", lines=[*build, *OWN])
    versions = Path(sys.prefix) / "versions.txt"
    versions.write_text("".join(everything.values()))
    sections = {
        "build": compiled("--python-version", "3.11", lines=build, within=versions),
        "run": compiled(*project, within=versions),
        "pins": compiled("--python-version", "3.11", lines=OWN, within=versions),
    }
    elsewhere = {name for section in sections.values() for name in section}
    sections["develop"] = {name: block for name, block in everything.items() if name not in elsewhere}
    with (ROOT / "pins.txt").open("w") as file:
        file.write(HEADER)
        for section, what in SECTIONS.items():
            file.write(f"\n# [{section}]\n# {what}\n")
            file.writelines(sections[section].values())


main()
