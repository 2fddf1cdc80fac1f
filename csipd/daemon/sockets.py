"""Whether the ports of the configuration can be had."""

from __future__ import annotations

import errno
import socket

from csipd.config import Settings
from csipd.daemon.failures import StartError

_EXPECTED = {
    errno.EADDRINUSE: "is in use by another program; expected a free port",
    errno.EACCES: "needs more rights than this user has; expected a port from 1024, or a start as root",
}


def try_ports(settings: Settings, *, runs: bool) -> None:
    """See that devices and operators can be listened to, and what plain HTTP there is to be.

    :param runs: whether a csipd runs with this configuration's store: what is in use is its own then
    :raises StartError: a name cannot be resolved, an address is another machine's, a port cannot be had
    """
    try_port(settings, "server", ("https_port", "port"), settings.server, settings.https_port, runs)
    if settings.plain is not None:
        try_port(settings, "server", ("http_port",), settings.server, settings.plain.port, runs)
    if settings.generate_admin_cert or settings.operators:
        try_port(settings, "admin_host", ("admin_port",), settings.admin.host, settings.admin.port, runs)
    if settings.proxy.inside and settings.proxy.listen is not None:
        proxy = settings.proxy.listen
        try_port(settings, "proxy_hostname", ("proxy_hostname",), proxy.host, proxy.port, runs)


def try_port(
    settings: Settings, host_key: str, port_keys: tuple[str, ...], host: str, port: int, runs: bool
) -> None:
    """See that one port can be had. It is let go again: sockets are opened after the fork.

    :param host_key: of the configuration
    :param port_keys: the same, any of which gives the port
    :raises StartError: it cannot be had
    """
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        message = (
            f"{host} cannot be resolved ({error.strerror}); expected an address or a name of this machine"
        )
        raise StartError(settings.problem(host_key, message, "server_hostname")) from error
    try:
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen(1)
    except OSError as error:
        if runs and error.errno == errno.EADDRINUSE:
            return
        if error.errno == errno.EADDRNOTAVAIL:
            message = f"{host} is no address of this machine; expected one that it has, or 0.0.0.0 for all"
            raise StartError(settings.problem(host_key, message, "server_hostname")) from error
        reason = _EXPECTED.get(error.errno or 0, f"{error.strerror}; expected a port to listen on")
        message = f"{host} port {port}: {reason}"
        raise StartError(
            settings.problem(port_keys[0], message, *port_keys[1:], "server_hostname")
        ) from error
