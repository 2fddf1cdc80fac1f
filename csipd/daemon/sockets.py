"""Whether the ports of the configuration can be had."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from attrs import frozen
from twisted.internet.error import CannotListenError

from csipd.config import Settings
from csipd.daemon.failures import StartError

_EXPECTED = {
    errno.EADDRINUSE: "is in use by another program; expected a free port",
    errno.EACCES: "needs more rights than this user has; expected a port from 1024, or a start as root",
}


@frozen
class _Wanted:
    """A port to listen on.

    :param host_key: of the configuration
    :param port_keys: the same, any of which gives the port
    """

    host_key: str
    port_keys: tuple[str, ...]
    host: str
    port: int

    def refused(self, settings: Settings, error: OSError) -> StartError:
        """Say why it cannot be had."""
        if error.errno == errno.EADDRNOTAVAIL:
            message = (
                f"{self.host} is no address of this machine; expected one that it has, or 0.0.0.0 for all"
            )
            return StartError(settings.problem(self.host_key, message, "server_hostname"))
        reason = _EXPECTED.get(error.errno or 0, f"{error.strerror}; expected a port to listen on")
        message = f"{self.host} port {self.port}: {reason}"
        return StartError(
            settings.problem(self.port_keys[0], message, *self.port_keys[1:], "server_hostname")
        )


def _of_the_server(settings: Settings) -> Iterator[_Wanted]:
    yield _Wanted("server", ("https_port", "port"), settings.server, settings.https_port)
    if settings.plain is not None:
        yield _Wanted("server", ("http_port",), settings.server, settings.plain.port)
    if settings.generate_admin_cert or settings.operators:
        yield _Wanted("admin_host", ("admin_port",), settings.admin.host, settings.admin.port)


def _of_the_proxy(settings: Settings) -> Iterator[_Wanted]:
    if settings.proxy.listen is not None:
        listen = settings.proxy.listen
        yield _Wanted("proxy_hostname", ("proxy_hostname",), listen.host, listen.port)


def try_ports(settings: Settings, *, runs: bool) -> None:
    """See that devices and operators can be listened to, and what plain HTTP and proxy inside there is to be.

    :param runs: whether a csipd runs with this configuration's store: what is in use is its own then
    :raises StartError: a name cannot be resolved, an address is another machine's, a port cannot be had
    """
    for wanted in _of_the_server(settings):
        _try(settings, wanted, runs)
    if settings.proxy.inside:
        try_proxy_port(settings, runs=runs)


def try_proxy_port(settings: Settings, *, runs: bool = False) -> None:
    """The same of the proxy's port."""
    for wanted in _of_the_proxy(settings):
        _try(settings, wanted, runs)


def taken_since(settings: Settings, error: CannotListenError) -> StartError:
    """What is to be said where a port that could be had a moment ago cannot be listened on."""
    for wanted in (*_of_the_server(settings), *_of_the_proxy(settings)):
        if (wanted.host, wanted.port) == (error.interface, error.port):
            return wanted.refused(settings, error.socketError)
    return StartError(str(error))


def _try(settings: Settings, wanted: _Wanted, runs: bool) -> None:
    """See that one port can be had. It is let go again: sockets are opened after the fork."""
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        message = (
            f"{wanted.host} cannot be resolved ({error.strerror}); expected an address or a name of this"
            " machine"
        )
        raise StartError(settings.problem(wanted.host_key, message, "server_hostname")) from error
    try:
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen(1)
    except OSError as error:
        if not runs or error.errno != errno.EADDRINUSE:
            raise wanted.refused(settings, error) from error
