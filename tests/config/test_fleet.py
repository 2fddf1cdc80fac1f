"""devices, aggregators, groups and fsas."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

from csipd.config import (
    DER,
    FSA,
    Aggregator,
    Level,
    loads,
)
from csipd.sep2 import resources as r
from tests.config.support import BASE, LFDI, MINIMAL, PROGRAMS, ConfigCase, read


class DeviceTests(ConfigCase):
    """devices: and aggregators:"""

    def device(self, **keys: str) -> Any:
        lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
        self.settings = loads(f"{MINIMAL}devices:\n  - id: a\n{lines}", "c.yml", BASE)
        return self.settings.devices[0]

    def device_error(self, **keys: str) -> str:
        lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
        (line,) = self.wrong(f"devices:\n  - id: a\n{lines}")
        return line

    def test_least(self) -> None:
        """An id is enough: PIN to be drawn, LFDI from the certificate, one DER."""
        device = self.device()
        self.assertEqual((device.pin, device.lfdi, device.deviceCategory), (None, None, None))
        self.assertEqual((device.poll_rate, device.post_rate, device.ders), (900, 900, (DER(),)))
        self.assertEqual(self.settings.warnings, ())

    def test_ids(self) -> None:
        """An id is a safe file name, given once, and not a name of the server's own."""
        self.assert_wrong(
            """\
            proxy_hostname: proxy.example:8443
            devices:
              - id: ../x
              - id: Admin
              - id: ca
              - id: 127.0.0.1
              - id: Proxy
              - id: dev.1_A-b
              - id: dev.1_A-b
              - id: _5B816B93-7A5F-B64C-8460-47C17D6E4B0F
              - pin: 0
            aggregators:
              - id: dev.1_A-b
            """,
            "c.yml:5: devices[0].id: expected a name for files, 1 to 64 of A-Z a-z 0-9 . _ -,"
            " first no dot or dash, got '../x'",
            *(
                f"c.yml:{line}: devices[{line - 5}].id: expected another name than '{name}',"
                " which is taken by a certificate of the server"
                for line, name in ((6, "Admin"), (7, "ca"), (8, "127.0.0.1"), (9, "Proxy"))
            ),
            "c.yml:11: devices[6].id: 'dev.1_A-b' is given twice, first in line 10",
            "c.yml:13: devices[8].id: expected this key, found none",
            "c.yml:15: aggregators[0].id: 'dev.1_A-b' is given twice, first in line 10",
        )

    def test_pin_as_written(self) -> None:
        """A PIN is read as its digits stand there: never octal, quotes or not."""
        for written, value in (
            ("011111", 11111),
            ('"011111"', 11111),
            ("000000", 0),
            ("0", 0),
            ("111115", 111115),
        ):
            self.assertEqual(self.device(pin=written).pin, value)

    def test_wrong_pins(self) -> None:
        """What is not one to six digits is no PIN."""
        for written in (
            "abc",
            "1234567",
            "0x1",
            "1_1",
            "1:1",
            "-1",
            "1.0",
            "'1 1'",
            "[1]",
            "\u0661\u0661\u0661\u0661\u0661\u0665",
        ):
            self.assertRegex(
                self.device_error(pin=written),
                r"^c\.yml:5: devices\[0\]\.pin: expected an integer 0\.\.999999, got ",
            )

    def test_pin_check_digit(self) -> None:
        """A wrong check digit is warned of without the PIN, or an error when pins are strict."""
        self.assertEqual(self.device(pin="12345").pin, 12345)
        (warning,) = self.settings.warnings
        self.assertTrue(warning.endswith("; served as it is"), warning)
        self.assertNotIn("12345", warning)
        self.assert_wrong(
            "strict_pins: true\ndevices: [{id: a, pin: 12345}]\n",
            "c.yml:4: devices[0].pin: has a wrong check digit, expected five digits and a check digit"
            " that makes the sum of all six a multiple of ten",
        )

    def test_pin_not_shown(self) -> None:
        """Settings that find their way into a log do not tell a PIN."""
        self.assertNotIn("111115", repr(self.device(pin="111115")))

    def test_category(self) -> None:
        """A category is a name or a bit position, and becomes its bit."""
        for written, bits in (
            ("FUEL_CELL", 1 << 20),
            ("fuel_cell", 1 << 20),
            ("20", 1 << 20),
            ("PROGRAMMABLE_COMMUNICATING_THERMOSTAT", 1),
            ("EV", 1 << 16),
            ("OTHER_STORAGE", 1 << 25),
            ("OTHER_CLIENT", None),
        ):
            self.assertEqual(self.device(deviceCategory=written).deviceCategory, bits)
        self.assertEqual(
            self.device_error(deviceCategory="FUEL_CEL"),
            "c.yml:5: devices[0].deviceCategory: expected a DeviceCategoryType, by name or number,"
            " got 'FUEL_CEL'; did you mean 'FUEL_CELL'?",
        )
        self.assertIn("got '26'", self.device_error(deviceCategory="26"))

    def test_aggregator_by_category(self) -> None:
        """A device of category AGGREGATOR is an aggregator, and DERs of its own are ignored."""
        found = read(
            "devices: [{id: a, deviceCategory: AGGREGATOR, pin: 111115, ders: [{description: x}]}]\n"
        )
        self.assertEqual(found.devices, ())
        self.assertEqual(found.aggregators, (Aggregator("a", pin=111115),))
        self.assertEqual(
            found.warnings, ("c.yml:3: devices[0].ders: an aggregator has none of its own: ignored",)
        )

    def test_lfdi(self) -> None:
        """An LFDI may be parted for people; it has all its digits and one owner."""
        dashed = "-".join(re.findall("....", LFDI.lower()))
        self.assertEqual(self.device(lfdi=dashed).lfdi, LFDI)
        self.assertIn("expected an LFDI, 40 hexadecimal digits", self.device_error(lfdi=LFDI[:-1]))
        self.assert_wrong(
            f"devices: [{{id: a, lfdi: {LFDI}}}]\naggregators:\n  - {{id: b, lfdi: {LFDI.lower()}}}\n",
            f"c.yml:5: aggregators[0].lfdi: '{LFDI}' is given twice, first in line 3",
        )

    def test_rates(self) -> None:
        """Rates are the device's own or the file's."""
        found = read(
            "registration_poll_rate: 60\ndevices: [{id: a, post_rate: 30}, {id: b, poll_rate: 90}]\n"
        )
        self.assertEqual([(d.poll_rate, d.post_rate) for d in found.devices], [(60, 30), (90, 900)])

    def test_hosts(self) -> None:
        """Host names and addresses are kept for the start to resolve."""
        device = self.device(hostname="dev1.local", ip="10.0.0.7")
        self.assertEqual((device.hostname, device.ip), ("dev1.local", "10.0.0.7"))
        self.assertIn("devices[0].ip: expected an IP address, got 'dev1'", self.device_error(ip="dev1"))

    def test_default_der(self) -> None:
        """A device without ``ders`` gets one DER, unless the file says otherwise or lists none."""
        self.assertEqual(self.device(ders="[]").ders, ())
        text = "include_default_der_on_all_devices: false\ndevices: [{id: a}]\n"
        self.assertEqual(read(text).devices[0].ders, ())

    def test_der_items(self) -> None:
        """DERs that only count, as in later files of GridAPPS-D, give no warning."""
        device = self.device(ders="[{description: DER 1}, ~]")
        self.assertEqual(device.ders, (DER("DER 1"), DER()))
        self.assertEqual(self.settings.warnings, ())
        self.assertIn(
            "devices[0].ders[0]: expected a mapping, got 'DER 1'", self.device_error(ders="[DER 1]")
        )

    def test_modes_supported(self) -> None:
        """Sixteen binary digits begin with bit 0; up to eight hexadecimal digits are hexadecimal."""
        for written, value in (
            ('"1110000000000000"', 7),
            ("1110000000000000", 7),
            ("0000000000000001", 1 << 15),
            ("00000007", 7),
            ("01DFFFBC", 0x01DFFFBC),
            ("11100000", 0x11100000),
            ("7", 7),
        ):
            nameplate = f"{{modesSupported: {written}, rtgMaxW: 1, type: 4}}"
            self.assertEqual(self.device(nameplate=nameplate).ders[0].capability.modesSupported, value)
        for written in (
            "111000000000000",
            "11100000000000001",
            "123456789",
            "1120000000000000",
            "0x7",
            "xyz",
        ):
            self.assertIn(
                "expected 16 binary digits, the first for bit 0, or 1 to 8 hexadecimal digits",
                self.device_error(nameplate=f"{{modesSupported: '{written}'}}"),
            )

    def test_quantities(self) -> None:
        """A number gets its power of ten exactly; a mapping says it itself."""
        for written, multiplier, value in (
            ("600", 0, 600),
            ("70000", 1, 7000),
            ("32767", 0, 32767),
            ("7.5", -1, 75),
            ("0", 0, 0),
            ("{multiplier: 3, value: 7}", 3, 7),
        ):
            nameplate = f"{{modesSupported: 7, type: 4, rtgMaxW: {written}}}"
            found = self.device(nameplate=nameplate).ders[0].capability.rtgMaxW
            self.assertEqual(found, r.ActivePower(multiplier=multiplier, value=value))

    def test_wrong_quantities(self) -> None:
        """A number that would have to be rounded, or is none, is an error; so is a negative rating."""
        for written, message in (
            ("70001", "expected a number that is -32768..32767 times a power of ten, exactly, got '70001'"),
            ("1e3", "expected a number, got '1e3'"),
            ("'600'", "expected a number, got '600'"),
            (".inf", "expected a number, got '.inf'"),
            ("-5", "expected a rating of 0 or more"),
            ("[6]", "expected a mapping, got a list"),
        ):
            self.assertEqual(
                self.device_error(nameplate=f"{{rtgMaxW: {written}}}"),
                f"c.yml:5: devices[0].nameplate.rtgMaxW: {message}",
            )
        self.assertIn(
            "rtgMaxW.multiplier: expected an integer -9..9, got '10'",
            self.device_error(nameplate="{rtgMaxW: {multiplier: 10, value: 1}}"),
        )
        self.assertIn(
            "rtgMaxW.value: expected this key, found none",
            self.device_error(nameplate="{rtgMaxW: {multiplier: 1}}"),
        )

    def test_power_factors(self) -> None:
        """A power factor is at most 1, in either form."""
        plate = "{{modesSupported: 7, type: 4, rtgMaxW: 1, rtgMinPFOverExcited: {}}}"
        found = self.device(nameplate=plate.format("0.95")).ders[0].capability.rtgMinPFOverExcited
        self.assertEqual(found, r.PowerFactor(displacement=95, multiplier=-2))
        self.assertIn("expected a power factor 0..1", self.device_error(nameplate=plate.format("1.01")))
        self.assertIn(
            "rtgMinPFOverExcited.displacement: expected a power factor of at most 1",
            self.device_error(nameplate=plate.format("{displacement: 950, multiplier: -2}")),
        )

    def test_categories_of_1547(self) -> None:
        """IEEE 1547 has two normal and three abnormal categories."""
        self.assertIn(
            "rtgNormalCategory: expected an integer 0..2",
            self.device_error(nameplate="{rtgNormalCategory: 3}"),
        )
        self.assertIn(
            "rtgAbnormalCategory: expected an integer 0..3",
            self.device_error(nameplate="{rtgAbnormalCategory: 4}"),
        )

    def test_der_type(self) -> None:
        """A type of DER is a name or a number of the standard."""
        for written in ("83", "COMBINED_PV_AND_STORAGE"):
            plate = f"{{modesSupported: 7, rtgMaxW: 1, rtgMaxDischargeRateW: 1, type: {written}}}"
            self.assertEqual(self.device(nameplate=plate).ders[0].capability.type, 83)
        self.assertEqual(self.settings.warnings, ())
        self.assertIn(
            "type: expected a type of DER, by name or number, got '7'",
            self.device_error(nameplate="{type: 7}"),
        )

    def test_nested_capabilities(self) -> None:
        """Ratings under ``capabilities`` are the same as beside it, and cannot be in both places."""
        ratings = "modesSupported: 7, rtgMaxW: 600, type: 4"
        nested = self.device(ders=f"[{{description: x, capabilities: {{{ratings}}}}}]").ders
        self.assertEqual(nested, self.device(ders=f"[{{description: x, capabilities: , {ratings}}}]").ders)
        self.assertEqual(nested[0].description, "x")
        self.assertIn(
            "devices[0].ders[0].type: unknown key",
            self.device_error(ders=f"[{{type: 4, capabilities: {{{ratings}}}}}]"),
        )

    def test_nameplate_and_ders(self) -> None:
        """``nameplate`` stands in place of ``ders``."""
        self.assertEqual(
            self.device_error(ders="[{description: x}]", nameplate="{type: 4}"),
            "c.yml:6: devices[0].nameplate: expected either nameplate or ders, found both",
        )

    def test_maker(self) -> None:
        """What belongs to DeviceInformation is ignored with a warning, for the device sends it."""
        self.device(nameplate="{mfModel: X1, swVer: '2'}")
        self.assertEqual(len(self.settings.warnings), 2)

    def test_fleets(self) -> None:
        """An aggregator manages devices of the file, and a device has one aggregator."""
        found = read(
            "devices: [{id: a}, {id: b}]\naggregators: [{id: x, pin: 0, devices: [a, b]}, {id: y}]\n"
        )
        self.assertEqual(found.aggregators, (Aggregator("x", pin=0, devices=("a", "b")), Aggregator("y")))
        self.assert_wrong(
            """\
            devices: [{id: dev1}]
            aggregators:
              - id: x
                devices: [dev1, dev1, dev2, {}]
              - id: y
                devices: [dev1]
            """,
            "c.yml:6: aggregators[0].devices[1]: given twice",
            "c.yml:6: aggregators[0].devices[2]: expected the id of a device in this file, got 'dev2';"
            " did you mean 'dev1'?",
            "c.yml:6: aggregators[0].devices[3]: expected the id of a device in this file, got a mapping",
            "c.yml:8: aggregators[1].devices: 'dev1' is managed by 'x' already",
        )


class GroupTests(ConfigCase):
    """groups: and fsas:"""

    def test_tree(self) -> None:
        """Groups form a tree, in whatever order they are listed."""
        found = read(
            PROGRAMS
            + dedent(
                """\
                groups:
                  - {name: feeder, parent: system, level: FEEDER, programs: [P1], fsa: topology}
                  - {name: system, level: SYSTEM, programs: [{description: P2}], fsa: topology}
                  - {name: pilot, level: none}
                devices: [{id: a, groups: [feeder, pilot]}]
                """
            )
        )
        feeder, system, pilot = found.groups
        self.assertEqual((feeder.parent, feeder.level, feeder.programs), ("system", Level.FEEDER, ("P1",)))
        self.assertEqual((system.level, system.fsa, system.programs), (Level.SYSTEM, "topology", ("P2",)))
        self.assertEqual((pilot.level, pilot.parent), (None, None))
        self.assertEqual(found.devices[0].groups, ("feeder", "pilot"))

    def test_wrong_trees(self) -> None:
        """A parent is above its child, in level too; a program has one group."""
        error = self.wrong(
            PROGRAMS
            + dedent(
                """\
                groups:
                  - {name: a, parent: b}
                  - {name: b, parent: a}
                  - {name: c, level: SYSTEM, parent: d}
                  - {name: d, level: FEEDER, programs: [P1]}
                  - {name: e, level: FEEDER, parent: a, programs: [P1, P3]}
                  - {name: e, level: Town}
                  - {parent: nobody}
                """
            )
        )
        self.assertEqual(
            [line.removeprefix("c.yml:") for line in error],
            [
                "13: groups[0].parent: expected a group that is not under this one",
                "14: groups[1].parent: expected a group that is not under this one",
                "15: groups[2].parent: expected a group of a level above SYSTEM",
                "17: groups[4].parent: expected a group of a level above FEEDER",
                "17: groups[4].programs: 'P1' belongs to group 'd' already",
                "17: groups[4].programs[1]: expected the description of a program in this file, got 'P3'",
                "18: groups[5].level: expected SYSTEM, SUBTRANSMISSION, SUBSTATION, FEEDER, SEGMENT,"
                " SERVICE_TRANSFORMER, SERVICE_POINT or none, got 'Town'",
                "18: groups[5].name: 'e' is given twice, first in line 17",
                "19: groups[6].name: expected this key, found none",
                "19: groups[6].parent: expected the name of a group in this file, got 'nobody'",
            ],
        )

    def test_two_places(self) -> None:
        """A device in two feeders is unusual enough for a warning."""
        found = read(
            "groups: [{name: a, level: FEEDER}, {name: b, level: FEEDER}]\n"
            "devices: [{id: x, groups: [a, b]}]\n"
        )
        self.assertEqual(
            found.warnings, ("c.yml:4: devices[0].groups: in two groups of level FEEDER: 'a' and 'b'",)
        )

    def test_most(self) -> None:
        """A device has at most fifteen groups, those above its own included, and as many programs."""
        groups = "".join(f"  - {{name: g{n}, parent: g{n - 1}}}\n" for n in range(1, 16))
        chain = "groups:\n  - name: g0\n" + groups
        self.assertEqual(len(read(chain + "devices: [{id: a, groups: [g14]}]\n").groups), 16)
        self.assert_wrong(
            chain + "devices: [{id: a, groups: [g15]}]\n",
            "c.yml:20: devices[0].groups: expected at most 15 in all, got 16",
        )
        programs = "programs:\n" + "".join(f"  - {{description: p{n}, primacy: 1}}\n" for n in range(16))
        names = ", ".join(f"p{n}" for n in range(8, 16))
        fsas = f"fsas: [{{description: f, programs: [{', '.join(f'p{n}' for n in range(8))}]}}]\n"
        self.assert_wrong(
            programs + fsas + f"devices: [{{id: a, fsas: [f], programs: [{names}]}}]\n",
            "c.yml:21: devices[0].programs: expected at most 15 in all, got 16",
        )

    def test_fsas(self) -> None:
        """A device may be given named FSAs of the file."""
        found = read(
            PROGRAMS + "fsas: [{description: F, programs: [P1, P2]}]\ndevices: [{id: a, fsas: [F]}]\n"
        )
        self.assertEqual(found.fsas, (FSA("F", ("P1", "P2")),))
        self.assertEqual(found.devices[0].fsas, ("F",))
        self.assert_wrong(
            "devices: [{id: a, fsas: [F], programs: [{description: P}, {a: b}]}]\n",
            "c.yml:3: devices[0].fsas[0]: expected the description of an FSA in this file, got 'F'",
            "c.yml:3: devices[0].programs[0]: expected the description of a program in this file,"
            " got a mapping",
            "c.yml:3: devices[0].programs[1]: expected the description of a program in this file,"
            " got a mapping",
        )
