"""``twistd csipd-proxy``: the options of the proxy, and the service made from them."""

from __future__ import annotations

import os

from twisted.application.service import IService
from twisted.python import usage

from csipd import config
from csipd.daemon.failures import StartError
from csipd.daemon.proxy_program import PreparedProxy, build_proxy, prepare_proxy
from csipd.daemon.tap import fail, say, say_in_a_line, the_reactor, user_of

_DEFAULT = "config.yml"


class Options(usage.Options):
    """Options of the proxy's plugin."""

    synopsis = "[options]"
    longdesc = (
        "The proxy of csipd: takes devices' requests on proxy_hostname and hands them on to the server of "
        "the same configuration. The server makes its certificate, so it has to have been started once."
    )
    optParameters = [["config", "c", _DEFAULT, "The server's configuration file."]]
    optFlags = [
        ["check", None, "Say whether the proxy would start, and exit."],
        ["debug", None, "More logging: a line for every answer."],
    ]
    ready: PreparedProxy

    def postOptions(self) -> None:
        """Try everything that can fail, while an error can still be a line and an exit code."""
        try:
            if self["config"] == _DEFAULT and not os.path.lexists(_DEFAULT):
                fail(f"{_DEFAULT}: not found here; --config names another")
            settings = config.load(self["config"])
            for line in settings.warnings:
                say(f"warning: {line}")
            user_of(self.parent, settings)
            self.ready = prepare_proxy(settings, debug=bool(self["debug"]))
            if self["check"]:
                say(f"{self['config']}: the proxy would start")
                raise SystemExit(0)
        except (config.ConfigError, StartError) as error:
            fail(str(error))


def makeService(options: Options) -> IService:
    """The proxy, ready to start; opens nothing."""
    say_in_a_line()
    return build_proxy(options.ready, the_reactor())
