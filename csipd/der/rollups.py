"""What readings come to in a time (decision 58): pure."""

from __future__ import annotations

#: Lengths of roll-ups (s).
MINUTES, HOUR, DAY = 300, 3600, 86_400
