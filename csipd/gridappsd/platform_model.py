"""The devices of the platform's model, asked for on the bus or read from a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import inlineCallbacks

from csipd import pki
from csipd.config.doors import Gridappsd
from csipd.gridappsd import model, selecting
from csipd.gridappsd.bus import Bus, NoAnswer
from csipd.gridappsd.model import MOST_DEVICES, PAGE, ModelDevice, ModelError
from csipd.gridappsd.topics import CONFIG_REQUEST, MODEL_REQUEST
from csipd.pki.processes import ProgramFailed, Run, Steps

#: Seconds that the platform has for an answer: it makes dictionaries of large models when it is asked.
ANSWER_SECONDS: Final = 120.0
#: Seconds that devices may take to be picked out of a model.
SELECT_SECONDS: Final = 60.0
#: Equipment that is asked for by SPARQL: of consumers few may be devices.
_MOST_ROWS: Final = 4 * MOST_DEVICES
#: The longest list of devices (octets).
_MOST_WRITTEN: Final = 400 * MOST_DEVICES


@frozen
class PlatformModel:
    """Where the devices of the model come from.

    :param reactor: for processes and timers
    :param feeder: mRID of the model; None: the configuration does not say it
    """

    reactor: Any
    bus: Bus
    settings: Gridappsd
    feeder: str | None

    @property
    def is_asked_for(self) -> bool:
        """Whether it comes by the bus, and not from a file."""
        return self.settings.model_dict_file is None

    @inlineCallbacks
    def devices(self) -> Any:
        """The devices, in the model's order.

        Fails with ``ModelError`` where it cannot be used, with ``NoAnswer`` where the platform is not there.
        """
        settings = self.settings
        if settings.model_dict_file is not None:
            return (yield self._select(file=settings.model_dict_file))
        feeder = self.feeder
        if feeder is None:
            feeder = yield self._feeder_of(settings.model_name or "")
        try:
            answer = yield self.bus.request(CONFIG_REQUEST, model.dictionary_request(feeder), ANSWER_SECONDS)
            found = yield self._select(dictionary=answer)
        except (NoAnswer, ModelError):
            # There is no such service, or the dictionary is larger than what the bus takes.
            found = None
        if not found:
            found = yield self._by_sparql(feeder)
        return found

    @inlineCallbacks
    def _feeder_of(self, name: str) -> Any:
        answer = yield self.bus.request(MODEL_REQUEST, model.models_request(), ANSWER_SECONDS)
        found = model.model_id(answer, name)
        if found is None:
            raise ModelError(f"the platform has no model {name}")
        return found

    @inlineCallbacks
    def _by_sparql(self, feeder: str) -> Any:
        consumers = self.settings.houses is not None or self.settings.utilities is not None
        found: list[ModelDevice] = []
        for offset in range(0, _MOST_ROWS, PAGE):
            request = model.equipment_request(feeder, consumers=consumers, offset=offset)
            answer = yield self.bus.request(MODEL_REQUEST, request, ANSWER_SECONDS)
            page, is_last = model.equipment(answer)
            found += page
            if is_last:
                break
        return (yield self._select(dictionary=model.as_dictionary(found, consumers=consumers)))

    def _select(self, *, dictionary: bytes = b"", file: Path | None = None) -> Any:
        steps = select(self.settings, dictionary, file)
        return pki.run_later(self.reactor, steps, timeout=SELECT_SECONDS)


def select(settings: Gridappsd, dictionary: bytes, file: Path | None) -> Steps[list[ModelDevice]]:
    """The devices of a CIM dictionary, by the settings' regular expressions.

    :param file: that has the dictionary; None: it is given
    :raises ModelError: it cannot be used, or took too long
    """
    wanted = {
        "houses": None if settings.houses is None else settings.houses.pattern,
        "utilities": None if settings.utilities is None else settings.utilities.pattern,
        "file": None if file is None else str(file),
    }
    run = Run(
        (sys.executable, "-I", "-m", selecting.__name__),
        cwd=Path("/"),
        stdin=json.dumps(wanted).encode() + b"\n" + dictionary,
        most=_MOST_WRITTEN,
    )
    try:
        ran = yield run
    except ProgramFailed as failed:
        raise ModelError(f"{failed}: are the regular expressions too much for it?") from failed
    if ran.code:
        lines = ran.err.decode(errors="replace").strip().splitlines() or [f"it ended with {ran.code}"]
        raise ModelError("".join(sign for sign in lines[-1][:300] if sign.isprintable()))
    return [ModelDevice(*one) for one in json.loads(ran.out)]
