"""Real brokers for tests, each with the platform's token service and the platform's own client beside it.

    broker = CoilBroker(case)
    yield broker.start()
    application = yield broker.application()
    yield application.do(subscribe="/topic/a")
    message = yield application.hear(lambda said: "message" in said)
    yield broker.kill()

All of them are processes of their own, which end with the test. Each wait has an end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionRefusedError, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support.pki import Authority
from tests.support.ports import free_port

#: Seconds that anything here may take; far more than it does.
TIMEOUT: Final = 60.0
USER, PASSWORD = "system", "manager"
TOKEN: Final = "TOKEN.of-the-fake-platform"

#: Who issues the certificates of brokers.
ROOT: Final = Authority.make("the root of brokers")
_KEYS: Final = "keys.p12"

ACTIVEMQ: Final = Path("/usr/share/activemq/bin/activemq.jar")


class Gone(Exception):
    """A process has ended that should not have."""


class LineProcess(ProcessProtocol):
    """A process that says lines.

    :ivar lines: what it said and nobody has heard yet
    """

    def __init__(self, case: TestCase, *argv: str, folder: Path | None = None) -> None:
        self.lines: list[str] = []
        self._rest = b""
        self._errors = b""
        self._hearing: list[tuple[Callable[[str], bool], Deferred[str]]] = []
        self._ended: Deferred[None] = Deferred()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GRIDAPPSD_")}
        self._process = reactor.spawnProcess(
            self, argv[0], argv, env=environment, path=None if folder is None else str(folder)
        )
        case.addCleanup(self.kill)

    def hear(self, wanted: Callable[[str], bool] = lambda line: True) -> Deferred[str]:
        """The first line of those that is wanted; it is not heard again."""
        heard: Deferred[str] = Deferred()
        for line in self.lines:
            if wanted(line):
                self.lines.remove(line)
                heard.callback(line)
                return heard
        if self._ended.called:
            heard.errback(Gone(self._errors.decode("utf-8", "replace")[-2000:]))
            return heard
        self._hearing.append((wanted, heard))
        return heard.addTimeout(TIMEOUT, reactor)

    def say(self, line: str) -> None:
        """Give it a line."""
        self.transport.write(line.encode() + b"\n")

    def kill(self) -> Deferred[None]:
        """End it as a power cut would."""
        with suppress(ProcessExitedAlready):
            self._process.signalProcess("KILL")
        ended: Deferred[None] = Deferred()
        self._ended.addCallback(lambda _: ended.callback(None))
        return ended.addTimeout(TIMEOUT, reactor)

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode("utf-8", "replace"))

    def errReceived(self, data: bytes) -> None:
        self._errors = (self._errors + data)[-10_000:]

    def processEnded(self, reason: Failure) -> None:
        hearing, self._hearing = self._hearing, []
        for _, heard in hearing:
            if not heard.called:
                heard.errback(Gone(self._errors.decode("utf-8", "replace")[-2000:]))
        self._ended.callback(None)

    def _take(self, line: str) -> None:
        for one in self._hearing:
            wanted, heard = one
            if not heard.called and wanted(line):
                self._hearing.remove(one)
                heard.callback(line)
                return
        self.lines.append(line)


def activemq(folder: Path, port: int, token: str, tls_port: int = 0) -> tuple[str, ...]:
    """The command that runs ActiveMQ in a folder; it lets the platform's user in, and who has a token.

    :param tls_port: of STOMP over TLS, with a certificate of ``localhost`` that `ROOT` issued
    """
    configuration = folder / "activemq.xml"
    configuration.write_text(_activemq_configuration(folder, port, token, tls_port))
    credential = ROOT.server("localhost")
    secret = BestAvailableEncryption(PASSWORD.encode())
    keys = serialize_key_and_certificates(b"broker", credential.key, credential.certificate, None, secret)
    (folder / _KEYS).write_bytes(keys)
    return (
        shutil.which("java") or "java",
        "-Xmx256m",
        f"-Dactivemq.home={ACTIVEMQ.parent.parent}",
        f"-Dactivemq.base={folder}",
        "-jar",
        str(ACTIVEMQ),
        "start",
        f"xbean:file:{configuration}",
    )


def _activemq_configuration(folder: Path, port: int, token: str, tls_port: int) -> str:
    beans = "http://www.springframework.org/schema/beans"
    core = "http://activemq.apache.org/schema/core"
    return f"""\
<beans xmlns="{beans}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="{beans} {beans}/spring-beans-2.0.xsd {core} {core}/activemq-core.xsd">
  <broker xmlns="{core}" useJmx="false" persistent="false" brokerName="test" dataDirectory="{folder}">
    <plugins>
      <simpleAuthenticationPlugin>
        <users>
          <authenticationUser username="{USER}" password="{PASSWORD}" groups="users"/>
          <authenticationUser username="{token}" password="" groups="users"/>
        </users>
      </simpleAuthenticationPlugin>
    </plugins>
    <sslContext>
      <sslContext keyStore="file:{folder / _KEYS}" keyStorePassword="{PASSWORD}" keyStoreType="pkcs12"/>
    </sslContext>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://127.0.0.1:{port}"/>
      <transportConnector name="stomp+ssl" uri="stomp+ssl://127.0.0.1:{tls_port}"/>
    </transportConnectors>
  </broker>
</beans>
"""


class Application:
    """The platform's own client on the bus."""

    def __init__(self, process: LineProcess) -> None:
        self._process = process

    @inlineCallbacks
    def do(self, **what: Any) -> Generator[Deferred[Any], Any, None]:
        """Have it do something; see `tests.support.application`."""
        self._process.say(json.dumps(what))
        yield self._process.hear(lambda line: "done" in json.loads(line))

    @inlineCallbacks
    def hear(self, wanted: Callable[[Any], bool]) -> Generator[Deferred[Any], Any, Any]:
        """The first of what it says that is wanted."""
        line = yield self._process.hear(lambda line: wanted(json.loads(line)))
        return json.loads(line)


class Broker(ABC):
    """A broker on 127.0.0.1.

    :ivar port: where it speaks STOMP, for as long as the test runs
    """

    #: Why there is none, if there is none.
    missing: str | None = None
    #: Where an application is asked something: as the platform's client names it, and as csipd does.
    asked = ("goss.test.request", "/queue/goss.test.request")

    def __init__(self, case: TestCase) -> None:
        self.case = case
        self.folder = Path(case.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self._process: LineProcess | None = None
        self._platform: LineProcess | None = None

    @inlineCallbacks
    def start(self) -> Generator[Deferred[Any], Any, None]:
        """Have it run, at the beginning and after a kill, with the platform's token service."""
        self._process = self._spawn()
        yield self._until_it_listens()
        if self._platform is None:
            self._platform = self._python("fake_platform", USER, PASSWORD, TOKEN)
        yield self._platform.hear(lambda line: line == "ready")

    @inlineCallbacks
    def application(self) -> Generator[Deferred[Any], Any, Application]:
        """The platform's own client, connected."""
        process = self._python("application", USER, PASSWORD)
        yield process.hear(lambda line: "ready" in line)
        return Application(process)

    def kill(self) -> Deferred[None]:
        """End it as a power cut would."""
        assert self._process is not None
        return self._process.kill()

    def _python(self, module: str, *arguments: str) -> LineProcess:
        return LineProcess(
            self.case, sys.executable, "-m", f"tests.support.{module}", str(self.port), *arguments
        )

    @abstractmethod
    def _spawn(self) -> LineProcess:
        """Start its process."""

    @inlineCallbacks
    def _until_it_listens(self) -> Generator[Deferred[Any], Any, None]:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port, timeout=5)
        for _ in range(int(TIMEOUT / 0.1)):
            try:
                found = yield connectProtocol(endpoint, Protocol())
            except ConnectionRefusedError:
                yield deferLater(reactor, 0.1)
            else:
                found.transport.abortConnection()
                return
        raise AssertionError("the broker does not listen")


class CoilBroker(Broker):
    """CoilMQ. It takes what has no ``/queue/`` before it for a topic, and so the client hears no requests."""

    asked = ("/topic/goss.test.request", "/topic/goss.test.request")

    def _spawn(self) -> LineProcess:
        # A token is a name whose password is empty.
        return self._python("coil", USER, PASSWORD, TOKEN, "")


class ActiveMQ(Broker):
    """ActiveMQ Classic, as Debian has it.

    :ivar tls_port: where it speaks STOMP over TLS
    """

    missing = (
        None
        if ACTIVEMQ.exists() and shutil.which("java")
        else f"ActiveMQ is not installed (no {ACTIVEMQ}, or no java)"
    )

    def __init__(self, case: TestCase) -> None:
        super().__init__(case)
        self.tls_port = free_port()

    def _spawn(self) -> LineProcess:
        command = activemq(self.folder, self.port, TOKEN, self.tls_port)
        return LineProcess(self.case, *command, folder=self.folder)
