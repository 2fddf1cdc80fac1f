"""Takes the devices out of a model, in a process of its own.

A model's dictionary has tens of megabytes, and a regular expression may take years for a name: neither may
stop the daemon, which gives this process its time and then ends it (`csipd.gridappsd.platform_model`). It
runs as `python -m`: a line of JSON on stdin says what is wanted, the dictionary follows unless a file has it;
the devices are written as JSON. What cannot be used is one line on stderr, and code 1.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from csipd.gridappsd.model import ModelDevice, ModelError, devices_of, feeder_of

#: The largest dictionary that is read (octets).
MOST_OCTETS: Final = 1 << 28


def main(stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> int:
    """Do it; the exit code."""
    try:
        found = _selected(stdin)
    except ModelError as error:
        stderr.write(f"{error}\n")
        return 1
    stdout.write(json.dumps([(one.mrid, one.name) for one in found]).encode())
    return 0


def _selected(stdin: BinaryIO) -> list[ModelDevice]:
    wanted = json.loads(stdin.readline())
    if wanted["file"] is None:
        document = stdin.read(MOST_OCTETS + 1)
    else:
        try:
            with Path(wanted["file"]).open("rb") as file:
                document = file.read(MOST_OCTETS + 1)
        except OSError as error:
            raise ModelError(f"{wanted['file']}: {error.strerror}") from error
    if len(document) > MOST_OCTETS:
        raise ModelError(f"it is larger than {MOST_OCTETS} octets")
    houses, utilities = (
        None if wanted[name] is None else re.compile(wanted[name]) for name in ("houses", "utilities")
    )
    return devices_of(feeder_of(document), houses, utilities)


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer, sys.stderr))
