"""The section ``gridappsd`` and the keys beside it."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from csipd.config import ConfigError, Gridappsd, HostPort, Report, SignOfPower, load, loads

BASE = "server: 127.0.0.1\nhttps_port: 7443\n"


def read(text: str, **environment: str):
    """The bus of a configuration, and the warnings about it."""
    settings = loads(BASE + text, "c.yml", Path("/base"), environment)
    return settings.gridappsd, settings.warnings


class GridappsdTests(SynchronousTestCase):
    """What each key gives."""

    def errors(self, text: str, **environment: str) -> tuple[str, ...]:
        with self.assertRaises(ConfigError) as caught:
            read(text, **environment)
        return tuple(str(caught.exception).splitlines())

    def test_off(self) -> None:
        """Without the section, or without an address, there is no bus, and nothing to warn about."""
        self.assertEqual(read(""), (Gridappsd(), ()))
        self.assertEqual(read("gridappsd:\n"), (Gridappsd(), ()))
        found, warnings = read("gridappsd: {model_name: ieee13}\n")
        self.assertEqual((found.broker, found.model_name, warnings), (None, "ieee13", ()))

    def test_all_keys(self) -> None:
        """Each key of the older server and of csipd gives what it says."""
        found, warnings = read(
            """\
service_name: DERMS
simulation_id: 1234567
gridappsd:
  address: broker.example.org
  port: 61614
  username: csipd
  password: secret
  token: false
  tls: true
  tls_ca: broker.pem
  model_name: ieee13nodeckt
  feeder_id: _49AD8E07-3BF9-A4E2-CB8F-C3722F837B62
  default_pin: 111115
  house_named_inverters_regex: ^house
  utility_named_inverters_regex: ^utility
  model_dict_file: model.json
  publish_interval_seconds: 15
  publish: [status, analog_values]
  p_sign: generator
  control_seconds: 60
default_program: {description: d, primacy: 9, DefaultDERControl: {DERControlBase: {}}}
"""
        )
        self.assertEqual(warnings, ())
        self.assertEqual(found.broker, HostPort("broker.example.org", 61614))
        self.assertEqual((found.username, found.password), ("csipd", "secret"))
        self.assertEqual((found.token, found.tls), (False, True))
        self.assertEqual(found.tls_ca, Path("/base/broker.pem"))
        self.assertEqual((found.service_name, found.simulation_id), ("DERMS", "1234567"))
        self.assertEqual(found.model_name, "ieee13nodeckt")
        self.assertEqual(found.feeder_id, "_49AD8E07-3BF9-A4E2-CB8F-C3722F837B62")
        self.assertEqual(found.default_pin, 111115)
        self.assertTrue(found.houses.match("house1") and found.utilities.match("utility1"))
        self.assertEqual(found.model_dict_file, Path("/base/model.json"))
        self.assertEqual(found.publish_interval, 15)
        self.assertEqual(found.reports, {Report.STATUS, Report.ANALOG_VALUES})
        self.assertEqual((found.p_sign, found.control_seconds), (SignOfPower.GENERATOR, 60))

    def test_model(self) -> None:
        """A model is named in one of four ways; expressions alone name none."""
        for key in ("feeder_id", "feeder_id_file", "model_name", "model_dict_file"):
            found, _ = read(f"gridappsd:\n  address: localhost\n  {key}: m\n")
            self.assertTrue(found.has_model, key)
        self.assertFalse(read("gridappsd: {house_named_inverters_regex: house}\n")[0].has_model)

    def test_defaults(self) -> None:
        """An address is enough: port, account and interval are those of the older server."""
        found, _ = read("gridappsd: {address: localhost}\n")
        self.assertEqual(found, Gridappsd(broker=HostPort("localhost", 61613)))
        self.assertEqual((found.username, found.password), ("system", "manager"))
        self.assertEqual((found.publish_interval, found.service_name), (3, "IEEE_2030_5"))
        self.assertEqual(read("gridappsd: {address: localhost, publish: []}\n")[0].reports, frozenset())

    def test_secrets_are_not_shown(self) -> None:
        """Neither the password nor the PIN is in what is written of the settings."""
        found, _ = read("gridappsd: {address: a, password: hush-hush, default_pin: 111115}\n")
        self.assertNotIn("hush-hush", repr(found))
        self.assertNotIn("111115", repr(found))

    def test_files(self) -> None:
        """Ids and the password may stand in files; a file goes before the key beside it, with a warning."""
        found, warnings = read(
            """\
default_program: {description: d, primacy: 9, DefaultDERControl: {DERControlBase: {}}}
simulation_id: a
gridappsd:
  address: localhost
  password_file: password
  feeder_id: b
  feeder_id_file: feeder
  simulation_id_file: simulation
"""
        )
        self.assertEqual(found.password_file, Path("/base/password"))
        self.assertEqual(found.feeder_id_file, Path("/base/feeder"))
        self.assertEqual(found.simulation_id_file, Path("/base/simulation"))
        self.assertEqual(
            warnings,
            (
                "c.yml:4: simulation_id: not used: gridappsd.simulation_id_file is read in its place",
                "c.yml:8: gridappsd.feeder_id: not used: gridappsd.feeder_id_file is read in its place",
            ),
        )

    def test_environment(self) -> None:
        """The platform's variables override the file, each with a warning that does not tell the secret."""
        found, warnings = read(
            "gridappsd:\n  address: localhost\n  password_file: x\n",
            GRIDAPPSD_ADDRESS="tcp://127.0.0.2",
            GRIDAPPSD_PORT="1234",
            GRIDAPPSD_USER="me",
            GRIDAPPSD_PASSWORD="hush-hush",
            GRIDAPPSD_OTHER="x",
        )
        self.assertEqual(found.broker, HostPort("127.0.0.2", 1234))
        self.assertEqual((found.username, found.password, found.password_file), ("me", "hush-hush", None))
        self.assertEqual(len(warnings), 4)
        self.assertIn(
            "c.yml:4: gridappsd.address: GRIDAPPSD_ADDRESS of the environment is taken in its place", warnings
        )
        self.assertNotIn("hush-hush", "".join(warnings))

    def test_the_process(self) -> None:
        """The variables of a file that is loaded are those of the process."""
        path = Path(self.mktemp())
        path.write_text(BASE + "gridappsd: {address: localhost}\n")
        with mock.patch.dict(os.environ, {"GRIDAPPSD_USER": "me"}):
            self.assertEqual(load(path).gridappsd.username, "me")
        self.assertEqual(load(path, environment={}).gridappsd.username, "system")

    def test_the_environment_opens_no_bus(self) -> None:
        """Variables alone connect nothing: decision 72."""
        for text in ("", "gridappsd: {model_name: x}\n"):
            found, warnings = read(text, GRIDAPPSD_ADDRESS="broker", GRIDAPPSD_PASSWORD="x")
            self.assertEqual((found.broker, found.password, warnings), (None, "manager", ()))

    def test_wrong_environment(self) -> None:
        """A variable that is wrong is an error with its name, and what it held is not told."""
        found = self.errors("gridappsd: {address: localhost}\n", GRIDAPPSD_PORT="secret")
        self.assertEqual(
            found,
            ("c.yml:3: gridappsd.port: GRIDAPPSD_PORT of the environment: expected an integer 1..65535",),
        )

    def test_field_bus(self) -> None:
        """field_bus_def means nothing, and that is said once."""
        found, warnings = read("gridappsd:\n  address: localhost\n  field_bus_def: {id: x}\n")
        self.assertIsNotNone(found.broker)
        self.assertEqual(
            warnings,
            (
                "c.yml:5: gridappsd.field_bus_def: ignored: csipd is on the platform's bus alone, not on a "
                "field bus",
            ),
        )

    def test_in_the_clear(self) -> None:
        """That everything goes over the network in the clear is told, and may be silenced in the file."""
        _, warnings = read("gridappsd:\n  address: broker.example.org\n")
        self.assertEqual(
            warnings,
            (
                "c.yml:4: gridappsd.address: without tls: true password and commands go to "
                "broker.example.org in the clear",
            ),
        )
        self.assertEqual(read("gridappsd:\n  address: broker.example.org  # no warning\n")[1], ())
        self.assertEqual(read("gridappsd:\n  address: broker.example.org\n  tls: true\n")[1], ())

    def test_without_address(self) -> None:
        """Keys of a bus that is not there are told."""
        _, warnings = read("gridappsd: {password: x, tls: false}\n")
        self.assertEqual(
            warnings,
            (
                "c.yml:3: gridappsd.password: not used: there is no bus without address",
                "c.yml:3: gridappsd.tls: not used: there is no bus without address",
            ),
        )

    def test_wrong_values(self) -> None:
        """Each wrong value is one line with its key."""
        for key, wrong in {
            "address": "a b",
            "port": "0",
            "username": "a:b",
            "token": "1",
            "tls": "maybe",
            "default_pin": "x",
            "house_named_inverters_regex": "'('",
            "utility_named_inverters_regex": "x" * 201,
            "publish_interval_seconds": "0",
            "publish": "[everything]",
            "p_sign": "both",
            "control_seconds": "0",
            "feeder_id": "'*'",
            "unheard_of": "1",
        }.items():
            lines = self.errors(f"gridappsd:\n  model_name: x\n  {key}: {wrong}\n")
            self.assertEqual(len(lines), 1, lines)
            self.assertIn(f"c.yml:5: gridappsd.{key}", lines[0])
        for topic in ("a b", "a.>", "'*'", "/x", ".x"):
            self.assertEqual(len(self.errors(f"service_name: {topic}\n")), 1)
            self.assertEqual(len(self.errors(f"simulation_id: {topic}\n")), 1)

    def test_what_does_not_go_together(self) -> None:
        """Two passwords, and roots without TLS, are errors."""
        self.assertEqual(
            self.errors("gridappsd: {address: a, password: x, password_file: y}\n"),
            ("c.yml:3: gridappsd.password_file: expected either it or password",),
        )
        self.assertEqual(
            self.errors("gridappsd: {address: a, tls_ca: x}\n"),
            ("c.yml:3: gridappsd.tls_ca: expected tls: true beside it",),
        )

    def test_problems_name_file_and_line(self) -> None:
        """What is found wrong with a file at the start is said with its key and line."""
        settings = loads(BASE + "gridappsd:\n  address: a\n  password_file: p\n", "c.yml", Path("/base"))
        self.assertEqual(
            settings.problem("gridappsd.password_file", "no"), "c.yml:5: gridappsd.password_file: no"
        )
