"""``2030_5_server``: the command line of the GridAPPS-D server, for csipd in the foreground.

The same start as ``twistd csipd``: a wrapper that spells its arguments (decision 31).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from twisted.scripts import twistd

_FLAGS = {
    "--no-validate": "start sooner: do not resolve the hostname and ip of each device",
    "--no-create-certs": "make no keys or certificates; a missing one is an error",
    "--debug": "more logging: a line for every answer",
}


def arguments(given: Sequence[str]) -> list[str]:
    """The arguments of ``twistd`` that do what these of ``2030_5_server`` ask for."""
    parser = argparse.ArgumentParser(
        prog="2030_5_server", description="Serve IEEE 2030.5 / CSIP in the foreground, until Ctrl-C."
    )
    parser.add_argument("config", help="configuration file of the server")
    for flag, help in _FLAGS.items():
        parser.add_argument(flag, action="store_true", help=help)
    parsed = vars(parser.parse_args(given))
    flags = [flag for flag in _FLAGS if parsed[flag[2:].replace("-", "_")]]
    return ["--nodaemon", "--pidfile=", "csipd", "--config", parsed["config"], *flags]


def main() -> None:
    """Run the server until it is told to stop."""
    sys.argv = ["twistd", *arguments(sys.argv[1:])]
    twistd.run()
