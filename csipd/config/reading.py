"""A file -> :class:`~csipd.config.settings.Settings`, or every error in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping as Environment
from pathlib import Path
from types import MappingProxyType
from typing import Final

from csipd.config.discovery import read_discovery
from csipd.config.document import Mapping, parse
from csipd.config.fields import Fields, boolean
from csipd.config.fleet import Fleet, FleetContext, read_groups
from csipd.config.gridappsd import read_gridappsd
from csipd.config.notifications import read_notifications
from csipd.config.problems import ConfigError, Problems
from csipd.config.programs import (
    read_controls,
    read_curves,
    read_default_program,
    read_events,
    read_fsas,
    read_programs,
)
from csipd.config.server import read_server
from csipd.config.settings import Settings

_NO_WARNING: Final = re.compile(r"(?:^|\s)#\s*no warning\s*$")

#: Octets of a file: a fleet of some hundred thousand devices.
MAX_SIZE: Final = 32 * 1024 * 1024


def load(
    path: str | Path, *, base: Path | None = None, environment: Environment[str, str] = os.environ
) -> Settings:
    """Read a configuration file. Nothing else is read and nothing on disk is changed.

    :param base: the folder that relative paths in the file start from, by default the current one; those of
        what is only read are looked for beside the file first
    :param environment: variables that override what the file says of the GridAPPS-D bus
    :raises ConfigError: with a line for every error, also when the file cannot be read
    """
    problems = Problems(str(path))
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_SIZE + 1)
        if len(octets) > MAX_SIZE:
            raise ValueError(f"more than {MAX_SIZE} octets")
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError((problems.problem(line, "", "expected UTF-8 text"),)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError((problems.problem(0, "", f"cannot be read: {reason}"),)) from None
    return loads(text, str(path), base, environment)


def loads(
    text: str,
    name: str = "config.yml",
    base: Path | None = None,
    environment: Environment[str, str] = MappingProxyType({}),
) -> Settings:
    """Read a configuration from text; ``name`` stands in its messages. See :func:`load`."""
    problems = Problems(name, accepted=_accepted(text))
    document = parse(text, problems)
    if not isinstance(document, Mapping):
        line = 1 if document is None else document.line
        raise ConfigError(
            (problems.problem(line, "", "expected keys with values, such as server: 127.0.0.1"),)
        )
    started_in = Path.cwd() if base is None else base.absolute()
    return _settings(Fields(problems, document), problems, started_in, environment)


def _accepted(text: str) -> frozenset[int]:
    """The lines that end in the comment ``# no warning``."""
    return frozenset(number for number, line in enumerate(text.split("\n"), 1) if _NO_WARNING.search(line))


def _settings(top: Fields, problems: Problems, base: Path, environment: Environment[str, str]) -> Settings:
    server = read_server(top, base, Path(problems.file).absolute().parent)
    zone = server["time_zone"]
    curves = read_curves(top, zone)
    controls = read_controls(top, curves)
    programs = read_programs(top, controls, curves)
    events = read_events(top, controls, programs, zone)
    cloned = read_default_program(top, controls, programs)
    for_every_der = top.get("include_default_der_program_on_ders", boolean, True)
    if cloned is not None:
        controls, programs = (*controls, cloned[0]), (*programs, cloned[1])
    default_program = cloned[1].description if cloned is not None and for_every_der else None
    named = [program.description for program in programs]
    groups = read_groups(top, named)
    fsas = read_fsas(top, named)
    devices, aggregators = Fleet(
        FleetContext(
            programs=programs,
            fsas=fsas,
            groups=groups,
            reserved=[server["server"]] if server["server"] else [],
            strict_pins=server["strict_pins"],
            poll_rate=server["poll_rates"]["Registration"],
            idle_timeout=server["limits"].idle_timeout,
            default_der=top.get("include_default_der_on_all_devices", boolean, True),
            default_program=default_program,
        )
    ).read(top)
    notifications = read_notifications(
        top, [*(device.id for device in devices), *(aggregator.id for aggregator in aggregators)]
    )
    gridappsd = read_gridappsd(
        top, base, server["read_folders"], environment, strict_pins=server["strict_pins"]
    )
    discovery = read_discovery(top, server["https_port"], server["plain"])
    top.close()
    problems.check()
    return Settings(
        file=problems.file,
        warnings=problems.warnings,
        **server,
        curves=curves,
        controls=controls,
        programs=programs,
        default_program=default_program,
        fsas=fsas,
        groups=groups,
        devices=devices,
        aggregators=aggregators,
        notifications=notifications,
        gridappsd=gridappsd,
        events=events,
        discovery=discovery,
    )
