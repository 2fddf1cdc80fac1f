"""What the file says, in one canonical text: something has changed when its text has.

The daemon keeps such texts and merges the file with what operators have changed meanwhile (decision 23).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256
from typing import Any

import attrs

from csipd.config.settings import Event
from csipd.sep2.schema import Element


def event_key(event: Event) -> str:
    """What an event of the file is known by: a digest of what it says.

    Which programs name its control may change without the event having changed.
    """
    return sha256(canonical(attrs.evolve(event, programs=())).encode()).hexdigest()[:32]


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
