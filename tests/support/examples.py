"""How often a property is tried."""

from __future__ import annotations

from hypothesis import settings


def fewer(times: int) -> settings:
    """So many times fewer examples than usual, for a property whose examples are dear.

    What is usual is looked up when the test is imported, so that a night of many examples has its share.
    """
    return settings(max_examples=max(1, settings().max_examples // times))
