"""What comes from the GridAPPS-D server: its configuration does, key by key, what its keys mean.

The seed's file as it stands, started by the seed's command, and asked over TLS. docs/from-gridappsd.md goes
through the same keys for a reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import yaml
from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from csipd.config import Settings, load, loads
from csipd.config.server import _IGNORED
from csipd.sep2 import codec, identity
from csipd.sep2 import resources as r
from tests.config.support import documented
from tests.support.client import Answer
from tests.support.daemon import (
    SCRIPTS,
    SEED,
    Daemon,
    Device,
    Place,
    Process,
    certificate_of,
    seed_place,
)
from tests.support.ports import free_port

DOCUMENT = Path(__file__).parents[1] / "docs" / "from-gridappsd.md"

#: A key in a comment of the seed: ``# http_port: 8080``, ``#   rtgMaxW: 6000``.
_COMMENTED = re.compile(r"^ *#[ #]*([A-Za-z_]+):", re.MULTILINE)
_EDEV, _DERP = "/edev/1", "/derp/1"


def server(place: Place, *flags: str) -> list[str]:
    """The seed's command."""
    return [str(SCRIPTS / "2030_5_server"), *flags, "config.yml"]


def keys_in(value: Any) -> Iterator[str]:
    """Every key of a file, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from keys_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_in(inner)


def seed_keys() -> set[str]:
    """The keys that the seed's file gives."""
    return set(keys_in(yaml.safe_load(SEED.read_text())))


class SeedCase(SynchronousTestCase):
    """csipd as the seed's command starts it, with what is asked of it."""

    def serve(self, *replaced: tuple[str, str]) -> None:
        self.place = seed_place(Path(self.mktemp()), *replaced)
        self.daemon = Daemon(self, self.place)
        self.daemon.start("--no-validate", command=server)
        self.settings: Settings = load(self.place.config, base=self.place.folder)
        self._devices: dict[str, Device] = {}

    def ask(self, path: str, id: str = "dev1") -> Answer:
        if id not in self._devices:
            self._devices[id] = self.daemon.device(id)
        return self._devices[id].get(path)

    def get(self, path: str, kind: type[Any], id: str = "dev1") -> Any:
        answer = self.ask(path, id)
        self.assertEqual(answer.status, 200, path)
        return codec.decode(answer.body, kind)

    def certificate(self, id: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.place.tls / "certs" / f"{id}.crt").read_bytes())


class KeysTests(SeedCase):
    """The seed's file unchanged but for its ports."""

    def test_key_by_key(self) -> None:
        """Each key of the file does what it was meant to do, as devices and the disk see it."""
        self.proxy_port = free_port()
        self.serve(("proxy_hostname: 0.0.0.0:8443", f"proxy_hostname: 0.0.0.0:{self.proxy_port}"))
        checks = {
            name.removeprefix("see_"): getattr(self, name) for name in dir(self) if name.startswith("see_")
        }
        # Each key has its check, and there is no check of a key that the file has not.
        self.assertEqual(checks.keys(), seed_keys())
        failed = {key: why for key, check in checks.items() if (why := self.why_not(check)) is not None}
        self.assertEqual(failed, {})
        self.assertEqual(self.daemon.stop(), 0)

    def why_not(self, check: Callable[[], None]) -> str | None:
        try:
            check()
        except AssertionError as error:
            return str(error)
        return None

    def test_no_key_is_warned_of(self) -> None:
        """What is warned of are values, as docs/configuration.md has them; no key is ignored."""
        for line in load(SEED).warnings:
            self.assertNotRegex(line, "ignored|not used|release|unknown key")

    # --- the server

    def see_server(self) -> None:
        names = (
            self.certificate("127.0.0.1")
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value
        )
        self.assertIn("127.0.0.1", map(str, names.get_values_for_type(x509.IPAddress)))

    def see_https_port(self) -> None:
        self.assertEqual(self.get("/dcap", r.DeviceCapability).href, "/dcap")

    def see_proxy_hostname(self) -> None:
        command = [str(SCRIPTS / "2030_5_proxy"), "config.yml", "--debug"]
        proxy = Process(self, command, self.place.folder)
        proxy.log.wait_for("proxy: taking devices' requests on")
        through = Device(self, attrs.evolve(self.place, port=self.proxy_port), "dev1")
        self.assertEqual(through.get("/edev/1/rg").body, self.ask("/edev/1/rg").body)
        self.assertEqual(through.get("/edev/2/rg").status, 404)
        self.assertEqual(proxy.stop(), 0)
        self.assertEqual(
            [line for line in proxy.errors.all() if not line.startswith("warning: config.yml:")], []
        )

    def see_tls_repository(self) -> None:
        self.assertEqual(self.place.tls, self.place.folder / "tls")
        for id in ("dev1", "dev2", "admin", "127.0.0.1"):
            for name in (f"certs/{id}.crt", f"private/{id}.pem", f"combined/{id}-combined.pem"):
                self.assertTrue((self.place.tls / name).exists(), name)
        self.assertTrue((self.place.tls / "certs" / "ca.crt").exists())

    def see_openssl_cnf(self) -> None:
        self.assertEqual(self.settings.openssl_cnf, self.place.folder / "openssl.cnf")
        algorithm = self.certificate("dev1").signature_hash_algorithm
        assert algorithm is not None
        self.assertEqual(algorithm.name, "sha256")

    def see_server_mode(self) -> None:
        found = self.get("/edev", r.EndDeviceList)
        self.assertEqual((found.all, found.EndDevice[0].href), (1, _EDEV))

    def see_lfdi_mode(self) -> None:
        lfdi = identity.lfdi(certificate_of(self.place, "dev1"))
        self.assertEqual(self.get(_EDEV, r.EndDevice).lFDI, lfdi)

    def see_generate_admin_cert(self) -> None:
        self.assertEqual(
            len(self.certificate("admin").fingerprint(self.certificate("admin").signature_hash_algorithm)), 32
        )
        self.daemon.process.log.wait_for("serving the operator's API")

    def see_log_event_list_poll_rate(self) -> None:
        self.assertEqual(self.get(f"{_EDEV}/lel", r.LogEventList).pollRate, 60)

    def see_device_capability_poll_rate(self) -> None:
        self.assertEqual(self.get("/dcap", r.DeviceCapability).pollRate, 60)

    # --- devices

    def see_devices(self) -> None:
        both = [self.get("/edev", r.EndDeviceList, id).EndDevice[0].lFDI for id in ("dev1", "dev2")]
        self.assertEqual(both, [identity.lfdi(certificate_of(self.place, id)) for id in ("dev1", "dev2")])

    def see_id(self) -> None:
        self.assertEqual(self.ask("/edev/1").status, 200)
        self.assertEqual(self.ask("/edev/2", "dev2").status, 200)
        self.assertEqual(self.ask("/edev/2", "dev1").status, 404)

    def see_deviceCategory(self) -> None:
        self.assertEqual(self.get(_EDEV, r.EndDevice).deviceCategory, 1 << 20)

    def see_pin(self) -> None:
        self.assertEqual(self.get("/edev/1/rg", r.Registration).pIN, 111115)
        self.assertEqual(self.get("/edev/2/rg", r.Registration, "dev2").pIN, 12345)

    def see_nameplate(self) -> None:
        self.assertEqual(self.ask("/edev/2/der/1/dercap", "dev2").status, 404)

    def see_ders(self) -> None:
        self.assertEqual(self.get(f"{_EDEV}/der", r.DERList).all, 2)
        self.assertEqual(self.get("/edev/2/der", r.DERList, "dev2").all, 1)

    def rated(self) -> r.DERCapability:
        found: r.DERCapability = self.get(f"{_EDEV}/der/2/dercap", r.DERCapability)
        return found

    def see_capabilities(self) -> None:
        # Null, its fields beside it: the first DER's are not complete, the second one's are.
        self.assertEqual(self.ask(f"{_EDEV}/der/1/dercap").status, 404)
        self.rated()

    def see_modesSupported(self) -> None:
        self.assertIn(b"<modesSupported>00000007</modesSupported>", self.ask(f"{_EDEV}/der/2/dercap").body)

    def see_type(self) -> None:
        self.assertEqual(self.rated().type, 83)

    def see_rtgMaxW(self) -> None:
        self.assert_rated("rtgMaxW", 600)

    def see_rtgMaxVA(self) -> None:
        self.assert_rated("rtgMaxVA", 600)

    def see_rtgMaxVar(self) -> None:
        self.assert_rated("rtgMaxVar", 600)

    def see_rtgMaxVarNeg(self) -> None:
        self.assert_rated("rtgMaxVarNeg", -600)

    def see_rtgMaxChargeRateW(self) -> None:
        self.assert_rated("rtgMaxChargeRateW", 600)

    def see_rtgMaxChargeRateVA(self) -> None:
        self.assert_rated("rtgMaxChargeRateVA", 600)

    def see_rtgVNom(self) -> None:
        self.assert_rated("rtgVNom", 120)

    def see_rtgMaxV(self) -> None:
        self.assert_rated("rtgMaxV", 128)

    def see_rtgMinV(self) -> None:
        self.assert_rated("rtgMinV", 116)

    def assert_rated(self, name: str, amount: int) -> None:
        value = getattr(self.rated(), name)
        self.assertEqual(value.value * 10**value.multiplier, amount)

    def see_rtgNormalCategory(self) -> None:
        self.assertEqual(self.rated().rtgNormalCategory, 1)

    def see_rtgAbnormalCategory(self) -> None:
        self.assertEqual(self.rated().rtgAbnormalCategory, 1)

    # --- programs, controls, events, curves

    def see_programs(self) -> None:
        fsas = self.get(f"{_EDEV}/fsa", r.FunctionSetAssignmentsList)
        self.assertEqual(fsas.all, 1)
        programs = self.get(fsas.FunctionSetAssignments[0].DERProgramListLink.href, r.DERProgramList)
        self.assertEqual([program.description for program in programs.DERProgram], ["Program 1"])
        self.assertEqual(self.get("/edev/2/fsa", r.FunctionSetAssignmentsList, "dev2").all, 0)

    def see_description(self) -> None:
        self.assertEqual(self.get(_DERP, r.DERProgram).description, "Program 1")

    def see_primacy(self) -> None:
        self.assertEqual(self.get(_DERP, r.DERProgram).primacy, 89)

    def default(self) -> r.DefaultDERControl:
        found: r.DefaultDERControl = self.get(f"{_DERP}/dderc", r.DefaultDERControl)
        return found

    def see_default_control(self) -> None:
        self.assertEqual(self.default().description, "Control 1")

    def see_setESDelay(self) -> None:
        self.assertEqual(self.default().setESDelay, 30)

    def see_base(self) -> None:
        self.assertEqual(
            self.default().DERControlBase, r.DERControlBase(opModConnect=True, opModMaxLimW=9500)
        )

    def see_opModConnect(self) -> None:
        self.assertIs(self.event().DERControlBase.opModConnect, True)

    def see_opModMaxLimW(self) -> None:
        self.assertEqual(self.event().DERControlBase.opModMaxLimW, 9500)

    def see_controls(self) -> None:
        (program,) = self.settings.programs
        self.assertEqual(program.controls, ("Control 2", "Control 3"))
        self.assertEqual([control.schedulable for control in self.settings.controls], [True, False, False])

    def event(self) -> r.DERControl:
        (found,) = self.get(f"{_DERP}/derc", r.DERControlList).DERControl
        assert isinstance(found, r.DERControl)
        return found

    def see_events(self) -> None:
        found = self.event()
        self.assertEqual((found.interval.duration, found.EventStatus.currentStatus), (3600, 1))

    def see_control(self) -> None:
        # Of number 0 in the list.
        self.assertEqual(self.event().description, "Control 1")

    def curve(self) -> r.DERCurve:
        (found,) = self.get(f"{_DERP}/dc", r.DERCurveList).DERCurve
        assert isinstance(found, r.DERCurve)
        return found

    def see_curves(self) -> None:
        # The second one is in no program.
        self.assertEqual(self.curve().description, "Curve 1")

    def see_curveType(self) -> None:
        self.assertEqual(self.curve().curveType, 11)

    def see_CurveData(self) -> None:
        self.assertEqual(self.curve().CurveData, (r.CurveData(xvalue=5, yvalue=5),))

    def see_xvalue(self) -> None:
        self.assertEqual(self.curve().CurveData[0].xvalue, 5)

    def see_yvalue(self) -> None:
        self.assertEqual(self.curve().CurveData[0].yvalue, 5)

    def see_exitation(self) -> None:
        self.assertEqual(self.settings.curves[1].values["CurveData"], (r.CurveData(xvalue=5, yvalue=5),))


class OtherValuesTests(SeedCase):
    """The values that the seed's file shows in comments."""

    def test_register_access_only(self) -> None:
        """A configured device finds an empty list, and registers itself."""
        self.serve(
            ("server_mode: enddevices_create_on_start", "server_mode: enddevices_register_access_only")
        )
        self.assertEqual(self.get("/edev", r.EndDeviceList).all, 0)
        lfdi = identity.lfdi(certificate_of(self.place, "dev1"))
        posted = r.EndDevice(lFDI=lfdi, sFDI=identity.sfdi(lfdi), changedTime=0)
        self.assertEqual(self._devices["dev1"].post("/edev", codec.encode(posted)).status, 201)
        self.assertEqual(self.get("/edev/1/rg", r.Registration).pIN, 111115)

    def test_lfdi_from_file(self) -> None:
        """The LFDI is of the text of the combined file, in the standard's form."""
        self.serve(("lfdi_mode: lfdi_mode_from_cert_fingerprint", "lfdi_mode: lfdi_mode_from_file"))
        text = (self.place.tls / "combined" / "dev1-combined.pem").read_bytes()
        found = self.get("/edev/1", r.EndDevice)
        self.assertEqual(found.lFDI, sha256(text).hexdigest().upper()[:40])
        self.assertEqual(found.sFDI, identity.sfdi(found.lFDI))

    def test_hostname(self) -> None:
        """server_hostname stands for server and https_port."""
        text = SEED.read_text().replace("\nserver: 127.0.0.1\n", "\nserver_hostname: 127.0.0.1:7443\n")
        found = loads(text.replace("\nhttps_port: 7443\n", "\n"))
        self.assertEqual((found.server, found.https_port), ("127.0.0.1", 7443))

    def test_nameplate(self) -> None:
        """A nameplate in the place of DERs is the ratings of one."""
        plate = (
            "    nameplate:\n      modesSupported: '1110000000000000'\n      type: 83\n      rtgMaxW: 6000"
        )
        self.serve(("    nameplate:", plate))
        found = self.get("/edev/2/der/1/dercap", r.DERCapability, "dev2")
        self.assertEqual(found.rtgMaxW.value * 10**found.rtgMaxW.multiplier, 6000)


#: The section of the old server, with all its keys.
BUS = """
service_name: IEEE_2030_5
simulation_id: "1234"
gridappsd:
  model_name: ieee13
  default_pin: 111115
  publish_interval_seconds: 15
  house_named_inverters_regex: "^house"
  utility_named_inverters_regex: "^utility"
  model_dict_file: model.json
  address: localhost
  port: 61613
  username: system
  password: manager
  feeder_id: _49AD8E07-3BF9-A4E2-CB8F-C3722F837B62
  field_bus_def: {id: x, is_ot_bus: true, connection_type: y, connection_args: {}}
"""
FILES = ("feeder_id_file", "simulation_id_file")


class BusTests(SynchronousTestCase):
    """The section ``gridappsd`` as the old server had it."""

    def test_every_key(self) -> None:
        """Each key is taken, and but for one none is warned of; the document has them all."""
        text = SEED.read_text() + BUS
        found = loads(text)
        (line,) = set(found.warnings) - set(loads(SEED.read_text()).warnings)
        self.assertIn("field_bus_def: ignored", line)
        bus = found.gridappsd
        self.assertEqual(str(bus.broker), "localhost:61613")
        self.assertEqual((bus.service_name, bus.simulation_id), ("IEEE_2030_5", "1234"))
        self.assertEqual((bus.default_pin, bus.publish_interval), (111115, 15))
        keys = set(keys_in(yaml.safe_load(BUS)["gridappsd"])) - {"id", "is_ot_bus", "connection_type"}
        for key in (*keys - {"connection_args"}, *FILES):
            self.assertIn(f"`{key}`", DOCUMENT.read_text())


class DocumentTests(SynchronousTestCase):
    """docs/from-gridappsd.md."""

    def setUp(self) -> None:
        self.named = {
            name
            for line in DOCUMENT.read_text().splitlines()
            if line.startswith("| `")
            for name in re.findall(r"`(\w+)`", line.split("|")[1])
        }

    def test_every_key(self) -> None:
        """It has each key that the seed's file gives or shows in a comment, and each that csipd ignores."""
        known = set().union(*documented().values())
        shown = set(_COMMENTED.findall(SEED.read_text())) & known
        self.assertGreater(len(shown), 30)
        self.assertEqual((seed_keys() | shown | _IGNORED.keys()) - self.named, set())

    def test_no_other(self) -> None:
        """It names no key that csipd does not know."""
        known = set().union(*documented().values())
        commands = {"config", "2030_5_server", "2030_5_proxy"}
        self.assertEqual(self.named - known - commands, set())
