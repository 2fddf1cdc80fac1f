"""Devices of the platform's model: what is asked for, what answers say, which equipment is a device. Pure.

Where names of houses or larger inverters are given as regular expressions, energy consumers whose name begins
with what one of them matches are devices; else every connection of power electronics is one. The equipment
comes from the model's CIM dictionary, or from SPARQL where the platform gives none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from re import Pattern
from typing import Any, Final

from attrs import frozen

from csipd.gridappsd.simulation import bare
from csipd.gridappsd.terminals import CONNECTIONS

#: Devices that are taken from a model.
MOST_DEVICES: Final = 100_000
#: Rows that are asked for at once by SPARQL: so the answer stays below what the bus takes.
PAGE: Final = 1_000
#: Longer names are no names (characters).
LONGEST_NAME: Final = 256
_MRID: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_CONSUMERS: Final = "energyconsumers"
_CIM: Final = "http://iec.ch/TC57/CIM100#"
_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


class ModelError(ValueError):
    """What the platform, or a file, says of a model cannot be used. One line."""


@frozen
class ModelDevice:
    """A device of the model.

    :param mrid: as the model writes it; it is the device's id
    :param name: of the equipment
    """

    mrid: str
    name: str


# What is asked for.


def dictionary_request(feeder: str) -> bytes:
    """Asks for the CIM dictionary of a feeder."""
    return _written({"configurationType": "CIM Dictionary", "parameters": {"model_id": feeder}})


def models_request() -> bytes:
    """Asks which models there are."""
    return _written({"requestType": "QUERY_MODEL_INFO", "resultFormat": "JSON"})


def equipment_request(feeder: str, *, consumers: bool, offset: int) -> bytes:
    """Asks by SPARQL for a page of a feeder's consumers, or connections of power electronics.

    :param feeder: mRID, of letters, digits, dashes, dots and underscores
    """
    kind = "EnergyConsumer" if consumers else "PowerElectronicsConnection"
    query = (
        f"PREFIX r: <{_RDF}> PREFIX c: <{_CIM}> SELECT ?mrid ?name WHERE {{ "
        f'VALUES ?feeder {{ "{feeder}" }} '
        f"?s r:type c:{kind} . "
        "?s c:IdentifiedObject.mRID ?mrid . "
        "?s c:IdentifiedObject.name ?name . "
        "?s c:Equipment.EquipmentContainer ?container . "
        "?container c:IdentifiedObject.mRID ?feeder . "
        f"}} ORDER BY ?mrid LIMIT {PAGE} OFFSET {offset}"
    )
    return _written({"requestType": "QUERY", "resultFormat": "JSON", "queryString": query})


# What the answers say.


def model_id(answer: bytes, name: str) -> str | None:
    """The mRID of the model of a name; None: there is none of it.

    :raises ModelError: the answer is none
    """
    for model in _objects(_data(answer).get("models"), "models"):
        if model.get("modelName") == name:
            found = model.get("modelId")
            if isinstance(found, str) and _MRID.fullmatch(found):
                return found
            raise ModelError(f"the model {name} has no mRID that can be asked for")
    return None


def equipment(answer: bytes) -> tuple[list[ModelDevice], bool]:
    """The page in an answer to `equipment_request`, and whether it is the last one.

    :raises ModelError: the answer is none
    """
    results = _data(answer).get("results")
    rows = _objects(results.get("bindings") if isinstance(results, dict) else None, "data.results.bindings")
    found = _devices({"mRID": _value(row.get("mrid")), "name": _value(row.get("name"))} for row in rows)
    return list(found), len(rows) < PAGE


def feeder_of(document: bytes) -> Mapping[str, Any]:
    """The feeder of a CIM dictionary: of the platform's answer, or of a file that holds what was in one.

    :raises ModelError: there is none
    """
    content = _object(document)
    if "feeders" not in content:
        content = _data_in(content)
    feeders = _objects(content.get("feeders"), "feeders")
    if not feeders:
        raise ModelError("the model has no feeder")
    return feeders[0]


def as_dictionary(devices: Iterable[ModelDevice], *, consumers: bool) -> bytes:
    """A CIM dictionary of nothing but this equipment."""
    rows = [{"mRID": one.mrid, "name": one.name} for one in devices]
    return _written({"feeders": [{_CONSUMERS if consumers else CONNECTIONS[0]: rows}]})


def devices_of(
    feeder: Mapping[str, Any], houses: Pattern[str] | None, utilities: Pattern[str] | None
) -> list[ModelDevice]:
    """The devices of a feeder, each once, in the model's order.

    :param houses: what names of houses with an inverter begin with, ``utilities`` those of larger ones
    :raises ModelError: there are too many
    """
    patterns = [pattern for pattern in (houses, utilities) if pattern is not None]
    kinds = (_CONSUMERS,) if patterns else CONNECTIONS
    found: dict[str, ModelDevice] = {}
    for kind in kinds:
        for one in _devices(_objects(feeder.get(kind, []), kind)):
            if not patterns or any(pattern.match(one.name) for pattern in patterns):
                found.setdefault(bare(one.mrid), one)
    if len(found) > MOST_DEVICES:
        raise ModelError(f"the model has {len(found)} devices; at most {MOST_DEVICES} are taken")
    return list(found.values())


def _devices(rows: Iterable[Mapping[str, Any]]) -> Iterator[ModelDevice]:
    """Equipment that has an mRID and a name; what has none is no device."""
    for row in rows:
        mrid, name = row.get("mRID"), row.get("name")
        if isinstance(mrid, str) and mrid and isinstance(name, str) and len(name) <= LONGEST_NAME:
            yield ModelDevice(mrid, name)


def _data(answer: bytes) -> dict[str, Any]:
    """What an answer of the platform says, which some of its services write as a text within the text."""
    return _data_in(_object(answer))


def _data_in(content: Mapping[str, Any]) -> dict[str, Any]:
    data = content.get("data")
    if isinstance(data, str):
        return _object(data)
    if not isinstance(data, dict):
        wrong = content.get("error")
        said = "".join(sign for sign in str(wrong)[:200] if sign.isprintable()) if wrong else ""
        raise ModelError(f"the platform says: {said}" if said else "the answer has no data")
    return data


def _object(text: bytes | str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ModelError("it is no JSON") from None
    if not isinstance(content, dict):
        raise ModelError("it is no JSON object")
    return content


def _objects(value: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ModelError(f"{what} is no list")
    return [one for one in value if isinstance(one, dict)]


def _value(binding: Any) -> Any:
    return binding.get("value") if isinstance(binding, dict) else None


def _written(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()
