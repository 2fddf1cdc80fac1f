"""A client that others wrote, py20305, against csipd as it is run with the seed's configuration.

Real processes, sockets, TLS and time: the client knows no other. It makes one pass, from DeviceCapability to
the PUTs of its DER, in either edition that it speaks and with either way to be registered, and what it left
is looked at with another client and in the database itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from pathlib import Path
from time import time
from typing import Any, TypeVar

from py20305.client import CsipClient, TlsConfig
from py20305.client.errors import Sep2ProtocolError, Sep2RedirectError
from py20305.client.redirect_probe import run_redirect_probe
from py20305.client.traffic_recorder import TrafficRecorder
from py20305.connectors.print_demo import PrintDemoConnector
from py20305.telemetry import TelemetryCoordinator, build_der_availability
from py20305.xml.serialization import to_xml
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec, identity
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, bare
from tests.support import schema
from tests.support.daemon import SCRIPTS, TIMEOUT, Daemon, Process, certificate_of, seed_place
from tests.support.ports import free_port

T = TypeVar("T")

PIN = 111115
FUEL_CELL = 1 << 20
IN_BAND = ("server_mode: enddevices_create_on_start", "server_mode: enddevices_register_access_only")

#: What the client PUTs, by the last segment of its place.
PUT = {
    "dercap": r.DERCapability,
    "derg": r.DERSettings,
    "ders": r.DERStatus,
    "dera": r.DERAvailability,
}


class RealClientCase(SynchronousTestCase):
    """csipd with the seed's configuration, and the certificate of dev1."""

    def serve(self, *replaced: tuple[str, str]) -> None:
        self.place = seed_place(Path(self.mktemp()), *replaced)
        self.daemon = Daemon(self, self.place)
        self.daemon.start("--no-validate")
        self.lfdi = identity.lfdi(certificate_of(self.place, "dev1"))
        # What the client has to say is for the tests to ask, not for their output.
        silent = logging.NullHandler()
        logging.getLogger("py20305").addHandler(silent)
        self.addCleanup(logging.getLogger("py20305").removeHandler, silent)

    def rows(self, query: str) -> list[sqlite3.Row]:
        """What the database says, asked past csipd."""
        with closing(sqlite3.connect(f"file:{self.place.database}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query).fetchall()

    def see_what_was_put(self, sent: dict[str, bytes]) -> None:
        """GET gives back what was sent, and the database holds it; the second DER has been left alone."""
        device = self.daemon.device("dev1")
        stored = {row["href"]: row for row in self.rows("SELECT * FROM documents WHERE device = 1")}
        for segment, kind in PUT.items():
            href = f"/edev/1/der/1/{segment}"
            put = bare(ROWS[kind.__name__], codec.decode(sent[href], kind))
            answer = device.get(href)
            self.assertEqual(answer.status, 200, href)
            self.assertEqual(codec.decode(answer.body, kind), put.replace(href=href))
            self.assertEqual(codec.decode(stored[href]["body"], kind), put)
            self.assertApproximates(stored[href]["changed"], time(), TIMEOUT)
        self.assertEqual(device.get("/edev/1/der/2/ders").status, 404)
        device.close()


class PassCase(RealClientCase):
    """One pass of the client, by its own functions."""

    compat: bool

    def run_client(self, steps: Callable[[CsipClient], Awaitable[T]], **how: Any) -> T:
        """Take steps with a client of dev1, which is shut down afterwards."""
        tls = self.place.tls

        async def run() -> T:
            client = CsipClient(
                f"https://127.0.0.1:{self.place.port}",
                tls=TlsConfig(
                    client_cert=tls / "certs" / "dev1.crt",
                    client_key=tls / "private" / "dev1.pem",
                    ca_cert=tls / "certs" / "ca.crt",
                ),
                server_2018_compat=self.compat,
                registration_pins={self.lfdi.lower(): PIN},
                **how,
            )
            client.http.traffic_recorder = self.traffic
            async with asyncio.timeout(TIMEOUT), client:
                return await steps(client)

        self.traffic = TrafficRecorder()
        return asyncio.run(run())

    def exchanged(self, direction: str) -> Iterable[dict[str, Any]]:
        """Requests with bodies, or answers, oldest first."""
        every = self.traffic.get_snapshot(limit=500)["entries"]
        return [entry for entry in reversed(every) if entry["direction"] == direction]

    async def find_itself(self, client: CsipClient) -> None:
        """The walk of the standard, from DeviceCapability on, with the PIN compared."""
        with self.assertLogs("py20305.client", "INFO") as said:
            await client.connect()
        self.assertIn(f"Registration PIN verified for LFDI {self.lfdi[:16].lower()}", str(said.output))
        state = client.state
        (own,) = state.end_devices.values()
        self.assertEqual((own.href, own.lfdi.hex().upper()), ("/edev/1", self.lfdi))
        self.assertEqual(own.device.s_fdi.value, identity.sfdi(self.lfdi))
        self.assertEqual(int.from_bytes(own.device.device_category.value), FUEL_CELL)
        self.assertEqual(len(own.ders), 2)
        self.assertEqual(state.time.quality, 7)
        self.assertApproximates(client.timebase.now(), time(), 5)

    def see_the_program(self, client: CsipClient) -> None:
        """The seed's program, and no other before it, through the one FSA, with all that belongs to them."""
        state = client.state
        (own,) = state.end_devices.values()
        self.assertEqual([fsa.href for fsa in own.fsa_list], ["/edev/1/fsa/1"])
        programs = {seen.program.description: seen for seen in state.der_programs.values()}
        found = programs.pop("Program 1")
        self.assertEqual((found.primacy, programs), (89, {}))
        default = found.default_dercontrol
        self.assertEqual(default.set_esdelay, 30)
        self.assertEqual(default.dercontrol_base.op_mod_connect, True)
        self.assertEqual(default.dercontrol_base.op_mod_max_lim_w.value, 9500)
        self.assertEqual([curve.description for curve in found.der_curves], ["Curve 1"])
        self.assertTrue(found.der_controls_complete)
        # What the file says, and the defaults for the rest: the client schedules its polls by these.
        rates = {"dcap": 60, "edev": 86_400, "fsa": 3600, "derp": 600, "time": 900}
        self.assertEqual({name: state.poll_rates[name] for name in rates}, rates)

    async def put_everything(self, client: CsipClient) -> dict[str, bytes]:
        """The PUTs that the client makes when it begins to report; what it sent, by where to."""
        (own,) = client.state.end_devices.values()
        connector = PrintDemoConnector()
        reports = TelemetryCoordinator(client, lfdis=[self.lfdi], connector_resolver=lambda lfdi: connector)
        reports.setup()
        reports.start_device_telemetry()
        hrefs = {own.der_capability_href, own.der_settings_href, own.der_status_href}
        while not hrefs <= {entry["url"] for entry in self.exchanged("response")}:
            await asyncio.sleep(0.01)
        await reports.shutdown()
        # By itself the client reports its availability only where it may mirror readings too.
        availability = build_der_availability(await connector.fetch_availability())
        await client.http.put_bytes(
            own.der_availability_href, to_xml(availability, server_2018_compat=self.compat)
        )
        puts = [entry for entry in self.exchanged("response") if entry["method"] == "PUT"]
        self.assertEqual({entry["status"] for entry in puts}, {204})
        return {
            entry["url"]: entry["body"].encode()
            for entry in self.exchanged("request")
            if entry["method"] == "PUT"
        }

    def see_that_answers_are_valid(self) -> None:
        """Every document that the client was given is valid by the IEEE's schema of 2018."""
        documents = [entry["body"] for entry in self.exchanged("response") if entry["body"]]
        self.assertGreater(len(documents), 5)
        for document in documents:
            schema.validate(document.encode())


class Passes:
    """What every edition of the client has to get through."""

    def test_out_of_band(self: Any) -> None:
        """A client that the configuration registers finds itself, its program and its places, and PUTs."""
        self.serve()

        async def steps(client: CsipClient) -> dict[str, bytes]:
            await self.find_itself(client)
            self.see_the_program(client)
            return await self.put_everything(client)

        sent = self.run_client(steps)
        self.see_what_was_put(sent)
        self.see_that_answers_are_valid()
        self.assertEqual(self.daemon.stop(), 0)

    def test_in_band(self: Any) -> None:
        """A client that is only listed sees an empty list, registers, finds itself with its PIN, and PUTs."""
        self.serve(IN_BAND)

        async def steps(client: CsipClient) -> dict[str, bytes]:
            await client.connect()
            self.assertEqual((client.state.end_devices, client.state.dcap.end_device_list_link.all), ({}, 0))
            href = await client.register_end_device(lfdi=self.lfdi, device_category=FUEL_CELL)
            self.assertEqual(href, "/edev/1")
            await self.find_itself(client)
            self.see_the_program(client)
            for lfdi, status in ((self.lfdi, 409), ("AB" * 20, 403)):
                refused = client.register_end_device(lfdi=lfdi, check_duplicate=False)
                with self.assertRaises(Sep2ProtocolError) as raised:
                    await refused
                self.assertEqual(raised.exception.status_code, status)
            return await self.put_everything(client)

        sent = self.run_client(steps)
        self.see_what_was_put(sent)
        registered = self.rows("SELECT lfdi, pin, device_category FROM devices WHERE registered IS NOT NULL")
        self.assertEqual([tuple(row) for row in registered], [(self.lfdi, PIN, FUEL_CELL)])
        self.assertEqual(self.daemon.stop(), 0)


class Edition2018Tests(Passes, PassCase):
    """The client in the form of 2018."""

    compat = True

    def test_moved(self) -> None:
        """Without TLS it is sent to where DeviceCapability is, which answers; so it is from /dcap
        over TLS (ERR-001), and it begins there once it knows that."""
        port = free_port()
        there = "/sep2/dcap"
        keys = f"http_port: {port}\nhttp_mode: redirect\ndcap_path: {there}"
        self.serve(("# http_port: 8080", keys))

        async def probe(client: CsipClient) -> dict[str, Any]:
            found = await run_redirect_probe("127.0.0.1", client.http, port)
            with self.assertRaises(Sep2RedirectError) as raised:
                await client.connect()
            self.assertEqual((raised.exception.status_code, raised.exception.location), (301, there))
            return found

        found = self.run_client(probe)
        self.assertEqual(found["redirect_location"], f"https://127.0.0.1:{self.place.port}{there}")
        self.assertEqual(
            (found["http_status"], found["https_status"], found["status"]), (301, 200, "success")
        )
        self.run_client(self.find_itself, dcap_path=there)
        self.see_that_answers_are_valid()

    def test_chain_of_four(self) -> None:
        """A client with two CAs between it and the root is let in, and finds itself (COMM-004C)."""
        self.serve(('openssl_cnf: "openssl.cnf"', 'openssl_cnf: "openssl.cnf"\ndevice_issuer: mca'))
        chain = (self.place.tls / "certs" / "dev1.crt").read_text()
        self.assertEqual(chain.count("BEGIN CERTIFICATE"), 3)
        self.run_client(self.find_itself)


class Edition2023Tests(Passes, PassCase):
    """The client in the form that it has by default: schemaVer, and elements that 2018 did not know."""

    compat = False

    def test_elements_of_2023(self) -> None:
        """What 2018 does not know comes back to the device itself, and not to one that asks for -S1."""
        self.serve()

        async def steps(client: CsipClient) -> dict[str, bytes]:
            await client.connect()
            return await self.put_everything(client)

        sent = self.run_client(steps)["/edev/1/der/1/ders"]
        self.assertIn(b"connectStatus", sent)
        self.assertIn(b"schemaVer", sent)
        device = self.daemon.device("dev1")
        self.assertIn(b"connectStatus", device.get("/edev/1/der/1/ders").body)
        plain = device.get("/edev/1/der/1/ders", accept="application/sep+xml; level=-S1").body
        self.assertNotIn(b"connectStatus", plain)
        schema.validate(plain)


class CommandTests(RealClientCase):
    """The client's own command line: it connects, registers, reports, polls, and stops when it is told to."""

    def run_command(self, compat: bool) -> list[str]:
        """What it says in one pass."""
        tls = self.place.tls
        config = {
            "server": {"url": f"https://127.0.0.1:{self.place.port}", "server_2018_compat": compat},
            "tls": {
                "client_cert": f"{tls}/certs/dev1.crt",
                "client_key": f"{tls}/private/dev1.pem",
                "ca_cert": f"{tls}/certs/ca.crt",
            },
            "devices": [{"type": "print_demo", "lfdi": self.lfdi, "pin": PIN}],
            "registration_pins": {self.lfdi: PIN},
            "connection": {"retry_forever": False},
            "history": {"enabled": False},
            "logging": {"level": "DEBUG"},
        }
        file = self.place.folder / "client.json"
        file.write_text(json.dumps(config))
        command = [str(SCRIPTS / "py20305"), "--config", str(file)]
        process = Process(self, command, self.place.folder)
        for resource in ("DERCapability", "DERSettings", "DERStatus"):
            process.errors.wait_for(f"{resource} PUT for {self.lfdi[:8].lower()}")
        process.errors.wait_for("Refreshed DER controls", times=2)
        self.assertEqual(process.stop(), 0)
        return process.errors.all()

    def see_what_it_said(self, lines: list[str]) -> None:
        """Every answer was a good one, and the default control is in force at the device."""
        answers = [line.rpartition(" -> ")[2] for line in lines if " -> " in line and "http:" in line]
        self.assertGreater(len(answers), 15)
        self.assertEqual([code for code in answers if code not in ("200", "201", "204")], [])
        self.assertEqual([line for line in lines if "ERROR" in line or "Traceback" in line], [])
        self.assertIn("PrintDemo.update_connect({'connected': True})", "\n".join(lines))

    def test_out_of_band(self) -> None:
        """A client in the form of 2018 that the configuration registers."""
        self.serve()
        said = self.run_command(compat=True)
        self.see_what_it_said(said)
        self.assertIn("EndDevice already registered", "\n".join(said))

    def test_in_band(self) -> None:
        """A client as it comes, that registers itself."""
        self.serve(IN_BAND)
        said = self.run_command(compat=False)
        self.see_what_it_said(said)
        self.assertIn("registered EndDevice at /edev/1", "\n".join(said))
