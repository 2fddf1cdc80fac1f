"""How much work a call is, as a count that is the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import csipd

_ROOT = str(Path(csipd.__file__).parent)


def steps(call: Callable[[], Any]) -> int:
    """How many of the interpreter's instructions a call executes in csipd's own code."""
    # From 3.12 on a trace function misses instructions of code that it sees for the first time.
    return _monitored(call) if sys.version_info >= (3, 12) else _traced(call)


def _traced(call: Callable[[], Any]) -> int:
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


def _monitored(call: Callable[[], Any]) -> int:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]  # from 3.12 on
    tool, instruction = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION
    number = 0

    def count(code: CodeType, offset: int) -> Any:
        nonlocal number
        if not code.co_filename.startswith(_ROOT):
            return monitoring.DISABLE
        number += 1
        return None

    monitoring.use_tool_id(tool, "steps")
    monitoring.register_callback(tool, instruction, count)
    monitoring.set_events(tool, instruction)
    try:
        call()
    finally:
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
        monitoring.register_callback(tool, instruction, None)
        monitoring.free_tool_id(tool)
    return number
