"""Which csipd this is."""

from __future__ import annotations

from importlib.metadata import version

#: As in setup.cfg, the one place where it is written.
VERSION = version("csipd")
