"""Over real TLS, from process to process: devices, the proxy, csipd."""

from __future__ import annotations

import json
import signal
import socket
import ssl
from base64 import b64encode
from http.client import HTTPException
from pathlib import Path
from threading import Thread

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from csipd import config
from csipd.daemon.failures import StartError
from csipd.daemon.proxy_program import prepare_proxy
from csipd.net.limits import ConnectionLimits
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.identity import lfdi
from tests.proxy.real import (
    SERVES,
    ProxiedCase,
    behind,
    proxied_place,
    proxy_command,
    proxy_port,
    start_proxy,
)
from tests.support import pki
from tests.support.daemon import (
    LAB,
    SCRIPTS,
    TIMEOUT,
    Daemon,
    Device,
    Place,
    certificate_of,
    run,
    small_place,
    snapshot,
)
from tests.support.pki import Authority
from tests.test_real_client import PassCase


def own_lfdi(device: Device, number: int) -> str:
    """The LFDI that csipd knows a device by."""
    found = codec.decode(device.get(f"/edev/{number}").body, r.EndDevice)
    return str(found.lFDI)


class HopTests(ProxiedCase):
    """The proxy speaks for devices with its own certificate."""

    def test_as_straight(self) -> None:
        """What devices are answered is what they are answered straight, each its own; writes arrive."""
        self.serve()
        one, two = self.device("dev1"), self.device("dev2")
        straight = self.daemon.device("dev1")
        for path in ("/dcap", "/edev", "/edev/1", "/edev/1/fsa", "/tm?x=1", "/nothing", "/edev/1/der"):
            wanted, found = straight.get(path), one.get(path)
            if path != "/tm?x=1":
                self.assertEqual((found.status, found.body), (wanted.status, wanted.body), path)
        for _ in range(3):
            self.assertEqual(own_lfdi(one, 1), LAB.device("dev1").lfdi)
            self.assertEqual(own_lfdi(two, 2), LAB.device("dev2").lfdi)
        self.assertEqual(one.get("/edev/2").status, 404)
        self.assertEqual(two.get("/edev/1").status, 404)
        body = codec.encode(r.DERStatus(readingTime=1_700_000_000))
        self.assertEqual(two.put("/edev/2/der/1/ders", body).status, 204)
        self.daemon.process.log.wait_for(f"{LAB.device('dev2').lfdi} GET /edev/2")

    def test_chain_of_four(self) -> None:
        """What stands between a device's certificate and its root is handed on with it."""
        self.serve("device_issuer: mca", certificates=False)
        chain = (self.place.tls / "certs" / "dev2.crt").read_text()
        self.assertEqual(chain.count("BEGIN CERTIFICATE"), 3)
        device = self.device("dev2")
        self.assertEqual(own_lfdi(device, 2), lfdi(certificate_of(self.place, "dev2")))
        self.assertEqual(device.get("/edev/1").status, 404)

    def test_posing(self) -> None:
        """Who says that it is another device is itself all the same; one of another CA does not get in."""
        self.serve()
        head = (
            b"GET /edev/1 HTTP/1.1\r\nHost: a\r\nClient-Cert: :%b:\r\nConnection: close\r\n\r\n"
            % b64encode(LAB.device("dev1").der)
        )
        for port in (proxy_port(self.place), self.place.port):
            self.assertIn(b"404", self.ask(port, head).split(b"\r\n")[0])
        folder = Path(self.mktemp())
        pki.write(folder, dev1=Authority.make("another").device("dev1"))
        stranger = evolve(self.place, port=proxy_port(self.place))
        for part in ("certs/dev1.crt", "private/dev1.pem"):
            (self.place.tls / part).write_bytes((folder / part).read_bytes())
        with self.assertRaises(OSError):
            Device(self, stranger, "dev1").get("/dcap")
        self.proxy.log.wait_for("refused")
        self.assertEqual([line for line in self.daemon.process.log() if " GET /dcap" in line], [])

    def ask(self, port: int, octets: bytes) -> bytes:
        """What dev2 is answered, up to the end of the connection, long before what is silent is cut."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0")
        context.load_verify_locations(self.place.tls / "certs" / "ca.crt")
        context.load_cert_chain(
            self.place.tls / "certs" / "dev2.crt", self.place.tls / "private" / "dev2.pem"
        )
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        plain.settimeout(min(TIMEOUT, ConnectionLimits().drain_seconds / 2))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
            tls.sendall(octets)
            found = b""
            while piece := tls.recv(65_536):
                found += piece
        return found

    def test_restart(self) -> None:
        """The server goes and comes back: 502 meanwhile, and the device's connection is the same one."""
        self.serve()
        device = self.device("dev1")
        self.assertEqual(device.get("/dcap").status, 200)
        self.daemon.kill()
        for answer in (device.get("/dcap"), device.put("/edev/1/der/1/ders", b"<DERStatus/>")):
            self.assertEqual(answer.status, 502)
            codec.decode(answer.body, r.Error)
        self.daemon.start()
        self.assertEqual(device.get("/dcap").status, 200)
        self.proxy.log.wait_for("no connection with the server")

    def test_withdrawn(self) -> None:
        """A device that the operator withdraws is shut out at its next request, until readmitted."""
        self.serve("generate_admin_cert: true")
        device = self.device("dev1")
        for _ in range(2):
            self.assertEqual(device.get("/edev/1").status, 200)
        self.ctl("devices", "withdraw", "dev1", "--yes")
        self.assertEqual(device.get("/edev/1").status, 404)
        self.ctl("devices", "readmit", "dev1")
        self.assertEqual(device.get("/edev/1").status, 200)

    def ctl(self, *arguments: str) -> None:
        command = (str(SCRIPTS / "csipctl"), "--config", str(self.place.config), *arguments)
        done = run(self.place.folder, *command)
        self.assertEqual(done.returncode, 0, done)

    def test_not_believed(self) -> None:
        """PX-2: a server that does not know the proxy is not let take it for each of its devices."""
        self.serve()
        device = self.device("dev1")
        self.assertEqual(device.get("/edev").status, 200)
        self.ctl("certs", "renew", "proxy")
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual([device.get(path).status for path in ("/dcap", "/edev")], [502, 502])
        self.proxy.log.wait_for("it does not know the certificate of this proxy")
        self.proxy.send(signal.SIGHUP)
        self.proxy.log.wait_for("TLS of proxy: key, certificate and trust roots reloaded")
        self.assertEqual(own_lfdi(device, 1), LAB.device("dev1").lfdi)

    def test_signals(self) -> None:
        """At SIGHUP the proxy reads its files anew: the new certificate is shown, and connections stay.

        SIGTERM ends it with exit code 0, and devices are told.
        """
        self.serve()
        device = self.device("dev1")
        self.assertEqual(device.get("/dcap").status, 200)
        before = device.server_certificate
        self.ctl("certs", "renew", "proxy")
        self.daemon.process.send(signal.SIGHUP)
        self.daemon.process.log.wait_for("a new certificate of the proxy is known")
        self.proxy.send(signal.SIGHUP)
        self.proxy.log.wait_for("TLS of proxy: key, certificate and trust roots reloaded")
        self.assertNotEqual(self.device("dev1").server_certificate, before)
        self.assertEqual(device.get("/dcap").status, 200)
        self.assertEqual(self.proxy.stop(), 0)
        self.assertRaises((OSError, HTTPException), device.get, "/dcap")


class DeviceKeysTests(ProxiedCase):
    """The proxy speaks for devices with their own keys."""

    def test_keys(self) -> None:
        """Whose key lies in tls_repository is spoken for; for nobody else is."""
        self.serve("proxy_mode: device_keys")
        self.assertIn("for labs alone", "\n".join(self.proxy.errors()))
        one, two = self.device("dev1"), self.device("dev2")
        for _ in range(2):
            self.assertEqual(own_lfdi(one, 1), LAB.device("dev1").lfdi)
            self.assertEqual(own_lfdi(two, 2), LAB.device("dev2").lfdi)
        pki.write(elsewhere := self.place.folder / "elsewhere", LAB, dev3=LAB.device("dev3"))
        port = proxy_port(self.place)
        third = Device(self, Place(elsewhere.parent, port, 0), "dev1")
        self.assertEqual(third.get("/dcap").status, 200)
        self.assertEqual(device_of(self, elsewhere, port).get("/dcap").status, 403)
        self.proxy.log.wait_for("its key is not in tls_repository")

    def test_server_away(self) -> None:
        """The same as of a hop: 502, and then it goes on."""
        self.serve("proxy_mode: device_keys")
        device = self.device("dev1")
        self.assertEqual(device.get("/dcap").status, 200)
        self.daemon.kill()
        self.assertEqual(device.get("/dcap").status, 502)
        self.daemon.start()
        self.assertEqual(device.get("/dcap").status, 200)


def device_of(case: SynchronousTestCase, tls: Path, port: int) -> Device:
    """dev3, whose key is elsewhere."""
    place = Place(tls.parent / "of dev3", port, 0)
    place.folder.mkdir()
    (place.folder / "tls").symlink_to(tls)
    return Device(case, place, "dev3")


class InsideTests(SynchronousTestCase):
    """The proxy within the daemon."""

    def test_inside(self) -> None:
        """`proxy: true` is one process that serves both ways, and ends with requests answered."""
        place = proxied_place(Path(self.mktemp()), "proxy: true")
        daemon = Daemon(self, place)
        process = daemon.start()
        process.log.wait_for(SERVES)
        device = behind(self, place, "dev1")
        self.assertEqual(own_lfdi(device, 1), LAB.device("dev1").lfdi)
        process.send(signal.SIGHUP)
        process.log.wait_for("TLS of the proxy: key, certificate and trust roots reloaded")
        self.assertEqual(device.get("/dcap").status, 200)
        device.close()
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual([line for line in process.log.all() if "Traceback" in line], [])

    def test_off(self) -> None:
        """Of the doors that the configuration does not open nothing is loaded."""
        place = small_place(Path(self.mktemp()))
        python = str(SCRIPTS / "python")
        code = (
            "import sys; from csipd.daemon import services, tap; "
            "print([name for name in sys.modules if name.startswith(('csipd.proxy', 'csipd.plain', "
            "'csipd.stomp', 'csipd.gridappsd.connection', 'csipd.discovery.service', 'zeroconf'))])"
        )
        self.assertEqual(run(place.folder, python, "-c", code).stdout, "[]\n")


class StartTests(SynchronousTestCase):
    """What keeps the proxy from starting is one line and exit code 1."""

    def refused(self, place: Place) -> str:
        """What it says, tried without a process of its own."""
        with self.assertRaises(StartError) as caught:
            prepare_proxy(config.load(place.config), debug=False)
        return str(caught.exception)

    def test_no_certificate(self) -> None:
        """Before the server was started once there is no certificate."""
        place = proxied_place(Path(self.mktemp()))
        done = run(place.folder, *proxy_command(place))
        self.assertEqual(done.returncode, 1, done)
        (said,) = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
        self.assertIn("tls_repository", said)
        self.assertIn("proxy.crt is missing: start the server once", said)

    def test_not_configured(self) -> None:
        """Without proxy_hostname there is no proxy."""
        self.assertIn(
            "proxy_hostname: missing; expected host:port", self.refused(small_place(Path(self.mktemp())))
        )

    def test_inside(self) -> None:
        """A proxy that runs inside the daemon runs nowhere else."""
        place = proxied_place(Path(self.mktemp()), "proxy: true")
        self.assertIn("proxy: the proxy runs inside the daemon", self.refused(place))

    def test_port(self) -> None:
        """A port that is in use is said with its key."""
        place = proxied_place(Path(self.mktemp()))
        pki.write(place.tls, proxy=LAB.server("127.0.0.1"))
        with socket.create_server(("127.0.0.1", proxy_port(place))):
            self.assertIn("proxy_hostname", said := self.refused(place))
            self.assertIn("is in use", said)

    def test_check(self) -> None:
        """--check says whether it would start, and nothing is made or opened."""
        place = proxied_place(Path(self.mktemp()))
        pki.write(place.tls, proxy=LAB.server("127.0.0.1"))
        before = snapshot(place.folder)
        command = (str(SCRIPTS / "twistd"), "csipd-proxy", "--config", str(place.config), "--check")
        done = run(place.folder, *command)
        self.assertEqual((done.returncode, done.stderr), (0, f"{place.config}: the proxy would start\n"))
        self.assertEqual(snapshot(place.folder), before)
        done = run(Path(self.mktemp()).parent, str(SCRIPTS / "twistd"), "csipd-proxy")
        self.assertEqual(done.returncode, 1)
        self.assertIn("config.yml: not found here; --config names another", done.stderr)

    def test_foreign_server(self) -> None:
        """What has a certificate of these roots and no name of the server is not taken for it."""
        place = proxied_place(Path(self.mktemp()))
        pki.write(place.tls, proxy=LAB.server("127.0.0.1"))
        proxy = start_proxy(self, place)
        with impostor(place):
            self.assertEqual(behind(self, place, "dev1").get("/dcap").status, 502)
        proxy.log.wait_for("and not the server")


class impostor:
    """A device that listens where the server should, for one connection."""

    def __init__(self, place: Place) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(place.tls / "certs" / "dev2.crt", place.tls / "private" / "dev2.pem")
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", place.port))

    def __enter__(self) -> None:
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(TIMEOUT)
        self._listener.close()

    def _serve(self) -> None:
        self._listener.settimeout(TIMEOUT)
        plain, _ = self._listener.accept()
        plain.settimeout(TIMEOUT)
        try:
            with self._context.wrap_socket(plain, server_side=True) as tls:
                tls.recv(1)
        except OSError:
            pass


class RealClientTests(PassCase):
    """A client that others wrote, py20305, by way of the proxy."""

    compat = True

    def test_pass(self) -> None:
        """It finds itself and its program, and PUTs what it has to, as without the proxy."""
        place = proxied_place(Path(self.mktemp()))
        port = proxy_port(place)
        place.config.unlink()
        self.serve(("proxy_hostname: 0.0.0.0:8443", f"proxy_hostname: 127.0.0.1:{port}"))
        straight = self.place
        start_proxy(self, straight)
        self.place = evolve(straight, port=port)

        async def steps(client):  # type: ignore[no-untyped-def] # as PassCase has it
            await self.find_itself(client)
            self.see_the_program(client)
            return await self.put_everything(client)

        sent = self.run_client(steps)
        self.place = straight
        self.see_what_was_put(sent)
        self.see_that_answers_are_valid()


class FleetTests(ProxiedCase):
    """csipd's own simulator by way of the proxy."""

    def test_a_fleet(self) -> None:
        """Devices come, poll, report and mirror by way of the proxy, without an error."""
        self.serve(
            "generate_admin_cert: true", "lab: true", "lab_speed: 50", "der_program_list_poll_rate: 60"
        )
        command = ("--json", "simulate", "--devices", "6", "--at", f"127.0.0.1:{proxy_port(self.place)}")
        done = run(
            self.place.folder,
            str(SCRIPTS / "csipctl"),
            "--config",
            str(self.place.config),
            *command,
            "--for",
            "20s",
            "--yes",
        )
        self.assertEqual(done.returncode, 0, done)
        told = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((told["devices"], told["found"], told["errors"]), (6, 6, {}), told)
        self.assertGreater(told["polls"], 20)
        self.proxy.log.wait_for(" GET /dcap")
