"""What a simulation of the platform says, and what is written to it: messages as values, no clock and no I/O.

A simulation says what it measures (`Tick`) and how it goes (`phase`). Written to it are differences of what
its equipment feeds in (`differences`), which it takes over with its next step.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

from attrs import frozen

#: Measurements of one tick that are read; of more the whole is refused.
MOST_MEASUREMENTS: Final = 200_000
#: Longer ones are no mRIDs.
_LONGEST_MRID: Final = 80


class SimulationMessageError(ValueError):
    """A message that is none of a simulation's. One line."""


@frozen
class Tick:
    """What a simulation measured at one of its moments.

    :param timestamp: the simulation's time (epoch s)
    :param magnitudes: of phasors, in the unit of what is measured, by the mRIDs of the measurements (`bare`)
    """

    simulation_id: str
    timestamp: float
    magnitudes: Mapping[str, float]


class Phase(Enum):
    """How a simulation goes, as far as whoever takes part has to know."""

    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    FAILED = "failed"


#: processStatus of a log message. Others (STARTING, STARTED, ...) are of a simulation that runs.
_PHASES: Final = {
    "COMPLETE": Phase.ENDED,
    "CLOSED": Phase.ENDED,
    "STOPPED": Phase.ENDED,
    "ERROR": Phase.FAILED,
    "PAUSED": Phase.PAUSED,
}


@frozen
class Feed:
    """What a connection of power electronics feeds in.

    :param w: generation is positive (W)
    :param var: that are fed in are positive (var)
    """

    w: float
    var: float


NOTHING: Final = Feed(0.0, 0.0)


def bare(mrid: str) -> str:
    """An mRID as it is compared: the platform writes it with an underscore before it or without."""
    return mrid.removeprefix("_").upper()


def tick(body: bytes) -> Tick:
    """A message of a simulation's output. SimulationMessageError.

    What has no magnitude (the position of a switch, a value that is no finite number) is left out.
    """
    content = _object(_json(body), "the message")
    message = _object(content.get("message"), "message")
    timestamp = _number(message.get("timestamp"))
    if timestamp is None:
        raise SimulationMessageError("timestamp is no number of seconds")
    measurements = _object(message.get("measurements"), "measurements")
    if len(measurements) > MOST_MEASUREMENTS:
        raise SimulationMessageError(f"{len(measurements)} measurements are more than are read")
    magnitudes = {}
    for mrid, measured in measurements.items():
        magnitude = _number(measured.get("magnitude")) if isinstance(measured, dict) else None
        if magnitude is not None and len(mrid) <= _LONGEST_MRID:
            magnitudes[bare(mrid)] = magnitude
    return Tick(str(content.get("simulation_id", "")), timestamp, magnitudes)


def phase(body: bytes) -> Phase | None:
    """What a message of a simulation's log says of how it goes; None: nothing. SimulationMessageError."""
    status = _object(_json(body), "the message").get("processStatus")
    if not isinstance(status, str):
        return None
    return _PHASES.get(status.upper(), Phase.RUNNING)


def differences(
    simulation_id: str,
    timestamp: float,
    mrid: str,
    changes: Iterable[tuple[str, Feed, Feed]],
    *,
    load_sign: bool,
) -> bytes:
    """A difference message for the input of a simulation.

    :param mrid: of the message, as no other has it
    :param changes: for each connection its mRID, what it fed in before and what it feeds in now
    :param load_sign: whether p and q are positive where power is taken in, as the CIM counts
    """
    sign = -1.0 if load_sign else 1.0
    reverse: list[dict[str, Any]] = []
    forward: list[dict[str, Any]] = []
    for connection, before, now in changes:
        for attribute, old, new in (("p", before.w, now.w), ("q", before.var, now.var)):
            which = {"object": connection, "attribute": f"PowerElectronicsConnection.{attribute}"}
            reverse.append(which | {"value": _rounded(sign * old)})
            forward.append(which | {"value": _rounded(sign * new)})
    message = {
        "timestamp": int(timestamp),
        "difference_mrid": mrid,
        "reverse_differences": reverse,
        "forward_differences": forward,
    }
    content = {"command": "update", "input": {"simulation_id": simulation_id, "message": message}}
    return json.dumps(content, separators=(",", ":")).encode()


def _rounded(value: float) -> float:
    return round(value, 1) + 0.0  # no -0.0


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise SimulationMessageError("is no JSON") from None


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SimulationMessageError(f"{name} is no object")
    return value


def _number(value: Any) -> float | None:
    """A finite number; the platform writes some of them as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
