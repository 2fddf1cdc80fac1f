"""Rates of the file: a line that is new, changed or gone takes back what operators have set in general since.

What they set for groups and devices stays: the file says nothing of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csipd.config.server import POLL_RATES
from csipd.db import rates
from csipd.reconcile.context import Context, Rule, added_or_changed

_RESOURCES: Mapping[str, tuple[str, ...]] = {
    key: (name, "MirrorUsagePoint") if name == "MirrorUsagePointList" else (name,)
    for name, (key, _) in POLL_RATES.items()
}


def _put(context: Context, key: str, before: Any, after: Any) -> str:
    _take_back(context, key)
    return added_or_changed(before)


def _remove(context: Context, key: str, before: Any) -> str:
    _take_back(context, key)
    return "removed"


def _take_back(context: Context, key: str) -> None:
    for resource in _RESOURCES[key]:
        rates.set_general(context.transaction, resource, None)


RULES: Mapping[str, Rule] = {"rate": Rule(put=_put, remove=_remove)}
