"""``twistd csipd``: options, and the service made from them. The only module that knows the reactor."""

from __future__ import annotations

import grp
import os
import pwd
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from twisted.application.service import IService
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python import usage

from csipd import config
from csipd.daemon import start
from csipd.daemon.console import hints
from csipd.daemon.failures import StartError
from csipd.daemon.services import build
from csipd.daemon.start import PreparedDaemon, StartOptions

_log = Logger()
_DEFAULT = "config.yml"


class Options(usage.Options):
    """Options of the csipd plugin."""

    synopsis = "[options]"
    longdesc = (
        "An IEEE 2030.5-2018 / CSIP utility server. Everything that the configuration asks for is tried "
        "before the daemon starts; what is wrong is said in one line each, and nothing is started."
    )
    optParameters = [["config", "c", _DEFAULT, "The configuration file."]]
    optFlags = [
        ["check", None, "Say whether the daemon would start, and exit; nothing on disk is changed."],
        ["no-validate", None, "Do not resolve the hostname and ip of each device."],
        ["no-create-certs", None, "Make no keys or certificates; a missing one is an error."],
        ["debug", None, "More logging: a line for every answer."],
        ["hints", None, "Say what to try, once the daemon serves."],
    ]
    ready: PreparedDaemon

    def postOptions(self) -> None:
        """Try everything that can fail, while an error can still be a line and an exit code."""
        try:
            if self["config"] == _DEFAULT and not os.path.lexists(_DEFAULT):
                fail(f"{_DEFAULT}: not found here; csipctl init makes one, --config names another")
            settings = config.load(self["config"])
            for line in settings.warnings:
                say(f"warning: {line}")
            options = StartOptions(
                resolve=not self["no-validate"],
                make_certificates=not self["no-create-certs"],
                debug=bool(self["debug"]),
                hints=tuple(hints(settings, Path(sys.argv[0]), Path.cwd())) if self["hints"] else (),
                user=user_of(self.parent, settings),
            )
            if self["check"]:
                checked = start.check(settings, options)
                for line in checked.warnings:
                    say(f"warning: {line}")
                state = "csipd runs with this store" if checked.runs else "csipd would start"
                say(f"{self['config']}: {state}")
                raise SystemExit(0)
            self.ready = start.prepare(settings, options)
        except (config.ConfigError, StartError) as error:
            fail(str(error))


def user_of(twistd: Any, settings: config.Settings) -> tuple[int, int] | None:
    """Whom the daemon will run as: twistd's --uid and --gid, or the configuration's, when it is root.

    :param twistd: its options, in which uid and gid are set where they are the configuration's
    """
    if os.geteuid() != 0:
        return None
    twistd = twistd or {}
    uid, gid = twistd.get("uid"), twistd.get("gid")
    if uid is None and settings.service_user is not None:
        uid, gid = _account(settings, settings.service_user)
        twistd["uid"], twistd["gid"] = uid, gid
    if uid is None:
        return None
    if gid is not None:
        return uid, gid
    try:
        return uid, pwd.getpwuid(uid).pw_gid
    except KeyError:
        raise StartError(f"--uid {uid}: expected an account of this machine, or --gid beside it") from None


def _account(settings: config.Settings, user: str) -> tuple[int, int]:
    """uid and gid of service_user and service_group."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        message = f"there is no account {user}; expected one of this machine"
        raise StartError(settings.problem("service_user", message)) from None
    group = settings.service_group
    if group is None:
        return entry.pw_uid, entry.pw_gid
    try:
        return entry.pw_uid, grp.getgrnam(group).gr_gid
    except KeyError:
        message = f"there is no group {group}; expected one of this machine"
        raise StartError(settings.problem("service_group", message)) from None


def makeService(options: Options) -> IService:
    """The daemon, ready to start; opens nothing."""
    say_in_a_line()
    return build(options.ready, the_reactor())


def the_reactor() -> Any:
    """The reactor of this process, as csipd wants it."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    if reactor.seconds is not time.monotonic:
        # Not csipd's own (csipd.net.reactor): one that was chosen with twistd --reactor, or Twisted's where
        # there is no epoll. It measures delays by the wall clock, which could be set back and freeze every
        # timer and deadline (decision 22). Nothing has been scheduled yet.
        reactor.seconds = time.monotonic
    # The reactor puts its own handlers in place when it starts to run.
    reactor.callWhenRunning(signal.signal, signal.SIGTERM, lambda *_: _stop_on_sigterm(reactor))
    return reactor


def _stop_on_sigterm(reactor: Any) -> None:
    """End with exit code 0, having done what was asked; the reactor's own handler ends by the signal."""

    def stop() -> None:
        with suppress(ReactorNotRunning):  # a second SIGTERM
            reactor.stop()

    _log.info("SIGTERM: stopping")
    reactor.callFromThread(stop)


def say_in_a_line() -> None:
    """Have what ends this process be a line, and no traceback, where it is a start that fails late."""

    def say_why(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, StartError):
            sys.__excepthook__(kind, error, trace)
            return
        _log.critical("{line}", line=str(error))
        if sys.__stderr__ is not None:  # by now sys.stderr is the log
            sys.__stderr__.write(f"{error}\n")

    sys.excepthook = say_why


def say(line: str) -> None:
    """Write a line to whoever started the daemon."""
    sys.stderr.write(f"{line}\n")


def fail(lines: str) -> NoReturn:
    """Say what is wrong, and end."""
    say(lines)
    raise SystemExit(1)
