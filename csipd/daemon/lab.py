"""What a lab is refused for: nothing of it may reach further than this machine (decision 67)."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from csipd.config import Settings
from csipd.daemon.failures import StartError
from csipd.daemon.wallclock import WallClock, lab_clock

#: Seconds by which clocks may differ without a word.
_AHEAD = 60
_EXPECTED = "expected an address of this machine alone in a lab, such as 127.0.0.1"


def check_lab(settings: Settings, user: tuple[int, int] | None) -> None:
    """See that a lab stays on this machine. What names stand for is known here alone.

    :param user: uid and gid that the daemon will run as, if it gives up being root
    :raises StartError: it would not
    """
    if not settings.lab:
        return
    if user is not None:
        message = "expected no service user (--uid, service_user) beside it: a lab serves nobody"
        raise StartError(settings.problem("lab", message))
    for key, host in (("server", settings.server), ("admin_host", settings.admin.host)):
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            message = f"{host} cannot be resolved ({error.strerror}); {_EXPECTED}"
            raise StartError(settings.problem(key, message, "server_hostname")) from error
        for *_, address in found:
            if not ip_address(str(address[0]).partition("%")[0]).is_loopback:
                message = f"{host} is {address[0]}; {_EXPECTED}"
                raise StartError(settings.problem(key, message, "server_hostname"))


def wall_clock(settings: Settings, known: int | None, tick_seconds: float) -> WallClock:
    """The clock that devices see.

    :param known: the last tick that the store knows of (epoch s); a lab is never behind it
    :param tick_seconds: of the machine's, from one tick to the next: more may have passed than was stored
    """
    if not settings.lab:
        return WallClock()
    passed = tick_seconds * (settings.lab_speed - 1)
    return lab_clock(settings.lab_speed, 0 if known is None else known + passed)


def lab_line(speed: int) -> str:
    """What is to be known of a lab."""
    runs = "as this machine's does" if speed == 1 else f"{speed} times as fast as this machine's"
    return f"this is a lab, not for production: its clock runs {runs}"


def warnings(settings: Settings, known: int | None, now: float) -> list[str]:
    """A line for a lab, and for a store whose clock was ahead of this machine's.

    :param known: the last tick that the store knows of (epoch s)
    :param now: epoch s
    """
    if settings.lab:
        return [settings.problem("lab", lab_line(settings.lab_speed))]
    if known is not None and known - now > _AHEAD:
        message = (
            f"{settings.storage_path}: the clock was {known - now:.0f} s ahead of this machine's when csipd "
            "last ran with this store; what was made since is hidden from devices until then. A store of a "
            "lab is not for production"
        )
        return [settings.problem("storage_path", message)]
    return []
