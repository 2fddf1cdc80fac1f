"""Control modes, times and amounts in words: one way to say them for everything that people read.

Values are in the JSON form of the standard's types (csipd/web/json_form.py), so that what the API gives can
be said by a client of it as by the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

#: Values that are integers in hundredths of a unit, by the names of their elements: easily mistaken for whole
#: ones. ``.value`` is that of a FixedVar (IEEE 2030.5-2018 10.10, types PerCent and SignedPerCent).
HUNDREDTHS: Mapping[str, str] = {
    "opModFixedVar.value": "%",
    "opModFixedW": "%",
    "opModMaxLimW": "%",
    "rampTms": "s",
    "setESDelay": "s",
    "setESHighFreq": "Hz",
    "setESHighVolt": "%",
    "setESLowFreq": "Hz",
    "setESLowVolt": "%",
    "setESRampTms": "s",
    "setESRandomDelay": "s",
    "setGradW": "%/s",
    "setSoftGradW": "%/s",
}
#: Units of values that are given as an amount with a multiplier, or plainly.
UNITS: Mapping[str, str] = {"opModTargetW": "W", "opModTargetVar": "var"}

_SHARES_OF = {1: "setMaxW", 2: "setMaxVar", 3: "statVarAvail"}
_PHRASES: Mapping[str, str] = {
    "opModFixedPFAbsorbW": "hold {} while absorbing active power",
    "opModFixedPFInjectW": "hold {} while injecting active power",
    "opModFixedVar": "set reactive power to {}",
    "opModMaxLimW": "limit active power to {} of its maximum",
    "opModTargetVar": "set reactive power to {}",
    "opModTargetW": "set active power to {}",
    "rampTms": "change over within {}",
}
_SWITCHES: Mapping[str, tuple[str, str]] = {
    "opModConnect": ("connect", "disconnect"),
    "opModEnergize": ("energize", "cease to energize"),
}
_DROOP = frozenset(("dBOF", "dBUF", "kOF", "kUF", "openLoopTms"))
_UNITS_OF_TIME = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def value_text(name: str, value: Any) -> str:
    """The value of a control mode, or of a setting of a default control, with its unit."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name in HUNDREDTHS:
            return f"{_scaled(value, -2)} {HUNDREDTHS[name]}"
        case {"href": href}:
            return str(href)
        case {"value": int(share), "refType": int(ref)}:
            return f"{_scaled(share, -2)} % of {_SHARES_OF.get(ref, ref)}"
        case {"value": int(amount), **rest}:
            return f"{_scaled(amount, rest.get('multiplier', 0))} {UNITS.get(name, '')}".rstrip()
        case {"displacement": int(factor), **rest}:
            side = "absorbing" if rest.get("excitation") else "injecting"
            return f"PF {_scaled(factor, rest.get('multiplier', 0))}, {side} vars"
        case int() | float() if name in UNITS:
            return f"{value} {UNITS[name]}"
        case int() | float():
            return str(value)
        case str():
            return value
    return json.dumps(value, ensure_ascii=False)


def base_text(base: Any) -> str:
    """The modes of a DERControlBase in one line, by their names."""
    if not isinstance(base, Mapping):
        return ""
    return "; ".join(f"{name} {value_text(name, value)}" for name, value in base.items())


def mode_text(name: str, value: Any, curves: Mapping[str, str]) -> str:
    """What a control mode has a device do: ``limit active power to 60 % of its maximum (opModMaxLimW)``.

    :param curves: descriptions of curves by their hrefs
    """
    if name in _SWITCHES and isinstance(value, bool):
        words = _SWITCHES[name][0 if value else 1]
    elif name == "opModFixedW" and isinstance(value, int):
        words = _fixed_power(value)
    elif name == "opModFreqDroop" and isinstance(value, Mapping) and _DROOP.issubset(value):
        words = _frequency_droop(value)
    elif isinstance(value, Mapping) and "href" in value:
        description = curves.get(value["href"])
        words = f"follow the curve {f'{description!r}, ' if description else ''}{value['href']}"
    elif name in _PHRASES:
        words = _PHRASES[name].format(value_text(name, value))
    else:
        words = f"be set to {value_text(name, value)}"
    return f"{words} ({name})"


def _fixed_power(value: int) -> str:
    """What opModFixedW says: its sign tells whether power goes out or in, and so of what it is a share."""
    if value < 0:
        return f"take in active power at {value_text('opModFixedW', -value)} of its maximum charge rate"
    return f"give active power at {value_text('opModFixedW', value)} of its maximum"


def _frequency_droop(value: Mapping[str, Any]) -> str:
    """What opModFreqDroop says (IEEE 2030.5-2018 10.10.4, type FreqDroopType).

    dBOF and dBUF are mHz, kOF and kUF thousandths, openLoopTms is hundredths of a second.
    """
    over, under = (
        f"dead band {value[band]} mHz, droop {_scaled(value[droop], -3)}"
        for band, droop in (("dBOF", "kOF"), ("dBUF", "kUF"))
    )
    response = _scaled(value["openLoopTms"], -2)
    return (
        f"change active power with frequency, over-frequency with {over}, under-frequency with {under}, "
        f"within {response} s"
    )


def duration_text(seconds: int) -> str:
    """``1 hour 30 minutes`` for 5400."""
    parts = []
    for size, unit in _UNITS_OF_TIME:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(counted(count, unit))
    return " ".join(parts) or "0 seconds"


def moment_text(moment: int, zone: tzinfo | None) -> str:
    """``2026-07-01 16:00:00-07:00``; the seconds themselves where no calendar reaches.

    :param zone: None: the machine's
    """
    try:
        return datetime.fromtimestamp(moment, zone).astimezone(zone).isoformat(" ")
    except (ValueError, OverflowError, OSError):
        return f"@{moment}"


def counted(count: int, noun: str) -> str:
    """``1 device``, ``2 devices``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str], total: int | None = None, most: int = 10) -> str:
    """``a, b and c``, or ``a, b and 8 more`` where there are more than are named."""
    total = len(names) if total is None else total
    shown = list(names[:most])
    rest = total - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more" if shown else str(total)
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _scaled(value: int, multiplier: object) -> str:
    power = multiplier if isinstance(multiplier, int) and -30 <= multiplier <= 30 else 0
    number = Decimal(value).scaleb(power)
    return f"{number.normalize():f}" if number else "0"
