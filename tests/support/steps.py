"""How much work a call is, as a count that is the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import csipd

_ROOT = str(Path(csipd.__file__).parent)


def steps(call: Callable[[], Any]) -> int:
    """How many of the interpreter's instructions a call executes in csipd's own code."""
    number = 0

    def count(frame: FrameType, what: str, _: Any) -> Any:
        nonlocal number
        number += what == "opcode"
        return count

    def enter(frame: FrameType, what: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_ROOT):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return count

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        call()
    finally:
        sys.settrace(before)
    return number
