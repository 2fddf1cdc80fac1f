"""The daemon at its edges: signals, power cuts, a full disk, everything that can keep it from starting.

Nearly all of it is the real thing, csipd as a process of its own.
"""

from __future__ import annotations

import resource
import signal
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPException
from itertools import count
from pathlib import Path
from subprocess import CompletedProcess
from threading import Semaphore
from typing import Any

from lxml import etree
from OpenSSL import SSL
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from csipd.daemon.listeners import Listeners
from csipd.db import contacts, devices
from csipd.db.database import Database, Transaction
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.support import pki
from tests.support.broken import BROKEN
from tests.support.client import Client
from tests.support.daemon import (
    LAB,
    TIMEOUT,
    Daemon,
    Place,
    connect_here,
    run,
    serve_here,
    small_place,
    snapshot,
    twistd,
)
from tests.support.tls_pair import client_tls, outgoing, step

STATUS = "/edev/1/der/1/ders"


def status(reading_time: int) -> bytes:
    """A DERStatus, to be PUT."""
    return codec.encode(r.DERStatus(readingTime=reading_time))


class DaemonCase(SynchronousTestCase):
    """csipd in a small place of its own."""

    def serve(self, *more: str, **how: Any) -> Daemon:
        self.place = small_place(Path(self.mktemp()), *more, **how)
        self.daemon = Daemon(self, self.place)
        self.daemon.start()
        return self.daemon


class StopTests(DaemonCase):
    """What ends it, and how."""

    def test_term(self) -> None:
        """SIGTERM ends it with exit code 0, without a word on stderr, and leaves one whole database file."""
        daemon = self.serve()
        with daemon.device("dev1") as device:
            self.assertEqual(device.put(STATUS, status(5)).status, 204)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.process.errors.all(), [])
        self.assertEqual([path.name for path in self.place.database.parent.iterdir()], ["csipd.sqlite"])

    def test_silent_peer(self) -> None:
        """A device that keeps its connection and never looks at it does not hold up the end for long."""
        daemon = self.serve()
        device = daemon.device("dev1")
        self.assertEqual(device.get("/dcap").status, 200)
        daemon.process.send(signal.SIGTERM)
        daemon.process.log.wait_for("SIGTERM")
        daemon.process.send(signal.SIGTERM)
        # An init system gives it half a minute; left to the peer it would take as long as that.
        self.assertEqual(daemon.process.wait(seconds=15), 0)
        self.assertNotIn("Traceback", "\n".join(daemon.process.log.all()))


class Half:
    """A device that has begun its handshake, from an address of its own."""

    def __init__(self, port: int, number: int) -> None:
        self._plain = socket.create_connection(("127.0.0.1", port), TIMEOUT, (f"127.0.1.{number}", 0))
        self._tls = client_tls(LAB.device("dev1"), LAB)
        step(self._tls)
        self._plain.sendall(outgoing(self._tls))

    def hear(self) -> None:
        """Wait for the first that the server says."""
        self._tls.bio_write(self._plain.recv(65_536))

    def finish(self) -> None:
        """Shake hands to the end."""
        while True:
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                self._plain.sendall(outgoing(self._tls))
                self.hear()
            else:
                return

    def close(self) -> None:
        self._plain.close()


class StormTests(DaemonCase):
    """More devices than may shake hands at once."""

    def test_none_is_cut(self) -> None:
        """Whoever is one too many waits until another has finished, and all are served."""
        self.serve("limits: {unfinished_handshakes: 10}")
        known = self.daemon.device("dev1")
        self.addCleanup(known.close)
        begun = []
        for number in range(1, 11):
            begun.append(Half(self.place.port, number))
            self.addCleanup(begun[-1].close)
            begun[-1].hear()
        late = Half(self.place.port, 11)
        self.addCleanup(late.close)
        # The server has had its turns to see that it is there.
        for _ in range(2):
            known.get("/tm")
        for each in begun:
            each.finish()
        late.finish()


class PowerCutTests(DaemonCase):
    """SIGKILL right behind an answer."""

    def cut(self) -> None:
        """Kill it, see that certificates are left alone by the next start, and start it again."""
        self.daemon.kill()
        before = snapshot(self.place.tls)
        self.daemon.start()
        self.assertEqual(snapshot(self.place.tls), before)

    def test_put(self) -> None:
        """What was put and answered is there after the next start, under the same certificates."""
        daemon = self.serve(certificates=False)
        device = daemon.device("dev1")
        lfdi = codec.decode(device.get("/edev/1").body, r.EndDevice).lFDI
        made = snapshot(self.place.tls)
        self.assertEqual(device.put(STATUS, status(1234)).status, 204)
        self.cut()
        self.assertEqual(snapshot(self.place.tls), made)
        device = daemon.device("dev1")
        self.assertEqual(codec.decode(device.get(STATUS).body, r.DERStatus).readingTime, 1234)
        self.assertEqual(codec.decode(device.get("/edev/1").body, r.EndDevice).lFDI, lfdi)

    def test_post(self) -> None:
        """A device that registered in band and was told so is registered after the next start, once."""
        daemon = self.serve(mode="enddevices_register_access_only")
        device = daemon.device("dev1")
        own = LAB.device("dev1")
        made = device.post("/edev", codec.encode(r.EndDevice(sFDI=own.sfdi, changedTime=0)))
        self.assertEqual((made.status, made.headers["location"]), (201, "/edev/1"))
        self.cut()
        device = daemon.device("dev1")
        found = codec.decode(device.get("/edev?l=9").body, r.EndDeviceList)
        self.assertEqual([(each.href, each.lFDI) for each in found.EndDevice], [("/edev/1", own.lfdi)])
        self.assertEqual(codec.decode(device.get("/edev/1/rg").body, r.Registration).pIN, 111115)

    def test_in_the_middle(self) -> None:
        """Cut off while a device PUTs one after the other, it has what it acknowledged last, or the next."""
        daemon = self.serve()
        device = daemon.device("dev1")
        acknowledged = Semaphore(0)

        def put() -> int:
            for n in count(1):
                try:
                    answer = device.put(STATUS, status(n))
                except (OSError, HTTPException):
                    break
                self.assertEqual(answer.status, 204)
                acknowledged.release()
            return n - 1

        with ThreadPoolExecutor(1) as thread:
            last = thread.submit(put)
            enough = [acknowledged.acquire(timeout=TIMEOUT) for _ in range(30)]
            self.cut()
            put_last = last.result(TIMEOUT)
        found = codec.decode(daemon.device("dev1").get(STATUS).body, r.DERStatus).readingTime
        self.assertIn(found, (put_last, put_last + 1))
        self.assertEqual(enough, [True] * 30)

    def test_readings(self) -> None:
        """Cut off while readings come: none that was acknowledged is lost, and no set is there in part."""
        daemon = self.serve()
        device = daemon.device("dev1")
        begin = int(time.time()) - 1000
        power = r.ReadingType(uom=38, powerOfTenMultiplier=0)
        mirror = r.MirrorUsagePoint(
            mRID="1",
            roleFlags=0x49,
            serviceCategoryKind=0,
            status=1,
            deviceLFDI=LAB.device("dev1").lfdi,
            MirrorMeterReading=(r.MirrorMeterReading(mRID="2", ReadingType=power),),
        )
        made = device.post("/mup", codec.encode(mirror)).headers["location"]
        acknowledged = Semaphore(0)

        def post() -> int:
            for n in count(1):
                period = r.DateTimeInterval(duration=1, start=begin + n)
                found = tuple(r.Reading(value=n, localID=each, timePeriod=period) for each in range(20))
                taken = r.MirrorReadingSet(mRID=f"{n:X}", timePeriod=period, Reading=found)
                body = r.MirrorMeterReading(mRID="2", MirrorReadingSet=(taken,), Reading=found[0])
                try:
                    answer = device.post(made, codec.encode(body))
                except (OSError, HTTPException):
                    break
                self.assertEqual(answer.status, 204)
                acknowledged.release()
            return n - 1

        with ThreadPoolExecutor(1) as thread:
            last = thread.submit(post)
            enough = all(acknowledged.acquire(timeout=TIMEOUT) for _ in range(20))
            self.cut()
            posted = last.result(TIMEOUT)
        self.assertTrue(enough)
        device = daemon.device("dev1")
        latest = codec.decode(device.get("/upt/1/mr/1/r").body, r.Reading)
        self.assertIn(latest.value, (posted, posted + 1))
        sets = codec.decode(device.get("/upt/1/mr/1/rs?l=255").body, r.ReadingSetList)
        self.assertEqual(sets.all, latest.value)
        for each in sets.ReadingSet:
            assert each.ReadingListLink is not None
            page = codec.decode(device.get(each.ReadingListLink.href).body, r.ReadingList)
            self.assertEqual(page.all, 20)


class ReloadTests(DaemonCase):
    """SIGHUP."""

    def test_new_certificate(self) -> None:
        """New connections are shown the new certificate; those that are open stay as they are, and work."""
        daemon = self.serve()
        old, new = LAB.server("127.0.0.1", "localhost"), LAB.server("127.0.0.1", "new.example")
        before = daemon.device("dev1")
        self.assertEqual(before.server_certificate, old.der)
        pki.write(self.place.tls, **{"127.0.0.1": new})
        daemon.process.send(signal.SIGHUP)
        daemon.process.log.wait_for("reloaded")
        after = daemon.device("dev1")
        self.assertEqual(after.server_certificate, new.der)
        self.assertEqual(before.server_certificate, old.der)
        for device in (before, after):
            self.assertEqual(device.put(STATUS, status(5)).status, 204)
            self.assertEqual(device.get("/edev/1").status, 200)

    def test_new_root(self) -> None:
        """A root that is added lets its devices in from then on."""
        daemon = self.serve()
        other = pki.Authority.make("added")
        pki.write(self.place.tls, stranger=other.device("stranger"))
        self.assertRaises(OSError, lambda: daemon.device("stranger").get("/dcap"))
        roots = self.place.tls / "certs" / "ca.crt"
        roots.write_bytes(roots.read_bytes() + other.cert_pem)
        daemon.process.send(signal.SIGHUP)
        daemon.process.log.wait_for("reloaded")
        self.assertEqual(daemon.device("stranger").get("/dcap").status, 200)
        roots.write_bytes(roots.read_bytes() + pki.rsa_leaf(other).cert_pem)
        daemon.process.send(signal.SIGHUP)
        daemon.process.log.wait_for("no device's chain can end in certificate 3 of")

    def test_broken_files(self) -> None:
        """Files that cannot be used change nothing: one line in the log names the file, and all goes on."""
        daemon = self.serve()
        key = self.place.tls / "private" / "127.0.0.1.pem"
        right = key.read_bytes()
        for times, content in enumerate((LAB.device("another").key_pem, b"no key\n"), 1):
            key.write_bytes(content)
            daemon.process.send(signal.SIGHUP)
            # Two signals at once would be one.
            daemon.process.log.wait_for("not reloaded", times=times)
        lines = [line for line in daemon.process.log() if "not reloaded" in line]
        self.assertEqual([str(key) in line for line in lines], [True, True], lines)
        device = daemon.device("dev1")
        self.assertEqual(device.get("/edev/1").status, 200)
        self.assertEqual(device.server_certificate, LAB.server("127.0.0.1", "localhost").der)
        key.write_bytes(right)
        daemon.process.send(signal.SIGHUP)
        daemon.process.log.wait_for("reloaded", times=3)
        self.assertEqual(daemon.device("dev1").get("/edev/1").status, 200)


class FullDiskTests(DaemonCase):
    """A database that cannot be written to while csipd runs."""

    def limit(self, octets: int) -> None:
        """Let it write no file beyond so many octets."""
        _, hard = resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.daemon.process.pid, resource.RLIMIT_FSIZE, (octets, hard))

    def refused(self, answer: Any) -> None:
        self.assertEqual((answer.status, answer.headers["content-type"]), (503, "application/sep+xml"))
        self.assertIsInstance(codec.decode(answer.body, r.Error).maxRetryDuration, int)

    def test_full(self) -> None:
        """A PUT gets 503 and when to come back, GET works, the log has one line; with room all is well."""
        daemon = self.serve()
        device = daemon.device("dev1")
        self.assertEqual(device.put(STATUS, status(1)).status, 204)
        self.limit(0)
        for n in range(3):
            self.refused(device.put(STATUS, status(10 + n)))
        found = device.get(STATUS)
        self.assertEqual((found.status, codec.decode(found.body, r.DERStatus).readingTime), (200, 1))
        self.assertEqual(daemon.device("dev1").get("/edev?l=9").status, 200)
        failed = [line for line in daemon.process.log() if "database cannot be used" in line]
        self.assertEqual(len(failed), 1, failed)
        self.limit(resource.RLIM_INFINITY)
        self.assertEqual(device.put(STATUS, status(20)).status, 204)
        self.assertEqual(codec.decode(device.get(STATUS).body, r.DERStatus).readingTime, 20)
        self.assertNotIn("Traceback", "\n".join(daemon.process.log()))

    def test_full_again(self) -> None:
        """A disk that fills up a second time is said a second time; what was refused has left no trace."""
        daemon = self.serve()
        device = daemon.device("dev1")
        for n in (1, 2):
            self.limit(0)
            self.refused(device.put(STATUS, status(10 * n)))
            self.assertEqual(device.get(STATUS).status, 404 if n == 1 else 200)
            self.limit(resource.RLIM_INFINITY)
            self.assertEqual(device.put(STATUS, status(n)).status, 204)
        daemon.process.log.wait_for("database cannot be used", times=2)
        device.close()
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        found = daemon.device("dev1").get(STATUS)
        self.assertEqual(codec.decode(found.body, r.DERStatus).readingTime, 2)

    def test_full_at_the_start(self) -> None:
        """A disk that is full from the first is one line that names the file; with room it starts."""

        def fill() -> None:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))

        for certificates, name in ((False, "tls/private/ca.pem"), (True, "var/csipd.sqlite")):
            place = small_place(Path(self.mktemp()), certificates=certificates)
            ended = run(place.folder, *twistd(place), preexec_fn=fill)
            self.assertEqual((ended.returncode, ended.stdout), (1, ""))
            (line,) = ended.stderr.splitlines()
            self.assertIn(f": {place.folder / name}: ", line)
            Daemon(self, place).start()


class BrokenStartTests(SynchronousTestCase):
    """What keeps it from starting. test_start.py has all of these without a process."""

    def run_in(self, places: Iterable[tuple[Place, tuple[str, ...]]]) -> list[CompletedProcess[str]]:
        """Start csipd in each place, which is to fail; two at a time."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda what: run(what[0].folder, *twistd(what[0], *what[1])), places))

    def test_one_line(self) -> None:
        """Exit code 1, one line that names what is wrong and where, and nothing on disk is another."""
        wrong = (
            "port in use",
            "locked database",
            "corrupt database",
            "database of a later csipd",
            "a file for a storage folder",
            "missing certificate",
            "key of another certificate",
            "host that cannot be resolved",
            "unknown key",
        )
        places = [small_place(Path(self.mktemp())) for _ in wrong]
        with ExitStack() as held:
            for place, name in zip(places, wrong, strict=True):
                held.enter_context(BROKEN[name].held(place))
            before = [snapshot(place.folder) for place in places]
            flags = [BROKEN[name].flags for name in wrong]
            results = self.run_in(zip(places, flags, strict=True))
            after = [snapshot(place.folder) for place in places]
        for place, name, result in zip(places, wrong, results, strict=True):
            with self.subTest(name):
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                (line,) = result.stderr.splitlines()
                for part in BROKEN[name].names(place):
                    self.assertIn(part, line)
        self.assertEqual(after, before)

    def test_check(self) -> None:
        """--check says whether it would start, makes nothing, and says the same of what is wrong."""
        good, bad = (small_place(Path(self.mktemp()), certificates=False) for _ in range(2))
        bad.add("no_such_key: 1")
        before = [snapshot(place.folder) for place in (good, bad)]
        right, wrong = self.run_in([(good, ("--check",)), (bad, ("--check",))])
        self.assertEqual((right.returncode, right.stdout), (0, ""))
        self.assertEqual(right.stderr, f"{good.config}: csipd would start\n")
        self.assertEqual((wrong.returncode, wrong.stdout), (1, ""))
        self.assertIn("no_such_key", wrong.stderr)
        self.assertEqual([snapshot(place.folder) for place in (good, bad)], before)


class WithdrawalTests(TestCase):
    """Access that the operator withdraws, on connections that are open (decision 5). In this process."""

    def setUp(self) -> None:
        place = small_place(Path(self.mktemp()))
        pki.write(place.tls, dev2=LAB.device("dev2"))
        place.add("- id: dev2", "  pin: 123455")
        self.place = place
        self.asked: list[bytes] = []

    def serve(self) -> MultiService:
        tree = serve_here(self, self.place, debug=True)
        (listeners,) = (service for service in tree if isinstance(service, Listeners))
        context = vars(listeners)["_listeners"][0].site.context
        find_answer = context.find_answer

        def note(caller: str, head: bytes) -> bytes | None:
            """What is not found among the answers that are kept is asked of the store."""
            answer: bytes | None = find_answer(caller, head)
            if answer is None:
                self.asked.append(head)
            return answer

        context.find_answer = note
        (self.database,) = (service for service in tree if isinstance(service, Database))
        return tree

    async def device(self, id: str) -> Client:
        return await connect_here(self, self.place, LAB.device(id))

    async def warm(self, client: Client, path: str) -> None:
        """Have an answer in the fast path."""
        for _ in range(3):
            self.assertEqual((await client.get(path)).status, 200)
        self.asked.clear()
        self.assertEqual((await client.get(path)).status, 200)
        self.assertEqual(self.asked, [], "the fast path answers")

    def withdraw(self, id: str) -> Deferred[bool]:
        def operation(transaction: Transaction) -> bool:
            return devices.withdraw(transaction, LAB.device(id).lfdi, "operator", 1_800_000_000)

        return self.database.write(operation)

    def readmit(self, id: str) -> Deferred[bool]:
        def operation(transaction: Transaction) -> bool:
            return devices.readmit(transaction, LAB.device(id).lfdi, "operator", 1_800_000_001)

        return self.database.write(operation)

    async def shut_out(self, client: Client) -> None:
        """It is as if csipd had never known this certificate."""
        for path in ("/edev/1/rg", "/edev/1", "/edev", "/derp", "/sdev"):
            self.assertEqual((await client.get(path)).status, 404, path)
        self.assertEqual((await client.put(STATUS, status(5))).status, 404)
        # A body that nobody may send ends the connection (decision 35).
        client = await self.device("dev1")
        self.assertEqual((await client.get("/tm")).status, 200)
        answer = await client.get("/dcap")
        self.assertEqual(answer.status, 200)
        links = [etree.QName(link).localname for link in etree.fromstring(answer.body)]
        self.assertEqual(links, ["TimeLink"])
        own = LAB.device("dev1")
        body = codec.encode(r.EndDevice(sFDI=own.sfdi, lFDI=own.lfdi, changedTime=0))
        self.assertEqual((await client.post("/edev", body)).status, 403)

    async def test_next_request(self) -> None:
        """The request after the acknowledged withdrawal is refused; other devices notice nothing."""
        self.serve()
        mine, other = await self.device("dev1"), await self.device("dev2")
        for path in ("/edev/1/rg", "/dcap"):
            await self.warm(mine, path)
        await self.warm(other, "/edev/2/rg")
        self.assertTrue(await self.withdraw("dev1"))
        await self.shut_out(mine)
        self.asked.clear()
        self.assertEqual((await other.get("/edev/2/rg")).status, 200)
        self.assertEqual(self.asked, [], "the fast path answers the other device still")

    async def test_while_asking(self) -> None:
        """Of requests that are under way none is answered from what was once true after the withdrawal."""
        self.serve()
        client = await self.device("dev1")
        await self.warm(client, "/edev/1/rg")
        for _ in range(20):
            before = [client.get("/edev/1/rg") for _ in range(3)]
            withdrawn = self.withdraw("dev1")
            during = [client.get("/edev/1/der?l=9") for _ in range(3)]
            await withdrawn
            after = [client.get("/edev/1/rg"), client.get("/edev/1/der?l=9")]
            self.assertEqual([(await each).status for each in after], [404, 404])
            for each in (*before, *during):
                self.assertIn((await each).status, (200, 404))
            await self.readmit("dev1")
            self.assertEqual((await client.get("/edev/1/rg")).status, 200)

    async def test_last_contact(self) -> None:
        """When a device was heard of is known after the daemon has stopped, requests of the fast path among
        them (case B7)."""
        tree = self.serve()
        client = await self.device("dev1")
        await self.warm(client, "/edev/1/rg")
        self.assertEqual((await client.get("/edev/2")).status, 404)
        began = int(time.time())
        await client.close()
        await tree.stopService()
        self.serve()
        found = (await self.database.read(lambda connection: contacts.of(connection, [1, 2])))[1]
        self.assertTrue(began - 60 <= found.at <= time.time())
        self.assertEqual((found.host, found.refusals), ("127.0.0.1", 1))

    async def test_sticky(self) -> None:
        """No restart and no configuration undoes a withdrawal; the operator does, and all is there again."""
        tree = self.serve()
        client = await self.device("dev1")
        self.assertEqual((await client.put(STATUS, status(5))).status, 204)
        await self.withdraw("dev1")
        await client.close()
        await tree.stopService()
        self.place.config.write_text(self.place.config.read_text().replace("111115", "222220"))
        self.serve()
        client = await self.device("dev1")
        await self.shut_out(client)
        self.assertTrue(await self.readmit("dev1"))
        client = await self.device("dev1")
        found = await client.get(STATUS)
        self.assertEqual(codec.decode(found.body, r.DERStatus).readingTime, 5)
        pin = codec.decode((await client.get("/edev/1/rg")).body, r.Registration).pIN
        self.assertEqual(pin, 222220)
