"""Makes ``twistd csipd`` and ``twistd csipd-proxy`` known to twistd; both run on the reactor of csipd."""

import sys
from typing import Any

from twisted.application.service import ServiceMaker
from twisted.internet.main import installReactor


class _ServiceMaker(ServiceMaker):
    """Loads the daemon when its options are asked for: ``twistd csipd`` does, every other use of plugins not.

    By then a reactor that the command line names (``twistd --reactor``) is there, and stays. Whatever the
    daemon imports would bring Twisted's own, so csipd's is installed first (decision 53).
    """

    @property
    def options(self) -> Any:
        if "twisted.internet.reactor" not in sys.modules:
            try:
                from csipd.net.reactor import Reactor
            except ImportError:  # no epoll, thus not Linux: Twisted's own choice does
                pass
            else:
                installReactor(Reactor())
        return super().options


csipd = _ServiceMaker("csipd", "csipd.daemon.tap", "IEEE 2030.5 / CSIP utility server", "csipd")
csipd_proxy = _ServiceMaker(
    "csipd-proxy",
    "csipd.daemon.proxy_tap",
    "the proxy of csipd, for devices that reach it there",
    "csipd-proxy",
)
