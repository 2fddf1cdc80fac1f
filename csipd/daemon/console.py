"""The log as a person reads it who started csipd in a terminal, and what that person may try next.

    twistd --nodaemon --logger csipd.daemon.console.console csipd --hints

Framework and file names are for the log of a service. Here a line has the time of day and what csipd says; of
Twisted come warnings and errors, and of what a start has done only what is doubtful.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    PredicateResult,
    eventAsText,
    formatTime,
)
from zope.interface import provider

from csipd.config import Settings

#: What curl has to be told to be a device, with OpenSSL 3.
CIPHERS = "'ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0'"
#: Whoever says what a start has done, line by line.
_DETAILS = "csipd.daemon.running.Notices"


def console(file: TextIO | None = None) -> ILogObserver:
    """An observer for ``twistd --logger``: standard output, or another file."""
    return FilteringLogObserver(FileLogObserver(file or sys.stdout, _line), [_worth_a_line])


@provider(ILogFilterPredicate)
def _worth_a_line(event: LogEvent) -> Any:
    level = event.get("log_level") or LogLevel.info
    namespace = str(event.get("log_namespace"))
    own = namespace.startswith("csipd.") and namespace != _DETAILS
    least = LogLevel.info if own else LogLevel.warn
    return PredicateResult.maybe if level >= least else PredicateResult.no


def _line(event: LogEvent) -> str | None:
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    level = event.get("log_level") or LogLevel.info
    mark = "" if level <= LogLevel.info else f"{level.name}: "
    return f"{formatTime(event.get('log_time'), '%H:%M:%S')} {mark}{text}\n" if text else None


def hints(settings: Settings, started_as: Path, folder: Path) -> Iterable[str]:
    """What to try once the daemon serves, a line each.

    :param started_as: the program that was started; csipctl lies beside it
    :param folder: in which it was started
    """
    tls = settings.tls_repository
    short = Path(tls.name) if tls == folder / tls.name else tls
    yield "In another shell:"
    operator = settings.generate_admin_cert
    if operator:
        ctl = [str(started_as.parent / "csipctl") if started_as.parent.name else "csipctl"]
        if (short, settings.admin.host, settings.admin.port) != (Path("tls"), "127.0.0.1", 7444):
            ctl += ["--config", settings.file]
        for command in ("devices list", "controls list", "--help"):
            yield f"  {shlex.join(ctl)} {command}"
    own = [device.id for device in settings.devices if device.lfdi is None]
    if own:
        host = "127.0.0.1" if settings.server in ("0.0.0.0", "::") else settings.server  # noqa: S104 - a name
        address = f"[{host}]" if ":" in host else host
        url = f"https://{address}:{settings.https_port}{settings.dcap_path}"
        yield f"  curl -s --tls-max 1.2 --ciphers {CIPHERS} --cacert {short}/certs/ca.crt \\"
        yield f"    --cert {short}/certs/{own[0]}.crt --key {short}/private/{own[0]}.pem {url}  # as {own[0]}"
    if operator:
        at = settings.admin
        yield f"For {short}/certs/admin.crt the operator's API is described at https://{at}/admin/openapi.json"
    yield "Ctrl-C ends it."
