"""Which equipment of a model is a device, and what is asked of the platform."""

from __future__ import annotations

import json
import re
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd import pki
from csipd.config.doors import Gridappsd
from csipd.gridappsd import model, platform_model, selecting
from csipd.gridappsd.bus import NoAnswer
from csipd.gridappsd.model import ModelDevice, ModelError
from csipd.gridappsd.platform_model import PlatformModel, select
from csipd.gridappsd.topics import CONFIG_REQUEST, MODEL_REQUEST
from tests.support.bus import MemoryBus
from tests.support.feeder import FEEDER, SimulatedFeeder

HOUSES = re.compile("house")
UTILITIES = re.compile("util_[abc]")
#: Matches of this take longer than anybody lives.
ENDLESS = re.compile("(a+)+$")


def equipment(*names: str) -> list[dict[str, str]]:
    return [{"mRID": f"_{name.upper()}", "name": name} for name in names]


def dictionary(**kinds: list[dict[str, str]]) -> bytes:
    return json.dumps({"data": {"feeders": [{"mRID": FEEDER, **kinds}]}, "responseComplete": True}).encode()


def names(found: list[ModelDevice]) -> list[str]:
    return [one.name for one in found]


class DevicesTests(SynchronousTestCase):
    """Equipment that is a device."""

    FEEDER = model.feeder_of(
        dictionary(
            energyconsumers=equipment("house_1", "a_house_2", "util_a", "util_d", "house_3"),
            powerelectronicsconnections=equipment("pv_1"),
            batteries=equipment("bat_1", "pv_1"),
        )
    )

    def test_by_name(self) -> None:
        """Consumers whose names begin with what one of the expressions matches, in the model's order."""
        self.assertEqual(
            names(model.devices_of(self.FEEDER, HOUSES, UTILITIES)), ["house_1", "util_a", "house_3"]
        )
        self.assertEqual(names(model.devices_of(self.FEEDER, None, UTILITIES)), ["util_a"])

    def test_connections(self) -> None:
        """Without expressions every connection of power electronics, however often it is listed."""
        self.assertEqual(names(model.devices_of(self.FEEDER, None, None)), ["pv_1", "bat_1"])

    def test_platform(self) -> None:
        """What the platform answers is read."""
        feeder = SimulatedFeeder("1", houses=3)
        found = model.devices_of(model.feeder_of(json.dumps(feeder.dictionary()).encode()), HOUSES, None)
        self.assertEqual(names(found), feeder.names)

    def test_no_devices(self) -> None:
        """Equipment without mRID or name, or that is none, is left out; and so is what comes twice."""
        rows: list[Any] = [
            {"mRID": "_1"},
            {"name": "house"},
            {"mRID": 7, "name": "house"},
            {"mRID": "", "name": "house"},
            {"mRID": "_2", "name": "house" + "x" * 300},
            "house",
            {"mRID": "_A", "name": "house_a"},
            {"mRID": "a", "name": "house_b"},
        ]
        feeder = {"energyconsumers": rows}
        self.assertEqual(names(model.devices_of(feeder, HOUSES, None)), ["house_a"])

    def test_too_many(self) -> None:
        """A model without end is refused."""
        self.patch(model, "MOST_DEVICES", 1)
        with self.assertRaisesRegex(ModelError, "2 devices; at most 1"):
            model.devices_of(self.FEEDER, None, None)

    def test_no_model(self) -> None:
        """What is no dictionary is refused with a reason."""
        for answer, why in [
            (b"", "no JSON"),
            (b"[]", "no JSON object"),
            (b"[" * 100_000, "no JSON"),
            (b'{"data": {}}', "feeders is no list"),
            (b'{"data": {"feeders": []}}', "no feeder"),
            (b'{"data": 7}', "no data"),
            (b'{"error": {"message": "no\\nsuch model"}}', "the platform says: .*no.*such model"),
            (b'{"data": {"feeders": {}}}', "feeders is no list"),
        ]:
            with self.assertRaisesRegex(ModelError, why):
                model.feeder_of(answer)

    @given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=8))
    def test_nonsense(self, value: Any) -> None:
        """Whatever stands where equipment should leaves no traceback."""
        for content in (
            {"feeders": value},
            {"feeders": [{"energyconsumers": value}]},
            {"data": value},
            value,
        ):
            try:
                feeder = model.feeder_of(json.dumps(content).encode())
                found = model.devices_of(feeder, HOUSES, None)
            except ModelError:
                continue
            self.assertEqual(found, [])


class AnswerTests(SynchronousTestCase):
    """Other answers of the platform."""

    def test_models(self) -> None:
        """A model is known by its name."""
        answer = json.dumps({"data": {"models": [{"modelName": "ieee123", "modelId": FEEDER}]}}).encode()
        self.assertEqual(model.model_id(answer, "ieee123"), FEEDER)
        self.assertIsNone(model.model_id(answer, "ieee8500"))

    def test_mrid_that_is_none(self) -> None:
        """What would end the text of a query is no mRID."""
        answer = json.dumps({"data": {"models": [{"modelName": "m", "modelId": '"} . '}]}}).encode()
        with self.assertRaisesRegex(ModelError, "no mRID"):
            model.model_id(answer, "m")

    def test_text_within_text(self) -> None:
        """Some services write what they say as a text."""
        inner = json.dumps({"results": {"bindings": [{"mrid": {"value": "_1"}, "name": {"value": "pv"}}]}})
        self.assertEqual(
            model.equipment(json.dumps({"data": inner}).encode()), ([ModelDevice("_1", "pv")], True)
        )


class SelectingTests(SynchronousTestCase):
    """The process that picks them out."""

    def settings(self, **more: Any) -> Gridappsd:
        return Gridappsd(**more)

    def test_dictionary(self) -> None:
        """From a dictionary that is given, and from a file that holds what is in one."""
        given_one = dictionary(energyconsumers=equipment("house_1", "shop"))
        path = Path(self.mktemp())
        path.write_bytes(json.dumps(json.loads(given_one)["data"]).encode())
        settings = self.settings(houses=HOUSES)
        for found in (
            pki.run_now(select(settings, given_one, None)),
            pki.run_now(select(settings, b"", path.absolute())),
        ):
            self.assertEqual(found, [ModelDevice("_HOUSE_1", "house_1")])

    def test_wrong(self) -> None:
        """What is wrong is said in a line."""
        with self.assertRaisesRegex(ModelError, "^it is no JSON$"):
            pki.run_now(select(self.settings(), b"x", None))
        with self.assertRaisesRegex(ModelError, "^/nowhere/model.json: No such file or directory$"):
            pki.run_now(select(self.settings(), b"", Path("/nowhere/model.json")))

    def test_endless_expression(self) -> None:
        """An expression that would take for ever is given its time, and no more."""
        given_one = dictionary(energyconsumers=equipment("a" * 60 + "b"))
        with self.assertRaisesRegex(ModelError, "did not end within 2 s: are the regular expressions"):
            pki.run_now(select(self.settings(houses=ENDLESS), given_one, None), timeout=2)

    def test_large_model(self) -> None:
        """Ten thousand devices come through."""
        rows = [{"mRID": f"_{number:036}", "name": f"house_{number}"} for number in range(10_000)]
        found = pki.run_now(select(self.settings(houses=HOUSES), dictionary(energyconsumers=rows), None))
        self.assertEqual(len(found), 10_000)

    def test_too_large(self) -> None:
        """A dictionary without end is not read."""
        self.patch(selecting, "MOST_OCTETS", 10)
        said = StringIO()
        wanted = b'{"houses": null, "utilities": null, "file": null}\n'
        code = selecting.main(BytesIO(wanted + b"x" * 100), BytesIO(), said)
        self.assertEqual((code, said.getvalue()), (1, "it is larger than 10 octets\n"))


class PlatformModelTests(SynchronousTestCase):
    """What the platform is asked for, and in what order."""

    def setUp(self) -> None:
        self.bus = MemoryBus()
        self.patch(
            platform_model.pki,
            "run_later",
            lambda reactor, steps, timeout: execute(pki.run_now, steps, timeout=timeout),
        )

    def devices(self, *, feeder: str | None = FEEDER, **more: Any) -> Deferred[list[ModelDevice]]:
        found: Deferred[list[ModelDevice]] = PlatformModel(
            Clock(), self.bus, Gridappsd(**more), feeder
        ).devices()
        return found

    def asked(self) -> list[Any]:
        return [json.loads(sent.body) for sent in self.bus.sent]

    def test_file(self) -> None:
        """With a file nobody is asked."""
        path = Path(self.mktemp()).absolute()
        path.write_bytes(dictionary(energyconsumers=equipment("house_1")))
        found = self.successResultOf(self.devices(model_dict_file=path, houses=HOUSES))
        self.assertEqual((names(found), self.bus.sent), (["house_1"], []))

    def test_dictionary(self) -> None:
        """The dictionary of the feeder is asked for."""
        self.bus.answers[CONFIG_REQUEST] = lambda body: dictionary(energyconsumers=equipment("house_1"))
        found = self.successResultOf(self.devices(houses=HOUSES))
        self.assertEqual(names(found), ["house_1"])
        self.assertEqual(
            self.asked(),
            [{"configurationType": "CIM Dictionary", "parameters": {"model_id": FEEDER}}],
        )

    def test_by_name(self) -> None:
        """A feeder that is not named is that of the model's name."""
        models = {"data": {"models": [{"modelName": "ieee123", "modelId": FEEDER}]}}
        self.bus.answers[MODEL_REQUEST] = lambda body: json.dumps(models).encode()
        self.bus.answers[CONFIG_REQUEST] = lambda body: dictionary(batteries=equipment("bat"))
        found = self.successResultOf(self.devices(feeder=None, model_name="ieee123"))
        self.assertEqual(names(found), ["bat"])
        self.assertEqual(self.asked()[0], {"requestType": "QUERY_MODEL_INFO", "resultFormat": "JSON"})
        self.assertEqual(self.asked()[1]["parameters"], {"model_id": FEEDER})
        failure = self.failureResultOf(self.devices(feeder=None, model_name="other"), ModelError)
        self.assertIn("no model other", failure.getErrorMessage())

    def test_by_sparql(self) -> None:
        """Where there is no dictionary equipment is asked for page by page, and names count as ever."""
        self.patch(model, "PAGE", 2)
        self.patch(platform_model, "PAGE", 2)
        rows = [
            {"mrid": {"value": one["mRID"]}, "name": {"value": one["name"]}}
            for one in equipment("house_1", "house_2", "shop", "house_3", "house_4")
        ]

        def answer(body: bytes) -> bytes:
            offset = int(re.search(r"LIMIT 2 OFFSET (\d+)", json.loads(body)["queryString"])[1])  # type: ignore[index]
            return json.dumps({"data": {"results": {"bindings": rows[offset : offset + 2]}}}).encode()

        self.bus.answers[CONFIG_REQUEST] = lambda body: b'{"error": "unknown"}'
        self.bus.answers[MODEL_REQUEST] = answer
        found = self.successResultOf(self.devices(houses=HOUSES))
        self.assertEqual(names(found), ["house_1", "house_2", "house_3", "house_4"])
        queries = [one["queryString"] for one in self.asked()[1:]]
        self.assertEqual(len(queries), 3)
        for query in queries:
            self.assertIn("c:EnergyConsumer", query)
            self.assertIn(f'"{FEEDER}"', query)
        self.bus.sent.clear()
        rows.clear()
        self.assertEqual(self.successResultOf(self.devices()), [])
        self.assertIn("c:PowerElectronicsConnection", self.asked()[1]["queryString"])

    def test_nobody_answers(self) -> None:
        """A platform that is not there."""
        waiting = self.devices()
        self.bus.go_down()
        self.failureResultOf(waiting, NoAnswer)
