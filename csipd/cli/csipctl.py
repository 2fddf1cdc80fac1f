"""``csipctl``: the operator's command line, over the operator's API (docs/csipctl.md)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import click

from csipd import config
from csipd.cli.ctl.alarms import alarms
from csipd.cli.ctl.audit import audit
from csipd.cli.ctl.backups import backup, restore
from csipd.cli.ctl.completion import completion
from csipd.cli.ctl.controls import controls
from csipd.cli.ctl.devices import devices
from csipd.cli.ctl.discovery import discovery
from csipd.cli.ctl.errors import Code
from csipd.cli.ctl.exports import exports
from csipd.cli.ctl.groups import groups
from csipd.cli.ctl.https import DEFAULT_PORT, Credentials, Server, parse_server, reachable
from csipd.cli.ctl.init import init
from csipd.cli.ctl.offline import certs, check_config, lfdi
from csipd.cli.ctl.options import Command, Parsed
from csipd.cli.ctl.output import Output
from csipd.cli.ctl.programs import programs
from csipd.cli.ctl.rates import rates
from csipd.cli.ctl.readings import readings
from csipd.cli.ctl.responses import responses
from csipd.cli.ctl.session import Machine, Session
from csipd.cli.ctl.simulate import simulate
from csipd.cli.ctl.status import status
from csipd.cli.ctl.subscriptions import subscriptions

_SERVER = f"https://127.0.0.1:{DEFAULT_PORT}"
_TIMEOUT = 30.0


class CSIPCtl(click.Group):
    """The outermost command, which ends the process with the exit codes of docs/csipctl.md."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        code: int = Code.DONE
        try:
            ended = super().main(*args, **{**extra, "standalone_mode": False})
            code = ended if isinstance(ended, int) else Code.DONE
        except click.Abort:  # click's word for Ctrl-C
            code = Code.INTERRUPTED
        except click.ClickException as error:
            if isinstance(error, click.NoSuchOption):
                error = self._placed(error)
            error.show()
            code = error.exit_code
        sys.exit(code)

    def _placed(self, error: click.NoSuchOption) -> click.UsageError:
        """The error of an unknown option; of one that belongs before the command, that it does."""
        name = error.option_name
        if not any(name in one.opts for one in self.params):
            return error
        return click.UsageError(f"{name} stands before the command: csipctl {name} ...", error.ctx)


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"{text[:60]!r} is no time zone, such as America/Los_Angeles") from None


def _option(*names: str, **how: Any) -> Callable[[Command], Command]:
    """An option before the command, which may be an environment variable in its place."""
    variable = f"CSIPCTL_{names[0].lstrip('-').upper()}"
    return click.option(*names, envvar=variable, show_envvar=True, **how)


_PATH = click.Path(path_type=Path)


@click.group(cls=CSIPCtl, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@_option("--config", "file", type=_PATH, help="csipd's configuration: where its API and tls_repository are.")
@_option("--server", help=f"Where the operator's API is [{_SERVER}].")
@_option("--name", help="Name that the server's certificate must hold, where it is not that of --server.")
@_option("--tls", type=_PATH, help="Folder with certs/ca.crt, certs/admin.crt, private/admin.pem [./tls].")
@_option("--ca", type=_PATH, help="Trust the server's certificate from this CA (PEM).")
@_option("--cert", type=_PATH, help="The operator's certificate (PEM).")
@_option("--key", type=_PATH, help="Its key (PEM).")
@_option("--timeout", type=click.FloatRange(0.1, 3600), default=_TIMEOUT, help="Seconds to wait [30].")
@_option("--zone", type=Parsed("zone", _zone), help="Time zone of times, given and shown [this machine's].")
@_option("--json", "as_json", is_flag=True, help="Print the API's JSON as it came, for machines.")
@click.version_option(package_name="csipd", prog_name="csipctl")
@click.pass_context
def csipctl(
    context: click.Context,
    file: Path | None,
    server: str | None,
    name: str | None,
    tls: Path | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    timeout: float,
    zone: ZoneInfo | None,
    as_json: bool,
) -> None:
    """Operate a csipd server: devices, groups, programs, controls, alarms.

    Options before the command may also be environment variables.

    \b
    Examples:
      csipctl status
      csipctl --config /etc/csipd/config.yml devices list
      csipctl --server https://csipd.example:7444 --tls ~/operator controls list --status active
      csipctl --json alarms list --open

    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 server not reached or not trusted, 4 server failed, 5 you
    said no, 130 interrupted.
    """
    machine = context.find_object(Machine) or Machine()
    settings = _settings(file)
    folder = tls or (settings.find_tls_repository() if settings else Path("tls"))
    session = Session(
        machine=machine,
        server=_server(server, name, settings),
        credentials=Credentials(
            ca=ca or folder / "certs" / "ca.crt",
            certificate=cert or folder / "certs" / "admin.crt",
            key=key or folder / "private" / "admin.pem",
        ),
        timeout=timeout,
        tls=folder,
        settings=settings,
        zone=zone or machine.zone,
        out=Output(as_json=as_json),
    )
    context.obj = session
    context.call_on_close(session.close)


def _settings(file: Path | None) -> config.Settings | None:
    if file is None:
        return None
    try:
        return config.load(file)
    except config.ConfigError as error:
        raise click.BadParameter(f"\n{error}", param_hint="--config") from None


def _server(url: str | None, name: str | None, settings: config.Settings | None) -> Server:
    if url is not None or settings is None:
        try:
            return parse_server(url or _SERVER, name)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--server") from None
    host = reachable(settings.admin.host)
    if not settings.admin.port:
        raise click.BadParameter("admin_port is 0, any free port: give --server", param_hint="--config")
    # The certificate holds the name or address of `server`, or where that is every address, of this machine.
    own = reachable(settings.server)
    return Server(host, settings.admin.port, name or (host if own != settings.server else own))


for command in (
    devices,
    groups,
    programs,
    rates,
    controls,
    readings,
    responses,
    alarms,
    audit,
    subscriptions,
    exports,
    status,
    lfdi,
    certs,
    init,
    check_config,
    discovery,
    backup,
    restore,
    simulate,
    completion,
):
    csipctl.add_command(command)


def main() -> None:
    """Run one command, and end with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that this terminal cannot show is no reason to fail
    csipctl.main(prog_name="csipctl")
