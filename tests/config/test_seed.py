"""The order's example, the sample, and the reference: files that must agree with the code."""

from __future__ import annotations

import re
from unittest import mock

import attrs
import yaml

from csipd.config import (
    DER,
    HostPort,
    LFDIMode,
    PlainHTTP,
    Proxy,
    ServerMode,
    document,
    fields,
    load,
    loads,
)
from csipd.sep2 import resources as r
from tests.config.support import (
    BASE,
    MRID,
    SAMPLE,
    SEED,
    ConfigCase,
    check_resources,
    documented,
    href,
    read,
    uncommented,
)


class SeedTests(ConfigCase):
    """The example of the order, unchanged."""

    def setUp(self) -> None:
        self.settings = load(SEED, base=BASE)

    def test_warnings(self) -> None:
        """The example gives exactly these warnings, each once."""
        said = [line.removeprefix(f"{SEED}:") for line in self.settings.warnings]
        self.assertEqual(
            said,
            [
                "50: devices[0].ders[0]: without rtgMaxW the DERCapability is not complete:"
                " none is served until the device has sent its own",
                "54: devices[0].ders[1]: a DER of type 83 should have rtgMaxDischargeRateW: served without",
                "135: devices[0].ders[1].rtgMaxVarNeg: absorbed vars are negative in IEEE 2030.5:"
                " taken as such",
                "172: devices[1].pin: has a wrong check digit, expected five digits and a check digit"
                " that makes the sum of all six a multiple of ten; served as it is",
                "271: curves[0]: defaults taken: xMultiplier 0, yMultiplier 0, yRefType 2,"
                " creationTime when first seen",
                "277: curves[1]: defaults taken: xMultiplier 0, yMultiplier 0, yRefType 1,"
                " creationTime when first seen",
                "281: curves[1].CurveData[0].exitation: left out:"
                " y is not a power factor in this type of curve",
            ],
        )

    def test_server(self) -> None:
        """Listeners, paths, modes and rates are those of the example."""
        found = self.settings
        self.assertEqual((found.server, found.https_port, found.plain), ("127.0.0.1", 7443, None))
        self.assertEqual(found.proxy, Proxy(listen=HostPort("0.0.0.0", 8443)))
        self.assertEqual(found.admin, HostPort("127.0.0.1", 7444))
        self.assertEqual(found.tls_repository, BASE / "tls")
        self.assertEqual(found.openssl_cnf, BASE / "openssl.cnf")
        self.assertEqual(found.storage_path, BASE / "var")
        self.assertEqual(found.trust_roots, (BASE / "tls/certs/ca.crt",))
        self.assertIs(found.server_mode, ServerMode.CREATE_ON_START)
        self.assertIs(found.lfdi_mode, LFDIMode.CERT_FINGERPRINT)
        self.assertTrue(found.generate_admin_cert)
        self.assertEqual(found.poll_rates["DeviceCapability"], 60)
        self.assertEqual(found.poll_rates["LogEventList"], 60)

    def test_devices(self) -> None:
        """Both devices are there, with their DERs: one without ratings, one with, one by default."""
        dev1, dev2 = self.settings.devices
        self.assertEqual((dev1.id, dev1.pin, dev1.deviceCategory), ("dev1", 111115, 0x00100000))
        self.assertEqual(dev1.programs, ("Program 1",))
        self.assertEqual((dev2.id, dev2.pin, dev2.programs), ("dev2", 12345, ()))
        self.assertEqual(dev2.ders, (DER(),))
        self.assertEqual(dev1.ders[0], DER())
        watts = r.ActivePower(multiplier=0, value=600)
        self.assertEqual(
            dev1.ders[1].capability,
            r.DERCapability(
                modesSupported=7,
                type=83,
                rtgMaxW=watts,
                rtgMaxVA=r.ApparentPower(multiplier=0, value=600),
                rtgNormalCategory=1,
                rtgAbnormalCategory=1,
                rtgMaxVar=r.ReactivePower(multiplier=0, value=600),
                rtgMaxVarNeg=r.ReactivePower(multiplier=0, value=-600),
                rtgMaxChargeRateW=watts,
                rtgMaxChargeRateVA=r.ApparentPower(multiplier=0, value=600),
                rtgVNom=r.VoltageRMS(multiplier=0, value=120),
                rtgMaxV=r.VoltageRMS(multiplier=0, value=128),
                rtgMinV=r.VoltageRMS(multiplier=0, value=116),
            ),
        )

    def test_program(self) -> None:
        """The program, its controls and curves refer to each other; the event is scheduled in it."""
        found = self.settings
        (program,) = found.programs
        self.assertEqual((program.description, program.primacy), ("Program 1", 89))
        self.assertEqual(program.default_control, "Control 1")
        self.assertEqual(program.controls, ("Control 2", "Control 3"))
        self.assertEqual(program.curves, ("Curve 1",))
        self.assertEqual([control.schedulable for control in found.controls], [True, False, False])
        self.assertEqual(
            found.controls[0].default(MRID, href),
            r.DefaultDERControl(
                mRID=MRID,
                description="Control 1",
                DERControlBase=r.DERControlBase(opModConnect=True, opModMaxLimW=9500),
                setESDelay=30,
            ),
        )
        (event,) = found.events
        self.assertEqual((event.control, event.programs), ("Control 1", ("Program 1",)))
        self.assertEqual((event.start, event.delay, event.duration), (None, 0, 3600))

    def test_curves(self) -> None:
        """The curves become resources once they have an mRID and were first seen at some time."""
        volt_var, freq_watt = (curve.curve(MRID, 1_700_000_000) for curve in self.settings.curves)
        self.assertEqual((volt_var.curveType, volt_var.yRefType), (11, 2))
        self.assertEqual((freq_watt.curveType, freq_watt.yRefType), (0, 1))
        self.assertEqual(freq_watt.CurveData, (r.CurveData(xvalue=5, yvalue=5),))
        self.assertEqual(volt_var.creationTime, 1_700_000_000)

    def test_resources_are_valid(self) -> None:
        """Whatever becomes a resource is one that the codec would have decoded."""
        check_resources(self.settings)

    def test_pure_python_parser(self) -> None:
        """The parser written in Python, which stands in where libyaml is missing, reads the same."""
        with mock.patch.object(document, "_Loader", yaml.SafeLoader):
            self.assertEqual(load(SEED, base=BASE), self.settings)


class SampleTests(ConfigCase):
    """etc/config.yml."""

    def test_same_as_the_seed(self) -> None:
        """The sample says what the order's example says, to csipd and to any reader of YAML."""
        self.assertEqual(yaml.safe_load(SAMPLE.read_text()), yaml.safe_load(SEED.read_text()))
        sample, seed = (attrs.evolve(load(p, base=BASE), file="", warnings=()) for p in (SAMPLE, SEED))
        self.assertEqual(sample, seed)

    def test_no_warnings(self) -> None:
        """Of the sample nothing is warned, since its lines say that they are meant so (case C8)."""
        self.assertEqual(load(SAMPLE, base=BASE).warnings, ())
        text = SAMPLE.read_text()
        marked = text.count(" # no warning\n")
        self.assertEqual(
            len(loads(text.replace("# no warning", "# no warnings"), base=BASE).warnings), marked
        )

    def test_comments_can_be_uncommented(self) -> None:
        """Every key that the sample shows in a comment may be given as it stands there."""
        full = loads(uncommented(SAMPLE.read_text()), "config.yml", BASE)
        self.assertEqual(full.plain, PlainHTTP(8080))
        self.assertEqual([device.id for device in full.devices], ["dev1", "dev2", "dev3"])
        self.assertEqual(full.devices[2].ders[0].capability.rtgMaxW, r.ActivePower(multiplier=1, value=7000))
        self.assertEqual(full.events[0].start, 1_909_180_800)
        self.assertEqual(full.groups[1].parent, "system")
        self.assertEqual(full.aggregators[0].devices, ("dev1", "dev2"))
        check_resources(full)


class ReferenceTests(ConfigCase):
    """docs/configuration.md."""

    def test_lists_every_key(self) -> None:
        """The reference has exactly the keys that may be given, section by section."""
        known: dict[str, set[str]] = {}
        close = fields.Fields.close

        def note(section: fields.Fields) -> None:
            known.setdefault(re.sub(r"\[\d+\]", "[]", section.path), set()).update(section.asked)
            close(section)

        with mock.patch.object(fields.Fields, "close", note):
            loads(uncommented(SAMPLE.read_text()), "config.yml", BASE)
            read("default_program: {description: D, primacy: 1}\nfsas: [{description: F}]\n")
            read("lab: true\nlab_speed: 60\n")
            read("devices: [{id: a, ders: [{description: D, capabilities: {type: 1}}]}]\n")
        self.assertLessEqual(known["devices[].nameplate"], known["devices[].ders[]"])
        known["devices[].ders[]"] -= known.pop("devices[].ders[].capabilities")
        self.assertEqual(documented(), known)
