"""The keys about the server itself."""

from __future__ import annotations

from pathlib import Path

from csipd.config import (
    DeviceIssuer,
    HostPort,
    LFDIMode,
    Operator,
    ServerMode,
    UnknownCertificate,
    load,
    loads,
)
from csipd.config import settings as settings_module
from csipd.der.metering import Metering
from csipd.sep2.measurements import DerForward
from tests.config.support import BASE, ConfigCase, read


class ServerTests(ConfigCase):
    """The keys about the server itself."""

    def test_defaults(self) -> None:
        """Two keys are enough; the rest has defaults."""
        found = read("")
        self.assertEqual(found.warnings, ())
        self.assertIs(found.server_mode, ServerMode.REGISTER_ACCESS_ONLY)
        self.assertIs(found.unknown_certificate, UnknownCertificate.NOT_FOUND)
        self.assertEqual((found.time_zone.key, found.time_quality, found.pen), ("UTC", 7, 32473))
        self.assertEqual((found.page_maximum, found.limits.uri_length), (500, 255))
        self.assertEqual((found.service_point_primacy, found.log_events_per_device), (3, 100))
        self.assertIs(found.straight_path, True)
        self.assertEqual(found.poll_rates["EndDeviceList"], 86_400)
        self.assertEqual(found.poll_rates["MirrorUsagePointList"], found.metering.post_rate)
        self.assertEqual((found.devices, found.programs, found.events), ((), (), ()))

    def test_required(self) -> None:
        """Without host or port the server has nowhere to listen; both are asked for at once."""
        self.assertEqual(
            self.wrong("strict_pins: true\n", minimal=""),
            [
                "c.yml:1: https_port: expected this key, found none (port is another name of it)",
                "c.yml:1: server: expected this key, found none",
            ],
        )

    def test_port(self) -> None:
        """``port`` is another name of ``https_port``; they may not differ."""
        self.assertEqual(loads("server: ::1\nport: 0\n").https_port, 0)
        self.assertEqual(read("port: 7443\n").https_port, 7443)
        self.assert_wrong("port: 1\n", "c.yml:3: port: expected the same as https_port, which is 7443")
        self.assert_each_wrong("port", "an integer 0..65535", "65536", "-1", "http")

    def test_server_hostname(self) -> None:
        """The older form gives both; beside the newer ones it must agree with them."""
        found = loads("server_hostname: gridappsd_dev_2004:7443\n")
        self.assertEqual((found.server, found.https_port), ("gridappsd_dev_2004", 7443))
        self.assertEqual(read("server_hostname: 127.0.0.1:7443\n").https_port, 7443)
        self.assert_wrong(
            "server_hostname: 127.0.0.2:7444\n",
            "c.yml:3: server_hostname: expected the same as https_port, which is 7443",
            "c.yml:3: server_hostname: expected the same as server, which is 127.0.0.1",
        )
        self.assertEqual(
            self.wrong("server_hostname: nowhere\n", minimal=""),
            ["c.yml:1: server_hostname: expected host:port, got 'nowhere'"],
        )

    def test_lab(self) -> None:
        """A lab stays on this machine and is no service; only its clock may run fast."""
        found = read("lab: true\nlab_speed: 3600\nadmin_host: '::1'\n")
        self.assertEqual((found.lab, found.lab_speed, found.warnings), (True, 3600, ()))
        self.assertEqual((read("lab: true\n").lab_speed, read("lab: false\n").lab), (1, False))
        self.assertIs(loads("server: somewhere\nport: 1\nlab: true\n").lab, True)
        self.assert_wrong(
            "lab_speed: 60\n",
            "c.yml:3: lab_speed: expected lab: true beside it; without it the clock is this machine's",
        )
        for speed in ("0", "3601", "1.5", "fast"):
            (line,) = self.wrong(f"lab: true\nlab_speed: {speed}\n")
            self.assertTrue(line.startswith("c.yml:4: lab_speed: expected an integer 1..3600, got "), line)
        alone = "expected an address of this machine alone in a lab, such as 127.0.0.1, got"
        for outside in ("0.0.0.0", "::", "192.0.2.1", "fe80::1%eth0"):
            said = self.wrong(f"server: '{outside}'\nport: 1\nlab: true\n", minimal="")
            self.assertEqual(said, [f"c.yml:1: server: {alone} {outside}"])
        said = self.wrong("server_hostname: 192.0.2.1:7443\nlab: true\n", minimal="")
        self.assertEqual(said, [f"c.yml:1: server_hostname: {alone} 192.0.2.1"])
        self.assert_wrong("admin_host: 192.0.2.1\nlab: true\n", f"c.yml:3: admin_host: {alone} 192.0.2.1")
        self.assert_wrong(
            "lab: true\nservice_user: csipd\n",
            "c.yml:4: service_user: expected no such key beside lab: true: a lab is no service",
        )

    def test_hosts(self) -> None:
        """A host is an address or a name; what ends in a number must be an address."""
        for host in ("0.0.0.0", "::", "fe80::1%eth0", "localhost", "a-b.example.org", "gridappsd_dev"):
            self.assertEqual(loads(f"server: '{host}'\nport: 1\n").server, host)
        for host in ("256.0.0.1", "1.2.3", "-a", "a..b", "a b", "a/b", "fe80::1%/x", "x" * 64, "''", "ö.org"):
            (line,) = self.wrong(f"server: {host}\nport: 1\n", minimal="")
            self.assertRegex(line, "^c.yml:1: server: expected an IP address or a host name, got ")

    def test_host_and_port(self) -> None:
        """An IPv6 address stands in brackets before its port."""
        self.assertEqual(read("proxy_hostname: '[::1]:8443'\n").proxy.listen, HostPort("::1", 8443))
        self.assertEqual(str(HostPort("::1", 8443)), "[::1]:8443")
        self.assertEqual(str(HostPort("a", 1)), "a:1")
        self.assert_each_wrong(
            "proxy_hostname",
            "host:port",
            *(
                "8443",
                "'a:'",
                ":8443",
                "'::1:8443'",
                "a:65536",
                "a:-1",
                "a:\u0663",
                "'[a]:1'",
                "'[::1]'",
                "[a, 1]",
            ),
        )

    def test_clashes(self) -> None:
        """Two listeners cannot have one port, unless on different addresses."""
        self.assert_wrong(
            "proxy_hostname: 0.0.0.0:7443\nadmin_port: 7443\nhttp_port: 7443\n",
            "c.yml:3: proxy_hostname: expected another port than admin_port's,"
            " got 0.0.0.0:7443 and 127.0.0.1:7443",
            "c.yml:3: proxy_hostname: expected another port than http_port's,"
            " got 0.0.0.0:7443 and 127.0.0.1:7443",
            "c.yml:3: proxy_hostname: expected another port than https_port's,"
            " got 0.0.0.0:7443 and 127.0.0.1:7443",
            "c.yml:4: admin_port: expected another port than http_port's,"
            " got 127.0.0.1:7443 and 127.0.0.1:7443",
            "c.yml:4: admin_port: expected another port than https_port's,"
            " got 127.0.0.1:7443 and 127.0.0.1:7443",
            "c.yml:5: http_port: expected another port than https_port's,"
            " got 127.0.0.1:7443 and 127.0.0.1:7443",
        )
        self.assertEqual(read("admin_host: 127.0.0.2\nadmin_port: 7443\n").admin.port, 7443)
        self.assertEqual(loads("server: a\nport: 0\nadmin_port: 0\n").admin.port, 0)

    def test_paths(self) -> None:
        """Paths are relative to the base, absolute, or under a home folder."""
        found = read("tls_repository: ~/tls\nstorage_path: /var/lib/csipd\nopenssl_cnf: ./a/b.cnf\n")
        self.assertEqual(found.tls_repository, Path.home() / "tls")
        self.assertEqual(found.storage_path, Path("/var/lib/csipd"))
        self.assertEqual(found.openssl_cnf, BASE / "a/b.cnf")
        self.assertEqual(found.trust_roots, (Path.home() / "tls/certs/ca.crt",))
        self.assert_each_wrong(
            "storage_path", "a path of at most 4096 characters, in one line", "[a]", '"a\\nb"'
        )
        self.assertIn("home folder", self.wrong("storage_path: ~nobody-of-this-name/x\n")[0])

    def test_trust_roots(self) -> None:
        """Roots that are given take the place of the CA in the repository."""
        self.assertEqual(read("trust_roots: [a.pem, /b.pem]\n").trust_roots, (BASE / "a.pem", Path("/b.pem")))
        self.assert_wrong("trust_roots: a.pem\n", "c.yml:3: trust_roots: expected a list, got 'a.pem'")
        self.assert_wrong("trust_roots: [a, a]\n", "c.yml:3: trust_roots[1]: given twice")

    def test_server_names(self) -> None:
        """Further names of the server's certificate; without, an address that is all is warned of (C13)."""
        found = read("server_names: [csipd.example, '::1']\n")
        self.assertEqual((found.server_names, found.warnings), (("csipd.example", "::1"), ()))
        for everywhere in ("0.0.0.0", "::"):
            (line,) = loads(f"server: '{everywhere}'\nport: 1\n", "c.yml").warnings
            self.assertTrue(line.startswith(f"c.yml:1: server: {everywhere} is every address"), line)
            given = f"server: '{everywhere}'\nport: 1\nserver_names: [a.example]\n"
            self.assertEqual(loads(given).warnings, ())
        (line,) = self.wrong("server_names: [a b]\n")
        self.assertIn("c.yml:3: server_names[0]: expected an IP address or a host name", line)

    def test_idle_timeout(self) -> None:
        """It is well above every poll rate, and one near a rate is warned of (case A13)."""
        found = read("")
        self.assertGreater(found.limits.idle_timeout, 1.5 * max(found.poll_rates.values()))
        (line,) = read("limits: {idle_timeout: 900}\n").warnings
        self.assertIn("c.yml:3: limits: idle_timeout is 900 s, near device_capability_poll_rate", line)
        (line,) = read("time_poll_rate: 160000\n").warnings
        self.assertIn("c.yml:3: time_poll_rate: idle_timeout is 172800 s, near time_poll_rate", line)
        self.assertEqual(read("limits: {idle_timeout: 10000}\n").warnings, ())
        (line,) = read(
            "devices:\n- {id: a, pin: 111115, post_rate: 172800}\n- {id: b, pin: 111115}\n"
        ).warnings
        self.assertIn("c.yml:4: devices[0].post_rate: near idle_timeout, which is 172800 s", line)

    def test_what_is_read(self) -> None:
        """What is read is looked for beside the file first, then where the daemon is started (case C3)."""
        folder = Path(self.mktemp()).absolute()
        beside, started = folder / "etc", folder / "start"
        for each in (beside, started):
            each.mkdir(parents=True)
        file = beside / "c.yml"
        file.write_text(
            "server: a\nport: 1\nopenssl_cnf: x.cnf\ntrust_roots: [r.pem, ./tls/certs/ca.crt, /abs.pem]\n"
        )

        def found() -> tuple[Path | None, ...]:
            settings = load(file, base=started)
            self.assertEqual(settings.tls_repository, started / "tls")
            return (settings.openssl_cnf, *settings.trust_roots)

        made = started / "tls" / "certs" / "ca.crt"
        self.assertEqual(found(), (started / "x.cnf", started / "r.pem", made, Path("/abs.pem")))
        (started / "x.cnf").touch()
        (beside / "r.pem").touch()
        self.assertEqual(found()[:2], (started / "x.cnf", beside / "r.pem"))
        (beside / "x.cnf").touch()
        self.assertEqual(found()[0], beside / "x.cnf")

    def test_tls_repository_of_a_service(self) -> None:
        """Who only reads the keys finds them beside the file, here, or where the service runs (case C7)."""
        folder = Path(self.mktemp()).absolute()
        beside, here, service = (folder / name for name in ("etc", "here", "lib"))
        for each in (beside, here, service):
            each.mkdir(parents=True)
        (beside / "c.yml").write_text("server: a\nport: 1\ntls_repository: ./keys\n")
        self.patch(settings_module, "WORKING_FOLDER", service)
        found = load(beside / "c.yml", base=here)
        self.assertEqual(found.find_tls_repository(), here / "keys")
        for each in (service, here, beside):
            (each / "keys").mkdir()
            self.assertEqual(found.find_tls_repository(), each / "keys")

    def test_no_openssl_cnf(self) -> None:
        """Where none is named it is taken if there is one, and done without if not (case C6)."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        file = folder / "c.yml"
        file.write_text("server: a\nport: 1\n")
        self.assertIsNone(load(file).openssl_cnf)
        (folder / "openssl.cnf").touch()
        self.assertEqual(load(file).openssl_cnf, folder / "openssl.cnf")

    def test_where(self) -> None:
        """What goes wrong later with a key is reported with its line, under its name in the file."""
        found = loads("server: a\nport: 1\ntrust_roots:\n- x\n", "c.yml")
        self.assertEqual(found.problem("https_port", "no", "port"), "c.yml:2: port: no")
        self.assertEqual(found.problem("trust_roots[0]", "no"), "c.yml:4: trust_roots[0]: no")
        self.assertEqual(found.problem("storage_path", "no"), "c.yml: storage_path: no")

    def test_operators(self) -> None:
        """Operators have names and fingerprints, each once, however the digits are parted."""
        colons = ":".join(["aB"] * 32)
        text = f"""\
            operators:
              - {{name: control room, fingerprint: "{colons}"}}
              - {{name: night, fingerprint: {"01" * 32}}}
            """
        self.assertEqual(
            read(text).operators, (Operator("control room", "AB" * 32), Operator("night", "01" * 32))
        )
        self.assert_wrong(
            f"""\
            operators:
              - {{name: a, fingerprint: {"01" * 32}}}
              - {{name: a, fingerprint: {"01" * 32}}}
              - {{fingerprint: {"01" * 20}}}
            """,
            "c.yml:5: operators[1].fingerprint: '" + "01" * 28 + "0...' is given twice, first in line 4",
            "c.yml:5: operators[1].name: 'a' is given twice, first in line 4",
            "c.yml:6: operators[2].fingerprint: expected the SHA-256 fingerprint of a certificate,"
            " 64 hexadecimal digits, got '" + "01" * 20 + "'",
            "c.yml:6: operators[2].name: expected this key, found none",
        )

    def test_enumerations(self) -> None:
        """Modes are words."""
        found = read(
            """\
            server_mode: enddevices_allow_all_access
            lfdi_mode: lfdi_mode_from_file
            unknown_certificate: empty_list
            """
        )
        self.assertIs(found.server_mode, ServerMode.ALLOW_ALL_ACCESS)
        self.assertIs(found.lfdi_mode, LFDIMode.FILE)
        self.assertIs(found.unknown_certificate, UnknownCertificate.EMPTY_LIST)

    def test_time(self) -> None:
        """The zone is one of the IANA database, the quality one that a server may claim."""
        found = read("time_zone: America/Los_Angeles\ntime_quality: 3\n")
        self.assertEqual((found.time_zone.key, found.time_quality), ("America/Los_Angeles", 3))
        zone = "the name of a time zone, such as America/Los_Angeles"
        self.assert_each_wrong(
            "time_zone", zone, "Pacific", "America", "../../etc/passwd", "/etc/passwd", "''"
        )
        self.assert_each_wrong("time_quality", "an integer 3..7", "2", "8")

    def test_rates(self) -> None:
        """Every rate has its key; none may be 0."""
        keys = {
            "device_capability": "DeviceCapability",
            "end_device_list": "EndDeviceList",
            "function_set_assignments_list": "FunctionSetAssignmentsList",
            "der_program_list": "DERProgramList",
            "der_list": "DERList",
            "log_event_list": "LogEventList",
            "registration": "Registration",
            "time": "Time",
        }
        found = read("".join(f"{key}_poll_rate: {n}\n" for n, key in enumerate(keys, 11)))
        for n, name in enumerate(keys.values(), 11):
            self.assertEqual(found.poll_rates[name], n)
        self.assertEqual(read("mirror_usage_point_post_rate: 15\n").metering.post_rate, 15)
        self.assert_each_wrong("time_poll_rate", "an integer 1..4294967295", "0", "15s")

    def test_limits(self) -> None:
        """Limits are a mapping of integers within bounds."""
        found = read("limits: {connections: 5, idle_timeout: 60}\n").limits
        self.assertEqual((found.connections, found.idle_timeout, found.handshake_timeout), (5, 60, 10))
        self.assert_wrong("limits: 3\n", "c.yml:3: limits: expected a mapping, got '3'")
        self.assert_wrong(
            "limits:\n  uri_length: 10\n",
            "c.yml:4: limits.uri_length: expected an integer 64..8192, got '10'",
        )

    def test_room_for_a_body(self) -> None:
        """There is room for one body of readings at least."""
        self.assert_wrong(
            "limits:\n  reading_body_size: 2000000\n  reading_bodies: 1500000\n",
            "c.yml:5: limits.reading_bodies: expected reading_bodies, which is 1500000, to be at least "
            "reading_body_size, which is 2000000",
        )

    def test_metering(self) -> None:
        """What is taken of readings: numbers within bounds, and the postRate of its own key."""
        found = read("mirror_usage_point_post_rate: 60\nmetering: {mirrors_per_device: 4}\n").metering
        self.assertEqual(found, Metering(post_rate=60, mirrors_per_device=4))
        self.assertEqual(read("").metering, Metering())
        self.assert_wrong(
            "metering:\n  expiry_hours: 0\n",
            "c.yml:4: metering.expiry_hours: expected an integer 1..8760, got '0'",
        )
        self.assert_wrong(
            "metering:\n  mirors: 5\n", "c.yml:4: metering.mirors: unknown key; did you mean 'mirrors'?"
        )

    def test_der_forward(self) -> None:
        """What forward means at a DER's own meter is one of two words."""
        self.assertIs(read("").metering.der_forward, DerForward.GENERATION)
        found = read("metering: {der_forward: consumption}\n").metering
        self.assertEqual(found, Metering(der_forward=DerForward.CONSUMPTION))
        self.assert_wrong(
            "metering:\n  der_forward: import\n",
            "c.yml:4: metering.der_forward: expected one of generation, consumption, got 'import'",
        )

    def test_retention(self) -> None:
        """For how long what is kept: days, each with its bounds (decision 47)."""
        found = read("retention: {controls_days: 30}\n").retention
        self.assertEqual((found.controls_days, found.audit_days, found.alarms_days), (30, 731, 731))
        self.assertEqual(read("").retention.controls_days, 400)
        self.assert_wrong(
            "retention:\n  audit_days: 7\n",
            "c.yml:4: retention.audit_days: expected an integer 30..36500, got '7'",
        )
        found = read("retention: {readings_days: 7, five_minutes_days: 90, hours_days: 7}\n").retention
        self.assertEqual((found.readings_days, found.five_minutes_days, found.hours_days), (7, 90, 7))
        usual = read("").retention
        self.assertEqual((usual.readings_days, usual.five_minutes_days, usual.hours_days), (30, 365, 1826))
        self.assert_wrong(
            "retention:\n  hours_days: 29\n",
            "c.yml:4: retention.hours_days: expected at least readings_days, which is 30",
        )

    def test_other_values(self) -> None:
        """What is left of the server's keys."""
        found = read(
            """\
            pen: 40732
            accept_legacy_certs: true
            device_issuer: mica
            service_user: csipd
            service_group: www-data
            service_point_primacy: 0
            log_events_per_device: 10000
            straight_path: false
            """
        )
        self.assertEqual((found.pen, found.accept_legacy_certs), (40732, True))
        self.assertIs(found.device_issuer, DeviceIssuer.MICA)
        self.assertIs(read("").device_issuer, DeviceIssuer.CA)
        self.assert_each_wrong("device_issuer", "one of ca, mica, mca", "root", "1")
        self.assertEqual((found.service_user, found.service_group), ("csipd", "www-data"))
        self.assertEqual((found.service_point_primacy, found.log_events_per_device), (0, 10_000))
        self.assertIs(found.straight_path, False)
        self.assert_each_wrong("service_point_primacy", "an integer 0..255", "-1", "256", "low")
        self.assert_each_wrong("log_events_per_device", "an integer 10..10000", "9", "10001")
        self.assert_each_wrong("service_user", "the name of an account", "a b", "-x", "a:b", "33")

    def test_ignored(self) -> None:
        """Keys of other servers that mean nothing here give one warning each and are not looked into."""
        found = read(
            """\
            ui_port: 3
            lfdi_client: abc
            ders: []
            cleanse_storage: true
            """
        )
        self.assertEqual(len(found.warnings), 4)
        self.assertEqual(
            found.warnings[-1], "c.yml:6: cleanse_storage: ignored: csipd never deletes what it has stored"
        )
