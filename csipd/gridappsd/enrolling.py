"""Devices of the platform's model become known: with certificates of the lab PKI, as an operator adds them.

It is done once the bus is up for the first time, or at the start where a file has the model, in the
background, a device at a time, so that a model of ten thousand holds nobody up; a stop in the middle costs
nothing, since the next start goes on with those that are not known yet. A device that is known by its name is
left as it is, also one that was removed: what operators did to it counts, and so does its certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd import pki
from csipd.db import devices, groups
from csipd.db.audit import PLATFORM
from csipd.db.database import Database, Transaction
from csipd.db.fair_queue import BULK
from csipd.db.tree.context import Server
from csipd.gridappsd.bus import Bus, NoAnswer
from csipd.gridappsd.model import ModelDevice, ModelError
from csipd.gridappsd.platform_model import PlatformModel
from csipd.gridappsd.simulation import bare
from csipd.pki import PKIError, Repository
from csipd.refusals import Refusal, Unavailable
from csipd.sep2.schema import Element
from csipd.web.admin.devices import MOST_GROUPS, NewDevice, add
from csipd.web.admin.groups import NewGroup
from csipd.web.admin.groups import add as add_group
from csipd.web.admin.operations import Call

#: Devices that are looked up at once.
AT_ONCE: Final = 100
#: Seconds after which a model that could not be read is asked for again.
RETRY: Final = 60.0


class Enrolment(Service):
    """Makes the devices of the model known.

    :param reactor: for processes and timers
    :param wall: seconds since 1970
    :param issuer: the CA in the repository that issues devices' certificates
    :param lfdi_of: the LFDI of the device whose certificate was made under an id
    :param make: whether certificates may be made; else only devices are added that have one there
    :param reserved: names that no device may have
    :param pin: of the devices; None: one is drawn for each
    :param groups: names of the groups that they are put into; where there is none of them, one of their own
    """

    name = "bus-enrolment"
    _log = Logger()

    def __init__(
        self,
        model: PlatformModel,
        database: Database,
        bus: Bus,
        reactor: Any,
        wall: Callable[[], float],
        server: Server,
        repository: Repository,
        issuer: pki.CertificateSpec,
        lfdi_of: Callable[[str], str],
        *,
        make: bool,
        reserved: Collection[str],
        pin: int | None,
        groups: Sequence[str],
    ) -> None:
        self._model = model
        self._database = database
        self._bus = bus
        self._reactor = reactor
        self._wall = wall
        self._server = server
        self._repository = repository
        self._issuer = issuer
        self._lfdi_of = lfdi_of
        self._make = make
        self._reserved = reserved
        self._pin = pin
        self._groups = tuple(groups)[:MOST_GROUPS]
        self._names: dict[str, str] = {}
        self._at_work: Deferred[Any] | None = None
        self._retry: IDelayedCall | None = None
        self._is_done = False

    def startService(self) -> None:
        super().startService()
        if self._model.is_asked_for:
            self._bus.when_up(self._begin)
        else:
            self._begin()

    def stopService(self) -> Deferred[None] | None:
        super().stopService()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        at_work = self._at_work
        if at_work is None:
            return None
        ended: Deferred[None] = Deferred()
        at_work.addBoth(lambda _: ended.callback(None))
        at_work.cancel()
        return ended

    def name_of(self, subject: str) -> str | None:
        """The name of a device in the model, by its mRID."""
        return self._names.get(bare(subject))

    def _begin(self) -> None:
        if self._is_done or self._at_work is not None or not self.running:
            return
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._at_work = self._enrol()
        self._at_work.addCallbacks(self._done, self._failed)

    @inlineCallbacks
    def _enrol(self) -> Any:
        found: list[ModelDevice] = yield self._model.devices()
        self._names = {bare(one.mrid): one.name for one in found}
        fresh: list[ModelDevice] = []
        for start in range(0, len(found), AT_ONCE):
            some = found[start : start + AT_ONCE]
            known = yield self._database.read(partial(_known, some=some), BULK)
            fresh += [one for one in some if one.mrid not in known]
        self._log.info(
            "the platform's model has {all} devices; {fresh} of them are new",
            all=len(found),
            fresh=len(fresh),
        )
        added = 0
        for one in fresh:
            added += yield self._add(one)
        if fresh:
            self._log.info("{added} devices of the platform's model were added", added=added)

    @inlineCallbacks
    def _add(self, one: ModelDevice) -> Any:
        """Make one device known; whether it could be."""
        try:
            id = pki.check_id(one.mrid, self._reserved)
            wanted = pki.device(id, issuer=self._issuer)
            yield pki.run_later(self._reactor, self._repository.ensure([wanted], make=self._make))
            yield self._database.write(partial(self._put, id=id, lfdi=self._lfdi_of(id)), BULK)
        except Unavailable:
            raise
        except (PKIError, Refusal) as error:
            self._bus.refuse(
                "devices of the model",
                "{device} of the platform's model: {why}",
                device=_said(one),
                why=str(error),
            )
            return False
        return True

    def _put(self, transaction: Transaction, *, id: str, lfdi: str) -> None:
        of_file = (groups.find(transaction.connection, name) for name in self._groups)
        found = tuple(number for number in of_file if number is not None)
        body = NewDevice(
            name=id, lFDI=lfdi, pIN=self._pin, groups=found or (self._own_group(transaction),), ders=1
        )
        add(transaction, self._call(body))

    def _own_group(self, transaction: Transaction) -> int:
        """The group of devices for which the file has no FSA: without one they could not be commanded."""
        name = PLATFORM
        found = groups.find(transaction.connection, name)
        if found is None:
            add_group(transaction, self._call(NewGroup(name=name)))
            found = groups.find(transaction.connection, name)
            assert found is not None
        return found

    def _call(self, body: Element) -> Call:
        """What an operator asks for."""
        return Call(PLATFORM, int(self._wall()), self._server, numbers={}, query={}, body=body)

    def _done(self, _: None) -> None:
        self._at_work = None
        self._is_done = True

    def _failed(self, failure: Failure) -> None:
        self._at_work = None
        if failure.check(CancelledError) or not self.running:
            return
        if failure.check(ModelError, NoAnswer):
            self._bus.refuse(
                "models", "the platform's model cannot be used: {why}", why=failure.getErrorMessage()
            )
        elif not failure.check(Unavailable):
            self._log.failure("devices of the platform's model were not added; it is tried again", failure)
        self._retry = self._reactor.callLater(RETRY, self._again)

    def _again(self) -> None:
        self._retry = None
        if not self._model.is_asked_for or self._bus.state.up_since is not None:
            self._begin()


def _known(connection: sa.Connection, some: Sequence[ModelDevice]) -> set[str]:
    """mRIDs of those that there are, be it that an underscore is before the name of one of the two."""
    found = devices.named(connection, [name for one in some for name in _spellings(one.mrid)])
    return {one.mrid for one in some if not found.isdisjoint(_spellings(one.mrid))}


def _spellings(mrid: str) -> tuple[str, str]:
    without = mrid.removeprefix("_")
    return without, f"_{without}"


def _said(one: ModelDevice) -> str:
    """A device of the model in the log, whatever its mRID is made of."""
    return "".join(sign if sign.isprintable() else "?" for sign in one.mrid[:80])
