"""A client that others wrote, told of everything: py20305 with subscriptions and telemetry on, in real time.

csipd is a process with the seed's configuration. The client polls nothing for a quarter of an hour: what it
knows of an event it was told by a Notification, over mutual TLS, by its own HTTPS server on loopback, which
takes nobody without a certificate. What it measures is in csipd's readings when it has posted it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic, time
from typing import Any

from py20305.client import CsipClient, TlsConfig
from py20305.connectors.base import BaseConnector
from py20305.subscription import NotificationServer, SubscriptionManager
from py20305.telemetry import TelemetryManager
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.client import Client as Operator
from csipd.cli.ctl.https import Credentials, HTTPSTransport, Server
from csipd.sep2 import identity
from tests.support.daemon import TIMEOUT, Daemon, certificate_of, seed_place
from tests.support.ports import free_port

RECEIVED, STARTED, COMPLETED = 1, 2, 3
PIN = 111115
IN_PROGRAM = ("    nameplate:", "    programs:\n      - description: Program 1\n    nameplate:")
#: Seconds from a command to its event, and how long that lasts: no poll lies between.
AHEAD, LASTS = 8, 4


class Meter(BaseConnector):  # type: ignore[misc]
    """What the device measures."""

    async def fetch_monitoring(self) -> dict[str, Any]:
        return {"W": 4321.0, "Var": -300.0, "Hz": 60.01, "V": 241.2}


class NotifiedTests(SynchronousTestCase):
    """csipd with the seed's configuration, its operator, and dev1 in Program 1."""

    def setUp(self) -> None:
        self.place = seed_place(Path(self.mktemp()), IN_PROGRAM)
        self.daemon = Daemon(self, self.place)
        self.daemon.start("--no-validate")
        self.started = int(time())
        tls = self.place.tls
        self.tls = TlsConfig(
            client_cert=tls / "certs" / "dev1.crt",
            client_key=tls / "private" / "dev1.pem",
            ca_cert=tls / "certs" / "ca.crt",
        )
        self.lfdi = identity.lfdi(certificate_of(self.place, "dev1"))
        transport = HTTPSTransport(
            Server("127.0.0.1", self.place.admin_port, "127.0.0.1"),
            Credentials(tls / "certs" / "ca.crt", tls / "certs" / "admin.crt", tls / "private" / "admin.pem"),
            timeout=TIMEOUT,
            monotonic=monotonic,
        )
        self.addCleanup(transport.close)
        self.operator = Operator(transport)
        # What the client has to say is for the tests to ask, not for their output.
        log, silent = logging.getLogger("py20305"), logging.NullHandler()
        log.addHandler(silent)
        self.addCleanup(log.removeHandler, silent)

    async def run_client(self, steps: Callable[[CsipClient, SubscriptionManager], Awaitable[None]]) -> None:
        """Take steps while the client follows what it is told."""
        port = free_port()
        receiver = NotificationServer("127.0.0.1", port, self.tls, client_cert_mode="enforce")
        client = CsipClient(
            f"https://127.0.0.1:{self.place.port}",
            tls=self.tls,
            server_2018_compat=True,
            registration_pins={self.lfdi.lower(): PIN},
            heartbeat_enabled=False,
        )
        manager = SubscriptionManager(client.http, receiver.build_notification_uri("127.0.0.1"))
        client.attach_subscriptions(manager, receiver)
        async with client:
            await client.connect()
            running = asyncio.create_task(client.run())
            await steps(client, manager)
        await running

    async def wait(self, found: Callable[[], Any], expected: Any) -> None:
        """Wait until something is found as expected; it is asked for in a thread."""
        until = monotonic() + TIMEOUT
        while (now := await asyncio.to_thread(found)) != expected:
            self.assertLess(monotonic(), until, f"{now} is not {expected}")
            await asyncio.sleep(0.2)

    def answered(self, control: int) -> list[int]:
        """The statuses that were given to a control, in the order in which they came."""
        pages = self.operator.pages("/responses", {"control": control})
        return [item["status"] for page in pages for item in page.value.get("items", ())][::-1]

    def newest(self) -> dict[str, float]:
        """The newest value of each quantity that the operator is shown of dev1."""
        shown = self.operator.get("/devices/1/readings").value
        return {item["quantity"]: item["value"] for item in shown["items"]}

    def test_told(self) -> None:
        """It subscribes to all that CSIP names, hears of a control at once, carries it out and answers; its
        readings reach the operator."""

        async def steps(client: CsipClient, manager: SubscriptionManager) -> None:
            kinds = {state.resource_type for state in manager.active_subscriptions}
            self.assertLessEqual({"EndDeviceList", "FSAList", "DERProgramList", "DERControlList"}, kinds)
            self.assertEqual(len(manager.notifications), 0)
            # Of two controls of one second the client takes the first, and the file's began at the start.
            await self.wait(lambda: int(time()) > self.started, True)
            content = {"start": int(time()) + AHEAD, "duration": LASTS, "base": {"opModMaxLimW": 5000}}
            made = await asyncio.to_thread(self.operator.post, "/controls", {"program": 1, **content})
            (control,) = (item["number"] for item in made.value["items"])
            await self.wait(lambda: self.answered(control)[:1], [RECEIVED])
            await self.meter(client)
            await self.wait(lambda: self.answered(control), [RECEIVED, STARTED, COMPLETED])
            # That it is active is told 30 s after the first Notification, at the earliest.
            told = [(each.subscribed_resource, each.status) for each in manager.notifications]
            self.assertEqual(told, [("/derp/1/derc", 0)])

        asyncio.run(self.run_client(steps))
        self.assertEqual(self.daemon.stop(), 0)

    async def meter(self, client: CsipClient) -> None:
        """Two cycles of its telemetry, the second of which posts readings."""
        meter = Meter()
        telemetry = TelemetryManager(client.http, "/mup", lambda _: meter)
        try:
            telemetry.start_metering(self.lfdi, 300)
            lfdi = self.lfdi.lower()
            state = telemetry.get_device_state(lfdi)
            assert state is not None
            await self.wait(lambda: state.mup_posted, True)
            await telemetry._metering_cycle(lfdi)
        finally:
            await telemetry.shutdown()
        expected = {"active_power": 4321, "reactive_power": -300, "frequency": 60.01, "voltage": 241.2}
        self.assertEqual(await asyncio.to_thread(self.newest), expected)
