"""What the tests of the configuration share.

A case is a piece of YAML put under the two keys that every file needs (``MINIMAL``, lines 1 and 2), so what a
test writes begins in line 3.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from hypothesis import HealthCheck, settings
from twisted.trial.unittest import SynchronousTestCase

from csipd.config import (
    ConfigError,
    Settings,
    loads,
)
from csipd.sep2 import codec

HERE = Path(__file__).parent.parent
SEED = HERE / "vectors" / "seed-config.yml"
SAMPLE = HERE.parent / "etc" / "config.yml"
REFERENCE = HERE.parent / "docs" / "configuration.md"

MINIMAL = "server: 127.0.0.1\nhttps_port: 7443\n"
BASE = Path("/srv/csipd")
MRID = "0" * 24 + "00007ED9"
LFDI = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(text: str) -> Settings:
    return loads(MINIMAL + dedent(text), "c.yml", BASE)


def href(curve: str) -> str:
    return "/derp/1/dc/" + curve[-1]


def check_resources(found: Settings) -> None:
    """Raise BadValue for a resource made from settings that the codec would not have decoded."""
    for device in found.devices:
        for der in device.ders:
            if der.capability is not None:
                codec.check(der.capability)
    for control in found.controls:
        codec.check(control.default(MRID, href))
    for curve in found.curves:
        codec.check(curve.curve(MRID, 0))


def uncommented(text: str) -> str:
    """The sample with each commented key, and the lines that belong to it, made part of it."""
    key = re.compile(r"( *)# ( *(?:- )?[A-Za-z_]+:(?: .*)?| *- [^ ].*)$")
    lines = []
    for line in text.splitlines():
        match = key.match(line)
        lines.append(match.expand(r"\1\2") if match else line)
    return "\n".join(lines)


def documented() -> dict[str, set[str]]:
    """The keys of the reference by section."""
    found: dict[str, set[str]] = {}
    section = ""
    for line in REFERENCE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip("`") if "`" in line else ""
        elif line.startswith("| `"):
            found.setdefault(section, set()).update(re.findall(r"`(\w+)`", line.split("|")[1]))
    return found


class ConfigCase(SynchronousTestCase):
    """Reads wrong files."""

    def wrong(self, text: str, minimal: str = MINIMAL) -> list[str]:
        error = self.assertRaises(ConfigError, loads, minimal + dedent(text), "c.yml", BASE)
        return str(error).splitlines()

    def assert_wrong(self, text: str, *expected: str) -> None:
        self.assertEqual(self.wrong(text), list(expected))

    def assert_each_wrong(self, key: str, expected: str, *values: str) -> None:
        """Every one of these values of a key of the top level gives this one error."""
        for value in values:
            (line,) = self.wrong(f"{key}: {value}\n")
            self.assertTrue(line.startswith(f"c.yml:3: {key}: expected {expected}, got "), line)


PROGRAMS = """\
curves:
  - {description: VV, curveType: 11, CurveData: [{xvalue: 1, yvalue: 1}]}
controls:
  - {description: C1, base: {opModMaxLimW: 5000}}
  - {description: C2}
  - {description: C3, base: {opModVoltVar: VV}}
programs:
  - {description: P1, primacy: 1, default_control: C2, controls: [C1, C3], curves: [VV]}
  - {description: P2, primacy: 2, default_control: C1}
"""
