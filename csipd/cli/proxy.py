"""``2030_5_proxy``: the command line of the GridAPPS-D proxy, for csipd's in the foreground.

The same start as ``twistd csipd-proxy``: a wrapper that spells its arguments (decisions 31 and 68).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from twisted.scripts import twistd


def arguments(given: Sequence[str]) -> list[str]:
    """The arguments of ``twistd`` that do what these of ``2030_5_proxy`` ask for."""
    parser = argparse.ArgumentParser(
        prog="2030_5_proxy",
        description="Hand requests of IEEE 2030.5 devices on to the server, in the foreground, until Ctrl-C.",
    )
    parser.add_argument("config", help="configuration file of the server")
    parser.add_argument("--debug", action="store_true", help="more logging: a line for every answer")
    parsed = parser.parse_args(given)
    flags = ["--debug"] if parsed.debug else []
    return ["--nodaemon", "--pidfile=", "csipd-proxy", "--config", parsed.config, *flags]


def main() -> None:
    """Run the proxy until it is told to stop."""
    sys.argv = ["twistd", *arguments(sys.argv[1:])]
    twistd.run()
