"""The configuration: a YAML file -> frozen settings; an error names file, line, key and what was expected."""

from __future__ import annotations

from csipd.config.codes import Level
from csipd.config.doors import (
    Discovery,
    Gridappsd,
    HostPort,
    PlainHTTP,
    PlainMode,
    Proxy,
    ProxyMode,
    Report,
    SignOfPower,
)
from csipd.config.problems import ConfigError, Problem
from csipd.config.reading import load, loads
from csipd.config.settings import (
    DER,
    FSA,
    Aggregator,
    Control,
    Curve,
    Device,
    DeviceIssuer,
    Event,
    Group,
    LFDIMode,
    Limits,
    Notifications,
    Operator,
    Program,
    ServerMode,
    Settings,
    UnknownCertificate,
)

__all__ = [
    "DER",
    "FSA",
    "Aggregator",
    "ConfigError",
    "Control",
    "Curve",
    "Device",
    "DeviceIssuer",
    "Discovery",
    "Event",
    "Gridappsd",
    "Group",
    "HostPort",
    "LFDIMode",
    "Level",
    "Limits",
    "Notifications",
    "Operator",
    "PlainHTTP",
    "PlainMode",
    "Problem",
    "Program",
    "Proxy",
    "ProxyMode",
    "Report",
    "ServerMode",
    "Settings",
    "SignOfPower",
    "UnknownCertificate",
    "load",
    "loads",
]
