"""What happens before the daemon forks: everything is tried, then made; or one line is said."""

from __future__ import annotations

import errno
import io
import os
import pwd
import socket
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from alembic import command
from lxml import etree
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from csipd import config, pki
from csipd.config import ServerMode, UnknownCertificate
from csipd.daemon import start
from csipd.daemon import storage as storage_module
from csipd.daemon.certificates import certificates
from csipd.daemon.failures import StartError
from csipd.daemon.running import limits_of
from csipd.daemon.start import StartOptions
from csipd.daemon.tap import Options
from csipd.db import engine
from csipd.der.access import Policy
from csipd.der.metering import Metering
from csipd.reconcile.context import ReconcileError
from csipd.sep2 import codec, identity
from csipd.sep2 import resources as r
from tests.support import pki as pki_support
from tests.support.broken import BROKEN
from tests.support.daemon import (
    LAB,
    Place,
    certificate_of,
    connect_here,
    seed_place,
    serve_here,
    small_place,
    snapshot,
)

ASKED_FOR = StartOptions(resolve=False)


def settings(*lines: str) -> config.Settings:
    """A configuration with these lines."""
    return config.loads("\n".join(("https_port: 7443", *lines)))


class CertificatesTests(SynchronousTestCase):
    """Which certificates a configuration asks for."""

    def names(self, server: str) -> set[str]:
        (found,) = (one for one in certificates(settings(f"server: '{server}'")) if one.id == server)
        return set(found.names)

    def test_names_of_the_server(self) -> None:
        """A server holds the names that clients may check: its own, and those of a machine it is local to."""
        local = {"DNS:localhost", "IP:127.0.0.1"}
        self.assertEqual(self.names("127.0.0.1"), local)
        self.assertEqual(self.names("localhost"), local)
        self.assertEqual(self.names("::1"), local | {"IP:::1"})
        self.assertEqual(self.names("utility.example"), {"DNS:utility.example"})
        self.assertEqual(self.names("192.0.2.1"), {"IP:192.0.2.1"})
        self.patch(socket, "gethostname", lambda: "host.example")
        self.assertEqual(self.names("0.0.0.0"), local | {"DNS:host.example"})

    def test_more_names_of_the_server(self) -> None:
        """server_names are in its certificate too, and server_policies may be left out (C13, A20)."""
        lines = (
            "server: 192.0.2.1",
            "server_names: [csipd.example, '2001:db8::7']",
            "server_policies: false",
        )
        (found,) = (one for one in certificates(settings(*lines)) if one.id == "192.0.2.1")
        self.assertEqual(set(found.names), {"IP:192.0.2.1", "DNS:csipd.example", "IP:2001:db8::7"})
        self.assertEqual(found.profile.policies, ())

    def test_who_gets_one(self) -> None:
        """The root, the server, the operator if asked for, each device and aggregator whose key is here."""
        found = certificates(
            settings(
                "server: 127.0.0.1",
                "generate_admin_cert: true",
                "devices:",
                "- {id: dev1}",
                f"- {{id: dev2, lfdi: {'AB' * 20}}}",
                "aggregators:",
                "- {id: agg1}",
            )
        )
        self.assertEqual([one.id for one in found], ["ca", "127.0.0.1", "admin", "dev1", "dev2", "agg1"])
        self.assertEqual([one.id for one in found if one.key_elsewhere], ["dev2"])
        self.assertEqual({one.issuer and one.issuer.id for one in found}, {None, "ca"})
        plain = certificates(settings("server: 127.0.0.1"))
        self.assertEqual([one.id for one in plain], ["ca", "127.0.0.1"])

    def test_issuer_of_devices(self) -> None:
        """device_issuer gives devices a chain of three or of four; the server stays under the root."""
        for issuer, chain in (("ca", ["ca"]), ("mica", ["mica", "ca"]), ("mca", ["mica", "mca", "ca"])):
            lines = ("server: 127.0.0.1", f"device_issuer: {issuer}", "devices: [{id: dev1}]")
            by_id = {one.id: one for one in certificates(settings(*lines))}
            above, each = [], by_id["dev1"].issuer
            while each is not None:
                above.append(each.id)
                each = each.issuer
            self.assertEqual(above, chain)
            self.assertEqual(by_id["127.0.0.1"].issuer, pki.root())


class PolicyTests(SynchronousTestCase):
    """How certificates come to be registered."""

    def test_modes(self) -> None:
        """Each server_mode is one policy; what a certificate on no list gets is said beside it."""
        for mode, in_band, anyone in (
            (ServerMode.CREATE_ON_START, False, False),
            (ServerMode.REGISTER_ACCESS_ONLY, True, False),
            (ServerMode.ALLOW_ALL_ACCESS, True, True),
        ):
            for unknown in UnknownCertificate:
                lines = (f"server_mode: {mode.value}", f"unknown_certificate: {unknown.value}")
                found = start.policy(settings("server: 127.0.0.1", *lines))
                empty = unknown is UnknownCertificate.EMPTY_LIST
                self.assertEqual(found, Policy(in_band=in_band, anyone=anyone, empty_list=empty))

    def test_aggregators_may_add(self) -> None:
        """Aggregators add devices of their own only where the configuration lets them (case A10)."""
        self.assertFalse(start.policy(settings("server: 127.0.0.1")).aggregators_may_add)
        self.assertTrue(
            start.policy(settings("server: 127.0.0.1", "aggregators_may_add: true")).aggregators_may_add
        )


class BodyTests(SynchronousTestCase):
    """How large bodies may be."""

    def test_bounds(self) -> None:
        """Bodies of readings have a bound of their own, which is never below that of all."""
        for lines, expected in (
            ("{}", (65_536, 1_048_576, 67_108_864)),
            ("{body_size: 2048, reading_body_size: 1024}", (2048, 2048, 67_108_864)),
            ("{reading_body_size: 2097152, reading_bodies: 4194304}", (65_536, 2_097_152, 4_194_304)),
        ):
            found = limits_of(settings("server: 127.0.0.1", f"limits: {lines}"), 10)
            bounds = found.body_bytes, found.reading_body_bytes, found.reading_bodies_bytes
            self.assertEqual(bounds, expected)


class PrepareTests(SynchronousTestCase):
    """A start that succeeds, up to the fork."""

    def prepare(self, place: Place, options: StartOptions = ASKED_FOR) -> start.PreparedDaemon:
        ready = start.prepare(config.load(place.config), options)
        # The storage is given up again, as when a daemon ends.
        os.close(ready.lock)
        return ready

    def test_one_daemon_at_a_time(self) -> None:
        """A storage folder that a daemon has is refused to another, which changes nothing (decision 45)."""
        place = small_place(Path(self.mktemp()))
        ready = start.prepare(config.load(place.config), ASKED_FOR)
        self.addCleanup(os.close, ready.lock)
        before = snapshot(place.folder)
        error = self.assertRaises(StartError, start.prepare, config.load(place.config), ASKED_FOR)
        self.assertEqual(
            str(error),
            f"{place.config}:5: storage_path: another csipd runs and keeps its state in "
            f"{place.database.parent}",
        )
        self.assertEqual(snapshot(place.folder), before)

    def test_check_of_one_that_runs(self) -> None:
        """--check of a configuration with which csipd runs says so; the ports are its own (case C5)."""
        place = small_place(Path(self.mktemp()))
        ready = start.prepare(config.load(place.config), ASKED_FOR)
        self.addCleanup(os.close, ready.lock)
        with socket.create_server(("127.0.0.1", place.port)):
            self.assertTrue(start.check(config.load(place.config), ASKED_FOR).runs)
        text = place.config.read_text()
        place.config.write_text(text.replace("server: 127.0.0.1", "server: 192.0.2.1"))
        error = self.assertRaises(StartError, start.check, config.load(place.config), ASKED_FOR)
        self.assertIn(":1: server: 192.0.2.1 is no address of this machine", str(error), "for a restart")

    def test_everything_is_made(self) -> None:
        """From the seed's configuration alone: certificates, database, what it declares; each said once."""
        place = seed_place(Path(self.mktemp()))
        self.patch(os, "getcwd", lambda: str(place.folder))
        ready = self.prepare(place)
        made = {path.name for path in (place.tls / "certs").iterdir()}
        self.assertEqual(made, {"ca.crt", "127.0.0.1.crt", "proxy.crt", "admin.crt", "dev1.crt", "dev2.crt"})
        self.assertEqual({path.stat().st_mode & 0o777 for path in (place.tls / "private").iterdir()}, {0o600})
        self.assertEqual(place.database.parent.stat().st_mode & 0o777, 0o700)
        self.assertIn(f"made {place.tls / 'certs' / 'dev1.crt'}", ready.notices)
        self.assertIn("added device dev1", ready.notices)
        self.assertIn("added program Program 1", ready.notices)
        self.assertEqual(len(set(ready.notices)), len(ready.notices))
        self.assertEqual(ready.server.lfdi, identity.lfdi(certificate_of(place, "127.0.0.1")))
        self.assertEqual(ready.server.poll_rates["DeviceCapability"], 60)
        # The server's certificate, the proxy's and the operator's are no devices (case F15).
        reserved = {identity.lfdi(certificate_of(place, name)) for name in ("127.0.0.1", "proxy", "admin")}
        self.assertEqual(ready.server.policy.reserved, reserved)

    def test_metering(self) -> None:
        """What is taken of readings is as the configuration has it."""
        place = small_place(Path(self.mktemp()))
        more = "mirror_usage_point_post_rate: 120\nmetering: {mirrors_per_device: 3}\n"
        place.config.write_text(place.config.read_text() + more)
        found = self.prepare(place).server.metering
        self.assertEqual(found, Metering(post_rate=120, mirrors_per_device=3))

    def test_private_database(self) -> None:
        """The database is its owner's alone whatever folder and umask; the folder is warned of (F14)."""
        place = small_place(Path(self.mktemp()))
        storage = place.database.parent
        storage.mkdir()
        storage.chmod(0o755)
        previous = os.umask(0o022)
        self.addCleanup(os.umask, previous)
        for _ in range(2):
            warnings = self.prepare(place).warnings
            (line,) = (line for line in warnings if "open to others" in line)
            self.assertIn(f"{place.config}:5: storage_path: {storage} is open to others (mode 0755", line)
            modes = {path.stat().st_mode & 0o777 for path in storage.iterdir()}
            self.assertEqual(modes, {0o600})
            for path in storage.iterdir():
                path.chmod(0o644)

    def test_trust_roots_in_which_no_chain_ends(self) -> None:
        """An RSA, a P-384, a no-CA and an ended root are warned of at the start and by --check (A16)."""
        place = small_place(Path(self.mktemp()))
        lab = pki_support.Authority.make("another")
        roots = {
            "rsa": pki_support.rsa_leaf(lab).cert_pem,
            "p384": pki_support.p384_leaf(lab).cert_pem,
            "leaf": lab.device("leaf").cert_pem,
            "ended": lab.namesake("ended", end=datetime(2021, 1, 1, tzinfo=UTC)).cert_pem,
        }
        for name, content in roots.items():
            (place.folder / f"{name}.pem").write_bytes(content)
        names = ", ".join(f"{name}.pem" for name in roots)
        place.config.write_text(f"trust_roots: [tls/certs/ca.crt, {names}]\n" + place.config.read_text())
        for lines in (
            self.prepare(place).warnings,
            start.check(config.load(place.config), ASKED_FOR).warnings,
        ):
            reported = [line for line in lines if "no device's chain can end" in line]
            self.assertEqual(len(reported), 4, lines)
            for number, name in enumerate(roots, start=1):
                self.assertIn(f"{place.config}:1: trust_roots[{number}]: ", reported[number - 1])
                self.assertIn(f"{name}.pem", reported[number - 1])

    def test_again(self) -> None:
        """A second start makes nothing, says nothing, and knows everything by the same names."""
        place = small_place(Path(self.mktemp()), certificates=False)
        first = self.prepare(place)
        made = snapshot(place.tls)
        second = self.prepare(place)
        self.assertEqual(snapshot(place.tls), made)
        self.assertEqual((second.notices, second.warnings), ((), ()))
        self.assertEqual((second.server.lfdi, second.server.issuer), (first.server.lfdi, first.server.issuer))

    def test_only_what_is_missing(self) -> None:
        """A device that is added gets its certificate; what the others have stays as it is."""
        place = small_place(Path(self.mktemp()), certificates=False)
        self.prepare(place)
        made = snapshot(place.tls)
        place.add("- id: dev2")
        notices = self.prepare(place).notices
        after = snapshot(place.tls)
        files = {
            name: what for name, what in made.items() if name.startswith(("certs", "private", "combined"))
        }
        self.assertEqual({name: after[name] for name in files}, files)
        self.assertEqual([line for line in notices if "dev1" in line], [])
        self.assertIn(f"made {place.tls / 'certs' / 'dev2.crt'}", notices)

    def test_given_to_the_service_user(self) -> None:
        """Keys and database belong to whom the daemon will run as, so that SIGHUP can read them."""
        if os.geteuid() != 0:
            raise SkipTest("only root can give files away")
        user = pwd.getpwnam("nobody")
        place = small_place(Path(self.mktemp()), certificates=False)
        self.prepare(place, StartOptions(resolve=False, user=(user.pw_uid, user.pw_gid)))
        names = (
            "tls/private/127.0.0.1.pem",
            "tls/certs/127.0.0.1.crt",
            "tls/private",
            "var",
            "var/csipd.sqlite",
        )
        owners = {(place.folder / name).stat().st_uid for name in names}
        self.assertEqual(owners, {user.pw_uid})
        self.assertEqual(place.config.stat().st_uid, 0)


class LFDIModeTests(TestCase):
    """Where LFDIs come from, up to what a device is shown over TLS."""

    def from_file(self, place: Place, id: str) -> str:
        content = (place.tls / "combined" / f"{id}-combined.pem").read_bytes()
        return sha256(content).hexdigest()[:40].upper()

    def test_by_certificate(self) -> None:
        """As a rule an LFDI is that of the certificate, whether its file is here or not."""
        place = small_place(Path(self.mktemp()))
        ready = start.prepare(config.load(place.config), ASKED_FOR)
        self.addCleanup(os.close, ready.lock)
        for device in (LAB.device("dev1"), LAB.device("elsewhere")):
            self.assertEqual(ready.lfdi_of(device.der), device.lfdi)

    async def test_by_file(self) -> None:
        """In lfdi_mode_from_file a device is known by the text of its file, found by its certificate."""
        place = small_place(Path(self.mktemp()), "lfdi_mode: lfdi_mode_from_file")
        serve_here(self, place)
        lfdi = self.from_file(place, "dev1")
        self.assertNotEqual(lfdi, LAB.device("dev1").lfdi)
        device = await connect_here(self, place, LAB.device("dev1"))
        found = codec.decode((await device.get("/edev?l=9")).body, r.EndDeviceList)
        shown = [(each.lFDI, each.sFDI) for each in found.EndDevice]
        self.assertEqual(shown, [(lfdi, identity.sfdi(lfdi))])
        # One from the same root, whose file is not here: no check is skipped for it.
        stranger = await connect_here(self, place, LAB.device("elsewhere"))
        self.assertEqual((await stranger.get("/edev")).status, 404)
        links = etree.fromstring((await stranger.get("/dcap")).body)
        self.assertEqual([etree.QName(link).localname for link in links], ["TimeLink"])

    async def test_by_file_in_band(self) -> None:
        """In band too it registers under the LFDI of its file, and not under that of its certificate."""
        lines = "lfdi_mode: lfdi_mode_from_file"
        place = small_place(Path(self.mktemp()), lines, mode="enddevices_register_access_only")
        serve_here(self, place)
        own = LAB.device("dev1")
        by_file = identity.sfdi(self.from_file(place, "dev1"))
        device = await connect_here(self, place, own)
        for sfdi, status in ((own.sfdi, 403), (by_file, 201)):
            answer = await device.post("/edev", codec.encode(r.EndDevice(sFDI=sfdi, changedTime=0)))
            self.assertEqual(answer.status, status)


class OptionsCase(SynchronousTestCase):
    """`twistd csipd OPTIONS`, up to the fork, in this process."""

    def parse(self, place: Place, *flags: str) -> tuple[Any, list[str], Options]:
        """The exit code (None: it goes on), what stands on stderr, and the options."""
        options, said, code = Options(), io.StringIO(), None
        self.patch(sys, "stderr", said)
        try:
            options.parseOptions(["--config", str(place.config), *flags])
            os.close(options.ready.lock)
        except SystemExit as end:
            code = end.code
        return code, said.getvalue().splitlines(), options


class OptionsTests(OptionsCase):
    """What the options do."""

    def test_ready(self) -> None:
        """Options that can be met are met, and not a word is said."""
        place = small_place(Path(self.mktemp()))
        code, said, options = self.parse(place, "--debug")
        self.assertEqual((code, said), (None, []))
        self.assertTrue(place.database.exists())
        self.assertEqual(
            options.ready.options, StartOptions(resolve=True, make_certificates=True, debug=True, user=None)
        )

    def test_defaults(self) -> None:
        """Without options config.yml is read, hosts are resolved, certificates made, and little is logged."""
        options = Options()
        given = {
            name: options[name] for name in ("config", "check", "no-validate", "no-create-certs", "debug")
        }
        expected = {"config": "config.yml", "check": 0, "no-validate": 0, "no-create-certs": 0, "debug": 0}
        self.assertEqual(given, expected)

    def test_warnings(self) -> None:
        """Each warning is a line that says so and names file, line and key; nothing is kept back for them."""
        place = small_place(Path(self.mktemp()), "cleanse_storage: true")
        code, said, _ = self.parse(place)
        self.assertIs(code, None)
        (line,) = said
        self.assertTrue(line.startswith(f"warning: {place.config}:"), line)
        self.assertIn("cleanse_storage", line)

    def test_check(self) -> None:
        """--check of a place that would start says so, exits with 0 and makes nothing."""
        for made in (True, False):
            place = small_place(Path(self.mktemp()), certificates=made)
            before = snapshot(place.folder)
            code, said, _ = self.parse(place, "--check")
            self.assertEqual((code, said), (0, [f"{place.config}: csipd would start"]))
            self.assertEqual(snapshot(place.folder), before)

    def test_check_of_a_store(self) -> None:
        """--check of a place that has started before leaves its database as it is."""
        place = small_place(Path(self.mktemp()))
        self.parse(place)
        before = snapshot(place.folder)
        self.assertEqual(self.parse(place, "--check")[0], 0)
        self.assertEqual(snapshot(place.folder), before)

    def test_no_validate(self) -> None:
        """--no-validate resolves no names: a device may have one that nobody knows."""
        place = small_place(Path(self.mktemp()))
        place.add("  hostname: no-such-host.invalid")
        self.assertEqual(self.parse(place, "--no-validate")[:2], (None, []))

    def test_no_create_certs(self) -> None:
        """--no-create-certs starts with the certificates that are there, and makes none."""
        place = small_place(Path(self.mktemp()))
        before = snapshot(place.tls)
        self.assertEqual(self.parse(place, "--no-create-certs")[:2], (None, []))
        self.assertEqual(snapshot(place.tls), before)

    def test_unknown_service_user(self) -> None:
        """A service_user that the machine does not know is one line too, if csipd could become it at all."""
        self.patch(os, "geteuid", lambda: 0)
        place = small_place(Path(self.mktemp()), "service_user: nobody-of-that-name")
        code, said, _ = self.parse(place)
        self.assertEqual((code, len(said)), (1, 1))
        for part in (str(place.config), "service_user", "nobody-of-that-name"):
            self.assertIn(part, said[0])
        self.assertFalse(place.database.exists())

    def test_unknown_service_group(self) -> None:
        """A service_group that the machine does not know is reported under its own key (case C4)."""
        self.patch(os, "geteuid", lambda: 0)
        place = small_place(Path(self.mktemp()), "service_user: nobody", "service_group: none-of-that-name")
        code, said, _ = self.parse(place)
        self.assertEqual((code, len(said)), (1, 1))
        expected = f"{place.config}:9: service_group: there is no group none-of-that-name; expected"
        self.assertTrue(said[0].startswith(expected), said)

    def test_unknown_uid(self) -> None:
        """A number of twistd's --uid that is no account is a line too."""
        self.patch(os, "geteuid", lambda: 0)
        place = small_place(Path(self.mktemp()))
        options, said = Options(), io.StringIO()
        options.parent = {"uid": 2**31 - 7, "gid": None}
        self.patch(sys, "stderr", said)
        end = self.assertRaises(SystemExit, options.parseOptions, ["--config", str(place.config)])
        self.assertEqual(end.code, 1)
        self.assertIn("--uid 2147483641: expected an account", said.getvalue())

    def test_unwritable_storage(self) -> None:
        """A storage folder that may not be made where it should be is one line that names where."""

        def refuse(folder: Path) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        self.patch(storage_module, "_try_to_write", refuse)
        place = small_place(Path(self.mktemp()))
        before = snapshot(place.folder)
        code, said, _ = self.parse(place)
        self.assertEqual((code, len(said)), (1, 1))
        storage = place.database.parent
        expected = f"{place.config}:5: storage_path: {storage} cannot be made in {place.folder} (Read-only"
        self.assertTrue(said[0].startswith(expected), said)
        self.assertEqual(snapshot(place.folder), before)


class BrokenTests(OptionsCase):
    """Every way to fail, at a start and under --check: exit code 1, one line, nothing changed."""

    def fails(self, name: str, **how: Any) -> None:
        broken = BROKEN[name]
        for check in ((), ("--check",)):
            place = small_place(Path(self.mktemp()), **how)
            with broken.held(place), self.subTest(name, check=check):
                before = snapshot(place.folder)
                code, said, _ = self.parse(place, *broken.flags, *check)
                self.assertEqual((code, len(said)), (1, 1), said)
                for part in broken.names(place):
                    self.assertIn(part, said[0])
                self.assertEqual(snapshot(place.folder), before)

    def test_nothing_made(self) -> None:
        """A start that fails makes neither certificate nor database, nor a folder for them (case C4)."""
        for name in (
            "port in use",
            "address of another machine",
            "name that cannot be resolved",
            "corrupt database",
            "a file for a storage folder",
            "storage that cannot be made",
            "keys that cannot be made",
            "missing trust root",
            "garbage in a trust root",
            "missing openssl.cnf",
            "garbage in openssl.cnf",
            "unknown key",
            "no YAML",
        ):
            with self.subTest(name):
                place = small_place(Path(self.mktemp()), certificates=False)
                with BROKEN[name].held(place):
                    before = snapshot(place.folder)
                    self.assertEqual(self.parse(place, "--no-validate")[0], 1)
                    self.assertEqual(snapshot(place.folder), before)

    def test_taken_back(self) -> None:
        """What was made before a start failed is taken back, and what was there stays (case C4)."""
        without = small_place(Path(self.mktemp()), certificates=False)
        with (without.folder / "openssl.cnf").open("a") as file:
            file.write("\n[ req ]\ndistinguished_name = names\n[ names ]\nnonsense_default = x\n")
        self.taken_back(without, "openssl_cnf")
        complete = small_place(Path(self.mktemp()))

        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(complete.database))

        self.patch(engine, "prepare", fail)
        self.taken_back(complete, "storage_path")
        complete.database.parent.mkdir(mode=0o700)
        self.taken_back(complete, "storage_path")

    def test_only_what_was_made_is_taken_back(self) -> None:
        """What others put into the same folders while a start fails stays (case C4)."""
        place = small_place(Path(self.mktemp()), certificates=False)
        place.config.write_text(place.config.read_text().replace(f"{place.tls}", str(place.folder)))
        place.config.write_text(
            place.config.read_text().replace(str(place.database.parent), str(place.folder))
        )
        before = snapshot(place.folder)

        def fail(*_: object) -> None:
            (place.folder / "twistd.log").write_text("a line\n")
            (place.folder / "certs" / "note.txt").write_text("somebody's\n")
            raise ReconcileError("contradicts")

        self.patch(start, "reconcile", fail)
        self.assertEqual(self.parse(place, "--no-validate")[0], 1)
        after = snapshot(place.folder)
        self.assertEqual(after.keys() - before.keys(), {"twistd.log", "certs", "certs/note.txt"})

    def test_migration_taken_back(self) -> None:
        """A database that was migrated before a start failed is put back as it was (case C4)."""
        place = small_place(Path(self.mktemp()))
        place.database.parent.mkdir(mode=0o700)
        url = engine.sqlite_url(place.database.parent)
        opened = engine.make_engine(url, immediate=True)
        with opened.begin() as connection:
            alembic = engine._alembic()
            alembic.attributes["connection"] = connection
            command.upgrade(alembic, "0001")
        opened.dispose()

        def fail(*_: object) -> None:
            raise ReconcileError("dev1: its LFDI is that of another device of the store")

        self.patch(start, "reconcile", fail)
        code, said, _ = self.parse(place, "--no-validate")
        self.assertEqual((code, len(said)), (1, 1), said)
        self.assertEqual([path.name for path in place.database.parent.iterdir()], ["csipd.sqlite"])
        with closing(sqlite3.connect(place.database)) as database:
            versions = database.execute("SELECT version_num FROM alembic_version").fetchall()
        self.assertEqual(versions, [("0001",)])

    def test_server_certificate_that_ends(self) -> None:
        """--check tells of the server's certificate too, before it ends (case B8)."""
        place = small_place(Path(self.mktemp()))
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
        server = LAB.issue("server that ends", (), subject="127.0.0.1", end=end)
        pki_support.write(place.tls, **{"127.0.0.1": server})
        code, said, _ = self.parse(place, "--check")
        self.assertEqual(code, 0)
        (line,) = (line for line in said if f"127.0.0.1.crt ends on {end.date()}" in line)
        self.assertIn("csipctl certs renew server", line)

    def taken_back(self, place: Place, key: str) -> None:
        before = snapshot(place.folder)
        code, said, _ = self.parse(place, "--no-validate")
        self.assertEqual((code, len(said)), (1, 1), said)
        self.assertIn(f": {key}: ", said[0])
        self.assertEqual(snapshot(place.folder), before)

    def test_every_error_of_a_file(self) -> None:
        """A file with two mistakes gets a line for each."""
        place = small_place(Path(self.mktemp()), "no_such_key: 1", "time_quality: 99")
        code, said, _ = self.parse(place)
        self.assertEqual((code, len(said)), (1, 2))
        self.assertIn("no_such_key", said[1] + said[0])
        self.assertIn("time_quality", said[1] + said[0])


def _test_of(name: str) -> Any:
    def test(self: BrokenTests) -> None:
        self.fails(name)

    test.__doc__ = f"Wrong: {name}."
    return test


for _name in BROKEN:
    setattr(BrokenTests, f"test_{_name.replace(' ', '_').replace('.', '_')}", _test_of(_name))
