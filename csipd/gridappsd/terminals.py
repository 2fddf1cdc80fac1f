"""Where devices stand in the platform's model: what feeds in for them there, and which measurements they see.

The model is the platform's CIM dictionary. A device is a connection of power electronics itself, or a
consumer (a house) with such a connection at its node, of several consumers the first. Its voltage is what the
simulation measures at that connection, or else at that node.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import field, frozen

from csipd.gridappsd.simulation import bare

#: Kinds of equipment that feed in: lists of the dictionary.
CONNECTIONS: Final = ("powerelectronicsconnections", "solarpanels", "batteries")
_CONSUMERS: Final = "energyconsumers"
#: Nominal voltage between line and neutral of a house, where the model says nothing (V).
_HOUSE_VOLTS: Final = 120.0
#: What a rated voltage comes to between line and neutral: of one phase, of three, of a split one.
_ONE, _THREE, _SPLIT = 1.0, 1.0 / math.sqrt(3.0), 0.5
#: Outside of these a voltage is counted otherwise than its phases say; or is of another level (per unit).
_USUAL: Final = (0.7, 1.4)
_HIGHEST: Final = 2.0
#: Measurements of one device that are taken: three phases, or two halves, a few times over.
_MOST_VOLTAGES: Final = 12


@frozen
class Terminal:
    """A device in the platform's model.

    :param device: its mRID, as the model writes it
    :param connection: the mRID of what feeds in for it, as the model writes it; None: nothing does
    :param rated_va: of that (VA); None, as of all that follow: the model does not say it
    :param rated_volts: between lines where it has three phases or a split one (V)
    :param phases: of that, as the model writes them: A, ABC, s1s2; empty: it does not say
    :param rated_wh: of its battery (Wh)
    :param stored_wh: what is in it at the beginning (Wh)
    :param voltages: measurements of its voltage between line and neutral, by mRID (`bare`)
    """

    device: str
    connection: str | None = None
    rated_va: float | None = None
    rated_volts: float | None = None
    phases: str = ""
    rated_wh: float | None = None
    stored_wh: float | None = None
    voltages: tuple[str, ...] = ()

    def volts_pu(self, magnitudes: Mapping[str, float]) -> float | None:
        """The voltage that it sees, per unit: the mean of what is measured.

        None: nothing is, or it is of another level than the model says.
        """
        found = [magnitudes[mrid] for mrid in self.voltages if magnitudes.get(mrid, 0.0) > 0.0]
        if not found:
            return None
        volts = sum(found) / len(found)
        rated = _HOUSE_VOLTS if self.rated_volts is None else self.rated_volts
        found_pu = volts / (rated * self._share)
        if not _USUAL[0] < found_pu < _USUAL[1]:
            # Models do not agree on how theirs is counted: by the nearest way.
            found_pu = min(
                (volts / (rated * share) for share in (_ONE, _THREE, _SPLIT)),
                key=lambda one: abs(math.log(one)),
            )
        return found_pu if found_pu < _HIGHEST else None

    @property
    def _share(self) -> float:
        """Of the rated voltage, what is between line and neutral."""
        if self.rated_volts is None:
            return _ONE
        phases = self.phases.upper()
        if "S" in phases:
            return _SPLIT
        return _THREE if all(phase in phases for phase in "ABC") else _ONE


@frozen
class _Equipment:
    mrid: str
    node: str
    values: Mapping[str, Any] = field(factory=dict)

    def amount(self, key: str) -> float | None:
        """A number above 0."""
        try:
            number = float(self.values.get(key, 0))
        except (TypeError, ValueError, OverflowError):
            return None
        return number if 0.0 < number < math.inf else None


def terminals(feeder: Mapping[str, Any], devices: Iterable[str]) -> list[Terminal]:
    """Where these devices stand.

    :param feeder: one of the dictionary's `feeders`; what of it is not as it should be is left out
    :param devices: mRIDs
    """
    connections: dict[str, _Equipment] = {}
    at_node: dict[str, _Equipment] = {}
    for kind in CONNECTIONS:
        for equipment in _equipment(feeder, kind):
            connections.setdefault(bare(equipment.mrid), equipment)
            at_node.setdefault(equipment.node, equipment)
    nodes = {bare(one.mrid): one.node for one in _equipment(feeder, _CONSUMERS)}
    of_equipment, of_node = _voltages(feeder)
    taken: set[str] = set()
    found = []
    for device in devices:
        node = nodes.get(bare(device), "")
        connection = connections.get(bare(device)) or (at_node.get(node) if node else None)
        if connection is not None:
            if bare(connection.mrid) in taken:
                connection = None
            else:
                taken.add(bare(connection.mrid))
        measured: list[str] = []
        if connection is not None:
            measured = of_equipment.get(bare(connection.mrid), [])
            node = connection.node or node
        measured = measured or of_equipment.get(bare(device), []) or (of_node.get(node, []) if node else [])
        found.append(_terminal(device, connection, tuple(measured[:_MOST_VOLTAGES])))
    return found


def _terminal(device: str, connection: _Equipment | None, voltages: tuple[str, ...]) -> Terminal:
    if connection is None:
        return Terminal(device, voltages=voltages)
    return Terminal(
        device,
        connection.mrid,
        connection.amount("ratedS"),
        connection.amount("ratedU"),
        phases if isinstance(phases := connection.values.get("phases"), str) else "",
        connection.amount("ratedE"),
        connection.amount("storedE"),
        voltages,
    )


def _equipment(feeder: Mapping[str, Any], kind: str) -> Iterator[_Equipment]:
    for one in _objects(feeder, kind):
        mrid, node = one.get("mRID"), one.get("CN1")
        if isinstance(mrid, str) and mrid:
            yield _Equipment(mrid, node if isinstance(node, str) else "", one)


def _voltages(feeder: Mapping[str, Any]) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
    """The measurements of voltages by the equipment (`bare`) and by the node where they are taken."""
    of_equipment: dict[str, list[str]] = defaultdict(list)
    of_node: dict[str, list[str]] = defaultdict(list)
    for one in _objects(feeder, "measurements"):
        mrid, equipment = one.get("mRID"), one.get("ConductingEquipment_mRID")
        node = one.get("ConnectivityNode")
        if one.get("measurementType") != "PNV" or not isinstance(mrid, str):
            continue
        if isinstance(equipment, str):
            of_equipment[bare(equipment)].append(bare(mrid))
        if isinstance(node, str):
            of_node[node].append(bare(mrid))
    return of_equipment, of_node


def _objects(feeder: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    values = feeder.get(kind)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []
