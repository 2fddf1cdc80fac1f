"""A replaced certificate over HTTP: open connections, cached answers, the first request of the new one."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import replacement
from tests.support.ways import both_ways
from tests.support.world import NAMESPACE, NOW, OWNER, World, caller

NEW = caller("the owner's new certificate")


class ReplacedTests(SynchronousTestCase):
    """Two certificates of one device (case B5)."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.path = f"/edev/{self.world.numbers.owner}"

    def replace(self, at_once: bool = False) -> None:
        number = self.world.numbers.owner
        self.world.write(lambda t: replacement.replace(t, number, NEW.lfdi, "ada", NOW + 1, at_once=at_once))

    def test_first_request(self) -> None:
        """The old one is answered until the new one asks, and on its open connection no more from then on."""
        for _ in range(3):
            self.assertEqual(self.world.get(OWNER, self.path).status, 200)
        self.replace()
        for _ in range(3):
            document = self.world.document(OWNER, self.path)
            self.assertEqual(document.findtext(f"{NAMESPACE}lFDI"), NEW.lfdi)
        self.assertEqual(self.world.get(NEW, self.path).status, 200)
        for path in (self.path, "/edev", f"{self.path}/der"):
            self.assertEqual(self.world.get(OWNER, path).status, 404, path)
            self.assertEqual(self.world.get(NEW, path).status, 200, path)

    def test_first_write(self) -> None:
        """A first request that writes is carried out, and one that is refused ends the old one too."""
        self.replace()
        body = self.world.get(OWNER, f"{self.path}/di")
        self.assertEqual(body.status, 200)
        self.assertEqual(self.world.send(NEW, "DELETE", "/tm").status, 405)
        self.assertEqual(self.world.get(OWNER, self.path).status, 404)

    def test_put(self) -> None:
        """The write that is the first request is done once."""
        self.replace()
        body = f"""<EndDevice xmlns="{NAMESPACE.strip("{}")}"><sFDI>{OWNER.sfdi}</sFDI>
            <changedTime>0</changedTime><postRate>42</postRate></EndDevice>"""
        self.assertEqual(self.world.put(NEW, self.path, body.encode()).status, 204)
        self.assertEqual(self.world.document(NEW, self.path).findtext(f"{NAMESPACE}postRate"), "42")
        self.assertEqual(self.world.get(OWNER, self.path).status, 404)

    def test_at_once(self) -> None:
        """With the operator's word the old one's open connection gets 404, cached answers included."""
        for _ in range(3):
            self.assertEqual(self.world.get(OWNER, self.path).status, 200)
        self.replace(at_once=True)
        self.assertEqual(self.world.get(OWNER, self.path).status, 404)
        self.assertEqual(self.world.get(NEW, self.path).status, 200)


both_ways(globals())
