"""What each entry of a file says, in one canonical text: an entry has changed when its text has.

The daemon keeps these texts and lays the file over what operators have changed meanwhile (decision 23).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256
from typing import Any

import attrs

from csipd.config.settings import Settings
from csipd.sep2.schema import Element


def entries(settings: Settings) -> dict[tuple[str, str], str]:
    """``(kind, key)`` of every entry -> a JSON object with sorted keys; what has its default is left out.

    Kinds and keys: ``device`` and ``aggregator`` by id, ``group`` by name, ``program``, ``fsa``,
    ``control`` and ``curve`` by description, ``event`` by a digest of what it says.
    """
    named: dict[str, tuple[str, tuple[Any, ...]]] = {
        "device": ("id", settings.devices),
        "aggregator": ("id", settings.aggregators),
        "group": ("name", settings.groups),
        "program": ("description", settings.programs),
        "fsa": ("description", settings.fsas),
        "control": ("description", settings.controls),
        "curve": ("description", settings.curves),
    }
    found = {
        (kind, getattr(value, key)): canonical(value)
        for kind, (key, values) in named.items()
        for value in values
    }
    for event in settings.events:
        # Which programs name the control may change without the entry having changed.
        text = canonical(attrs.evolve(event, programs=()))
        found["event", sha256(text.encode()).hexdigest()[:32]] = text
    return found


def canonical(value: Any) -> str:
    """A value of the settings as JSON that depends on nothing but what it holds."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Element):
        value = vars(value)
    elif attrs.has(type(value)):
        value = {
            field.name: given
            for field in attrs.fields(type(value))
            if (given := getattr(value, field.name)) not in (field.default, None, (), {})
        }
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value
